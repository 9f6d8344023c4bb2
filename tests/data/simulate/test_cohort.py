"""What simulated cohorts share: streams that depend on nobody else, and refusals at the door."""

import numpy as np
import pytest

from learner_index.data.simulate.cohort import (
    check_amounts,
    check_run,
    check_shares,
    claim,
    next_deltas,
    patient_rng,
    run_patients,
    spread_plan,
)
from learner_index.errors import QueryError


def test_each_patient_and_purpose_has_a_stream():
    """The same seed, number and purpose draw alike; any other draws otherwise."""
    first = patient_rng(1, 2, 3).uniform()

    assert first == patient_rng(1, 2, 3).uniform()
    others = [(0, 2, 3), (1, 3, 3), (1, 2, 4), (1, 2, 3, 0)]
    assert first not in [patient_rng(*key).uniform() for key in others]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_plans_fill_evenly_in_small_cohorts(n):
    """Of 24 patients a quarter lies in each quarter of every sequence, within one and a half."""
    plans = np.array([spread_plan(5, k, n) for k in range(1, 25)])

    assert plans.shape == (24, n)
    counts = [np.histogram(column, 4, (0, 1))[0] for column in plans.T]
    assert np.abs(np.array(counts) - 6).max() <= 2


def test_a_third_sequence_leaves_the_first_two_alone():
    """Asking for more sequences changes none of those before."""
    assert spread_plan(3, 9, 3)[:2] == spread_plan(3, 9, 2)


def test_patients_come_in_order():
    """Rows are those of patients 1, 2 and 3."""
    found = list(run_patients(lambda number: [({"k": number}, {})], 3, 1))

    assert [rows[0][0]["k"] for rows in found] == [1, 2, 3]


def test_deltas_lead_to_the_next_visit():
    """The change until the next visit, and nothing at the last."""
    states = {"s": np.array([0.25, 0.5])}

    assert next_deltas(states, 0) == {"next_delta_s": "0.250000"}
    assert next_deltas(states, 1) == {"next_delta_s": ""}


def test_claims_are_spelled_as_in_a_manifest():
    """True and false."""
    assert (claim(True), claim(False)) == ("true", "false")


def test_settings_out_of_range_are_named():
    """Tier, seed, amount and share say what was found."""
    with pytest.raises(QueryError, match="no tier 'huge': choose one of a, b"):
        check_run("huge", {"a": 0, "b": 0}, 0, 1)
    with pytest.raises(QueryError, match="seed -1, workers 1"):
        check_run("a", {"a": 0}, -1, 1)
    with pytest.raises(QueryError, match="noise nan is no finite number"):
        check_amounts({"noise": float("nan")})
    with pytest.raises(QueryError, match=r"confounder 1.5 lies outside 0\.\.1"):
        check_shares({"confounder": 1.5})
