"""Chance by patient: intervals from resampled patients, and tests of a difference between models.

What is measured is the caller's. Scans of one patient are alike, so patients are drawn, swapped
and counted, never scans.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

DRAWS = 2000
_CELLS = 1_000_000  # patients times permutations handed out at a time
_ROUNDING = 1e-12  # differences closer than this are equal

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a statistic may lie, by resampling patients.

    Attributes:
        low, high: its ends; NaN where fewer than half of the draws have the statistic.
        n_draws: draws it rests on: those asked for, less those without the statistic.
    """

    low: float
    high: float
    n_draws: int


@dataclass(frozen=True, slots=True)
class SwapTest:
    """Whether two models differ by more than swapping their predictions would bring about.

    Attributes:
        difference: first model minus second, as observed.
        p_value: two-sided; at least 1 / (n_draws + 1). NaN where there is no difference to test.
        n_draws: random permutations, besides the observed one.
    """

    difference: float
    p_value: float
    n_draws: int


@dataclass(frozen=True, slots=True)
class CorrectedTTest:
    """Whether two models differ over the folds of a cross-validation.

    Attributes:
        t: mean difference in standard errors; positive favours the first model.
        p_value: two-sided.
        df: degrees of freedom, one less than there are differences.
    """

    t: float
    p_value: float
    df: int


def draw_weights(n_patients: int, n_draws: int, seed: int) -> Floats:
    """How often each patient is in each draw of a bootstrap that resamples patients.

    Models that are measured with the same weights are compared on the same patients. No row is
    the cohort itself: its weights are all 1.

    Args:
        n_patients: p, patients in the cohort and in every draw.
        n_draws: draws.
        seed: of the draws.

    Returns:
        (n_draws, p) whole numbers; each row sums to p.

    Raises:
        NotEnoughDataError: there is no patient.
        SettingsError: a negative number of draws.

    Source:
        Field & Welsh 2007, JRSS B 69(3), 369-390: the cluster bootstrap.
    """
    _check_counts(n_patients, n_draws)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n_patients, (n_draws, n_patients))
    drawn += n_patients * np.arange(n_draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_draws * n_patients)
    return counts.reshape(n_draws, n_patients).astype(np.float64)


def interval(drawn: Floats, level: float = 0.95) -> Interval:
    """Percentile interval of what was measured in each draw.

    Draws without the statistic (NaN) are left out. Where they are more than half, an interval
    would speak of rare cohorts only, and is NaN.

    Args:
        drawn: (n_draws,) statistic of each draw of `draw_weights`, NaN where undefined.
        level: share of the defined draws that lie inside, between 0 and 1.

    Raises:
        SettingsError: the level is no share.
    """
    if not 0 < level < 1:
        raise SettingsError(f"level {level} is no share: give one between 0 and 1, such as 0.95")
    values = np.asarray(drawn, np.float64)
    defined = values[~np.isnan(values)]
    if len(defined) == 0 or 2 * len(defined) < len(values):
        return Interval(float("nan"), float("nan"), len(defined))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), len(defined))


def swap_test(
    difference: Callable[[Masks], Floats], n_patients: int, *, n_draws: int = DRAWS, seed: int
) -> SwapTest:
    """Paired permutation test: would models that are alike differ as much as these two?

    In each permutation every patient's predictions change hands between the models with
    probability 1/2, all of them together. The statistic need be no mean over patients. Equal
    differences count as extreme, and so does a permutation without one (NaN): the p-value errs
    upwards.

    Args:
        difference: takes (b, p) masks, True where a patient's predictions are swapped, and gives
            (b,) statistic of the first model minus that of the second. It is called with no
            patient swapped first, then with blocks of permutations. For measures of health
            changes it is `classes.swapped_difference`.
        n_patients: p, at least 1.
        n_draws: permutations, at least 1.
        seed: of the permutations.

    Raises:
        NotEnoughDataError: there is no patient.
        SettingsError: no permutation.

    Source:
        Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9(1), 39: p = (b + 1) / (m + 1).
    """
    _check_counts(n_patients, n_draws, least=1)
    observed = float(difference(np.zeros((1, n_patients), np.bool_))[0])
    if np.isnan(observed):
        return SwapTest(observed, float("nan"), n_draws)
    rng, n_extreme, block = np.random.default_rng(seed), 0, max(1, _CELLS // n_patients)
    for start in range(0, n_draws, block):
        size = (min(block, n_draws - start), n_patients)
        swapped = np.abs(difference(rng.integers(0, 2, size, np.int8).astype(np.bool_)))
        n_extreme += int(np.count_nonzero(~(swapped < abs(observed) - _ROUNDING)))
    return SwapTest(observed, (n_extreme + 1) / (n_draws + 1), n_draws)


def nadeau_bengio(
    differences: Sequence[float] | Floats, n_train: float, n_test: float
) -> CorrectedTTest:
    """t-test of cross-validated differences, corrected for training sets that overlap.

    t = mean / sqrt((1/J + n_test/n_train) s²) with s² the variance over J differences. Of K folds,
    n_test/n_train is 1/(K-1), so that the variance s²/J is inflated by 1 + J/(K-1): by
    1 + K/(K-1) for one round of folds.

    Differences that are all 0 give t 0 and p 1. NaN among them, or one value other than 0 all
    over, gives NaN: leaving a fold out would choose by the outcome, and without spread there is
    nothing to judge by.

    Args:
        differences: (J,) or (repeats, folds) statistic of the first model minus the second's, in
            each fold of each repeat.
        n_train: units, such as patients, trained on in each fold; the mean if folds differ.
        n_test: the same units held out in each fold.

    Raises:
        NotEnoughDataError: fewer than two differences.
        SettingsError: a size that is not above 0.

    Source:
        Nadeau & Bengio 2003, Machine Learning 52, 239-281, section 3 (corrected resampled t-test);
        Bouckaert & Frank 2004, PAKDD, for repeated folds.
    """
    from scipy.stats import t as student

    values = np.asarray(differences, np.float64).ravel()
    if len(values) < 2:
        raise NotEnoughDataError(f"{len(values)} differences have no variance: give two or more")
    if not (n_train > 0 and n_test > 0):
        raise SettingsError(
            f"n_train {n_train} and n_test {n_test}: give how many were trained on and held out"
        )
    df = len(values) - 1
    if not values.any():
        return CorrectedTTest(0.0, 1.0, df)
    if not np.isfinite(values).all():
        return CorrectedTTest(float("nan"), float("nan"), df)
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    if spread <= _ROUNDING * abs(mean):
        return CorrectedTTest(float("nan"), float("nan"), df)
    t = mean / (spread * np.sqrt(1 / len(values) + n_test / n_train))
    return CorrectedTTest(float(t), float(2 * student.sf(abs(t), df)), df)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """p-values adjusted for how many hypotheses were tested, by Holm's step-down method.

    Args:
        p_values: (h,) one a hypothesis. NaN, a test that could not be made, stays NaN and does
            not count into the family.

    Returns:
        (h,) adjusted p-values; reject where they are at most the level, such as 0.05.

    Raises:
        QueryError: a p-value is outside 0 to 1.

    Source:
        Holm 1979, Scand. J. Statist. 6, 65-70.
    """
    from statsmodels.stats.multitest import multipletests

    found = np.array(p_values, np.float64)
    defined = ~np.isnan(found)
    is_wrong = defined & ~((found >= 0) & (found <= 1))
    if is_wrong.any():
        raise QueryError(f"{found[is_wrong][0]} is no p-value: give numbers between 0 and 1")
    if defined.any():
        found[defined] = multipletests(found[defined], method="holm")[1]
    return found


def _check_counts(n_patients: int, n_draws: int, least: int = 0) -> None:
    """Refuses a cohort without patients, and too few draws."""
    if n_patients < 1:
        raise NotEnoughDataError(f"{n_patients} patients cannot be resampled: add patients")
    if n_draws < least:
        raise SettingsError(f"{n_draws} draws are too few: ask for {least} or more")
