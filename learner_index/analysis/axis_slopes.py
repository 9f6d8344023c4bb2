"""Slopes of the health score: over all dimensions at once, and along the severity axis.

The first, by ridge regression, are what the axis is made of; the others say what a step along it
means between patients and within one, for an axis may tell patients apart and still miss how one
patient changes. Folds and draws of patients are left to `severity`.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats
from learner_index.analysis.resample import draw_weights, interval

PENALTIES = tuple(10.0 ** (power / 2) for power in range(8, -13, -1))  # strongest first: wins ties
_FLAT = 1e-20  # share of all variance below which variance is rounding
_BLOCK = 2048  # visits whose outer products are summed at a time, to stay in cache
_DRAWS = 1000  # of the slope within patients
_LEAST_DRAWS = 200
_CELLS = 10_000_000  # patients times draws held in memory


@dataclass(frozen=True, slots=True)
class Slopes:
    """Score units per unit of position; below 0 where the score falls as positions rise.

    Attributes:
        between: over patients' means.
        within: over visits less their patient's means.
        within_low, within_high: 95 % patient-bootstrap interval of `within`, positions held fixed.
        n_followed: patients with two visits or more.
    """

    between: float
    within: float
    within_low: float
    within_high: float
    n_followed: int


def ridge_path(rows: Floats, score: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """What each dimension adds to the health score, shrunk by each penalty of `PENALTIES`.

    Least squares with an intercept that is not shrunk, plus penalty times the mean eigenvalue of
    the covariance times the squared length of the slopes. One eigendecomposition serves all
    penalties: of the covariance, or of the visits' products where these are fewer.

    Args:
        rows: (v, e) of variance about 1 in all.
        score: (v,) of variance about 1.
        weight: (v,) of visits, 0 to leave one out; some above 0. They need not sum to 1.

    Returns:
        (g, e) slopes and (g,) intercepts, one a penalty; slopes 0 where nothing varies.

    Source:
        Hoerl & Kennard 1970, Technometrics 12, 55-67.
    """
    part = _Part.of(rows, score, weight)
    if part.is_flat:
        return np.zeros((len(PENALTIES), part.width)), np.full(len(PENALTIES), part.level)
    values, vectors = np.linalg.eigh(part.gram)
    shrunk = np.maximum(values, 0.0) + np.asarray(PENALTIES)[:, None] * part.mean_eigenvalue
    slopes = part.expand(((part.cross @ vectors) / shrunk) @ vectors.T)
    return slopes, part.level - slopes @ part.mean


def ridge(rows: Floats, score: Floats, weight: Floats, penalty: float) -> Floats:
    """(e,) the slopes of `ridge_path` at one penalty, above 0; cheaper than all of them."""
    from scipy.linalg import solve

    part = _Part.of(rows, score, weight)
    if part.is_flat:
        return np.zeros(part.width)
    penalized = part.gram + penalty * part.mean_eigenvalue * np.eye(len(part.gram))
    return part.expand(solve(penalized, part.cross, assume_a="pos", overwrite_a=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Normal equations of some visits, over dimensions or, where they are fewer, over visits.

    gram, cross: their two sides, without penalty; rows: None over dimensions, else (n, e) what
    turns a solution over visits into slopes; mean (e,), level: weighted means of rows and of
    scores; is_flat: nothing varies but by rounding.
    """

    gram: Floats
    cross: Floats
    rows: Floats | None
    mean: Floats
    level: float
    is_flat: bool

    @classmethod
    def of(cls, rows: Floats, score: Floats, weight: Floats) -> Self:
        """Those of visits with a weight above 0."""
        used = np.flatnonzero(weight)
        share = weight[used] / weight[used].sum()
        root, level = np.sqrt(share), float(share @ score[used])
        target = root * (score[used] - level)
        mean = (weight / weight[used].sum()) @ rows
        if len(used) < rows.shape[1]:
            kept = _weighted(rows, used, mean, root)
            gram, cross = kept @ kept.T, target
        else:
            kept = None
            gram, cross = np.zeros((rows.shape[1],) * 2), np.zeros(rows.shape[1])
            for start in range(0, len(used), _BLOCK):
                part = slice(start, start + _BLOCK)
                block = _weighted(rows, used[part], mean, root[part])
                gram += block.T @ block
                cross += target[part] @ block
        is_flat = bool(np.trace(gram) <= _FLAT or target @ target <= _FLAT)
        return cls(gram, cross, kept, mean, level, is_flat)

    @property
    def width(self) -> int:
        """Dimensions."""
        return len(self.mean)

    @property
    def mean_eigenvalue(self) -> float:
        """Mean variance over dimensions."""
        return float(np.trace(self.gram)) / self.width

    def expand(self, solution: Floats) -> Floats:
        """(..., e) slopes of a solution."""
        return np.asarray(solution if self.rows is None else solution @ self.rows)


def _weighted(rows: Floats, used: NDArray[np.intp], mean: Floats, root: Floats) -> Floats:
    """(n, e) some rows less their mean, times the root of their weight."""
    found: Floats = rows[used]
    found -= mean
    found *= root[:, None]
    return found


def fit_slopes(
    position: Floats, score: Floats, codes: NDArray[np.int64], *, seed: int = 0
) -> Slopes:
    """What a step along the axis means in health score, between patients and within one.

    Patients weigh equally, however many visits they have. A slope is NaN where positions do not
    vary, and the one within also where nobody has two visits.

    Args:
        position: (v,) of each visit.
        score: (v,) health score of each visit, all known.
        codes: (v,) patient of each visit, numbered 0 to p - 1.
        seed: of the bootstrap.

    Source:
        Between- and within-cluster regression: Neuhaus & Kalbfleisch 1998, Biometrics 54, 638-645.
    """
    counts = np.bincount(codes).astype(np.float64)
    means = np.bincount(codes, position) / counts  # (p,)
    mean_scores = np.bincount(codes, score) / counts
    moved, changed = position - means[codes], score - mean_scores[codes]
    far = means - means.mean()
    floor = _FLAT * (float(np.mean(position**2)) + float(far @ far))
    followed = counts > 1
    along = (np.bincount(codes, moved * changed) / counts)[followed]
    spread = (np.bincount(codes, moved * moved) / counts)[followed]
    drawn = _drawn(along, spread, floor, seed)
    return Slopes(
        between=_ratio(float(far @ mean_scores), float(far @ far), floor),
        within=_ratio(float(along.sum()), float(spread.sum()), floor),
        within_low=drawn[0],
        within_high=drawn[1],
        n_followed=int(np.count_nonzero(followed)),
    )


def _drawn(along: Floats, spread: Floats, floor: float, seed: int) -> tuple[float, float]:
    """Ends of the bootstrap interval of a ratio of sums over patients."""
    if not len(along) or spread.sum() <= floor:
        return float("nan"), float("nan")
    n_draws = int(np.clip(_CELLS // len(along), _LEAST_DRAWS, _DRAWS))
    weights = draw_weights(len(along), n_draws, seed)
    top, bottom = weights @ along, weights @ spread
    flat = bottom <= floor
    found = interval(np.where(flat, np.nan, top / np.where(flat, 1.0, bottom)))
    return found.low, found.high


def _ratio(top: float, bottom: float, floor: float) -> float:
    """Their ratio, NaN over no more than rounding."""
    return top / bottom if bottom > floor else float("nan")
