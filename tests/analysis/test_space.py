"""What a space looks like: whitening, effective rank and the three ways to look at distances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from learner_index.analysis.across import across_patient_agreement, across_patient_pairs
from learner_index.analysis.distance import pair_distance, patient_mean
from learner_index.analysis.resample import draw_weights
from learner_index.analysis.space import (
    LOOKS,
    across_agreements,
    effective_rank,
    figure_one,
    fit_whitening,
    look,
    within_agreements,
)
from learner_index.analysis.within import distance_agreement, scored_pairs
from learner_index.errors import NotEnoughDataError, QueryError, SpaceMismatchError
from tests.analysis.pairs_toy import slow_pairs

SEEDS = st.integers(0, 2**32 - 1)


def names(n, patients=None):
    """(n,) patients in turn; one scan each unless told."""
    return np.array([f"p{row % (patients or n):03d}" for row in range(n)], object)


def turned(u, seed):
    """A rotated, scaled and shifted copy of a space, and the same without the shift."""
    rng = np.random.default_rng([seed, 1])
    rotation = np.linalg.qr(rng.standard_normal((u.shape[1], u.shape[1])))[0]
    plain = rng.choice([0.01, 3.0, 500.0]) * u @ rotation
    return plain + rng.standard_normal(u.shape[1]) * np.abs(plain).mean(), plain


def cohort(seed, patients=8, visits=4, width=5):
    """Columns of a cohort in which half of every embedding is its score."""
    rng = np.random.default_rng(seed)
    n = patients * visits
    score = rng.integers(0, 9, n).astype(float)
    u = rng.standard_normal((n, width)) + 2.0
    u[:, 0] += score
    return u, score, names(n, patients), np.arange(n) // patients, np.array(["L1", "L2"] * (n // 2))


def test_whitened_patients_spread_alike():
    """Correlated dimensions of very different sizes: mean 0, covariance about the identity."""
    rng = np.random.default_rng(0)
    u = rng.standard_normal((4000, 6)) @ (rng.standard_normal((6, 6)) * [1, 2, 3, 4, 5, 9]) + 7

    whitening = fit_whitening(u, names(4000))

    found = whitening.apply(u)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(found.T), np.eye(6), atol=0.1)
    assert whitening.n_patients == 4000


def test_whitening_undoes_the_shrunk_covariance():
    """One scan a patient: the inverse root of what scikit-learn's Ledoit-Wolf estimates."""
    u = np.random.default_rng(1).standard_normal((20, 9)) * np.arange(1, 10)

    matrix = fit_whitening(u, names(20)).matrix

    covariance = LedoitWolf().fit(u).covariance_
    np.testing.assert_allclose(matrix @ covariance @ matrix, np.eye(9), atol=1e-10)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)


def test_more_scans_of_the_same_patients_change_nothing():
    """Fifty copies of one patient's scan: same center, same covariance, same shrinkage."""
    rng = np.random.default_rng(2)
    u, patient = rng.standard_normal((30, 3)) * [1, 2, 4], names(30, 20)
    copies = 1 + 50 * (patient == "p003")
    more = np.repeat(u, copies, axis=0), np.repeat(patient, copies)

    one, other = fit_whitening(u, patient), fit_whitening(*more)
    naive = fit_whitening(more[0], names(len(more[0])))

    np.testing.assert_allclose(one.center, other.center, atol=1e-12)
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-12)
    assert np.abs(naive.matrix - one.matrix).max() > 0.05


def test_few_scans_and_constant_dimensions_can_be_whitened():
    """Fewer scans than dimensions, some of which never change: all finite, spread about 1."""
    u = np.random.default_rng(3).standard_normal((12, 40)).astype(np.float32)
    u[:, 30:] = 0.1

    whitening = fit_whitening(u, names(12, 6))

    found = whitening.apply(u)
    assert np.isfinite(found).all()
    assert np.abs(found[:, 30:]).max() < 1e-4
    assert 0.3 < np.mean(found[:, :30] ** 2) < 1.5


def test_directions_without_variance_go_to_zero():
    """Patients who agree on their spread leave nothing to shrink: a new direction is not seen."""
    own = np.array([[1.0, 0, 0.1], [-1, 0, 0.1], [0, 2, 0.1], [0, -2, 0.1]])

    found = fit_whitening(np.tile(own, (3, 1)), np.repeat(["a", "b", "c"], 4))

    expected = [[1 / np.sqrt(0.5), 1 / np.sqrt(2), 0]]
    np.testing.assert_allclose(found.apply(np.array([[1.0, 1, 50]])), expected, atol=1e-12)


def test_refuses_what_cannot_be_whitened():
    """One patient, equal embeddings, NaN, and embeddings of another width."""
    u = np.random.default_rng(5).standard_normal((6, 3))

    with pytest.raises(NotEnoughDataError, match="6 scans of 1 patients"):
        fit_whitening(u, names(6, 1))
    with pytest.raises(NotEnoughDataError, match="6 scans of 3 patients"):
        fit_whitening(np.full((6, 3), 0.1, np.float32), names(6, 3))
    with pytest.raises(QueryError, match="holds NaN or infinity"):
        fit_whitening(np.where(u == u[0, 0], np.nan, u), names(6))
    with pytest.raises(SpaceMismatchError, match="2 wide, but the whitening was fitted on 3"):
        fit_whitening(u, names(6)).apply(u[:, :2])


def test_an_even_spread_fills_every_direction():
    """20 independent dimensions of one size count as 20, and as fewer in few patients."""
    u = np.random.default_rng(0).standard_normal((20_000, 20))

    assert effective_rank(u, names(20_000)) == pytest.approx(20, rel=0.01)
    assert effective_rank(u[:20], names(20)) == pytest.approx(20 * 20 / 40, rel=0.15)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_a_line_has_rank_one(shape):
    """Scans along one direction, however many dimensions it crosses."""
    u = np.outer(np.arange(shape[0]), np.random.default_rng(0).standard_normal(shape[1])) + 5

    assert effective_rank(u, names(shape[0])) == pytest.approx(1)


@given(SEEDS, st.sampled_from([(30, 4), (5, 12)]))
@settings(max_examples=30, deadline=None)
def test_rank_is_the_participation_ratio_of_patient_weighted_covariance(seed, shape):
    """As defined by eigenvalues, each patient weighing 1, in more or fewer scans than widths."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal(shape) * rng.uniform(0.1, 3, shape[1])
    patient = np.array(["a", "b", "c", *rng.choice(list("abc"), shape[0] - 3)], object)

    found = effective_rank(u, patient)

    covariance = np.zeros((shape[1], shape[1]))
    for row, name in zip(u - patient_mean(u, patient), patient, strict=True):
        covariance += np.outer(row, row) / np.sum(patient == name)
    values = np.linalg.eigvalsh(covariance)
    assert found == pytest.approx(values.sum() ** 2 / np.sum(values**2))
    assert found == pytest.approx(effective_rank(turned(u, seed)[0], patient))
    assert 1 <= found <= min(shape) + 1e-9


def test_no_spread_has_no_rank():
    """Equal embeddings, whose mean is off by rounding, are refused and counted."""
    with pytest.raises(NotEnoughDataError, match="all 7 embeddings of 7 patients are equal"):
        effective_rank(np.full((7, 3), 0.1), names(7))


def test_non_negative_features_look_collapsed_only_raw():
    """Independent post-ReLU features: mean cosine distance .18 raw, 1 centred and whitened."""
    rng = np.random.default_rng(0)
    u = np.maximum(rng.normal(2.15, 1.0, (400, 512)), 0)
    patient, pairs = names(400), np.column_stack([np.arange(0, 400, 2), np.arange(1, 400, 2)])
    whitening = fit_whitening(u, patient)

    found = {}
    for how in LOOKS:
        rows, center, metric = look(u, whitening, how)
        found[how] = pair_distance(rows, pairs, metric, center).mean()

    assert found["raw"] == pytest.approx(1 - np.mean(u) ** 2 / np.mean(u**2), abs=0.005)
    assert found["raw"] == pytest.approx(0.177, abs=0.01)
    assert found["centered"] == pytest.approx(1.0, abs=0.02)
    assert found["whitened"] == pytest.approx(1.0, abs=0.02)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_turning_the_space_changes_no_distance(seed):
    """Rotation and scale leave all three; a shift leaves those that are centred."""
    u, score, patient, visit, view = cohort(seed)
    shifted, plain = turned(u, seed)

    before, after, moved = (
        figure_one(x, score, patient, visit, view, whitening=fit_whitening(x, patient))
        for x in (u, plain, shifted)
    )

    columns = [f"distance_{how}" for how in LOOKS]
    np.testing.assert_allclose(before[columns], after[columns], atol=1e-9)
    np.testing.assert_allclose(before[columns[1:]], moved[columns[1:]], atol=1e-9)


def test_figure_one_has_every_scored_pair():
    """One row a pair of the slow definition, with its patient, score change and distances."""
    u, score, patient, visit, view = cohort(0)
    score[3] = np.nan
    whitening = fit_whitening(u[::2], patient[::2])

    found = figure_one(u, score, patient, visit, view, whitening=whitening)

    pairs = slow_pairs(patient, visit, view)
    pairs = np.array([pair for pair in pairs if 3 not in pair])
    white = (u - whitening.center) @ whitening.matrix
    assert found.columns.tolist() == [
        "patient",
        "abs_delta_score",
        *(f"distance_{how}" for how in LOOKS),
    ]
    assert found["patient"].tolist() == patient[pairs[:, 0]].tolist()
    assert found["abs_delta_score"].tolist() == np.abs(np.diff(score[pairs])[:, 0]).tolist()
    for column, rows in (("raw", u), ("centered", u - whitening.center), ("whitened", white)):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        expected = 1 - np.sum(unit[pairs[:, 0]] * unit[pairs[:, 1]], axis=1)
        np.testing.assert_allclose(found[f"distance_{column}"], expected, atol=1e-12)


def test_three_ways_within_patients():
    """Each is `distance_agreement` of what it looks at, on the same draws."""
    u, score, patient, visit, view = cohort(1)
    whitening = fit_whitening(u, patient)
    scored = scored_pairs(score, patient, visit, view)

    found = within_agreements(u, scored, whitening, n_bootstraps=50, seed=3)

    options = {"n_bootstraps": 50, "seed": 3}
    rest = (score, patient, visit, view)
    assert tuple(found) == LOOKS
    assert found["raw"][0] == distance_agreement(u, *rest, center=None, metric="cosine", **options)
    assert found["centered"][0] == distance_agreement(
        u, *rest, center=whitening.center, metric="centered", **options
    )
    assert found["whitened"][0] == distance_agreement(
        whitening.apply(u), *rest, center=None, metric="cosine", **options
    )


def test_three_ways_across_patients():
    """Each is `across_patient_agreement` of what it looks at, on the same draws."""
    u, score, patient, _, view = cohort(2)
    whitening = fit_whitening(u, patient)
    paired = across_patient_pairs(score, patient, view=view)

    found = across_agreements(u, paired, whitening, draw_weights(8, 50, 4))

    options = {"view": view, "n_bootstraps": 50, "seed": 4}
    raw = across_patient_agreement(u, score, patient, metric="cosine", **options)
    centered = across_patient_agreement(u, score, patient, center=whitening.center, **options)
    white = across_patient_agreement(whitening.apply(u), score, patient, metric="cosine", **options)
    assert {how: found[how][0] for how in LOOKS} == dict(
        zip(LOOKS, (raw, centered, white), strict=True)
    )


def test_refuses_another_way_to_look():
    """The ways there are are named."""
    u, _, patient, *_ = cohort(3)

    with pytest.raises(QueryError, match="'white': use raw, centered, whitened"):
        look(u, fit_whitening(u, patient), "white")
