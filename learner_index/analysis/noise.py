"""The noise floor: how far apart scans lie that should be alike, and which changes lie beyond it.

Which space and which axis its differences are seen in is the caller's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Integers, Reals
from learner_index.analysis.space import shrunk_covariance
from learner_index.data.progression import Verdict
from learner_index.data.reference import NoiseFloor
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

_ROUNDING = 1e-12  # values closer than this are equal


@dataclass(frozen=True, slots=True, eq=False)
class RepeatPairs:
    """Scans that show the same: rows of the first and second of each pair, in order of the first.

    Attributes:
        first, second: (r,) rows; no scan is in two pairs.
        is_independent: every pair has a scan marked as an independent repeat.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    is_independent: bool


def fit_noise_floor(
    embeddings: Reals, group: Integers, patient: Integers, is_rescan: NDArray[np.bool_]
) -> NoiseFloor | None:
    """How far repeats of one patient, visit, view and modality lie apart; None without repeats.

    A scan marked `rescan` is independent of all others of its group. It is paired with an unmarked
    one while there are some, then with another marked one; no scan is in two pairs. Where the
    cohort has such a pair, no other is used. Else the unmarked scans of a group are paired in order
    of rows: those of one session share the patient's position and the machine's settings, so what
    they show is a lower bound.

    Args:
        embeddings: (n, e).
        group: (n,) number of each scan's patient, visit, view and modality together, such as
            `Visits.scan_group`.
        patient: (n,) number of each scan's patient.
        is_rescan: (n,) True for scans marked as independent repeats.

    Returns:
        Differences in order of rows, the later row minus the earlier one.

    Raises:
        QueryError: a group has scans of two patients, the lengths differ, or a repeat's embedding
            holds NaN or infinity.
    """
    pairs = repeat_pairs(group, patient, is_rescan)
    if len(embeddings) != len(patient):
        raise QueryError(
            f"{len(embeddings)} embeddings of {len(patient)} scans: give one row a scan in each"
        )
    if pairs is None:
        return None
    return NoiseFloor(
        differences=_differences(embeddings, pairs.first, pairs.second),
        owners=np.unique(np.asarray(patient)[pairs.first], return_inverse=True)[1].astype(np.int64),
        is_independent=pairs.is_independent,
    )


def repeat_pairs(
    group: Integers, patient: Integers, is_rescan: NDArray[np.bool_]
) -> RepeatPairs | None:
    """The scans that `fit_noise_floor` compares; arguments as there. None without repeats."""
    marked, owners = np.asarray(is_rescan, np.bool_), np.asarray(patient)
    sizes = {len(group), len(owners), len(marked)}
    if len(sizes) > 1:
        raise QueryError(f"arrays of {sorted(sizes)} scans: give one row a scan in each")
    codes = np.unique(np.asarray(group), return_inverse=True)[1]
    is_independent = bool((marked & (np.bincount(codes)[codes] > 1)).any())
    place = _places(2 * codes + marked)
    slots = _slots(codes, marked, place) if is_independent else place // 2
    first, second = _pairs(codes, slots)
    if not len(first):
        return None
    strays = np.flatnonzero(owners[first] != owners[second])
    if len(strays):
        one, other = owners[first[strays[0]]], owners[second[strays[0]]]
        raise QueryError(f"patients {one} and {other} share a group: number groups by patient too")
    return RepeatPairs(first, second, is_independent)


def noise_covariance(floor: NoiseFloor) -> Floats:
    """Covariance of the noise of one scan, patients weighted equally.

    It is half the covariance of a difference. Differences have mean 0, since which scan comes
    first is arbitrary: nothing is subtracted.

    Returns:
        (e, e) E[d dᵀ]/2 over patients, shrunk towards a multiple of the identity by how well the
        patients determine it; squared units of the embedding.

    Raises:
        NotEnoughDataError: fewer than two patients have repeats, or all repeats are equal.

    Source:
        Shrinkage as in `space.fit_whitening`: Ledoit & Wolf 2004.
    """
    counts = np.bincount(floor.owners)
    if len(counts) < 2 or not floor.differences.any():
        raise NotEnoughDataError(
            f"no noise in {len(floor.owners)} pairs of repeats of {len(counts)} patients: "
            "add repeats that differ, of two patients or more"
        )
    weights = 2.0 * counts[floor.owners] * len(counts)
    rows = floor.differences.astype(np.float64) / np.sqrt(weights)[:, None]
    return shrunk_covariance(rows, floor.owners, len(counts))


def length_p_values(lengths: Reals, scales: Reals, floor_lengths: Reals) -> Floats:
    """How often noise alone would move a visit as far as each transition did.

    It holds for the length of a delta and for the size |g·d| of its part on an axis alike, when
    both sides are seen in one space. Pairs of repeats count equally, whosever they are.

    Args:
        lengths: (t,) lengths of deltas; NaN stays NaN.
        scales: (t,) spread of a delta's noise over that of a difference of two single scans, above
            0. Below 1, because visits average over repeats and views: √(1/(m r)) over m views with
            r scans each, in general the root of half the sum of squares of a row of
            `Transitions.difference`. The noise of different scans and views is taken as
            independent. Where it is not, noise is larger than that and p too small.
        floor_lengths: (r,) lengths of differences of repeats.

    Returns:
        (t,) (1 + repeats at least as far apart) / (r + 1); small means more than noise.

    Raises:
        NotEnoughDataError: there are no repeats.
        QueryError: a scale is not above 0, or a repeat's length is not finite.

    Source:
        Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9(1), 39: p = (b + 1) / (m + 1).
    """
    floor = np.sort(_finite(floor_lengths))
    scale = np.asarray(scales, np.float64)
    if (scale <= 0).any():
        raise QueryError(f"a scale of {scale.min()}: give how noisy a delta is, above 0")
    reached = np.asarray(lengths, np.float64) / scale
    n_beyond = len(floor) - np.searchsorted(floor, reached * (1 - _ROUNDING))
    return np.where(np.isnan(reached), np.nan, (1 + n_beyond) / (len(floor) + 1))


def cosine_p_values(cosines: Reals, direction: Reals, differences: Reals) -> Floats:
    """How often noise alone would point along a direction as well as each transition does.

    One-sided: a larger cosine is more extreme. The sign of a difference of repeats is arbitrary,
    so it counts with both, and so does the transition itself: exact for noise without a preferred
    sign. A difference of 0 has no direction; its cosine is 0.

    Args:
        cosines: (t,) cosine of each delta with the direction; NaN stays NaN.
        direction: (e,) such as a query's delta.
        differences: (r, e) of repeats, in the direction's space.

    Returns:
        (t,) p = #{values in {±null, ±c} ≥ c} / (2r + 2).

    Raises:
        NotEnoughDataError: there are no repeats.
        QueryError: the direction is 0 or not finite, or a difference is not finite.

    Source:
        Phipson & Smyth 2010, as in `length_p_values`, on both signs.
    """
    null = np.sort(_finite(_cosines(differences, np.asarray(direction, np.float64))))
    found = np.asarray(cosines, np.float64)
    least = found - _ROUNDING
    n_beyond = len(null) - np.searchsorted(null, least)  # plus signs
    n_beyond += np.searchsorted(null, -least, side="right")  # minus signs
    n_beyond += 1 + (-found >= least)  # the transition itself, and its mirror image
    return np.where(np.isnan(found), np.nan, n_beyond / (2 * len(null) + 2))


def benjamini_hochberg(p_values: Reals) -> Floats:
    """p-values adjusted so that few of those called changed are not, whatever is looked at.

    The family is what could have been called. Hits of a search were chosen for their cosines and
    have small p for that alone: adjust over all eligible transitions, then read off the hits.

    Args:
        p_values: (h,) one a hypothesis. NaN, a test that could not be made, stays NaN and does
            not count into the family.

    Returns:
        (h,) adjusted p-values; of those at most q, a share of at most q is false on average.

    Raises:
        QueryError: a p-value is outside 0 to 1.

    Source:
        Benjamini & Hochberg 1995, JRSS B 57(1), 289-300. p-values that share one noise floor
        depend positively, which it allows: Bates et al. 2023, "Testing for outliers with
        conformal p-values".
    """
    found = np.array(p_values, np.float64)
    defined = ~np.isnan(found)
    is_wrong = defined & ~((found >= 0) & (found <= 1))
    if is_wrong.any():
        raise QueryError(f"{found[is_wrong][0]} is no p-value: give numbers between 0 and 1")
    order = np.flatnonzero(defined)[np.argsort(-found[defined], kind="stable")]  # largest first
    ranks = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1.0, np.minimum.accumulate(found[order] * len(order) / ranks))
    return found


def verdicts(
    on_axis: Reals,
    p_values: Reals | None,
    alpha: float,
    is_sure: NDArray[np.bool_] | None = None,
) -> list[Verdict]:
    """What each transition was: worsening, improving or steady, where a noise floor can tell.

    Args:
        on_axis: (t,) change along the severity axis, any unit; positive is worse.
        p_values: (t,) chance of such a change by noise alone; NaN is unknown. None: of all.
        alpha: a change with p above it is steady, between 0 and 1.
        is_sure: (t,) whether it is known which way a change went. None: of all.

    Returns:
        One a transition; "no noise floor" where p is unknown, "steady" where nothing moved, and
        "uncertain" for a change beyond noise that is not sure.

    Raises:
        SettingsError: alpha is no share.
        QueryError: a change beyond noise has no known sign.
    """
    if not 0 < alpha < 1:
        raise SettingsError(f"alpha {alpha} is no share: give one between 0 and 1, such as 0.1")
    change = np.asarray(on_axis, np.float64)
    p = np.full(len(change), np.nan) if p_values is None else np.asarray(p_values, np.float64)
    is_beyond = p <= alpha  # False where p is NaN
    strays = np.flatnonzero(is_beyond & np.isnan(change))
    if len(strays):
        raise QueryError(
            f"transition {strays[0]} changed, but not known which way: give its change on the axis"
        )
    names: list[Verdict] = ["steady", "worsening", "improving", "uncertain", "no noise floor"]
    kinds = np.where(is_beyond, np.sign(change), 0.0) % 3  # 0, 1, 2 for -1
    if is_sure is not None:
        kinds = np.where((kinds > 0) & ~is_sure, 3, kinds)
    return [names[kind] for kind in np.where(np.isnan(p), 4, kinds).astype(int)]


def band(floor_values: Reals, owners: Integers, *, level: float = 0.9) -> float:
    """Half-width of the band around 0 that repeats stay in, patients weighted equally.

    Args:
        floor_values: (r,) differences of repeats along an axis; their sign does not matter.
        owners: (r,) number of each pair's patient.
        level: share of repeats within, between 0 and 1.

    Returns:
        The smallest b with |x| ≤ b for that share, in units of the values.

    Raises:
        NotEnoughDataError: there are no repeats.
        QueryError: a value is not finite.
        SettingsError: the level is no share.
    """
    if not 0 < level < 1:
        raise SettingsError(f"level {level} is no share: give one between 0 and 1, such as 0.9")
    sizes = np.abs(_finite(floor_values))
    codes, counts = np.unique(owners, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(sizes)
    reached = np.cumsum(1.0 / (counts[codes] * len(counts))[order])
    place = int(np.searchsorted(reached, level - _ROUNDING))
    return float(sizes[order[min(place, len(order) - 1)]])


def _places(key: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) how many rows before this one have its key."""
    order, counts = np.argsort(key, kind="stable"), np.bincount(key)
    places = np.empty(len(key), np.int64)
    places[order] = np.arange(len(key)) - (np.cumsum(counts) - counts)[key[order]]
    return places


def _slots(
    codes: NDArray[np.int64], marked: NDArray[np.bool_], place: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(n,) number of the pair a scan is for within its group; spare unmarked scans are alone."""
    n_unmarked = (np.bincount(codes) - np.bincount(codes[marked], minlength=codes.max() + 1))[codes]
    is_spare = marked & (place >= n_unmarked)
    return np.where(is_spare, n_unmarked + (place - n_unmarked) // 2, place)


def _pairs(
    codes: NDArray[np.int64], slots: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and second row of each pair of one group and slot, in order of the first."""
    order = np.lexsort((slots, codes))
    is_pair = (np.diff(codes[order]) == 0) & (np.diff(slots[order]) == 0)
    first, second = order[:-1][is_pair], order[1:][is_pair]
    by_row = np.argsort(first)
    return first[by_row], second[by_row]


def _differences(
    embeddings: Reals, first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.float32]:
    """(r, e) second minus first."""
    with np.errstate(invalid="ignore", over="ignore"):
        found = embeddings[second]
        found -= embeddings[first]
        differences = found.astype(np.float32, copy=False)
    if not np.isfinite(differences).all():
        raise QueryError("a repeat's embedding holds NaN or infinity: look for a diverged encoder")
    return differences


def _cosines(differences: Reals, direction: Floats) -> Floats:
    """(r,) cosine of each difference with the direction; 0 for a difference of 0."""
    size = float(np.linalg.norm(direction))
    if not (size > 0 and np.isfinite(size)):
        raise QueryError(f"a direction of length {size} points nowhere: give one that moved")
    along = np.einsum("re,e->r", differences, direction / size, dtype=np.float64)
    lengths = np.sqrt(np.einsum("re,re->r", differences, differences, dtype=np.float64))
    return np.asarray(along / np.where(lengths == 0, 1.0, lengths))


def _finite(values: Reals) -> Floats:
    """(r,) values of repeats, if there are any and all are numbers."""
    if len(values) == 0:
        raise NotEnoughDataError("no repeats, no noise floor: scan some patients twice")
    found = np.asarray(values, np.float64)
    if not np.isfinite(found).all():
        raise QueryError("a repeat's difference is NaN or infinite: look for a diverged encoder")
    return found
