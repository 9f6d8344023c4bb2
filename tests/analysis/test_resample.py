"""Resampling by patient: intervals that cover the truth, tests that keep their level."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, ttest_1samp

from learner_index.analysis import resample
from learner_index.analysis.resample import (
    Interval,
    draw_weights,
    holm,
    interval,
    nadeau_bengio,
    swap_test,
)
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

PATIENTS, SCANS = 60, 6
TRUTH = np.array([0.2, 0.55, 0.25])  # how frequent worsened, stable and improved are
GOOD = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.1, 0.3, 0.6]])  # predicted, given truth
GUESS = np.full((3, 3), 1 / 3)


def macro_f1(table):
    """(...,) macro-F1 of (..., 9) confusion matrices."""
    table = table.reshape(*table.shape[:-1], 3, 3)
    hits = np.einsum("...ii->...i", table)
    return (2 * hits / (table.sum(axis=-1) + table.sum(axis=-2))).mean(axis=-1)


def alike(draw, rng):
    """(patients, scans) values whose intraclass correlation is .5 in any function of them.

    A scan shows its patient's common value with probability √.5, else one of its own.
    """
    common, own = draw(rng, (PATIENTS, 1)), draw(rng, (PATIENTS, SCANS))
    return np.where(rng.random(own.shape) < math.sqrt(0.5), common, own)


def normal(rng, size):
    return rng.normal(size=size)


def cells(rng, size):
    """Cells of the confusion matrix of the good model."""
    return rng.choice(9, size, p=(TRUTH[:, None] * GOOD).ravel())


def two_models(rng, second):
    """(patients, scans, 9) cells of a good model and of another, for the same truth."""
    joint = TRUTH[:, None, None] * GOOD[:, :, None] * second[:, None, :]
    drawn = alike(lambda rng, size: rng.choice(27, size, p=joint.ravel()), rng)
    true, one, other = np.unravel_index(drawn, (3, 3, 3))
    return np.eye(9)[3 * true + one], np.eye(9)[3 * true + other]


def swaps(first, second, statistic=macro_f1):
    """Difference of a statistic of (p, m) means when some patients are swapped."""
    gap = (second - first) / len(first)

    def difference(masks):
        moved = masks.astype(float) @ gap
        return statistic(first.mean(axis=0) + moved) - statistic(second.mean(axis=0) - moved)

    return difference


def by_patient(rows):
    return rows.mean(axis=1)


def by_scan(rows):
    """Every scan as a patient of its own: the mistake."""
    return rows.reshape(PATIENTS * SCANS, -1)


def test_draws_take_as_many_patients_as_there_are():
    """Whole counts that sum to p, each patient once on average, the same for the same seed."""
    drawn = draw_weights(40, 3000, seed=1)

    assert (drawn.shape, drawn.dtype) == ((3000, 40), np.float64)
    assert (drawn.sum(axis=1) == 40).all()
    assert (drawn == np.floor(drawn)).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.1)
    np.testing.assert_allclose(drawn.var(axis=0).mean(), 1 - 1 / 40, atol=0.03)
    assert (drawn == draw_weights(40, 3000, seed=1)).all()
    assert (drawn != draw_weights(40, 3000, seed=2)).any()


def test_no_draw_is_the_cohort_itself():
    """The first row is drawn like the others."""
    assert (draw_weights(40, 5, seed=0) != 1).any(axis=1).all()


def test_refuses_to_draw_nobody():
    """No patients, or fewer than no draws."""
    with pytest.raises(NotEnoughDataError, match="0 patients cannot be resampled"):
        draw_weights(0, 10, seed=0)
    with pytest.raises(SettingsError, match="-1 draws are too few: ask for 0"):
        draw_weights(5, -1, seed=0)


def test_intervals_hold_their_level():
    """Of 0..1000, 90 % lie between 50 and 950; NaN is left out and counted out."""
    drawn = np.r_[np.arange(1001.0), np.full(500, np.nan)]

    found = interval(drawn, level=0.9)

    assert (found.low, found.high, found.n_draws) == (pytest.approx(50), pytest.approx(950), 1001)


@pytest.mark.parametrize(("defined", "has_one"), [(5, True), (4, False), (0, False)])
def test_intervals_need_half_the_draws(defined, has_one):
    """Four of ten draws speak of rare cohorts only."""
    found = interval(np.r_[np.ones(defined), np.full(10 - defined, np.nan)])

    assert found.n_draws == defined
    assert (found == Interval(1, 1, defined)) is has_one
    assert math.isnan(found.low) is not has_one


def test_no_draws_give_no_interval():
    """Nothing drawn, nothing known, no warning."""
    assert math.isnan(interval(np.array([])).high)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_refuses_levels_that_are_no_share(level):
    """95 % is written 0.95."""
    with pytest.raises(SettingsError, match=f"level {level} is no share"):
        interval(np.ones(3), level)


@pytest.mark.parametrize(
    ("draw", "parts", "statistic", "truth"),
    [
        (normal, lambda value: value[..., None], lambda mean: mean[..., 0], 0.0),
        (cells, lambda cell: np.eye(9)[cell], macro_f1, macro_f1((TRUTH[:, None] * GOOD).ravel())),
    ],
    ids=["mean", "macro_f1"],
)
def test_intervals_cover_the_truth_by_patient_not_by_scan(draw, parts, statistic, truth):
    """60 patients of 6 scans alike at ICC .5: drawing patients covers, drawing scans does not.

    In 3,000 cohorts of either kind 94 % and 94 % were covered by patient, 70 % and 69 % by scan.
    """
    rng, n_cohorts = np.random.default_rng(3), 1500
    drawn = {
        by_patient: draw_weights(PATIENTS, 800, seed=0),
        by_scan: draw_weights(PATIENTS * SCANS, 800, seed=0),
    }
    covered = dict.fromkeys(drawn, 0)

    for _ in range(n_cohorts):
        rows = parts(alike(draw, rng))
        for unit, weights in drawn.items():
            found = interval(statistic(weights @ unit(rows) / weights.shape[1]))
            covered[unit] += found.low <= truth <= found.high

    assert 0.93 <= covered[by_patient] / n_cohorts <= 0.97
    assert covered[by_scan] / n_cohorts < 0.85


def null_p_values(unit, n_cohorts=800, second=GOOD):
    """p-values of two models' macro-F1 in simulated cohorts."""
    rng, found = np.random.default_rng(4), []
    for seed in range(n_cohorts):
        first, other = (unit(rows) for rows in two_models(rng, second))
        found.append(swap_test(swaps(first, other), len(first), n_draws=199, seed=seed).p_value)
    return np.array(found)


def test_swapping_patients_keeps_its_level():
    """Two models that are alike: p-values are uniform; swapping scans rejects too often."""
    right, naive = null_p_values(by_patient), null_p_values(by_scan)

    assert kstest(right, "uniform").pvalue > 0.05
    assert np.mean(right < 0.05) < 0.07
    assert np.mean(naive < 0.05) > 0.15


def test_swapping_patients_sees_a_planted_difference():
    """A model that guesses is found out nine times in ten."""
    assert np.mean(null_p_values(by_patient, 60, second=GUESS) < 0.05) > 0.9


def test_swapping_equals_every_swap_written_out():
    """With few patients the p-value is close to that of all 2^p swaps."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(0.5, 1, (9, 1)), rng.normal(0, 1, (9, 1))
    difference = swaps(first, second, lambda mean: mean[..., 0])
    every = (np.arange(512)[:, None] >> np.arange(9)) % 2 == 1

    found = swap_test(difference, 9, n_draws=20_000, seed=0)

    observed = float((first - second).mean())
    exact = np.mean(np.abs(difference(every)) >= abs(observed) - 1e-12)
    assert found.difference == pytest.approx(observed)
    assert found.p_value == pytest.approx(exact, abs=0.012)


def test_equal_models_have_p_one():
    """Every swap is as extreme as no difference, up to rounding."""
    same = np.random.default_rng(6).dirichlet(np.ones(9), 30)

    found = swap_test(swaps(same, same), 30, n_draws=50, seed=0)

    assert (found.difference, found.p_value, found.n_draws) == (0, 1, 50)


def test_p_is_never_zero():
    """The observed order is one of the permutations: 1 / (B + 1) at the least."""
    ones = np.ones((40, 1))

    found = swap_test(swaps(ones, -ones, lambda mean: mean[..., 0]), 40, n_draws=99, seed=0)

    assert (found.difference, found.p_value) == (2, 0.01)


def test_undefined_differences_raise_p():
    """A permutation without the statistic counts as extreme; without an observed one p is NaN."""

    def undefined_when_swapped(masks):
        return np.where(masks.any(axis=1), np.nan, 5.0)

    assert swap_test(undefined_when_swapped, 50, n_draws=20, seed=0).p_value == 1
    nothing = swap_test(lambda masks: np.full(len(masks), np.nan), 3, n_draws=20, seed=0)
    assert (math.isnan(nothing.difference), math.isnan(nothing.p_value)) == (True, True)


def test_permutations_come_in_blocks(monkeypatch):
    """No block is larger than the cells allow, and together they are what was asked for."""
    monkeypatch.setattr(resample, "_CELLS", 100)
    sizes = []

    def difference(masks):
        sizes.append(masks.shape)
        assert masks.dtype == np.bool_
        return masks.sum(axis=1) + 1.0

    swap_test(difference, 30, n_draws=10, seed=0)

    assert sizes == [(1, 30), (3, 30), (3, 30), (3, 30), (1, 30)]


def test_refuses_to_swap_nobody():
    """No patients, or no permutation."""
    with pytest.raises(NotEnoughDataError, match="0 patients"):
        swap_test(lambda masks: masks, 0, seed=0)
    with pytest.raises(SettingsError, match="0 draws are too few: ask for 1"):
        swap_test(lambda masks: masks, 3, n_draws=0, seed=0)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), folds=st.integers(2, 10), repeats=st.integers(1, 6))
def test_the_correction_equals_the_protocols(seed, folds, repeats):
    """For T rounds of K folds the variance s²/(TK) is inflated by 1 + TK/(K - 1)."""
    values = np.random.default_rng(seed).normal(0.3, 1, (repeats, folds))
    inflated = (1 + repeats * folds / (folds - 1)) * values.var(ddof=1) / (repeats * folds)

    found = nadeau_bengio(values, n_train=60 * (folds - 1) / folds, n_test=60 / folds)

    assert found.t == pytest.approx(values.mean() / math.sqrt(inflated))
    assert found.df == repeats * folds - 1


def test_without_held_out_overlap_it_is_students_test():
    """A vanishing test set leaves the plain one-sample t-test."""
    values = np.random.default_rng(7).normal(0.4, 1, 12)

    found = nadeau_bengio(values, n_train=1e12, n_test=1)

    expected = ttest_1samp(values, 0)
    assert (found.t, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def cross_validated(rng, n=60, folds=5, repeats=5):
    """(25,) differences in squared error of two regressions that are equally good."""
    x = rng.normal(size=(n, 2))
    y, found = x.sum(axis=1) + rng.normal(size=n), []
    for _ in range(repeats):
        for test in rng.permutation(n).reshape(folds, -1):
            is_train = ~np.isin(np.arange(n), test)
            slope = y[is_train] @ x[is_train] / (x[is_train] ** 2).sum(axis=0)
            error = (y[test, None] - x[test] * slope) ** 2
            found.append(float(np.mean(error[:, 0] - error[:, 1])))
    return found


def test_the_corrected_test_keeps_its_level():
    """5 × 5 folds: 3.5 % of 2,000 nulls were rejected, against 44 % by a plain t-test."""
    rng = np.random.default_rng(8)
    cases = [cross_validated(rng) for _ in range(500)]

    corrected = np.mean([nadeau_bengio(case, 48, 12).p_value < 0.05 for case in cases])
    plain = np.mean([ttest_1samp(case, 0).pvalue < 0.05 for case in cases])

    assert 0.01 <= corrected <= 0.06
    assert plain > 0.3


@pytest.mark.parametrize("values", [[0.1, math.nan, 0.2], [0.1] * 5, [math.inf, 1.0]])
def test_differences_that_cannot_be_judged_give_nan(values):
    """A fold without a figure, or the same difference in every fold."""
    found = nadeau_bengio(values, 48, 12)

    assert (math.isnan(found.t), math.isnan(found.p_value)) == (True, True)


def test_no_difference_anywhere_has_p_one():
    """Two models that are one and the same."""
    found = nadeau_bengio([0.0] * 5, 48, 12)

    assert (found.t, found.p_value, found.df) == (0, 1, 4)


def test_refuses_folds_without_variance_or_size():
    """One fold, or sizes that are none."""
    with pytest.raises(NotEnoughDataError, match="1 differences have no variance"):
        nadeau_bengio([0.1], 48, 12)
    with pytest.raises(SettingsError, match="n_train 48 and n_test 0"):
        nadeau_bengio([0.1, 0.2], 48, 0)


def slow_holm(p_values):
    """Holm's steps, written out."""
    order, found, running = sorted(range(len(p_values)), key=p_values.__getitem__), {}, 0.0
    for step, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - step) * p_values[place]))
        found[place] = running
    return [found[place] for place in range(len(p_values))]


@settings(max_examples=25, deadline=None)  # each call of multipletests collects garbage
@given(st.lists(st.floats(0, 1), max_size=8), st.integers(0, 2**32 - 1))
def test_holm_equals_its_steps(p_values, seed):
    """Adjusted p-values of the tests that were made; NaN stays where it was and is not counted."""
    is_missing = np.random.default_rng(seed).random(len(p_values) + 2) < 0.3
    given_values = np.full(len(is_missing), np.nan)
    rest = np.flatnonzero(~is_missing)[: len(p_values)]
    given_values[rest] = p_values[: len(rest)]

    found = holm(given_values)

    np.testing.assert_allclose(found[rest], slow_holm(p_values[: len(rest)]))
    assert np.isnan(np.delete(found, rest)).all()


def test_holm_leaves_its_input():
    """The caller's array is not adjusted in place."""
    p_values = np.array([0.01, 0.02])

    assert holm(p_values).tolist() == [0.02, 0.02]
    assert p_values.tolist() == [0.01, 0.02]


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.inf])
def test_refuses_what_is_no_p_value(wrong):
    """The number is named."""
    with pytest.raises(QueryError, match=f"{wrong} is no p-value"):
        holm([0.5, wrong])
