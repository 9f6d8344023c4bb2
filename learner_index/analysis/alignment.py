"""Whose trajectory runs like this one, and how many days later or earlier.

Visits of two patients are paired in order, softly, and none is left out. Which scans make up a
trajectory, and who is compared, is the caller's.

The recursion is that of tslearn, and a test compares them. It is written here over many short
paths at once: one at a time, ten thousand patients took tslearn a minute after ten seconds of
importing, and take this module a fifth of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learner_index.analysis.distance import Floats, Integers, Reals
from learner_index.errors import QueryError, SettingsError

SOFTNESS = 0.1  # γ by default, in squares of the scale
_CELLS = 1 << 17  # numbers of embeddings subtracted at a time
_FAR = 1e140  # squares of what is larger, or sums of them, may overflow

Days = Reals | Integers
Path = tuple[Reals, Days]


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How alike two trajectories are, and how far apart on their patients' own clocks.

    Both first visits and both last ones are always paired. Where one patient was seen over a
    shorter stretch of the same course, `day_shift` is therefore nearer to 0 than the truth.

    Attributes:
        distance: soft-DTW divergence per visit, in squares of the scale: 1 where the visits that
            are paired lie one scale apart. Never below 0, and 0 for equal embeddings whatever the
            days.
        day_shift: mean days from a visit to those it is paired with; positive where the other
            patient reaches the same state later on their own clock.
        shift_spread: SD of these days, less what pairing softly adds; 0 where the other trajectory
            is this one moved by `day_shift`. Never below 0.
        weights: (a, b) share of each pair of visits in the alignment; they sum to 1.
    """

    distance: float
    day_shift: float
    shift_spread: float
    weights: Floats


def align(
    path: Reals,
    days: Days,
    other: Reals,
    other_days: Days,
    *,
    scale: float,
    softness: float = SOFTNESS,
) -> Alignment:
    """How alike two trajectories are, whatever their pace, and how many days apart.

    Pairing visit i of one with visit j of the other costs |x_i - y_j|² / scale². Days have no part
    in the distance. The divergence is D = s(x, y) - (s(x, x) + s(y, y)) / 2, with s the soft
    minimum of the cost over all ways to pair visits in order; `distance` is D / ((a + b) / 2). The
    alignment is the gradient of s(x, y) by the costs. The variance of shifts is corrected as D is:
    by half of that of either trajectory with itself.

    Args:
        path: (a, e) embedding of each visit, in order of day. A single visit is paired with all of
            the other's: allowed, but it shows no change.
        days: (a,) day of each visit.
        other: (b, e) those of the other patient.
        other_days: (b,) their days.
        scale: distance of embeddings that counts as 1: the reference's start bandwidth h_u.
        softness: γ, in squares of the scale. Visits nearer than √γ scales are hardly told apart;
            near 0 is plain dynamic time warping.

    Raises:
        QueryError: a trajectory is empty, not finite, out of order, not of the other's width, or
            without one day a visit.
        SettingsError: scale or softness is not above 0.

    Source:
        Cuturi & Blondel 2017, ICML: soft-DTW, its recursion and its gradient. Blondel, Mensch &
        Vert 2021, AISTATS: the divergence. It is proven there to be never below 0 under conditions
        on the cost. For this cost no exception was found; rounding below 0 is cut off.
    """
    _require_positive(scale, softness)
    unit = (scale, np.sqrt(softness))
    x, day = _scaled(path, days, unit, "the first path")
    y, other_day = _scaled(other, other_days, unit, "the second path")
    _require_width(y, x, "the second path")
    costs, own, theirs = (
        _costs(x[None], y[None]),
        _costs(x[None], x[None]),
        _costs(y[None], y[None]),
    )
    divergence = _soft_minimum(costs) - (_soft_minimum(own) + _soft_minimum(theirs)) / 2
    weights = _pairing(costs[..., 0])
    shift, variance = _shift(weights, day, other_day)
    blur = _shift(_pairing(own[..., 0]), day, day)[1]
    other_blur = _shift(_pairing(theirs[..., 0]), other_day, other_day)[1]
    return Alignment(
        distance=_per_visit(divergence, weights.shape, softness).item(),
        day_shift=shift,
        shift_spread=max(0.0, variance - (blur + other_blur) / 2) ** 0.5,
        weights=weights,
    )


def nearest_paths(
    path: Reals,
    days: Days,
    others: Sequence[Path],
    *,
    scale: float,
    softness: float = SOFTNESS,
    k: int,
) -> list[tuple[int, Alignment]]:
    """The trajectories most like this one, nearest first, each with its alignment.

    What is found for one of them does not depend on which others there are.

    Args:
        path: (a, e) embedding of each visit, in order of day.
        days: (a,) day of each visit.
        others: (b, e) embeddings and (b,) days of each other patient; b may differ. They have two
            visits or more where change is to be compared: a single one shows none.
        scale: distance of embeddings that counts as 1: the reference's start bandwidth h_u.
        softness: γ, in squares of the scale, as in `align`.
        k: how many; all of them where there are fewer.

    Returns:
        Position among the others and alignment, in order of distance, then of position.

    Raises:
        QueryError: as in `align`; the message names the position of the path at fault.
        SettingsError: scale or softness is not above 0, or k below 1.
    """
    _require_positive(scale, softness)
    if k < 1:
        raise SettingsError(f"k is {k}: ask for 1 path or more")
    unit = (scale, np.sqrt(softness))
    x, _ = _scaled(path, days, unit, "the path asked for")
    found = [_scaled(*other, unit, f"path {i}")[0] for i, other in enumerate(others)]
    for i, y in enumerate(found):
        _require_width(y, x, f"path {i}")
    distances = _distances(x, found, softness)
    order = np.argsort(distances, kind="stable")[:k].tolist()
    return [(i, align(path, days, *others[i], scale=scale, softness=softness)) for i in order]


def _require_positive(scale: float, softness: float) -> None:
    """Refuse a scale or softness that nothing can be measured in."""
    if not 0 < scale < np.inf:
        raise SettingsError(
            f"scale is {scale}: give a distance above 0, such as the reference's start bandwidth"
        )
    if not 0 < softness < np.inf:
        raise SettingsError(f"softness is {softness}: give a number above 0, such as 0.1")


def _scaled(path: Reals, days: Days, unit: tuple[float, float], name: str) -> tuple[Floats, Floats]:
    """(a, e) embeddings whose squared distances are costs over γ, and (a,) days; checked."""
    rows, day = np.asarray(path, np.float64), np.asarray(days, np.float64)
    if rows.ndim != 2 or not rows.size:
        raise QueryError(f"{name} has shape {rows.shape}: give one embedding a visit")
    if day.shape != rows.shape[:1]:
        raise QueryError(
            f"{name} has {len(rows)} visits but days of shape {day.shape}: give one day a visit"
        )
    if not (np.isfinite(rows).all() and np.isfinite(day).all()):
        raise QueryError(
            f"{name} has an embedding or a day that is no finite number: leave that visit out"
        )
    if (day[1:] < day[:-1]).any():
        raise QueryError(f"{name} goes back in time: order its visits by day")
    with np.errstate(over="ignore"):
        rows = rows / unit[0] / unit[1]
    if np.abs(rows).max() > _FAR:
        raise QueryError(f"{name} is too far out for scale {unit[0]}: check both")
    return rows, day


def _require_width(rows: Floats, like: Floats, name: str) -> None:
    """Refuse embeddings of another width."""
    if rows.shape[1] != like.shape[1]:
        raise QueryError(
            f"{name} has embeddings of width {rows.shape[1]}, not {like.shape[1]}: "
            "compare paths of one space"
        )


def _distances(x: Floats, others: Sequence[Floats], softness: float) -> Floats:
    """(n,) distance of a path to each of the others; those of one length are taken together."""
    lengths = np.array([len(other) for other in others], np.int64)
    found = np.empty(len(others))
    own = _soft_minimum(_costs(x[None], x[None]))  # (1,)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        block = max(1, _CELLS // (length * max(x.shape[1], len(x) + length)))
        for start in range(0, len(rows), block):
            some = rows[start : start + block]
            y = np.stack([others[i] for i in some])  # (m, b, e)
            between, theirs = _soft_minimum(_costs(x[None], y)), _soft_minimum(_costs(y, y))
            found[some] = _per_visit(between - (own + theirs) / 2, (len(x), length), softness)
    return found


def _per_visit(divergence: Floats, shape: tuple[int, ...], softness: float) -> Floats:
    """(m,) divergences over γ as distances: of one visit, in squares of the scale."""
    return np.maximum(divergence, 0.0) * softness / (sum(shape) / 2)


def _costs(x: Floats, y: Floats) -> Floats:
    """(a, b, m) squared distances between the visits of (m or 1, a, e) and (m, b, e) paths.

    Differences are taken, not inner products: equal embeddings cost exactly 0.
    """
    costs = np.empty((x.shape[1], y.shape[1], len(y)))
    for i in range(len(costs)):
        gaps = y - x[:, i, None]  # (m, b, e)
        costs[i] = np.einsum("mbe,mbe->bm", gaps, gaps)
    return costs


def _soft_minimum(costs: Floats) -> Floats:
    """(m,) soft minimum of the summed cost over all ways to pair the visits in order; γ is 1."""
    return np.asarray(_totals(costs)[-1, -1])


def _totals(costs: Floats) -> Floats:
    """(a + 1, b + 1, m) soft minimum for the first i visits of one and j of the other."""
    a, b, m = costs.shape
    totals = np.full((a + 1, b + 1, m), np.inf)
    totals[0, 0] = 0.0
    for i, j in np.ndindex(a, b):
        least, shares = _steps(totals, i, j)
        totals[i + 1, j + 1] = costs[i, j] + least - np.log(shares[0] + (shares[1] + shares[2]))
    return totals


def _steps(totals: Floats, i: int, j: int) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
    """The least total before pair (i, j), and the shares, not normalized, of the ways to it.

    The ways: both go on by a visit, the first does, the other does. In this order, shares add up to
    the same when the paths are swapped.
    """
    ways = totals[i, j], totals[i, j + 1], totals[i + 1, j]
    least = np.minimum(ways[0], np.minimum(ways[1], ways[2]))
    return least, (np.exp(least - ways[0]), np.exp(least - ways[1]), np.exp(least - ways[2]))


def _pairing(costs: Floats) -> Floats:
    """(a, b) how often each pair is made, of all made, by ways drawn with weight exp(-cost).

    It is the gradient of the soft minimum, traced back from the last pair by the shares of the
    ways to it. The shares add up to 1, so that nothing is lost where costs are high.
    """
    a, b = costs.shape
    totals, visits = _totals(costs[..., None]), np.zeros((a + 1, b + 1))
    visits[a, b] = 1.0
    for i, j in reversed(list(np.ndindex(a, b))):
        _, shares = _steps(totals, i, j)
        both, first, other = np.concatenate(shares) / sum(shares) * visits[i + 1, j + 1]
        visits[i, j] += both
        visits[i, j + 1] += first
        visits[i + 1, j] += other
    return np.asarray(visits[1:, 1:] / visits[1:, 1:].sum())


def _shift(weights: Floats, day: Floats, other_day: Floats) -> tuple[float, float]:
    """Mean and variance of the days from each visit to those it is paired with."""
    gaps = other_day - day[:, None]  # (a, b)
    mean = float((weights * gaps).sum())
    return mean, float((weights * (gaps - mean) ** 2).sum())
