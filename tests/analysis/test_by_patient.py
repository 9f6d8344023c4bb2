"""Records that can be resampled: every draw equals a slow loop over the patients drawn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from learner_index.analysis.by_patient import (
    AcrossPatients,
    ByClass,
    by_patient,
    patient_names,
    patient_rows,
    sampled_rows,
)
from learner_index.analysis.resample import draw_weights
from learner_index.errors import QueryError

SEEDS = st.integers(0, 2**32 - 1)
ROWS = np.array([1.0, 3.0, 8.0, np.nan, 6.0])
PATIENT = ["b", "b", "a", "c", "a"]


def anyone(tuples):
    """Keeps every tuple."""
    return np.ones(len(tuples), bool)


def test_patients_or_parts_weigh_equally():
    """Patient a is 7 and b is 1, of two parts each; c has none but keeps its place."""
    found = by_patient(ROWS[[0, 2, 3, 4]], ["b", "a", "c", "a"])

    assert found.patient.tolist() == ["a", "b", "c"]
    assert found.count.tolist() == [2, 1, 0]
    np.testing.assert_equal(found.value, [7, 1, np.nan])
    assert found.n_patients == 2
    assert found.mean() == 4
    assert found.mean(pooled=True) == 5


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_draws_equal_patients_one_by_one(seed):
    """Copies of a patient bring the patient's value, or all parts, that often."""
    rng = np.random.default_rng(seed)
    rows, patient = rng.normal(size=20), rng.choice(["a", "b", "c", "d", "e"], 20).astype(object)
    rows[rng.random(20) < 0.3] = np.nan
    found = by_patient(rows, patient)

    weights = draw_weights(len(found.patient), 10, seed)

    owned = {name: rows[(patient == name) & ~np.isnan(rows)] for name in found.patient}
    for draw, mean, pooled in zip(
        weights, found.mean(weights), found.mean(weights, pooled=True), strict=True
    ):
        drawn = np.repeat(found.patient, draw.astype(int))
        parts = [owned[name] for name in drawn if len(owned[name])]
        if parts:
            assert mean == pytest.approx(np.mean([part.mean() for part in parts]))
            assert pooled == pytest.approx(np.concatenate(parts).mean())
        else:
            assert np.isnan([mean, pooled]).all()


def test_draws_without_a_part_are_nan():
    """Where only patients without a part are drawn there is nothing to average."""
    found = by_patient(ROWS, PATIENT)

    assert math.isnan(found.mean(np.array([[0.0, 0, 3]]))[0])
    assert math.isnan(by_patient(ROWS[3:4], ["c"]).mean())


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_matter(seed):
    """Shuffled rows give the same record."""
    order = np.random.default_rng(seed).permutation(5)

    one, other = by_patient(ROWS, PATIENT), by_patient(ROWS[order], np.array(PATIENT)[order])

    np.testing.assert_equal(one.value, other.value)
    assert one.patient.tolist() == other.patient.tolist()


@pytest.mark.parametrize("width", [2, 3])
def test_draws_of_tuples_equal_a_loop_over_drawn_scans(width):
    """Every scan is there as often as its patient; tuples are those of different patients."""
    rng = np.random.default_rng(width)
    owner = np.array([t for t in itertools.product(range(4), repeat=width) if t[0] not in t[1:]])
    found = AcrossPatients(
        rng.normal(size=len(owner)), rng.uniform(1, 2, len(owner)), owner, np.array(list("abcd"))
    )

    weights = draw_weights(4, 12, 0)

    for draw, mean in zip(weights, found.mean(weights), strict=True):
        top = bottom = 0.0
        for value, weight, patients in zip(found.value, found.weight, found.owner, strict=True):
            for _ in itertools.product(*(range(int(draw[p])) for p in patients)):
                top, bottom = top + weight * value, bottom + weight
        assert mean == pytest.approx(top / bottom) if bottom else math.isnan(mean)
    assert found.mean() == pytest.approx(np.average(found.value, weights=found.weight))
    assert found.n_patients == 4


def test_many_tuples_are_summed_in_blocks():
    """More cells than are held at a time give the plain weighted mean."""
    rng = np.random.default_rng(0)
    owner = np.stack([rng.integers(0, 3, 5000), rng.integers(3, 6, 5000)], axis=1)
    found = AcrossPatients(rng.normal(size=5000), np.ones(5000), owner, np.arange(6).astype(object))
    weights = draw_weights(6, 1000, 1)

    drawn = found.mean(weights)

    times = weights[:, owner[:, 0]] * weights[:, owner[:, 1]]
    defined = times.sum(axis=1) > 0
    expected = (times @ found.value)[defined] / times.sum(axis=1)[defined]
    np.testing.assert_allclose(drawn[defined], expected)
    assert np.isnan(drawn[~defined]).all()


def test_classes_weigh_equally_in_each_draw():
    """Balanced accuracy of the scans drawn, as scikit-learn has it; NaN where one is missing."""
    rng = np.random.default_rng(0)
    owner, true, guess = rng.integers(0, 6, 60), rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    true[owner < 4] = np.minimum(true[owner < 4], 1)
    right, count = np.zeros((6, 3)), np.zeros((6, 3))
    np.add.at(right, (owner, true), guess == true)
    np.add.at(count, (owner, true), 1)
    found = ByClass(right, count, ("x", "y", "z"), np.arange(6).astype(object))
    weights = draw_weights(6, 40, 0)

    drawn = found.mean(weights)

    for draw, mean in zip(weights, drawn, strict=True):
        rows = np.concatenate([np.tile(np.flatnonzero(owner == p), int(draw[p])) for p in range(6)])
        rows = rows.astype(int)
        if len(set(true[rows])) == 3:
            assert mean == pytest.approx(balanced_accuracy_score(true[rows], guess[rows]))
        else:
            assert math.isnan(mean)
    assert 0 < np.isnan(drawn).sum() < 20
    assert found.mean() == pytest.approx(balanced_accuracy_score(true, guess))
    assert found.n_patients == 6


def test_patients_are_sampled_alike():
    """One row or fifty: each patient is first, and beside another, as often as any other."""
    patient = np.repeat(["a", "b", "c", "d"], [1, 50, 5, 9])
    rows = patient_rows(patient, np.arange(65) != 60)

    found = sampled_rows(rows, 3, 8000, anyone, np.random.default_rng(0))

    owners = patient[found]
    assert 60 not in found
    assert (owners[:, :1] != owners[:, 1:]).all()
    for column in owners.T:
        shares = np.unique(column, return_counts=True)[1] / 8000
        np.testing.assert_allclose(shares, 0.25, atol=0.02)
    of_a_patient = np.unique(found[owners[:, 0] == "c", 0], return_counts=True)[1]
    np.testing.assert_allclose(of_a_patient / of_a_patient.sum(), 0.2, atol=0.05)


def test_rare_tuples_are_given_up_on():
    """What few tuples can be used are found; one patient has none."""
    patient = [f"p{row}" for row in range(40)]
    rows = patient_rows(patient, np.ones(40, bool))

    def keep(tuples):
        """One pair of 780, in either order."""
        return tuples.sum(axis=1) == 1

    found = sampled_rows(rows, 2, 100, keep, np.random.default_rng(0))
    none = sampled_rows(patient_rows(["a", "a"], np.ones(2, bool)), 2, 9, anyone, None)

    assert 0 < len(found) < 100
    assert set(map(tuple, found.tolist())) <= {(0, 1), (1, 0)}
    assert none.shape == (0, 2)


def test_names_are_in_order():
    """Each patient once; nobody in an empty cohort."""
    assert patient_names(["z", "b", "z", "a"]).tolist() == ["a", "b", "z"]
    assert patient_names([]).tolist() == []


def test_refuses_weights_and_rows_of_others():
    """Weights of another cohort, and rows without their patient."""
    found = by_patient(ROWS, PATIENT)

    with pytest.raises(QueryError, match=r"shape \(5, 4\) for 3 patients"):
        found.mean(np.ones((5, 4)))
    with pytest.raises(QueryError, match=r"shape \(3,\) for 3 patients"):
        found.mean(np.ones(3))
    with pytest.raises(QueryError, match="5 values but 2 patients"):
        by_patient(ROWS, ["a", "b"])
    with pytest.raises(QueryError, match="1 scans have no patient"):
        by_patient(ROWS[:1], [None])
