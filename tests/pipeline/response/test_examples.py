"""Which questions a cohort asks, against loops; and that no prediction is told what comes later."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.transitions import MODES, Transitions
from learner_index.config.response import ResponseOptions
from learner_index.errors import QueryError, SettingsError
from learner_index.pipeline.response.examples import find_examples
from learner_index.pipeline.response.features import Encoding, fit_encoding
from learner_index.search.eligible import OUTCOMES
from tests.pipeline.response.response_toy import (
    VIEWS,
    material_of,
    mixed_rows,
    scan,
    slow_delta,
    slow_views,
    slow_visits,
)

ATS = ("first", "every", "treatment", "day 4", "2.5")


def found_of(rows, **options):
    material = material_of(rows)
    return material, find_examples(material, ResponseOptions(**options))


def predicted(rows, **options):
    return found_of(rows, task="predict", **options)[1]


def slow_anchors(visits, at):
    """Positions among a patient's dated visits."""
    if at == "every":
        return list(range(len(visits)))
    if at == "first":
        return [0][: len(visits)]
    if at == "treatment":
        return [i for i, visit in enumerate(visits) if visit["treatment"]][:1]
    until = float(at.removeprefix("day "))
    return [i for i, visit in enumerate(visits) if visit["day"] <= until][-1:]


def slow_outcome(visits, anchor, until):
    """Position of the visit whose outcome is asked for, None without one."""
    day = visits[anchor]["day"]
    later = [i for i, visit in enumerate(visits) if visit["day"] > day]
    if until == "last":
        return len(visits) - 1 if later else None
    return later[0] if later else None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_the_transitions(mode, seed):
    """Detect asks about each transition, with its delta, days and the treatment in force."""
    material, found = found_of(mixed_rows(seed), transitions=mode)

    pairs = Transitions.of(material.visits, mode)

    written = material.of_visits["treatment"]
    for row, (earlier, later) in enumerate(zip(pairs.earlier, pairs.later, strict=True)):
        given_between = set(
            written.iloc[earlier:later].astype(object).where(lambda s: s.notna(), None)
        )
        expected = "mixed" if len(given_between) > 1 else given_between.pop()
        shown = found.columns["treatment"].iloc[row]
        assert (None if pd.isna(shown) else shown) == expected
    assert found.earlier.tolist() == pairs.earlier.tolist()
    assert found.later.tolist() == pairs.later.tolist()
    assert found.patient.tolist() == pairs.patient.tolist()
    np.testing.assert_array_equal(found.delta_day, pairs.delta_day)
    np.testing.assert_array_equal(found.delta, pairs.deltas(material.embeddings).astype("f4"))
    np.testing.assert_array_equal(found.columns["later_day"], material.visits.day[pairs.later])
    np.testing.assert_array_equal(found.columns["day"], material.visits.day[pairs.earlier])


@pytest.mark.parametrize("at", ATS)
@pytest.mark.parametrize("until", ["next", "last"])
def test_predictions_against_a_loop(at, until):
    """Visits predicted from, outcome visits, latest changes and counts are those of a loop."""
    for seed in range(6):
        rows = mixed_rows(seed)
        material, found = found_of(rows, task="predict", at=at, until=until)
        asked = 0
        starts = np.searchsorted(material.visits.patient, np.arange(len(material.patients)))
        for patient, everything in slow_visits(rows).items():
            visits = [visit for visit in everything if not math.isnan(visit["day"])]
            start = starts[material.patients.index(patient)]
            for place in slow_anchors(visits, at):
                row = int(np.flatnonzero(found.earlier == start + place)[0])
                outcome = slow_outcome(visits, place, until)
                assert found.later[row] == (-1 if outcome is None else start + outcome)
                assert found.n_before[row] == place
                check_past(found, row, visits[:place], visits[place])
                asked += 1
        assert asked == len(found) > 0
        assert (np.diff(found.earlier) > 0).all()


def check_past(found, row, past, own):
    """The latest change, if the visit before shares a view and was on an earlier day."""
    if past and past[-1]["day"] < own["day"] and slow_views(past[-1]) & slow_views(own):
        np.testing.assert_allclose(found.delta[row], slow_delta(past[-1], own), atol=1e-6)
        assert found.delta_day[row] == own["day"] - past[-1]["day"]
    else:
        assert not found.delta[row].any()
        assert math.isnan(found.delta_day[row])


def test_two_visits_on_one_day():
    """The other visit of the day is no outcome: the next one is on a later day."""
    rows = [scan("P0", day, visit=name) for day, name in ((1.0, "a"), (1.0, "b"), (4.0, "c"))]

    found = predicted(rows, at="every")

    assert found.later.tolist() == [2, 2, -1]
    assert found.n_before.tolist() == [0, 1, 2]
    assert np.isnan(found.delta_day).tolist() == [True, True, False]


def test_one_visit_has_no_outcome():
    """Who came on one day only, or again on an unknown day, is asked about all the same."""
    rows = [scan("P0", 1.0), scan("P1", 1.0, visit="a"), scan("P1", 1.0, visit="b")]
    rows += [scan("P2", 2.0), scan("P2", math.nan)]

    for until in ("next", "last"):
        assert predicted(rows, until=until).later.tolist() == [-1, -1, -1]


def test_undated_patients_are_not_asked_about():
    """Nobody predicts from a visit of which it is unknown when it was."""
    rows = [scan("P0", math.nan), scan("P1", 3.0)]

    material, found = found_of(rows, task="predict", at="every")

    assert [material.patients[code] for code in found.patient] == ["P1"]


def test_the_latest_visit_until_a_day():
    """That day counts; who came later only is not asked about."""
    rows = [scan("P0", day) for day in (-2.0, 3.0, 3.5)] + [scan("P1", 4.0)]

    assert predicted(rows, at="day 3").columns["day"].tolist() == [3.0]
    assert predicted(rows, at="day3.2").columns["day"].tolist() == [3.0]
    assert predicted(rows, at=" 4 ").columns["day"].tolist() == [3.5, 4.0]
    assert predicted(rows, at="day -2").columns["day"].tolist() == [-2.0]
    assert len(predicted(rows, at="day -3")) == 0


@pytest.mark.parametrize("at", ["Day 3", "last", "day", "3 days", "1e3", "", "day 3 4"])
def test_no_such_visit(at):
    """What is neither a word nor a day is refused with what there is."""
    with pytest.raises(SettingsError, match=r"--at .*take first, every, treatment, or a day"):
        predicted([scan("P0", 1.0)], at=at)


def test_no_treatment_to_start_from():
    """Without the column it is refused; with nobody treated nobody is asked about."""
    with pytest.raises(QueryError, match="no column treatment: take --at first"):
        predicted([scan("P0", 1.0)], at="treatment")

    rows = [scan("P0", 1.0, treatment=None), scan("P0", 2.0, treatment=None)]
    assert len(predicted(rows, at="treatment")) == 0


@pytest.mark.parametrize("task", ["detect", "predict"])
def test_outcomes_are_no_columns(task):
    """What tells the future by its name is never known, and no condition may ask for it."""
    rows = [
        scan("P0", float(day), response="good", event="death", event_day=9.0, last_seen_day=9.0)
        for day in range(3)
    ]

    found = found_of(rows, task=task)[1]

    assert not set(found.columns) & set(OUTCOMES)
    with pytest.raises(QueryError, match="'response == good' asks what came later: leave it out"):
        found_of(rows, task=task, where=("response == good",))


def test_conditions_are_on_the_earlier_visit():
    """They cut examples, not visits: the outcome may lie anywhere."""
    rows = [scan("P0", float(day), site="XY"[day == 1]) for day in range(3)]

    found = found_of(rows, where=("site == Y",))[1]

    assert (found.earlier.tolist(), found.later.tolist()) == ([1], [2])
    assert len(found.columns) == len(found.delta) == 1
    with pytest.raises(QueryError, match="no column 'stie'"):
        found_of(rows, where=("stie == Y",))


def test_some_examples_in_the_order_wanted():
    """Positions and masks choose every field alike."""
    found = predicted(mixed_rows(1), at="every")
    rows = np.array([4, 0, 2])
    mask = np.isin(np.arange(len(found)), rows)

    chosen, masked = found.only(rows), found.only(mask)

    assert chosen.columns["day"].tolist() == found.columns["day"].iloc[rows].tolist()
    assert chosen.earlier.tolist() == found.earlier[rows].tolist()
    assert masked.earlier.tolist() == found.earlier[np.sort(rows)].tolist()
    assert len(masked.columns) == len(masked) == 3


def altered(rows, patient, cut, draw):
    """The rows with everything after a day of one patient altered, and all outcomes."""
    rng = np.random.default_rng(draw)
    found = []
    for row in rows:
        row = {
            **row,
            "response": ["good", "bad"][rng.integers(2)],
            "event": ["death", "x"][rng.integers(2)],
        }
        row |= {"event_day": rng.random(), "last_seen_day": rng.random()}
        is_future = row["patient_id"] == patient and not row["day"] <= cut
        if is_future and rng.random() < 0.5:
            continue
        if is_future:
            row |= {"treatment": "AC"[rng.integers(2)], "health_score": rng.random()}
            row |= {"embedding": tuple(rng.standard_normal(3)), "ward": "morgue", "age": 7.0}
        found.append(row)
    for number in range(rng.integers(0, 3)):
        later = {"visit": f"new{number}", "treatment": "C", "ward": "home", "age": 1.0}
        later |= {"health_score": 3.0, "response": "good", "event": "death"}
        day = cut + 1.0 + rng.integers(3)
        row = scan(
            patient, day, *rng.standard_normal(3), view=str(rng.choice([*VIEWS, "A0"])), **later
        )
        found.insert(int(rng.integers(len(found) + 1)), row)
    return found


def keyed(material, found, encoding):
    """All that is known of each example but its outcome, by patient, day and visit."""
    features = encoding.raw(material, found)
    known = {}
    for row in range(len(found)):
        columns = found.columns.iloc[row].astype(object)
        key = (columns["patient_id"], columns["day"], columns["visit"])
        written = {name: repr(value) for name, value in columns.items()}
        known[key] = (
            found.delta[row].tobytes(),
            repr(found.delta_day[row]),
            int(found.n_before[row]),
            written,
            features[row].tobytes(),
        )
    return known


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 30),
    draw=st.integers(0, 2**16),
    at=st.sampled_from(ATS),
    until=st.sampled_from(["next", "last"]),
    who=st.integers(0, 4),
    cut=st.integers(0, 9),
)
def test_no_future(seed, draw, at, until, who, cut):
    """Whatever comes later, what is known at a visit stays as it was, to the last bit."""
    rows = mixed_rows(seed)
    for row in rows:
        row |= {"response": "good", "event": None, "event_day": math.nan, "last_seen_day": 1.0}
    patient = f"p{who}"
    options = ResponseOptions(task="predict", at=at, until=until)
    before = material_of(rows)
    examples = find_examples(before, options)
    if not len(examples):
        return
    blocks = ["start", "past", "treatment", "score"]
    encoding: Encoding = fit_encoding(before, examples, np.ones(len(examples), bool), blocks)

    after = material_of(altered(rows, patient, float(cut), draw))

    old = keyed(before, examples, encoding)
    new = keyed(after, find_examples(after, options), encoding)
    is_past = {key: key[0] != patient or key[1] <= cut for key in old.keys() | new.keys()}
    if at[0] in "d2" and float(at.removeprefix("day ")) > cut:
        is_past = {key: key[0] != patient for key in is_past}
    assert {k: v for k, v in old.items() if is_past[k]} == {
        k: v for k, v in new.items() if is_past[k]
    }
