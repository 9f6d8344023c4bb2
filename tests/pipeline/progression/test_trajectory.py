"""One patient's path: its stops and steps, and who took the same one, when."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from learner_index.data.progression import Change
from learner_index.errors import QueryError
from tests.pipeline.progression.store_of import (
    WIDTH,
    one_scan_visits,
    path_of,
    planted,
    source_of,
)


@pytest.fixture(scope="module")
def source():
    """14 patients of 2 to 4 visits with two views, each scanned twice."""
    return source_of(*planted(0, 14, views=("L1", "R1")))


def walks(seed=0, patients=6, visits=4):
    """Random walks, a patient to each: visits 10 days apart."""
    rng = np.random.default_rng(seed)
    return {
        f"P{i}": [
            (10.0 * j, place, 50.0 - j)
            for j, place in enumerate(np.cumsum(rng.standard_normal((visits, WIDTH)), axis=0))
        ]
        for i in range(patients)
    }


def moved(visits, days):
    """The same path, later."""
    return [(day + days, place, score) for day, place, score in visits]


def test_stops_are_the_visits_by_day(source):
    """Every visit of the patient is a stop, in order, with all its scans and its mean score."""
    obs = source.table.obs
    mine = obs[obs["patient_id"] == "P3"]

    found = path_of(source, "P3")

    days = sorted(set(mine["day"]))
    assert [stop.day for stop in found.stops] == days
    for stop in found.stops:
        here = mine[mine["day"] == stop.day]
        assert stop.scan_ids == tuple(here["scan_id"])
        assert stop.health_score == pytest.approx(here["health_score"].mean())
    assert found.path.shape == (len(days), WIDTH)


def test_undated_visits_come_last_and_in_no_step():
    """A visit without a day is a stop, but no step leads there."""
    paths = walks()
    paths["P0"].insert(1, (np.nan, np.ones(WIDTH), 3.0))

    found = path_of(source_of(*one_scan_visits(paths)), "P0")

    assert [stop.day for stop in found.stops] == [0, 10, 20, 30, None]
    assert found.stops[-1].scan_ids == ("P0/1",)
    assert [(step.from_day, step.to_day) for step in found.steps] == [(0, 10), (10, 20), (20, 30)]


def test_visits_without_a_shared_view_are_no_step_and_said_so():
    """A note names the days between which nothing can be compared."""
    paths = walks()
    x, obs = one_scan_visits(paths)
    obs["view"] = obs["view"].mask(obs["scan_id"].isin(["P0/1", "P1/0"]), "R1")
    source = source_of(x, obs)
    said = "no view is shared by the visits of day "

    found = [path_of(source, name, k=0) for name in ("P0", "P1", "P2")]

    notes = [[note for note in one.notes if "view is shared" in note] for one in found]
    assert notes == [
        [f"{said}0 and 10, 10 and 20: no step between them"],
        [f"{said}0 and 10: no step between them"],
        [],
    ]
    assert [len(one.steps) for one in found] == [1, 2, 3]


def test_two_visits_of_one_day_are_no_gap():
    """Between visits of one day no step is missing, and no view is to blame."""
    x, obs = one_scan_visits(walks())
    obs["visit"] = obs["scan_id"]
    obs["day"] = obs["day"].mask(obs["scan_id"] == "P0/1", 20.0)

    found = path_of(source_of(x, obs), "P0", k=0)

    assert [stop.day for stop in found.stops] == [0, 20, 20, 30]
    assert not any("view is shared" in note for note in found.notes)


def test_positions_lie_in_their_intervals_and_follow_health(source):
    """Low <= position <= high, and positions fall while the patient gets better."""
    found = path_of(source, "P3")

    assert all(stop.low <= stop.position <= stop.high for stop in found.stops)
    assert all(stop.low < stop.high for stop in found.stops)
    places = [stop.position for stop in found.stops]
    assert places == sorted(places, reverse=True)
    scores = [stop.health_score for stop in found.stops]
    assert scores == sorted(scores)


def test_steps_are_the_consecutive_changes(source):
    """A step's change along the axis is the difference of its ends' positions."""
    found = path_of(source, "P3")

    pairs = list(zip(found.stops[:-1], found.stops[1:], strict=True))
    assert len(found.steps) == len(pairs)
    for step, (before, after) in zip(found.steps, pairs, strict=True):
        assert (step.from_scans, step.to_scans) == (before.scan_ids, after.scan_ids)
        assert step.on_axis == pytest.approx(after.position - before.position, abs=1e-3)
        assert step.delta_score == pytest.approx(after.health_score - before.health_score)
        assert step.verdict == "improving"


def test_lengths_are_those_of_the_path(source):
    """With the same views at both ends, a step's length is the distance of two stops."""
    found = path_of(source, "P3")

    expected = np.linalg.norm(np.diff(found.path, axis=0), axis=1)
    np.testing.assert_allclose([step.length for step in found.steps], expected, atol=1e-5)


def test_alpha_decides_what_counts(source):
    """A step is steady where repeats differ as much in more than the share asked for."""
    noisy = source_of(*planted(0, 14, views=("L1", "R1"), noise=0.3))
    least = 1 / (len(source.reference.changes[""].noise.owners) + 1)

    told = [
        path_of(asked, "P3", k=0, alpha=share)
        for asked, share in ((source, least * 1.01), (noisy, least * 1.01), (noisy, 0.1))
    ]

    verdicts = [{step.verdict for step in one.steps} for one in told]
    assert verdicts == [{"improving"}, {"steady"}, {"improving"}]
    assert told[0].alpha == least * 1.01


def test_an_alpha_below_what_repeats_can_tell(source):
    """Where no repeat could make a step count, no step is called steady, and a note says so."""
    least = 1 / (len(source.reference.changes[""].noise.owners) + 1)

    found = path_of(source, "P3", k=0, alpha=least * 0.99)

    assert {step.verdict for step in found.steps} == {"no noise floor"}
    assert f"88 repeats cannot tell a change at α {least * 0.99:g}: 89 are needed" in found.notes


def test_noise_is_that_of_scanning_again(source):
    """A stop's noise is a repeat's on the axis, less where four scans are averaged: half."""
    x, obs = source.table.embeddings, source.table.obs
    one = (obs["scan_id"] == "s0-3-0-L1-0").to_numpy(bool)
    kept = one | (obs["patient_id"] != "P3").to_numpy(bool)
    few = source_of(x[kept], obs[kept].reset_index(drop=True))
    known = source.reference.changes[""]
    along = known.noise.differences @ known.whitening @ known.axis.direction

    found = path_of(source, "P3")

    scan = np.sqrt(np.mean(along.astype(float) ** 2) / 2)
    assert found.stops[0].noise == pytest.approx(scan / 2, rel=1e-5)
    assert path_of(few, "P3").stops[0].noise > 1.5 * found.stops[0].noise


@pytest.mark.parametrize("days", [14.0, -3.5, 0.0])
def test_a_moved_copy_is_the_nearest_path(days):
    """A patient who took the same path some days later is first, at distance 0, with the shift."""
    paths = walks()
    paths["TWIN"] = moved(paths["P2"], days)

    found = path_of(source_of(*one_scan_visits(paths)), "P2", k=3)

    twin = found.likes[0]
    assert (twin.rank, twin.patient_id, twin.n_visits) == (1, "TWIN", 4)
    assert twin.distance == pytest.approx(0, abs=1e-9)
    assert twin.day_shift == pytest.approx(days, abs=1e-6)
    assert twin.shift_spread == pytest.approx(0, abs=1e-3)
    assert (twin.from_day, twin.to_day, twin.delta_score) == (days, days + 30, -3)
    assert [like.rank for like in found.likes] == [1, 2, 3]
    assert 0 < found.likes[1].distance <= found.likes[2].distance


@pytest.mark.parametrize(("clock", "shift"), [("cohort", 15), ("patient", 1015)])
def test_shifts_are_on_each_patients_own_clock(clock, shift):
    """On the cohort clock admission has no part in a shift; half the pace from there on has."""
    paths = walks()
    paths["P2"] = moved(paths["P2"], 200)
    paths["SLOW"] = [(1200 + 2 * (day - 200), place, score) for day, place, score in paths["P2"]]

    found = path_of(source_of(*one_scan_visits(paths), clock), "P2", k=1)

    slow = found.likes[0]
    assert slow.patient_id == "SLOW"
    assert slow.day_shift == pytest.approx(shift, abs=0.1)
    assert (slow.from_day, slow.to_day) == (1200, 1260)


def test_a_patient_is_not_their_own_nearest_path():
    """An id given as a number is the text it prints as: in the answer, and among the likes."""
    paths = {name.removeprefix("P"): visits for name, visits in walks().items()}

    found = path_of(source_of(*one_scan_visits(paths)), 3, k=99)

    assert {like.patient_id for like in found.likes} == {"0", "1", "2", "4", "5"}
    assert json.loads(found.to_json())["query"]["patient_id"] == found.patient_id == "3"


def test_one_visit_is_no_path():
    """Patients of one dated visit are counted, not compared; those without a day are neither."""
    paths = walks()
    paths |= {"ONE": paths["P1"][:1], "NONE": [(np.nan, np.ones(WIDTH), 1.0)] * 2}
    source = source_of(*one_scan_visits(paths))

    found = path_of(source, "P0", k=99)

    assert (found.n_eligible_patients, found.n_single) == (5, 1)
    assert {like.patient_id for like in found.likes} == {"P1", "P2", "P3", "P4", "P5"}


@pytest.mark.parametrize(("patient", "count"), [("ONE", "1"), ("NONE", "no")])
def test_a_patient_of_one_visit_has_no_path(patient, count):
    """Stops are told, likes are none, and a note says why."""
    paths = walks()
    paths |= {"ONE": paths["P1"][:1], "NONE": [(np.nan, np.ones(WIDTH), 1.0)]}

    found = path_of(source_of(*one_scan_visits(paths)), patient)

    assert (len(found.stops), found.steps, found.likes) == (1, (), ())
    assert f"a patient with {count} dated visit has no path" in found.notes
    assert list(found.steps_frame().columns)[: len(Change.__dataclass_fields__)] == list(
        Change.__dataclass_fields__
    )


def test_alone_with_a_path():
    """Where nobody else has a path the note says so, whatever conditions left out."""
    paths = walks()
    paths = {"P0": paths["P0"]} | {name: paths[name][:1] for name in ("P1", "P2")}

    found = path_of(source_of(*one_scan_visits(paths)), "P0")

    assert found.n_single == 2
    assert "no other patient who may be found has two dated visits" in found.notes


def test_no_bandwidth_no_likes():
    """Where all starts are one, the reference has no scale to compare paths by, and says so."""
    paths = {
        name: [(day, place - visits[0][1], score) for day, place, score in visits]
        for name, visits in walks(visits=2).items()
    }

    found = path_of(source_of(*one_scan_visits(paths)), "P0")

    assert found.likes == ()
    assert any(note.startswith("paths are not compared") for note in found.notes)


def test_until_day_cuts_the_path(source):
    """Later visits of the patient are left out."""
    whole = path_of(source, "P3")

    found = path_of(source, "P3", until_day=whole.stops[-1].day - 0.5)

    assert [stop.day for stop in found.stops] == [stop.day for stop in whole.stops[:-1]]
    assert len(found.steps) == len(whole.steps) - 1


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({"where": ("age >= 36",)}, lambda row: row["age"] >= 36),
        ({"match": ("site",)}, lambda row: row["site"] == "Y"),
        ({"where": ("site == Y",), "match": ("age±4",)}, lambda r: r.site == "Y" and r.age <= 37),
        ({"where": ("health_score > 60",)}, lambda row: row["health_score"] > 60),
        ({"where": ("day <= 2",)}, lambda row: row["day"] <= 2),
    ],
)
def test_conditions_hold_at_the_first_visit(source, asked, holds):
    """Those found fulfil what was asked at their first visit, and nobody who does is missing."""
    firsts = source.table.obs.sort_values("day").groupby("patient_id").first()

    found = path_of(source, "P3", k=99, **asked)

    expected = {name for name, row in firsts.iterrows() if holds(row)} - {"P3"}
    assert {like.patient_id for like in found.likes} == expected
    assert 0 < len(expected) < 13
    assert found.n_eligible_patients == len(expected)


def test_first_scores_that_differ_count_by_their_mean():
    """A first visit whose scans have two scores is matched and filtered by their mean."""
    x, obs = planted(5)
    obs["health_score"] = obs["health_score"] + obs["rescan"].astype(float) * 2
    source = source_of(x, obs)
    first = obs[obs["day"] == obs.groupby("patient_id")["day"].transform("min")]
    means = first.groupby("patient_id")["health_score"].mean()

    found = path_of(source, "P1", k=99, match=("health_score±12",))

    expected = set(means[(means - means["P1"]).abs() <= 12].index) - {"P1"}
    assert {like.patient_id for like in found.likes} == expected != set()


def test_likes_carry_the_first_visits_columns(source):
    """A like's columns are those of its first visit."""
    like = path_of(source, "P3", k=1).likes[0]

    age = source.table.obs.set_index("patient_id")["age"][like.patient_id].iloc[0]
    assert like.columns["age"] == age
    assert set(like.columns) == {"site", "age", "response", "event", "event_day"}


def test_seen_patients_are_told_first():
    """The first note counts the query and the likes the encoder has seen."""
    x, obs = planted(0)
    roles = ["val" if p in ("P3", "P1") else "unseen" for p in obs["patient_id"]]
    obs["encoder_role"] = pd.array(roles, dtype="string")

    found = path_of(source_of(x, obs), "P3", k=99)

    assert found.notes[0].startswith("SEEN BY ENCODER: the query and 1 of 11 hits belong")


def test_the_answer_is_json(source):
    """Every field but the path, steps with their speeds, no NaN."""
    found = path_of(source, "P3", k=np.int64(2), alpha=np.float32(0.25))

    told = json.loads(found.to_json())

    assert set(told) == set(found.__dataclass_fields__) - {"path"}
    step = told["steps"][0]
    assert step["speed"] == pytest.approx(step["length"] / step["delta_day"])
    assert step["axis_speed"] == pytest.approx(step["on_axis"] / step["delta_day"])
    assert step["score_speed"] == pytest.approx(step["delta_score"] / step["delta_day"])
    assert (told["query"]["k"], told["alpha"], len(told["likes"])) == (2, 0.25, 2)
    assert told["noise"]["n_repeats"] > 0


def test_without_scores_and_repeats():
    """No axis and no repeats: positions, noise, p-values and speeds along the axis are None."""
    found = path_of(source_of(*planted(1, repeats=False, scored=False)), "P3")

    told = {(s.position, s.low, s.high, s.noise, s.health_score) for s in found.stops}
    assert told == {(None,) * 5}
    assert {(step.length_p, step.on_axis) for step in found.steps} == {(None, None)}
    assert {step.verdict for step in found.steps} == {"no severity axis"}
    assert (found.axis, found.noise) == (None, None)
    assert json.loads(found.to_json())["steps"][0]["axis_speed"] is None
    assert {like.delta_score for like in found.likes} == {None}


def test_frames(source):
    """A row a stop, and a row a step with its speeds."""
    found = path_of(source, "P3", k=0)

    assert found.to_frame()["position"].tolist() == [stop.position for stop in found.stops]
    steps = found.steps_frame()
    assert list(steps.columns[-3:]) == ["speed", "axis_speed", "score_speed"]
    assert steps["length"].tolist() == [step.length for step in found.steps]


def test_without_likes_nothing_is_compared(source, monkeypatch):
    """k=0 tells the path alone, and aligns nothing."""
    monkeypatch.setattr("learner_index.pipeline.progression.trajectory.nearest_paths", None)

    found = path_of(source, "P3", k=0)

    assert (found.likes, found.n_eligible_patients, found.n_single) == ((), 0, 0)
    assert len(found.steps) == 3


def test_a_path_alone_imports_no_aligner():
    """k=0 in a process of its own never imports tslearn."""
    code = (
        "import sys; from tests.pipeline.progression.store_of import *; "
        "print(path_of(source_of(*planted(0)), 'P3', k=0).patient_id, 'tslearn' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["P3", "False"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": -1}, "k is -1: give a whole number from 0"),
        ({"k": 2.5}, "k is 2.5: give a whole number from 0"),
        ({"k": True}, "k is True"),
        ({"alpha": 0}, "--alpha is 0.0: give a number between 0 and 1"),
        ({"alpha": 1}, "--alpha is 1.0"),
        ({"alpha": None}, "--alpha is None"),
        ({"alpha": "x"}, "--alpha is 'x'"),
        ({"softness": 0}, "--softness is 0.0: give a number above 0"),
        ({"softness": np.nan}, "--softness is nan"),
        ({"modality": "mr"}, "no modality 'mr'"),
        ({"where": ("agee > 1",)}, "no column 'agee'.*'age'"),
        ({"match": ("age",), "where": ("site",)}, "no comparison in 'site'"),
        ({"as_of": 3.0}, "clock 'patient'.*--until-day"),
        ({"as_of": "3"}, "--as-of is '3'"),
        ({"until_day": -1}, "patient 'P3' has no scan until day -1"),
    ],
)
def test_refuses_options_that_cannot_be_met(source, options, message):
    """Every wrong option is named with its value and what would do."""
    with pytest.raises(QueryError, match=message):
        path_of(source, "P3", **options)


@pytest.mark.parametrize("options", [{"alpha": 2}, {"softness": -1}])
def test_refuses_them_where_they_have_no_part(options):
    """Wrong options are refused without likes and without an axis, too."""
    source = source_of(*planted(1, repeats=False, scored=False))

    with pytest.raises(QueryError, match=r"--(alpha|softness) is"):
        path_of(source, "P3", k=0, **options)


@pytest.mark.parametrize("patient", ["p3", "", None, 3])
def test_refuses_an_unknown_patient(source, patient):
    """An id that no row has is refused, of whatever type."""
    with pytest.raises(QueryError, match=f"no patient '{patient}' among 14.*manifest's"):
        path_of(source, patient)


def test_outcomes_are_no_condition_as_of_a_day():
    """As of a day nobody is chosen by what came later."""
    source = source_of(*planted(4), "cohort")

    for asked in ({"where": ("event == true",)}, {"match": ("response",)}):
        with pytest.raises(QueryError, match="asks what came later"):
            path_of(source, "P3", as_of=60, **asked)
