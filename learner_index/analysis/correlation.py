"""Correlations of two columns, plain and in many weighted draws at once."""

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Reals

_CELLS = 2_000_000  # draws times rows held at a time: 16 MB an array


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
        a: (m,) one column.
        b: (m,) the other.
        weights: (draws, m) what each row weighs in each draw, 0 or more; whole numbers are
            copies.
        ranked: Spearman, whose ranks are those of the draw, rather than Pearson.

    Returns:
        (draws,) -1 to 1; NaN where a column is constant.
    """
    found, block = np.empty(len(weights)), max(1, _CELLS // max(1, len(a)))
    for start in range(0, len(weights), block):
        each = np.asarray(weights[start : start + block], np.float64)
        center = centered_ranks if ranked else _centered
        found[start : start + block] = correlation(
            center(np.asarray(a, np.float64), each), center(np.asarray(b, np.float64), each), each
        )
    return found


def centered_ranks(values: Floats, weights: Floats) -> Floats:
    """(draws, m) twice the mean rank of each value among its draw's copies, less the average.

    Doubling makes every entry a whole number, so that sums are exact and constants give 0.
    """
    _, first, group = np.unique(np.sort(values), return_index=True, return_inverse=True)
    order = np.argsort(values, kind="stable")
    copies = np.add.reduceat(weights[:, order], first, axis=1)  # (draws, distinct values)
    upto = np.cumsum(copies, axis=1)
    ranks = np.empty_like(weights)
    ranks[:, order] = (2 * upto - copies - upto[:, -1:])[:, group]
    return ranks


def correlation(a: Floats, b: Floats, weights: Floats) -> Floats:
    """(draws,) of columns centred in each draw; NaN for a constant, or for weights below 3."""
    together = np.sum(weights * a * b, axis=1)
    spread = np.sqrt(np.sum(weights * a * a, axis=1) * np.sum(weights * b * b, axis=1))
    spread[(spread == 0) | (np.sum(weights, axis=1) < 3)] = np.nan
    return np.asarray(np.clip(together / spread, -1.0, 1.0))


def _centered(values: Floats, weights: Floats) -> NDArray[np.float64]:
    """(draws, m) values less their mean in each draw."""
    mean = (weights @ values) / np.maximum(weights.sum(axis=1), 1e-300)
    moved = values - mean[:, None]
    size = np.abs(values).max(initial=0.0)
    return np.where(np.abs(moved) <= 1e-12 * size, 0.0, moved)
