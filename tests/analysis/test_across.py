"""Distances against score differences across patients: definitions, draws, planted answers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from learner_index.analysis.across import (
    across_patient_agreement,
    across_patient_pairs,
    drawn_across,
)
from learner_index.analysis.distance import pair_distance
from learner_index.analysis.resample import draw_weights
from learner_index.errors import NotEnoughDataError, QueryError

SEEDS = st.integers(0, 2**32 - 1)


def cohort(seed, patients=10, scans=(1, 2, 3), noise=1.0):
    """Embeddings (n, 3) whose first axis is the score, plus noise; and score and patient."""
    rng = np.random.default_rng(seed)
    counts = rng.choice(scans, patients)
    patient = np.repeat([f"p{i:02d}" for i in range(patients)], counts).astype(object)
    score = rng.integers(0, 10, len(patient)).astype(float)
    u = noise * rng.standard_normal((len(patient), 3))
    u[:, 0] += score
    return u, score, patient


def slow_rho(apart, change):
    """Spearman correlation, NaN where undefined."""
    if len(apart) < 3 or len(set(apart)) < 2 or len(set(change)) < 2:
        return math.nan
    return spearmanr(apart, change).statistic


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_few_pairs_are_all_pairs(seed):
    """Each pair of scored scans of one view and two patients; two patients weigh the same."""
    rng = np.random.default_rng(seed)
    _, score, patient = cohort(seed)
    score[rng.random(len(score)) < 0.2] = np.nan
    view = rng.choice(np.array(["L1", "L2", None], object), len(score))

    found = across_patient_pairs(score, patient, view=view)

    n_scored = {name: np.isfinite(score[patient == name]).sum() for name in patient}
    expected = {
        (i, j): 1 / (n_scored[patient[i]] * n_scored[patient[j]])
        for i, j in itertools.combinations(range(len(score)), 2)
        if patient[i] != patient[j] and view[i] == view[j] and np.isfinite(score[i] + score[j])
    }
    assert found.is_exact
    assert sorted(map(tuple, found.pairs.tolist())) == sorted(expected)
    weights = np.array([expected[tuple(pair)] for pair in found.pairs.tolist()])
    np.testing.assert_allclose(found.weight, weights / weights.mean())
    assert (found.patient[found.owner] == patient[found.pairs]).all()
    change = [abs(score[i] - score[j]) for i, j in found.pairs]
    assert found.change.tolist() == change


def test_rho_and_draws_equal_a_loop_over_drawn_patients():
    """Every pair as often as its patients, times what it weighs, in plain Spearman correlation."""
    u, score, patient = cohort(1, patients=6)
    paired = across_patient_pairs(score, patient)
    weights = draw_weights(6, 40, 0)

    apart = pair_distance(u, paired.pairs, "euclidean")
    found, drawn = drawn_across([apart], paired, weights)[0]

    scans = {name: np.sum(patient == name) for name in patient}
    whole = [36 // (scans[patient[i]] * scans[patient[j]]) for i, j in paired.pairs]
    for draw, rho in zip(np.r_[np.ones((1, 6)), weights], np.r_[found.rho, drawn], strict=True):
        times = [int(draw[a] * draw[b]) * n for (a, b), n in zip(paired.owner, whole, strict=True)]
        expected = slow_rho(np.repeat(apart, times), np.repeat(paired.change, times))
        np.testing.assert_allclose(rho, expected, atol=1e-12)
    ends = np.nanquantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose((found.low, found.high), ends)
    assert (found.n_patients, found.n_pairs) == (6, len(paired.pairs))


def test_several_encoders_share_their_draws():
    """Measured together or alone, in one block or many: the same numbers."""
    u, score, patient = cohort(2, patients=40, scans=(3,))
    paired = across_patient_pairs(score, patient, max_pairs=5000)
    other = np.random.default_rng(0).standard_normal(u.shape)
    distances = [pair_distance(x, paired.pairs, "euclidean") for x in (u, other)]
    weights = draw_weights(40, 300, 0)

    together = drawn_across(distances, paired, weights)

    assert len(paired.pairs) * 300 > 1_000_000
    for distance, (found, drawn) in zip(distances, together, strict=True):
        (alone, few), *_ = drawn_across([distance], paired, weights[:9])
        assert found.rho == alone.rho
        assert drawn[:9].tolist() == few.tolist()


def test_large_cohorts_are_sampled_by_patient():
    """As many pairs as allowed, each patient in as many, of one view, seeded."""
    patient = np.repeat(["a", "b", "c", "d"], [10, 30, 60, 100]).astype(object)
    rng = np.random.default_rng(0)
    score, view = rng.normal(size=200), rng.choice(["x", "y"], 200)
    score[7] = np.nan

    found = across_patient_pairs(score, patient, view=view, max_pairs=3000, seed=1)

    assert not found.is_exact
    assert len(found.pairs) == 3000
    assert (view[found.pairs[:, 0]] == view[found.pairs[:, 1]]).all()
    assert (patient[found.pairs[:, 0]] != patient[found.pairs[:, 1]]).all()
    assert 7 not in found.pairs
    assert found.weight.tolist() == [1.0] * 3000
    np.testing.assert_allclose(np.bincount(found.owner.ravel()) / 6000, 0.25, atol=0.02)
    again = across_patient_pairs(score, patient, view=view, max_pairs=3000, seed=1)
    other = across_patient_pairs(score, patient, view=view, max_pairs=3000, seed=2)
    assert found.pairs.tolist() == again.pairs.tolist() != other.pairs.tolist()


def test_a_sample_estimates_all_pairs():
    """Sampled and exact rho and interval agree to what 5,000 pairs can tell."""
    u, score, patient = cohort(3, patients=50, scans=(1, 6), noise=4.0)
    options = {"metric": "euclidean", "n_bootstraps": 200}

    exact = across_patient_agreement(u, score, patient, max_pairs=10**5, **options)
    sampled = across_patient_agreement(u, score, patient, max_pairs=5000, **options)

    assert exact.n_pairs > sampled.n_pairs == 5000
    assert sampled.rho == pytest.approx(exact.rho, abs=0.04)
    assert sampled.high - sampled.low == pytest.approx(exact.high - exact.low, rel=0.35)


def test_embeddings_that_tell_the_score_agree():
    """Distance equals score difference: 1 in the cohort and in every draw."""
    u, score, patient = cohort(4, noise=0.0)

    found = across_patient_agreement(u, score, patient, metric="euclidean", n_bootstraps=100)

    assert (found.rho, found.low, found.high) == pytest.approx((1, 1, 1))


def test_embeddings_that_tell_nothing_do_not():
    """Noise alone: the interval holds 0. A space in one point has no rho and no interval."""
    u, score, patient = cohort(5, patients=40)
    u[:, 0] -= score

    found = across_patient_agreement(u, score, patient, metric="euclidean", n_bootstraps=300)
    point = across_patient_agreement(0 * u, score, patient, metric="euclidean", n_bootstraps=9)

    assert found.low < 0 < found.high
    assert math.isnan(point.rho)
    assert math.isnan(point.low)
    assert point.n_bootstraps == 0


def test_the_interval_covers_the_truth():
    """Scans of one patient alike in score and noise: about 95 of 100 intervals hold a big
    cohort's rho.
    """

    def agreement(seed, patients, n_bootstraps):
        rng = np.random.default_rng(seed)
        patient = np.repeat([f"p{i:04d}" for i in range(patients)], 2).astype(object)
        score = np.repeat(rng.normal(size=patients), 2)
        u = (score + np.repeat(rng.normal(size=patients), 2))[:, None]
        return across_patient_agreement(
            u, score, patient, metric="euclidean", n_bootstraps=n_bootstraps, seed=seed
        )

    truth = agreement(0, 3000, 0).rho

    intervals = [agreement(seed, 30, 150) for seed in range(1, 101)]

    assert 88 <= sum(found.low <= truth <= found.high for found in intervals) <= 99


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_row_order_unit_and_direction_do_not_matter(seed):
    """Shuffled rows, and scores turned and scaled, give the same agreement of all pairs."""
    u, score, patient = cohort(seed)
    order = np.random.default_rng(seed).permutation(len(score))
    options = {"metric": "euclidean", "n_bootstraps": 20}

    one = across_patient_agreement(u, score, patient, **options)
    other = across_patient_agreement(u[order], -4 * score[order] + 3, patient[order], **options)

    assert (one.rho, one.low, one.high) == pytest.approx((other.rho, other.low, other.high))


def test_refuses_too_few_patients():
    """Two scored patients, or views that never meet, are counted."""
    u, score, patient = np.eye(4), np.arange(4.0), ["a", "b", "c", "c"]

    with pytest.raises(NotEnoughDataError, match=r"2 patients .* \(1 pairs\): three"):
        across_patient_agreement(u, [0, 1, np.nan, np.nan], patient, metric="cosine")
    with pytest.raises(NotEnoughDataError, match=r"0 patients .* \(0 pairs\)"):
        across_patient_pairs(score, patient, view=["w", "x", "y", "z"])
    with pytest.raises(NotEnoughDataError, match=r"0 patients .* \(0 pairs\)"):
        across_patient_pairs(score, patient, view=["w", "x", "y", "z"], max_pairs=2)
    with pytest.raises(QueryError, match="for 3 patients"):
        drawn_across([np.ones(5)], across_patient_pairs(score, patient), np.ones((2, 9)))
