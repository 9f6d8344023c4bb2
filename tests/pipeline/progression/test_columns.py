"""Columns of visits and transitions against loops over their scans."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.transitions import MODES
from learner_index.pipeline.progression.columns import (
    OWN,
    scans_of,
    transition_columns,
    visit_columns,
)
from learner_index.pipeline.progression.visits import patient_numbers, visit_arrays
from tests.pipeline.progression.changes_toy import (
    cohort,
    embeddings_of,
    known,
    scans,
    slow_pairs,
    slow_visits,
)

SEEDS = st.integers(0, 2**32 - 1)


def arrays_of(obs, mode="consecutive"):
    numbers = patient_numbers(obs)[0]
    return visit_arrays(embeddings_of(len(obs), 3, 0), obs, numbers, known(), mode)


def of_visits(obs):
    return visit_columns(obs, arrays_of(obs))


def of_transitions(obs, mode="consecutive"):
    visits = arrays_of(obs, mode)
    return transition_columns(visit_columns(obs, visits), visits)


def cells(column):
    """Values as Python gives them, None where missing."""
    return [None if pd.isna(value) else value for value in column]


def slow_cell(column, rows):
    """The one known value of some scans; None for none or several."""
    found = {value for value in column.iloc[rows] if not pd.isna(value)}
    return found.pop() if len(found) == 1 else None


def slow_treatments(obs, visits):
    """In force at each visit: its own, "mixed" where scans differ, else the one before."""
    found = []
    for place, visit in enumerate(visits):
        written = {value for value in obs["treatment"].iloc[visit.rows] if not pd.isna(value)}
        before = found[-1] if place and visits[place - 1].number == visit.number else None
        found.append("mixed" if len(written) > 1 else written.pop() if written else before)
    return found


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_visit_columns_equal_the_definition(seed):
    """Each column, whatever its kind: the value all scans share, missing where they differ."""
    obs = cohort(seed)[1]

    found = of_visits(obs)

    visits = slow_visits(obs)
    assert set(found) == set(obs) - {"scan_id", "content_hash", "rescan"}
    for name in set(found) - {"treatment"}:
        assert cells(found[name]) == [slow_cell(obs[name], visit.rows) for visit in visits], name
        assert found[name].dtype == obs[name].dtype, name
    assert cells(found["treatment"]) == slow_treatments(obs, visits)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_transition_columns_equal_the_definition(seed, mode):
    """The earlier visit's columns, what lies between, and the treatment in force all along."""
    obs = cohort(seed)[1]

    found = of_transitions(obs, mode)

    visits = slow_visits(obs)
    in_force = slow_treatments(obs, visits)
    pairs = slow_pairs(visits, mode)
    assert tuple(found)[: len(OWN)] == OWN
    for name in ("site", "age", "is_sick", "response"):
        assert cells(found[name]) == [slow_cell(obs[name], visits[i].rows) for i, _ in pairs], name
    for row, (i, j) in enumerate(pairs):
        one, other = visits[i], visits[j]
        is_one = all(value == in_force[i] for value in in_force[i:j])
        shared = " + ".join(sorted(one.by_view.keys() & other.by_view.keys()))
        expected = {
            "patient_id": obs["patient_id"].iloc[one.rows[0]],
            "day": one.day,
            "later_day": other.day,
            "delta_day": other.day - one.day,
            "health_score": one.score,
            "later_health_score": other.score,
            "delta_score": other.score - one.score,
            "n_views": len(one.by_view.keys() & other.by_view.keys()),
            "view": shared,
            "treatment": in_force[i] if is_one else "mixed",
        }
        given_row = dict(zip(expected, cells(found.iloc[row][[*expected]]), strict=True))
        assert given_row == {k: None if pd.isna(v) else v for k, v in expected.items()}


@pytest.mark.parametrize(
    ("name", "same", "torn"),
    [
        ("site", ["A", None, "A"], ["A", None, "B"]),
        ("age", [40.0, None, 40.0], [40.0, None, 41.0]),
        ("is_sick", [True, None, True], [True, None, False]),
    ],
)
def test_one_known_value_wins_over_missing_ones(name, same, torn):
    """Two different ones are no answer, whatever the kind of column."""
    visits = [("a", 0.0)] * 3

    agreed, differed, unknown = (
        cells(of_visits(scans(*visits, **{name: values}))[name])
        for values in (same, torn, [None] * 3)
    )

    assert agreed == [same[0]]
    assert differed == unknown == [None]


def treatments(*written, mode="consecutive"):
    """Treatment of each transition of a patient with these at days 0, 1, 2 …"""
    obs = scans(*(("a", float(day)) for day in range(len(written))), treatment=written)
    return cells(of_transitions(obs, mode)["treatment"])


def test_a_treatment_holds_until_another_is_written():
    """Visits where nothing is written belong to the treatment before."""
    assert treatments("drug", None, None, "none", None) == ["drug", "drug", "drug", "none"]


def test_a_treatment_is_unknown_before_the_first():
    """Nothing is filled in backwards, and nothing from the patient before."""
    obs = scans(("a", 0.0), ("b", 0.0), ("b", 1.0), treatment=["drug", None, "none"])

    assert cells(of_visits(obs)["treatment"]) == ["drug", None, "none"]
    assert cells(of_transitions(obs)["treatment"]) == [None]


def test_a_change_at_the_later_visit_is_not_mixed():
    """It is given from then on: what lies between was under the earlier one."""
    assert treatments("drug", "none") == ["drug"]
    assert treatments("drug", "drug", "none", mode="baseline") == ["drug", "drug"]


def test_a_change_before_the_later_visit_is_mixed():
    """Also when it is back to the first one by then."""
    assert treatments("drug", "none", "drug", mode="baseline") == ["drug", "mixed"]
    assert treatments("drug", "none", "drug", "drug", mode="all")[:3] == ["drug", "mixed", "mixed"]
    assert treatments(None, "drug", None, mode="baseline") == [None, "mixed"]


def test_two_treatments_in_one_visit_are_mixed():
    """And stay in force until one is written again."""
    rows = [("a", 0.0), ("a", 0.0), ("a", 1.0), ("a", 2.0), ("a", 3.0)]
    obs = scans(*rows, treatment=["drug", "none", None, "drug", None])

    assert cells(of_visits(obs)["treatment"]) == ["mixed", "mixed", "drug", "drug"]
    assert cells(of_transitions(obs)["treatment"]) == ["mixed", "mixed", "drug"]


def test_a_store_without_treatments():
    """The column is there, and unknown throughout, as text."""
    found = of_transitions(scans(("a", 0.0), ("a", 1.0)))

    assert cells(found["treatment"]) == [None]
    assert found["treatment"].dtype == "string"


def test_shared_views_are_named():
    """Those both visits have, in alphabetical order; a missing view has no name."""
    rows = [("a", 0.0)] * 3 + [("a", 1.0)] * 3 + [("a", 2.0)]
    obs = scans(*rows, view=["R1", "L1", "L2", "R1", "L1", None, None])

    found = of_transitions(obs)

    assert found["view"].tolist() == ["L1 + R1", ""]
    assert found["n_views"].tolist() == [2, 1]


@pytest.mark.parametrize("mode", MODES)
def test_nobody_seen_twice_has_columns_all_the_same(mode):
    """No transition: no row, but every column, of the same kind as with rows."""
    columns = {"site": ["A", "B"], "treatment": ["drug", None]}

    found = of_transitions(scans(("a", 0.0), ("b", 0.0), **columns), mode)
    other = of_transitions(scans(("a", 0.0), ("a", 1.0), **columns), mode)

    assert len(found) == 0
    assert found.dtypes.to_dict() == other.dtypes.to_dict()


def test_no_scan_has_columns_all_the_same():
    """An empty cohort: no visit, no transition, every column."""
    obs = scans(("a", 0.0), treatment=["drug"], site=["A"]).iloc[:0]

    visits = of_visits(obs)

    assert len(visits) == len(of_transitions(obs)) == 0
    assert visits["site"].dtype == "string"


def test_scans_of_visits_come_in_the_order_asked_for():
    """Each visit's in the order of rows."""
    obs = scans(("a", 5.0), ("b", 0.0), ("a", 0.0), ("a", 5.0))

    assert scans_of(obs, arrays_of(obs), np.array([1, 0])) == [("s0", "s3"), ("s2",)]
    assert scans_of(obs, arrays_of(obs), np.array([2, 2])) == [("s1",), ("s1",)]
