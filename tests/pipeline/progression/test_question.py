"""What a progression query asks: whose change, between which days, or which direction."""

import numpy as np
import pandas as pd
import pytest

from learner_index.config import ProgressionOptions, TrajectoryOptions
from learner_index.errors import QueryError
from learner_index.pipeline.progression.question import Ask, asked, settled
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.pipeline.progression.source import ChangeSource
from learner_index.search.table import SearchTable
from tests.pipeline.progression.store_of import (
    NOWHERE,
    SICK,
    WIDTH,
    ask,
    one_scan_visits,
    planted,
    source_of,
)

DAYS = (0.0, 10.0, 30.0, 31.0)


def place(*values):
    """An embedding that begins with these values."""
    return np.array([*values, *[0.0] * (WIDTH - len(values))])


def paths():
    """Patients of four, two, one and no dated visit."""
    return {
        "A": [(day, place(i, i * i), 90 - i) for i, day in enumerate(DAYS)],
        "B": [(3.0, place(5, 1), 70), (9.0, place(5, 3), 60)],
        "C": [(5.0, place(1, 7), 50)],
        "D": [(np.nan, place(2, 2), 40)],
    }


@pytest.fixture(scope="module")
def source():
    return source_of(*one_scan_visits(paths()))


@pytest.fixture(scope="module")
def sick():
    """A cohort with a severity axis, two views and repeats."""
    return source_of(*planted(1, views=("L1", "R1")))


def meant(source, *args, as_of=None, until_day=None, transitions="consecutive", **asks):
    """What is understood."""
    options = ProgressionOptions(as_of=as_of, until_day=until_day, transitions=transitions)
    return asked(source.followed(transitions, None, as_of), Ask(*args, **asks), options)


@pytest.mark.parametrize(
    ("transitions", "asks", "until_day", "days"),
    [
        ("consecutive", {}, None, (30, 31)),
        ("all", {}, None, (0, 31)),
        ("baseline", {}, None, (0, 31)),
        ("consecutive", {}, 30, (10, 30)),
        ("baseline", {}, 10.5, (0, 10)),
        ("consecutive", {"from_day": 10}, None, (10, 30)),
        ("consecutive", {"to_day": 10}, None, (0, 10)),
        ("all", {"from_day": 10}, None, (10, 31)),
        ("all", {"to_day": 30}, None, (0, 30)),
        ("consecutive", {"from_day": 0, "to_day": 30}, None, (0, 30)),
        ("baseline", {"from_day": 10, "to_day": 31}, None, (10, 31)),
        ("consecutive", {"from_day": 0, "to_day": 31}, 31, (0, 31)),
    ],
)
def test_which_two_visits_are_meant(source, transitions, asks, until_day, days):
    """The latest pair of the pairing, or the two days named, of visits until a day."""
    found = meant(source, "A", transitions=transitions, until_day=until_day, **asks)

    change = found.change
    first, second = (place(DAYS.index(day), DAYS.index(day) ** 2) for day in days)
    assert (change.from_day, change.to_day) == days
    assert found.question.delta_day == change.delta_day == days[1] - days[0]
    assert change.from_scans == (f"A/{DAYS.index(days[0])}",)
    np.testing.assert_allclose(found.question.delta, second - first, atol=1e-6)
    assert found.description == {
        "kind": "patient",
        "patient_id": "A",
        "from_day": days[0],
        "to_day": days[1],
    }


def test_the_start_is_less_the_references_center(source):
    """The start state is the earlier visit less what the reference's mean visit is."""
    found = meant(source, "B")

    known = source.reference.changes[""]
    expected = place(5, 1) - known.view_means["L1"] - known.center
    np.testing.assert_allclose(found.question.start, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("patient", "asks", "message"),
    [
        ("A", {"from_day": 1}, "patient 'A' has no visit on day 1: days are 0, 10, 30, 31"),
        ("A", {"to_day": 0.5}, "patient 'A' has no visit on day 0.5: days are 0, 10, 30, 31"),
        ("A", {"from_day": -0.5}, "no visit on day -0.5"),
        ("A", {"from_day": 10, "to_day": 10}, "from day 10 to day 10 is no change: days are"),
        ("A", {"from_day": 30, "to_day": 0}, "from day 30 to day 0 is no change: days are"),
        ("A", {"from_day": 31}, "nothing of patient 'A' lies after day 31: days are 0, 10, 30, 31"),
        ("A", {"to_day": 0}, "nothing of patient 'A' lies before day 0: days are 0, 10, 30, 31"),
        (
            "A",
            {"from_day": 10, "transitions": "baseline"},
            r"meant \(baseline transitions\) show the same view: .* name both with --from-day and",
        ),
        ("A", {"from_day": "0"}, "--from-day is '0': give a finite number"),
        ("A", {"to_day": float("nan")}, "--to-day is nan: give a finite number"),
        ("C", {}, r"patient 'C' has one visit \(day 5\), so no change: .* with `similar`"),
        ("D", {}, "patient 'D' has no visit with a day, so no change: .* with `similar`"),
        ("a", {}, "no patient 'a' among 4.*ids are the manifest's"),
        ("D", {"from_day": 1}, "patient 'D' has no visit on day 1: days are unknown"),
    ],
)
def test_refuses_a_change_that_is_none(source, patient, asks, message):
    """What the patient lacks is said, with the days there are."""
    with pytest.raises(QueryError, match=message):
        meant(source, patient, **asks)


def test_many_days_are_shortened(sick):
    """A message names eight days at most."""
    path = {"A": [(day, place(day), 1) for day in range(12)], "B": [(0, place(3), 1)]}
    source = source_of(*one_scan_visits(path))

    with pytest.raises(QueryError, match=r"days are 0, 1, 2, 3, 4, 5, 6, 7, …$"):
        meant(source, "A", from_day=0.5)


@pytest.mark.parametrize(
    "asks",
    [
        {},
        {"patient": ""},
        {"direction": "improving", "vector": np.ones(WIDTH)},
        {"from_where": ("day > 1",), "vector": np.ones(WIDTH)},
        {"to_where": ("day > 1",), "direction": "improving", "patient": "A"},
    ],
)
def test_refuses_no_question_and_several(source, asks):
    """One thing is followed."""
    with pytest.raises(QueryError, match="name one thing to follow: a patient, a direction"):
        meant(source, **asks)


@pytest.mark.parametrize(
    ("asks", "message"),
    [
        ({"direction": "improving", "to_day": 3}, "a day .* does not belong to a direction"),
        ({"vector": np.ones(6), "from_day": 3}, "a day .* does not belong to a vector"),
        ({"patient": "P1", "vector": np.ones(6), "to_day": 3}, "does not belong to a vector"),
        ({"direction": "up"}, "no direction 'up': choose improving or worsening"),
        ({"from_where": ("age > 1",)}, "two groups need both: give --from-where and --to-where"),
        (
            {"from_where": ("age > 999",), "to_where": ("age > 1",)},
            "--from-where age > 999: loosen",
        ),
        ({"from_where": ("age > 1",), "to_where": ("age > 999",)}, "--to-where age > 999: loosen"),
        ({"from_where": ("agee > 1",), "to_where": ("age > 1",)}, "no column 'agee'.*'age'"),
        ({"vector": "abc"}, "a vector needs numbers"),
        ({"vector": np.ones(5)}, r"a vector of shape \(5,\) .* width 6: give one .* \(6,\)"),
        ({"vector": np.ones((1, 6))}, r"a vector of shape \(1, 6\) is no direction"),
        (
            {"patient": "P1", "direction": "improving", "from_day": 0.25},
            "no visit on day 0.25: day",
        ),
        ({"patient": "P1", "direction": "improving", "from_day": "0"}, "--from-day is '0'"),
    ],
)
def test_refuses_a_direction_that_is_none(sick, asks, message):
    """What does not fit is named, with what would."""
    with pytest.raises(QueryError, match=message):
        meant(sick, **asks)


def test_a_vector_with_nan_is_refused(sick):
    """A direction has numbers alone."""
    with pytest.raises(QueryError, match="holds NaN or infinity"):
        ask(sick, vector=np.full(WIDTH, np.nan))


@pytest.mark.parametrize(("direction", "sign"), [("worsening", 1), ("improving", -1)])
def test_a_direction_runs_along_the_planted_one(sick, direction, sign):
    """Worsening is where the simulated sick go, improving the opposite."""
    found = meant(sick, direction=direction)

    delta = found.question.delta
    assert sign * delta @ SICK / np.linalg.norm(delta) > 0.9
    assert found.change is None
    assert found.question.start is None
    assert found.question.patient_ids == ()
    assert found.description["r2"] == sick.reference.changes[""].axis.r2


def test_no_scores_no_direction():
    """Without a severity axis the refusal says why there is none."""
    source = source_of(*planted(2, scored=False))

    with pytest.raises(QueryError, match=r"no direction to follow: .*0 scored visits of 0"):
        meant(source, direction="improving")


def test_an_axis_that_tells_nothing_gives_no_direction():
    """Where scores of patients left out are not told, no direction is known."""
    x, obs = planted(3, patients=14)
    rng = np.random.default_rng(0)
    source = source_of(x, obs.assign(health_score=rng.standard_normal(len(obs))))

    with pytest.raises(QueryError, match=r"tells nothing of patients left out \(R² -.*two groups"):
        meant(source, direction="improving")


def slow_group_mean(x, obs, known, is_in):
    """Mean over patients of the mean over their scans, each less its view's mean."""
    means = []
    for patient in sorted(set(obs["patient_id"][is_in])):
        mine = [
            x[i].astype(float) - known.view_means[obs["view"][i]]
            for i in range(len(x))
            if is_in[i] and obs["patient_id"][i] == patient
        ]
        means.append(sum(mine) / len(mine))
    return sum(means) / len(means)


def test_groups_weigh_patients_equally(sick):
    """From-where to to-where is the difference of two means over patients, view means apart."""
    x, obs = sick.table.embeddings, sick.table.obs
    is_old = (obs["age"] >= 36).to_numpy(bool)
    in_to = is_old & (obs["view"] == "R1").to_numpy(bool)
    in_from = ~is_old

    found = meant(sick, from_where=("age < 36",), to_where=("age >= 36", "view == R1"))

    known = sick.reference.changes[""]
    expected = slow_group_mean(x, obs, known, in_to) - slow_group_mean(x, obs, known, in_from)
    np.testing.assert_allclose(found.question.delta, expected, atol=1e-5)
    assert found.description["n_from"] == {"scans": int(in_from.sum()), "patients": 6}
    assert found.description["n_to"] == {"scans": int(in_to.sum()), "patients": 6}
    assert found.notes == ()


def test_a_small_group_is_noted(sick):
    """A mean of fewer than five patients is called uncertain."""
    found = meant(sick, from_where=("age < 33",), to_where=("age >= 33",))

    assert found.notes == ("a group has 3 patients: its mean is uncertain",)


def test_groups_as_of_a_day_do_not_ask_what_came_later():
    """Outcome columns make no groups as of a day."""
    source = source_of(*planted(4), "cohort")

    with pytest.raises(QueryError, match="'event == true' asks what came later"):
        meant(source, from_where=("day > 0",), to_where=("event == true",), as_of=60.0)


@pytest.mark.parametrize(("from_day", "visit"), [(None, 3), (10, 1), (0, 0)])
def test_a_direction_starts_where_a_patient_is(source, from_day, visit):
    """Beside a patient, a direction starts at the latest visit, or on a day named."""
    found = meant(source, "A", vector=place(0, 1), from_day=from_day)

    known = source.reference.changes[""]
    expected = place(visit, visit**2) - known.view_means["L1"] - known.center
    np.testing.assert_allclose(found.question.start, expected, atol=1e-6)
    assert found.question.patient_ids == ("A",)
    assert found.question.delta_day is None
    assert found.change is None
    assert found.description["from_day"] == DAYS[visit]


def test_until_day_moves_the_start_back(source):
    """Visits after the day are no start."""
    found = meant(source, "A", vector=place(0, 1), until_day=12)

    assert found.description["from_day"] == 10


def test_an_undated_patient_may_be_a_start(source):
    """One visit suffices to start from, with or without a day."""
    found = meant(source, "D", vector=place(0, 1))

    assert found.description["from_day"] is None
    assert found.question.start is not None


def test_match_takes_the_visits_mean_score():
    """A visit whose scans have two scores is matched by their mean, as transitions are."""
    x, obs = planted(5)
    is_repeat = obs["rescan"].to_numpy(bool)
    obs["health_score"] = obs["health_score"] + np.where(is_repeat, 2.0, 0.0)
    source = source_of(x, obs)
    of_p1 = obs[obs["patient_id"] == "P1"]
    latest = of_p1[of_p1["day"] == of_p1["day"].max()]["health_score"].mean()

    found = ask(source, "P1", direction="improving", match=("health_score±15",), k=99)

    assert len(found) > 0
    assert all(abs(hit.change.health_score - latest) <= 15 for hit in found)
    assert found.n_eligible < len(source.followed("consecutive").visits.earlier)


def test_the_very_transition_is_known_among_visits_of_one_day():
    """Of two changes between the same days, the one asked about is left out and its twin is not."""
    x, obs = one_scan_visits({**paths(), "E": [(0.0, place(0), 1)] + [(7.0, place(3), 1)] * 2})
    obs["visit"] = obs["scan_id"]
    source = source_of(x, obs)

    found = ask(
        source,
        "E",
        transitions="all",
        level="transition",
        include_self=True,
        k=99,
        weights=(1, 0, 0),
    )

    twins = [hit.change for hit in found if hit.patient_id == "E"]
    assert found.change.to_scans == ("E/1",)
    assert [change.to_scans for change in twins] == [("E/2",)]


def test_a_cut_leaves_out_the_query_itself(source):
    """With until_day the query's own transition is still no hit of its own."""
    found = ask(source, "A", until_day=10, include_self=True, level="transition", k=99)

    assert found.change.to_day == 10
    own = [hit.change.to_day for hit in found if hit.patient_id == "A"]
    assert sorted(own) == [30, 31]


def test_numpy_options_become_plain():
    """Whatever kind of number is given, the options hold Python's."""
    found = settled(
        ProgressionOptions(
            k=np.int64(3),
            weights=np.array([1, 2, 3], np.float32),
            as_of=np.int64(4),
            until_day=np.float32(2.5),
            n_draws=np.int32(7),
            where=[np.str_("day > 1")],
        )
    )

    kinds = [type(value) for value in (found.k, *found.weights, found.as_of, found.n_draws)]
    assert kinds == [int, float, float, float, float, int]
    assert (found.weights, found.until_day, found.where) == ((1, 2, 3), 2.5, ("day > 1",))


@pytest.mark.parametrize("name", ["as_of", "until_day"])
@pytest.mark.parametrize("day", [np.nan, np.inf, "3", True])
def test_refuses_days_that_are_no_numbers(name, day):
    """A day is finite, before anything is hidden by it."""
    with pytest.raises(
        QueryError, match=rf"--{name.replace('_', '-')} is .*: give a finite number"
    ):
        settled(TrajectoryOptions(**{name: day}))


def test_whoever_is_asked_about_is_in_no_group():
    """Other scans of the patient after --until-day change nothing: the groups are the others'."""
    embeddings, obs = planted(1)
    reference = fit_whole_reference(embeddings, obs)
    last = obs["day"][obs["patient_id"] == "P3"].max()
    later = ((obs["patient_id"] == "P3") & (obs["day"] == last)).to_numpy(bool)
    moved = embeddings + np.where(later, 7.0, 0.0)[:, None].astype(np.float32)
    found = []
    for rows in (embeddings, moved):
        table = SearchTable(rows, obs, clock="patient", reference=reference)
        source = ChangeSource(NOWHERE, 0, table, lambda: reference)
        asks = {"from_where": ("health_score > 60",), "to_where": ("health_score < 60",)}
        answer = ask(source, "P3", until_day=last - 1, k=99, **asks)
        found.append([(hit.patient_id, hit.similarity) for hit in answer])

    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "name"), [({"until_day": 3.0}, "--until-day"), ({"include_self": True}, "--incl")]
)
def test_refuses_options_about_a_patient_nobody_named(sick, options, name):
    """They would be passed over in silence."""
    with pytest.raises(QueryError, match=f"{name}.* a direction is nobody's"):
        ask(sick, direction="improving", **options)


def test_a_visit_that_shows_no_view_of_the_one_before_is_noted():
    """The change meant is an older one, and the answer says which."""
    embeddings, obs = one_scan_visits(paths())
    is_last = (obs["patient_id"] == "A") & (obs["day"] == 31)
    views = pd.array(["R1" if last else "L1" for last in is_last], dtype="string")
    source = source_of(embeddings, obs.assign(view=views))

    found = ask(source, "A")

    assert (found.change.from_day, found.change.to_day) == (10.0, 30.0)
    said = "the visit of day 31 shows no view of the one before: the change meant is that of day 10"
    assert any(note.startswith(said) for note in found.notes)
    assert not any("shows no view" in note for note in ask(source, "A", to_day=30.0).notes)
    assert not any("shows no view" in note for note in ask(source, "A", from_day=0.0).notes)


def test_refuses_pairings_that_are_none(sick):
    """Before anything is worked out, and as the error a question raises."""
    with pytest.raises(QueryError, match="no transitions 'yearly': choose consecutive, all"):
        ask(sick, "P3", transitions="yearly")
