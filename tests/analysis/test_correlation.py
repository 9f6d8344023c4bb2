"""Correlations against SciPy: plain, and of rows copied as often as they are drawn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from learner_index.analysis import correlation
from learner_index.analysis.correlation import drawn_correlation, spearman

SEEDS = st.integers(0, 2**32 - 1)
KINDS = pytest.mark.parametrize("ranked", [False, True], ids=["Pearson", "Spearman"])


def slow_correlation(a, b, times, ranked):
    """SciPy on the rows themselves, each as often as it was drawn."""
    one, other = np.repeat(a, times), np.repeat(b, times)
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return (spearmanr if ranked else pearsonr)(one, other).statistic


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0, 0, 0])]
)
@KINDS
def test_undefined_correlations_are_nan(a, b, ranked):
    """Too few rows or a constant column give NaN, without a warning."""
    one, other = np.array(a, float), np.array(b, float)

    drawn = drawn_correlation(one, other, np.ones((2, len(a))), ranked=ranked)

    assert np.isnan(drawn).tolist() == [True, True]
    assert math.isnan(spearman(one, other))


@given(SEEDS)
def test_spearman_sees_order_only(seed):
    """A rising transformation of either side changes nothing; a falling one turns the sign."""
    a, b = np.random.default_rng(seed).integers(0, 9, (2, 12)).astype(float)

    rho = spearman(a, b)

    np.testing.assert_equal(spearman(a, b**3), rho)
    np.testing.assert_allclose(spearman(-np.exp(a), b), -rho, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, ranked=st.booleans(), levels=st.sampled_from([2, 5, 1000]), m=st.integers(0, 15))
def test_draws_equal_copied_rows(seed, ranked, levels, m):
    """Whole weights are copies, with ties or without, down to draws of one row or none."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, levels, (2, m)) * 0.1 - 20
    times = rng.integers(0, 4, (6, m)) * (rng.random((6, m)) < rng.random((6, 1)))

    found = drawn_correlation(a, b, times, ranked=ranked)

    expected = [slow_correlation(a, b, one, ranked) for one in times]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, ranked=st.booleans())
def test_weights_count_beside_each_other(seed, ranked):
    """All weights times a number, copies of rows or thirds of them: the same correlation."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, (2, 9)).astype(float)
    weights = rng.integers(1, 5, (4, 9))

    found = drawn_correlation(a, b, weights, ranked=ranked)

    thirds = drawn_correlation(a, b, weights / 3, ranked=ranked)
    copies = drawn_correlation(np.tile(a, 3), np.tile(b, 3), np.tile(weights / 3, 3), ranked=ranked)
    np.testing.assert_allclose(thirds, found, atol=1e-12)
    np.testing.assert_allclose(copies, found, atol=1e-12)


@KINDS
@pytest.mark.parametrize("n", range(1, 30))
def test_three_patients_have_a_correlation(n, ranked):
    """Three patients whose n rows share a weight of 1: rounding does not make them fewer."""
    a = np.arange(3.0 * n)

    found = drawn_correlation(a, 2 * a, np.full((1, 3 * n), 1 / n), ranked=ranked)

    assert found == pytest.approx([1])


@KINDS
def test_two_patients_have_none(ranked):
    """A weight below 3 is too little, on however many rows."""
    a = np.arange(10.0)

    assert np.isnan(drawn_correlation(a, a, np.full((1, 10), 0.2), ranked=ranked)).all()


@KINDS
@pytest.mark.parametrize("value", [0.1, 1e-8, 1e9 / 3])
def test_a_column_constant_in_a_draw_has_none(ranked, value):
    """Rows that were not drawn do not count, nor does rounding of the mean of 0.1s."""
    a = np.array([value] * 7 + [5, -2])
    b = np.arange(9.0)
    weights = np.array([[1 / 3] * 7 + [0, 0], [3] * 7 + [0, 0], [0.7, *[3] * 6, 1, 0]])

    found = drawn_correlation(a, b, weights, ranked=ranked)

    assert np.isnan(found).tolist() == [True, True, False]
    assert np.isnan(drawn_correlation(b, a, weights, ranked=ranked)).tolist() == [True, True, False]


@KINDS
def test_rows_not_drawn_hide_nothing(ranked):
    """Beside a huge value that is not drawn, small ones still differ."""
    a, b, weights = np.array([1e-3, 2e-3, 4e-3, 1e12]), np.arange(4.0), np.array([[1, 1, 1, 0]])

    found = drawn_correlation(a, b, weights, ranked=ranked)

    np.testing.assert_allclose(found, slow_correlation(a, b, weights[0], ranked))


@KINDS
def test_ends_are_exact(ranked):
    """1 and -1 for columns that are one line, never a digit beyond."""
    a = np.random.default_rng(0).normal(size=50)
    weights = np.random.default_rng(1).random((200, 50))

    rising, falling = (drawn_correlation(a, sign * a, weights, ranked=ranked) for sign in (3, -3))

    np.testing.assert_allclose(rising, 1)
    np.testing.assert_allclose(falling, -1)
    assert rising.max() <= 1
    assert falling.min() >= -1


@KINDS
@pytest.mark.parametrize("cells", [1, 40, 100])
def test_the_size_of_blocks_does_not_matter(ranked, cells, monkeypatch):
    """One draw at a time, or a few and a rest: the same bytes."""
    rng = np.random.default_rng(0)
    a, b, weights = rng.normal(size=20), rng.integers(0, 5, 20), rng.random((17, 20))
    whole = drawn_correlation(a, b, weights, ranked=ranked)

    monkeypatch.setattr(correlation, "_CELLS", cells)

    assert drawn_correlation(a, b, weights, ranked=ranked).tolist() == whole.tolist()


def test_no_draws_no_correlations():
    """Nothing asked for, nothing found."""
    assert drawn_correlation(np.ones(3), np.ones(3), np.ones((0, 3)), ranked=True).shape == (0,)
