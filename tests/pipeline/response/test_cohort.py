"""Who may be learned from, what is refused in one line, and what a person is told."""

import math

import numpy as np
import pytest

from learner_index.config.response import ResponseOptions
from learner_index.errors import LearnerIndexError, NotEnoughDataError, QueryError, SettingsError
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.response.cohort import read_response_cohort
from tests.pipeline.progression.store_of import planted, write_store
from tests.pipeline.response.response_toy import scan, store_of, trial_rows

THETA = {"threshold": 5.0}


def read(rows, **options):
    return read_response_cohort(store_of(rows), ResponseOptions(**THETA | options))


def refusal(rows, kind, **options):
    """The one line that says why nothing can be learned."""
    with pytest.raises(LearnerIndexError) as caught:
        read(rows, **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_cohort(tmp_path):
    """Of a real store: everybody with two scored visits is in, and nothing is remarked."""
    embeddings, obs = planted(seed=3, patients=12)
    store = open_store(write_store(tmp_path / "toy.zarr", embeddings, obs))

    found = read_response_cohort(store, ResponseOptions(threshold=4.0, clinical=("age", "site")))

    pool = found.pool
    assert pool.classes == ("worsened", "stable", "improved")
    assert pool.is_ordinal
    assert len(pool.code) == len(pool.examples) == len(pool.before) == len(found.targets.code)
    assert set(pool.patient) == set(range(12))
    assert not found.is_seen.any()
    assert found.notes == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alpha": 0.0}, "--alpha 0 is no share"),
        ({"alpha": 1.0}, "--alpha 1 is no share"),
        ({"alpha": math.nan}, "--alpha nan is no share"),
        ({"folds": 1}, "--folds 1: give 2 or more"),
        ({"with_clinical": True}, "--with-clinical needs columns"),
        ({"at": "every"}, "--at and --until belong to --task predict"),
        ({"until": "last"}, "--at and --until belong to --task predict"),
        ({"died_as": "dead"}, "--died-as and --lost-as belong to --task predict"),
        ({"lost_as": "gone"}, "--died-as and --lost-as belong to --task predict"),
        ({"task": "predict", "transitions": "all"}, "--transitions belongs to --task detect"),
        ({"task": "foretell"}, "--task foretell is unknown: take detect or predict"),
        ({"task": "predict", "until": "end"}, "--until end is unknown: take next or last"),
        ({"patients": "some"}, "--patients some is unknown: take auto or unseen or all"),
        ({"class_weight": "fair"}, "--class-weight fair is unknown: take none or balanced"),
        ({"task": "predict", "at": "noon"}, "--at 'noon': take first"),
        ({"classes": ("a", "b")}, "--classes names outcomes of a column"),
    ],
)
def test_options_that_do_not_go_together(options, said):
    """They are refused, not passed over."""
    assert refusal(trial_rows(), SettingsError, **options).startswith(said)


def test_clinical_columns_that_cannot_be():
    """Unknown, an outcome, the outcome asked for, a name, or without any value."""
    rows = trial_rows(age=float, empty=lambda n: None, response=lambda n: "good")

    unknown = refusal(rows, QueryError, clinical=("agee",))
    assert unknown.startswith("--clinical agee: no such column (did you mean 'age'?): there are ")
    for name in ("response", "grade"):
        asked = {"clinical": (name,), "target": "grade", "threshold": None}
        graded = [{**row, "grade": "AB"[number % 2]} for number, row in enumerate(rows)]
        assert refusal(graded, QueryError, **asked) == (
            f"--clinical {name} tells what came later: leave it out"
        )
    assert "no such column" in refusal(rows, QueryError, clinical=("patient_id",))
    assert refusal(rows, NotEnoughDataError, clinical=("age", "empty")) == (
        "--clinical empty has no value in 24 examples: leave it out, or fill it in and build again"
    )
    assert read(rows, clinical=("age", "day", "health_score")).notes


def test_too_little_to_learn_from():
    """No θ, no score, one class, three patients, no second visit, no day: one line each."""
    rows = trial_rows()
    no_day = [{k: v for k, v in row.items() if k != "day"} for row in rows]
    no_score = [{k: v for k, v in row.items() if k != "health_score"} for row in rows]

    assert "no θ is given" in refusal(rows, SettingsError, threshold=None)
    assert "no health score in the store" in refusal(no_score, NotEnoughDataError)
    assert "all 24 are stable" in refusal(rows, NotEnoughDataError, threshold=999.0)
    assert "3 patients with a known outcome" in refusal(trial_rows(3), NotEnoughDataError)
    expected = (
        "none of 12 patients has two visits on two days that share a view: a change needs both "
        "scans; `similar` finds who looks alike from one"
    )
    assert refusal(trial_rows(visits=1), NotEnoughDataError) == expected
    assert refusal(no_day, NotEnoughDataError) == expected
    assert refusal(no_day, NotEnoughDataError, task="predict").startswith(
        "none of 12 patients has a dated visit to predict from (--at first)"
    )


def test_conditions_that_nothing_fulfils():
    """They are named, whichever they are."""
    rows = trial_rows(site=lambda n: "X")

    assert "that share a view where the earlier fulfils site == Y and day > 1: a" in refusal(
        rows, NotEnoughDataError, where=("site == Y", "day > 1")
    )
    assert "to predict from (--at day 0) that fulfils site == Y: take" in refusal(
        rows, NotEnoughDataError, task="predict", at="day 0", where=("site == Y",)
    )
    assert "no scan fulfils site == Y" in refusal(rows, QueryError, scans=("site == Y",))
    assert "asks what came later" in refusal(
        [{**row, "event": "death"} for row in rows], QueryError, where=("event == death",)
    )
    assert "no modality 'ct'" in refusal(rows, QueryError, modality="ct")


def cohort_of_roles(n_seen, n_unseen, **columns):
    return trial_rows(
        n_seen + n_unseen,
        visits=2,
        encoder_role=lambda n: ["train", "val"][n % 2] if n < n_seen else "unseen",
        **columns,
    )


@pytest.mark.parametrize(
    ("n_seen", "n_unseen", "patients", "n_used"),
    [
        (0, 12, "auto", 12),
        (0, 12, "unseen", 12),
        (6, 30, "auto", 30),
        (6, 29, "auto", 35),
        (6, 12, "unseen", 12),
        (6, 30, "all", 36),
        (9, 0, "auto", 9),
    ],
)
def test_who_is_learned_from(n_seen, n_unseen, patients, n_used):
    """Unseen patients where they are enough or asked for; what is done is said."""
    found = read(cohort_of_roles(n_seen, n_unseen), patients=patients)

    owners = np.unique(found.pool.patient)
    n_both = n_seen + n_unseen
    said = [note for note in found.notes if "encoder" in note]
    assert len(owners) == n_used
    assert found.is_seen.sum() == n_seen
    if n_seen == 0:
        assert said == []
    elif n_used == n_unseen:
        assert not found.is_seen[owners].any()
        left_out = f"{n_seen} patients the encoder was trained or tuned on are left out"
        assert said == [f"{left_out}; --patients all takes them in"]
    else:
        seen = f"SEEN BY ENCODER: {n_seen} of {n_both} patients are those the encoder was"
        assert said == [f"{seen} trained or tuned on, so every figure flatters"]


def test_enough_unseen_patients_of_one_class_are_not_enough():
    """Two of each of two classes must be among them; a column of one class is refused by name."""
    rows = cohort_of_roles(6, 31, grade=lambda n: "a" if n >= 7 else "b")
    asked = {"target": "grade", "threshold": None}

    assert len(np.unique(read(rows, **asked).pool.patient)) == 37
    rows = cohort_of_roles(6, 31, grade=lambda n: "a")
    assert "all 37 are a" in refusal(rows, NotEnoughDataError, **asked)


def test_nobody_is_unseen():
    """Who wants unseen patients alone is told that there are none."""
    assert refusal(cohort_of_roles(9, 0), NotEnoughDataError, patients="unseen") == (
        "--patients unseen: all 9 patients with a known outcome are those the encoder was trained "
        "or tuned on: take --patients all, and every figure flatters"
    )


def test_remarks_on_treatment():
    """That it does not vary, or is not written, is said; that it varies is not."""
    assert read(trial_rows(treatment=lambda n: "A")).notes == (
        "treatment is A throughout: it tells nothing, and nothing is said of others",
    )
    for rows in (trial_rows(), trial_rows(treatment=lambda n: None)):
        assert read(rows).notes == (
            "no treatment is written: what is learned is the course, whatever was given",
        )
    for given in (["A", "B"], ["A", None]):
        assert read(trial_rows(treatment=lambda n, given=given: given[n % 2])).notes == ()


def test_notes_of_the_outcome_come_first():
    """What is known of the target is said before what is known of the patients."""
    rows = cohort_of_roles(6, 30, response=lambda n: "ab"[n % 2])

    notes = read(rows, target="response", threshold=None).notes

    assert [note.split()[0] for note in notes] == ["6", "response", "no"]


def test_twins_are_reported():
    """Of the patients that are learned from, the outcome itself aside."""
    rows = trial_rows(grade=lambda n: "ab"[n % 2], late=lambda n: float(n % 2))

    found = read(rows, target="grade", threshold=None)

    assert [leak.column for leak in found.leaks] == ["late"]


def test_unknown_outcomes_are_counted_and_left_out():
    """Targets keep the counts of all, the pool has who is known."""
    rows = trial_rows(14)
    rows = [row for row in rows if row["patient_id"] != "P013" or row["day"] == 0]
    for row in rows:
        row["health_score"] = math.nan if row["patient_id"] == "P012" else row["health_score"]

    found = read(rows, task="predict")

    assert len(found.pool.code) == len(found.targets.code) == 12
    assert (found.targets.n_lost, found.targets.n_unknown, found.targets.n_died) == (1, 1, 0)
    assert (found.pool.code >= 0).all()


@pytest.mark.parametrize("task", ["detect", "predict"])
def test_the_fingerprint_is_of_embeddings_and_outcomes(task):
    """It changes with either, with a day and with a name; not with the order of rows."""
    rows = trial_rows()
    options = {"task": task, "target": "grade", "threshold": None}
    rows = [{**row, "grade": "ab"[int(row["patient_id"][1:]) % 2]} for row in rows]

    def fingerprint(rows):
        return read(rows, **options).fingerprint

    def with_first(**columns):
        return [{**row, **columns} if row["patient_id"] == "P004" else row for row in rows]

    known = fingerprint(rows)
    assert fingerprint([*rows]) == known
    assert fingerprint(rows[::-1]) == known
    assert fingerprint([{**row, "site": "X"} for row in rows]) == known
    moved = [{**rows[0], "embedding": (1.0, 2.0, 3.0)}, *rows[1:]]
    later = [{**rows[0], "day": -0.5}, *rows[1:]]
    for other in (moved, later, with_first(grade="b"), with_first(patient_id="Q"), rows[3:]):
        assert fingerprint(other) != known


def test_the_fingerprint_of_patients_without_a_later_visit():
    """It rests on nobody else: not on who happens to be the last of the store."""
    options = {"task": "predict", "target": "grade", "threshold": None}
    rows = [scan(f"P{n}", 0.0, float(n), grade="ab"[n % 2]) for n in range(8)]
    stray = scan("Q", 3.0, 5.0, grade=None)
    other = {**stray, "embedding": (6.0,)}

    found = {read([*rows, *more], **options).fingerprint for more in ([], [stray], [other])}

    assert len(found) == 1


LATE = "asks what came later"


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"scans": ("last_seen_day > 10",)}, LATE),
        ({"scans": ("response == good",), "target": "response", "threshold": None}, LATE),
        ({"scans": ("ward == a",), "target": "ward", "threshold": None}, LATE),
        ({"where": ("ward == a",), "target": "ward", "threshold": None}, "chooses by the outcome"),
        ({"where": ("patient_id == P001",)}, "would write ids into the head"),
        ({"target": "treatment", "threshold": None}, "is no outcome"),
        ({"target": "ward", "threshold": None, "score_kind": "sf"}, "--score-kind is for health"),
        ({"task": "predict", "died_as": "dead"}, "nobody is known to have died"),
        ({"clinical": ("record",)}, "40 different texts, more than 20"),
        ({"seed": -1}, "--seed -1: give 0 or more"),
        ({"folds": 2.5}, "--folds 2.5: give 2 or more"),
    ],
)
def test_what_would_choose_by_the_outcome_or_tell_on_patients_is_refused(more, match):
    """Conditions on what came later, classes of nobody, columns that are nearly ids: one line."""
    columns = {
        "ward": lambda number: "abc"[number % 3],
        "response": lambda number: ("good", "bad")[number % 2],
        "last_seen_day": lambda number: float(number),
        "treatment": lambda number: "AB"[number % 2],
        "record": lambda number: f"r{number}",
    }
    rows = trial_rows(40, seed=0, **columns)

    with pytest.raises((QueryError, SettingsError, NotEnoughDataError), match=match):
        read(rows, **{"threshold": 5.0, **more})


def test_a_treatment_is_in_force_whichever_scans_are_used():
    """Written beside a scan that is left out, it holds for the visits after it."""
    rows = []
    for number in range(12):
        for day in range(3):
            own = {"health_score": float((number * day) % 5) * 4, "treatment": None}
            rows.append(scan(f"P{number:02d}", float(day), number, day, view="ap", **own))
            told = {**own, "treatment": "B" if day == 1 else "A" if day == 0 else None}
            rows.append(scan(f"P{number:02d}", float(day), number, day, view="pa", **told))

    found = read(rows, threshold=3.0, scans=("view == ap",), folds=2)

    assert set(found.pool.material.of_visits["view"]) == {"ap"}
    treatment = found.pool.material.of_visits["treatment"].to_numpy(object).reshape(-1, 3)
    assert treatment.tolist() == [["A", "B", "B"]] * 12
