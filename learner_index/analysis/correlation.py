"""Correlations of two columns, plain and in many weighted draws at once."""

import numpy as np

from learner_index.analysis.distance import Floats, Reals

_CELLS = 2_000_000  # draws times rows held at a time: 16 MB an array
_LEAST = 3 - 1e-9  # weight a correlation needs; three thirds may add up to a little less than one


def spearman(a: Reals, b: Reals) -> float:
    """Rank correlation of two columns; ties share their mean rank.

    Args:
        a: (m,) one column.
        b: (m,) the other.

    Returns:
        -1 to 1; NaN for fewer than three rows, and where one column is constant.
    """
    from scipy.stats import spearmanr

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def drawn_correlation(a: Reals, b: Reals, weights: Reals, *, ranked: bool) -> Floats:
    """Correlation of two columns in each draw of their rows.

    Args:
        a: (m,) one column, without NaN.
        b: (m,) the other.
        weights: (draws, m) what each row weighs in each draw, 0 or more; whole numbers are
            copies.
        ranked: Spearman, whose ranks are those of the draw, rather than Pearson.

    Returns:
        (draws,) -1 to 1; NaN where a column is constant, and where weights add up to less than 3.
    """
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    center = centered_ranks if ranked else _centered
    found, block = np.empty(len(weights)), max(1, _CELLS // max(1, len(one)))
    for start in range(0, len(weights), block):
        each = np.asarray(weights[start : start + block], np.float64)
        found[start : start + block] = correlation(center(one, each), center(other, each), each)
    return found


def centered_ranks(values: Floats, weights: Floats) -> Floats:
    """(draws, m) twice the mean rank of each value among its draw's copies, less the average.

    Doubling makes every entry a whole number where weights are, so that sums are exact. A column
    that is constant in a draw gives 0, whatever the weights.
    """
    _, first, group = np.unique(np.sort(values), return_index=True, return_inverse=True)
    order = np.argsort(values, kind="stable")
    copies = np.add.reduceat(weights[:, order], first, axis=1)  # (draws, distinct values)
    upto = np.cumsum(copies, axis=1)
    ranks = np.empty_like(weights)
    ranks[:, order] = (2 * upto - copies - upto[:, -1:])[:, group]
    return ranks


def correlation(a: Floats, b: Floats, weights: Floats) -> Floats:
    """(draws,) of columns centred in each draw; NaN as in `drawn_correlation`."""
    together = np.sum(weights * a * b, axis=1)
    spread = np.sqrt(np.sum(weights * a * a, axis=1) * np.sum(weights * b * b, axis=1))
    spread[(spread == 0) | (np.sum(weights, axis=1) < _LEAST)] = np.nan
    return np.asarray(np.clip(together / spread, -1.0, 1.0))


def _centered(values: Floats, weights: Floats) -> Floats:
    """(draws, m) values less their mean in each draw; what is but rounding is 0."""
    mean = np.sum(weights * values, axis=1) / np.maximum(weights.sum(axis=1), 1e-300)
    moved = values - mean[:, None]
    return np.where(np.abs(moved) <= 1e-12 * np.abs(mean)[:, None], 0.0, moved)
