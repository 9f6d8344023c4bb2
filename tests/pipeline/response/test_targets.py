"""What came about of each example, against loops; death, loss and gaps are told apart."""

import math

import numpy as np
import pytest

from learner_index.errors import NotEnoughDataError, QueryError, SettingsError
from learner_index.pipeline.response.targets import CHANGES, require_learnable
from tests.pipeline.response.response_toy import examples_of, mixed_rows, scan, trial_rows


def visits_of(**columns):
    """Scans of P0, P1, ...: each column gives a patient's value, or a list of one a visit.

    Visits are a day apart; "ends" says how many a patient has, else two.
    """
    ends = columns.pop("ends", None)
    rows = []
    for number in range(len(next(iter(columns.values())))):
        for day in range(2 if ends is None else ends[number]):
            of = {name: values[number] for name, values in columns.items()}
            own = {name: v[day] if isinstance(v, list) else v for name, v in of.items()}
            rows.append(scan(f"P{number}", float(day), **own))
    return rows


def found_of(rows, **options):
    return examples_of(rows, **options)[2]


def named(found):
    """The class of each example, None where it is not known."""
    return [None if code < 0 else found.classes[code] for code in found.code.tolist()]


@pytest.mark.parametrize(
    "options",
    [
        {"transitions": "all"},
        {"task": "predict", "at": "every"},
        {"task": "predict", "at": "every", "until": "last"},
    ],
)
def test_health_changes_against_a_loop(options):
    """θ or more up is improved, θ or more down worsened; a score that is missing, unknown."""
    for seed in range(5):
        material, examples, found = examples_of(mixed_rows(seed), threshold=2.0, **options)

        expected = []
        for earlier, later in zip(examples.earlier, examples.later, strict=True):
            change = material.visits.score[later] - material.visits.score[earlier]
            if later < 0 or math.isnan(change):
                expected.append(None)
            else:
                worsened = "worsened" if change <= -2 else "stable"
                expected.append("improved" if change >= 2 else worsened)
        assert named(found) == expected
        assert set(expected) > {None}
        assert found.n_lost == sum(examples.later < 0)
        assert found.n_died == 0
        assert found.n_unknown == expected.count(None) - found.n_lost
        assert (found.classes, found.is_ordinal) == (CHANGES, True)
        assert (found.before == CHANGES.index("stable")).all()
        assert found.is_known.tolist() == [name is not None for name in expected]


def test_theta_itself_counts():
    """A change of exactly θ is one; each score kind brings its own θ."""
    rows = visits_of(health_score=[[0.0, 3.0], [0.0, 2.9], [3.0, 0.0], [0.0, math.nan]])

    found = found_of(rows, score_kind="mmse")

    assert named(found) == ["improved", "stable", "worsened", None]
    assert (found.threshold, found.name) == (3.0, "change of MMSE by 3 or more")
    assert named(found_of(rows, score_kind="mmse", threshold=2.5))[1] == "improved"


def test_what_a_health_change_needs():
    """A score, a θ that is a size, and no classes of its own: else one line says what to do."""
    scored = visits_of(health_score=[[0.0, 3.0]])

    with pytest.raises(SettingsError, match=r"no θ is given.*--threshold NUMBER.*--score-kind"):
        found_of(scored)
    with pytest.raises(SettingsError, match="threshold 0 is no size"):
        found_of(scored, threshold=0)
    with pytest.raises(SettingsError, match=r"--score-kind mmes: .* .did you mean 'mmse'"):
        found_of(scored, score_kind="mmes")
    with pytest.raises(SettingsError, match="--classes names outcomes of a column"):
        found_of(scored, threshold=1.0, classes=("a", "b"))
    with pytest.raises(NotEnoughDataError, match=r"no health score in the store.*--target"):
        found_of(visits_of(health_score=[math.nan]), threshold=1.0)


def test_a_column_is_read_at_the_later_visit():
    """Not at the one that is started from, whose value is that of no change."""
    rows = visits_of(ward=[["home", "icu"], ["icu", "home"], ["icu", None], [None, "icu"]])

    found = found_of(rows, target="ward")

    assert named(found) == ["icu", "home", None, "icu"]
    assert [("home", "icu")[code] if code >= 0 else None for code in found.before] == [
        "home",
        "icu",
        "icu",
        None,
    ]
    assert (found.n_unknown, found.n_lost, found.n_died, found.notes) == (1, 0, 0, ())
    assert (found.column, found.threshold) == ("ward", None)


def test_a_column_of_a_visit_needs_a_later_visit():
    """To predict, who was not seen again has no outcome, whatever stands at the first visit."""
    rows = visits_of(ward=[["home", "icu"], ["icu"], ["icu", "icu"]], ends=[2, 1, 2])

    found = found_of(rows, task="predict", target="ward")

    assert named(found) == ["icu", None, "icu"]
    assert (found.n_lost, found.n_unknown) == (1, 0)


def test_one_value_a_patient_counts_at_every_visit():
    """It may be written at any visit, and needs no later one; nothing stands for no change."""
    rows = visits_of(
        response=[["good", None, None], [None, "bad"], ["bad"], [None]], ends=[3, 2, 1, 1]
    )

    found = found_of(rows, task="predict", at="every", target="response")

    assert named(found) == ["good"] * 3 + ["bad"] * 3 + [None]
    assert (found.before == -1).all()
    assert found.notes == ("response has one value a patient, which counts at every visit",)
    assert (found.n_lost, found.n_unknown) == (1, 0)


@pytest.mark.parametrize(
    ("values", "classes", "is_ordinal"),
    [
        ([True, False, None], ("no", "yes"), True),
        (["b", "a", "c"], ("a", "b", "c"), False),
        (["b", "a", "a"], ("a", "b"), True),
        ([10.0, 9.0, 0.5], ("0.5", "9", "10"), True),
    ],
)
def test_classes_as_they_are_found(values, classes, is_ordinal):
    """Numbers are in order, texts are not, and of two classes any order is one."""
    found = found_of(visits_of(grade=values), target="grade")

    assert (found.classes, found.is_ordinal) == (classes, is_ordinal)
    shown = {True: "yes", False: "no", None: None}
    as_text = [shown.get(v, v) if isinstance(v, bool | None) else v for v in values]
    assert named(found) == [f"{v:g}" if isinstance(v, float) else v for v in as_text]


def test_classes_in_the_order_given():
    """They are then ordinal, twice is once, and one that nobody has may be among them."""
    rows = visits_of(grade=["mild", "none", "severe"])

    found = found_of(rows, target="grade", classes=("dire", "severe", "mild", "none", "mild"))

    assert found.classes == ("dire", "severe", "mild", "none")
    assert found.is_ordinal
    assert found.code.tolist() == [2, 3, 1]


def test_numbers_may_be_ordered_anew():
    """They are named as they are written."""
    found = found_of(visits_of(grade=[1.0, 2.0]), target="grade", classes=("2", "1"))

    assert found.code.tolist() == [1, 0]
    with pytest.raises(SettingsError, match=r"--classes leaves out '2', a value.* 1, 2"):
        found_of(visits_of(grade=[1.0, 2.0]), target="grade", classes=("1", "3"))


def test_columns_that_are_no_outcome():
    """Unknown, left out of --classes, with too many values, or beside a θ: one line each."""
    rows = visits_of(grade=["mild", "none"])

    with pytest.raises(QueryError, match=r"--target grad: no such column \(did you mean 'grade'"):
        found_of(rows, target="grad")
    with pytest.raises(SettingsError, match=r"leaves out 'none', a value.*\(did you mean 'nnoe'"):
        found_of(rows, target="grade", classes=("mild", "nnoe"))
    with pytest.raises(SettingsError, match="--threshold is for health scores"):
        found_of(rows, target="grade", threshold=3.0)
    with pytest.raises(SettingsError, match="--target grade has 21 values, more than 20 outcomes"):
        found_of(visits_of(grade=[float(number) for number in range(21)]), target="grade")
    assert (
        len(found_of(visits_of(grade=[float(n) for n in range(20)]), target="grade").classes) == 20
    )


FATES = {
    "ward": [["home", "icu"], ["icu"], ["icu"], ["icu", "home"], ["icu", None]],
    "ends": [2, 1, 1, 2, 2],
}


def fated(event, columns=FATES, **options):
    return found_of(visits_of(**columns, event=event), task="predict", target="ward", **options)


@pytest.mark.parametrize(
    "event",
    [
        [None, "Death", "discharge", None, None],
        [None, "died ", "loss", "discharge", "death"],
        [None, True, False, True, None],
        [None, "1", "0", "1", "0"],
        ["no", "Yes", None, None, "yes"],
    ],
)
def test_death_is_no_loss(event):
    """A word of death or a flag says who died; a discharge does not, nor does a later visit."""
    found = fated(event)

    assert (found.n_died, found.n_lost, found.n_unknown) == (1, 1, 1)
    assert named(found) == ["icu", None, None, "home", None]


def test_without_events_all_are_lost():
    """Nothing is known of why they did not come back."""
    rows = visits_of(**{name: list(values) for name, values in FATES.items()})

    found = found_of(rows, task="predict", target="ward")

    assert (found.n_died, found.n_lost) == (0, 2)


DEATHS = [None, "death", None, None, None]


def test_death_as_one_of_the_classes():
    """It takes their code, and no class is added."""
    found = fated(DEATHS, died_as="icu", lost_as="home")

    assert named(found) == ["icu", "icu", "home", "home", None]
    assert found.classes == ("home", "icu")
    assert (found.n_died, found.n_lost, found.n_unknown) == (0, 0, 1)
    assert found.is_ordinal


def test_death_as_the_worst_class():
    """It comes first in the order, and everything else keeps its name."""
    rows = visits_of(
        health_score=[[0.0, 5.0], [0.0], [5.0, 0.0], [0.0]],
        event=[None, "death", None, None],
        ends=[2, 1, 2, 1],
    )

    found = found_of(rows, task="predict", threshold=2.0, died_as="dead")

    assert found.classes == ("dead", *CHANGES)
    assert named(found) == ["improved", "dead", "worsened", None]
    assert {found.classes[code] for code in found.before} == {"stable"}
    assert found.is_ordinal
    assert (found.n_died, found.n_lost) == (0, 1)


def test_death_beside_classes_without_order():
    """Two texts are in no order of their own, so three are not ordinal; by --classes they are."""
    found = fated(DEATHS, died_as="dead")
    ordered = fated(DEATHS, died_as="dead", classes=("icu", "home"))

    assert (found.classes, found.is_ordinal) == (("home", "icu", "dead"), False)
    assert (ordered.classes, ordered.is_ordinal) == (("dead", "icu", "home"), True)
    assert named(found) == named(ordered) == ["icu", "dead", None, "home", None]
    assert [found.classes[code] for code in found.before] == ["home", "icu", "icu", "icu", "icu"]


def test_loss_has_no_place_in_an_order():
    """A class of its own comes last and ends the order, which is said where there was one."""
    found = fated(DEATHS, lost_as="gone", classes=("icu", "home"))

    assert found.classes == ("icu", "home", "gone")
    assert named(found) == ["icu", None, "gone", "home", None]
    assert not found.is_ordinal
    assert found.notes == ("classes are not ordinal: 'gone' has no place in their order",)
    assert fated(DEATHS, lost_as="gone").notes == ()


def test_death_and_loss_as_one_new_class():
    """Both may be called the same; nobody is then left out but the unknown."""
    found = fated(DEATHS, died_as="gone", lost_as="gone")

    assert named(found) == ["icu", "gone", "gone", "home", None]
    assert found.classes == ("home", "icu", "gone")
    assert found.n_unknown == 1


def test_two_classes_are_ordinal_by_their_number():
    """A column of one value and death are two."""
    columns = {"ward": [["icu", "icu"], ["icu"]], "ends": [2, 1]}

    found = found_of(
        visits_of(**columns, event=[None, "death"]), task="predict", target="ward", died_as="dead"
    )

    # one value a patient: it counts for the dead too
    assert (found.classes, found.is_ordinal) == (("icu", "dead"), True)


def test_some_targets():
    """Codes and what stands for no change are chosen; counts are of all."""
    found = fated(DEATHS)

    some = found.only(found.is_known)

    assert (some.code.tolist(), some.before.tolist()) == ([1, 0], [0, 1])
    assert (some.n_died, some.n_lost, some.n_unknown) == (1, 1, 1)


def refused(rows, n_folds=5, **options):
    _, examples, found = examples_of(rows, **options)
    known = found.is_known
    require_learnable(found.only(known), examples.patient[known], n_folds)


def test_what_nothing_can_be_learned_of():
    """One class, nothing known, three patients, or one patient of a class: one line each."""
    with pytest.raises(NotEnoughDataError, match=r"all 24 are stable, and .*another --threshold"):
        refused(trial_rows(), threshold=1000.0)
    with pytest.raises(NotEnoughDataError, match=r"grade: all 6 are a, and .*another --target"):
        refused(visits_of(grade=["a"] * 6), target="grade")
    for options in ({"threshold": 1.0}, {"target": "grade"}):
        rows = visits_of(grade=[None] * 6, health_score=[[1.0, math.nan]] * 6)
        with pytest.raises(NotEnoughDataError, match="no outcome is known of any example"):
            refused(rows, **options)
    with pytest.raises(
        NotEnoughDataError,
        match=r"^3 patients with a known outcome \(worsened 1, stable 1, improved 1\): 5 folds "
        r"need 6 or more, with two patients in each of two classes; add patients$",
    ):
        refused(trial_rows(3), threshold=5.0)
    with pytest.raises(NotEnoughDataError, match=r"7 patients .*\(a 6, b 1\)"):
        refused(visits_of(grade=["a"] * 6 + ["b"]), target="grade")
    with pytest.raises(NotEnoughDataError, match=r"6 patients .*7 folds need 7 or more"):
        refused(trial_rows(6), 7, threshold=5.0)
    refused(trial_rows(6), threshold=5.0)


def test_patients_are_counted_not_examples():
    """Two patients with many transitions are two."""
    with pytest.raises(NotEnoughDataError, match="2 patients with a known outcome"):
        refused(trial_rows(2, visits=30), threshold=5.0)


def test_codes_are_integers():
    """Heads index with them."""
    assert found_of(trial_rows(), threshold=5.0).code.dtype == np.int64


def test_numbers_are_no_order_of_health_for_the_dead():
    """Death beside numbers whose good end is not told is a class without a place, which is said."""
    columns = {"grade": [[0.0, 1.0], [2.0], [1.0, 2.0]], "ends": [2, 1, 2]}
    rows = visits_of(**columns, event=[None, "deceased in ICU", None])

    found = found_of(rows, task="predict", target="grade", died_as="dead")

    assert (found.classes, found.is_ordinal) == (("0", "1", "2", "dead"), False)
    assert "name all with --classes, worst first" in found.notes[-1]
