"""Does the order of a space follow health: triplets, neighbours, retrieval and predictions.

All measures are given as `by_patient` records or as rows for one, so that the caller resamples
patients. Distances are raw cosine unless told; `space.look` gives the other ways.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.by_patient import (
    AcrossPatients,
    ByPatient,
    PatientRows,
    patient_names,
    patient_rows,
    sampled_rows,
)
from learner_index.analysis.distance import (
    Floats,
    Names,
    Reals,
    pair_distance,
    patient_codes,
    view_codes,
)
from learner_index.config import Metric
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError, SplitError

MAX_TRIPLETS = 20_000
_BLOCK = 256  # queries measured at a time
_DIGITS = 12  # cosines equal to so many digits are ties
_NOISE = 1e-12  # share below which a length, or a weight, is rounding


@dataclass(frozen=True, slots=True, eq=False)
class NeighborErrors:
    """How far off the score of similar training scans is, beside that of no scan at all.

    Attributes:
        error: (t,) absolute error of the mean score of the neighbours, in score units; NaN where
            the score is unknown.
        median_error: (t,) that of the training median.
    """

    error: Floats
    median_error: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """How well transitions find those of other patients that are like them.

    Attributes:
        ndcg: (t,) of each query, 0 to 1, 1 is best; NaN where nothing relevant could be found.
        chance: (t,) what random ranking is expected to reach; NaN in the same rows.
    """

    ndcg: Floats
    chance: Floats


def triplet_ordinality(
    embeddings: Reals,
    score: Reals,
    patient: Names,
    *,
    view: Names | None = None,
    metric: Metric = "cosine",
    center: Reals | None = None,
    max_triplets: int = MAX_TRIPLETS,
    seed: int = 0,
) -> AcrossPatients:
    """Of two scans, how often the one nearer in health score is also nearer in the space.

    A triplet is an anchor and two scans of patients other than the anchor's, one of them nearer
    in score; value 1 if it is also nearer in the space, 1/2 for equal distances, else 0. All
    triplets are taken while there are at most `max_triplets`, each weighing 1/(n_a n_j n_k) for
    patients of n scored scans; otherwise as many are drawn with those chances, with replacement:
    patients at random, then a scan of each.

    Args:
        embeddings: (n, e).
        score: (n,) health scores, NaN where unknown.
        patient: (n,) patient of each scan.
        view: (n,) views; a triplet shows one view. None: views do not matter.
        metric: which distance.
        center: (e,) what "centered" subtracts; None for other metrics.
        max_triplets: the most there may be.
        seed: of the sample, which the order of rows decides too.

    Returns:
        Triplets whose mean is 1/2 for a space that knows nothing and 1 for one in order of health.

    Raises:
        NotEnoughDataError: fewer than three patients have scores, or no triplet differs in score.
        QueryError, SettingsError: as in `distance.pair_distance`.

    Source:
        The order that Zha et al. 2023, "Rank-N-Contrast", ask of features, counted on triplets.
    """
    scores, codes = np.asarray(score, np.float64), patient_codes(patient)
    rows = patient_rows(patient, np.isfinite(scores))
    views = np.zeros(len(codes), np.int64) if view is None else view_codes(view)
    triplets, is_exact = _triplets(rows, (codes, scores, views), max_triplets, seed)
    one, other = (pair_distance(embeddings, triplets[:, [0, i]], metric, center) for i in (1, 2))
    value = 0.5 + 0.5 * np.sign(other - one) * _nearer(scores, triplets)
    owner = codes[triplets]
    weight = 1.0 / np.prod(rows.count[owner], axis=1) if is_exact else np.ones(len(owner))
    return AcrossPatients(value, weight, owner, patient_names(patient))


def neighbor_score_error(
    train_embeddings: Reals,
    train_score: Reals,
    train_patient: Names,
    test_embeddings: Reals,
    test_score: Reals,
    *,
    k: int = 5,
    metric: Metric = "cosine",
    center: Reals | None = None,
    test_patient: Names | None = None,
) -> NeighborErrors:
    """How far off the mean score of the nearest training patients is, and the training median.

    Each training patient answers with the scan nearest to the query; the k nearest of those
    count, all of them where there are fewer. Of equal distances the first patient in order of
    names is nearer. Unscored training scans are left out; patients weigh equally in the median.

    Args:
        train_embeddings: (n, e).
        train_score: (n,) health scores, NaN where unknown.
        train_patient: (n,) patient of each training scan.
        test_embeddings: (t, e).
        test_score: (t,) health scores; NaN gives NaN.
        k: neighbours, 1 or more.
        metric: which distance.
        center: (e,) what "centered" subtracts; None for other metrics.
        test_patient: (t,) to check that nobody is in both; None: the caller has.

    Raises:
        NotEnoughDataError: no training scan has a score.
        SplitError: a test patient was trained on.
        QueryError, SettingsError: k below 1; as in `distance.pair_distance`.
    """
    _check_k(k)
    if test_patient is not None:
        _check_apart(train_patient, test_patient)
    used = np.flatnonzero(np.isfinite(np.asarray(train_score, np.float64)))
    if len(used) == 0:
        raise NotEnoughDataError(f"none of {len(train_score)} training scans has a health score")
    owners = patient_codes(np.asarray(train_patient, dtype=object)[used])
    used, owners = used[np.argsort(owners, kind="stable")], np.sort(owners)
    scores, target = np.asarray(train_score, np.float64)[used], np.asarray(test_score, np.float64)
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    guess = np.empty(len(target))
    table = np.asarray(train_embeddings)[used]
    for rows, distance in cross_distances(test_embeddings, table, metric, center):
        nearest = np.minimum.reduceat(distance, first, axis=1)  # (block, p)
        is_nearest = distance == nearest[:, owners]
        places = np.where(is_nearest, np.arange(len(owners)), len(owners))
        scan = np.minimum.reduceat(places, first, axis=1)
        order = np.argsort(nearest, axis=1, kind="stable")[:, :k]
        guess[rows] = scores[np.take_along_axis(scan, order, axis=1)].mean(axis=1)
    return NeighborErrors(np.abs(guess - target), np.abs(_median(scores, owners) - target))


def retrieval_ndcg(
    delta: Reals,
    relevance: Reals | Callable[[int], Reals],
    patient: Names,
    *,
    k: int = 10,
) -> Retrieval:
    """Whether the transitions most alike in direction are those that matter, for each transition.

    Every transition ranks those of other patients by the cosine of their deltas; equal cosines
    share the mean of their places. A delta of length 0 is at cosine 0 to all.

    Args:
        delta: (t, e) later embedding minus earlier.
        relevance: (t, t) how much column matters to row, 0 or more; or a function of the row that
            gives its (t,). What it says of the patient's own transitions is not used.
        patient: (t,) patient of each transition.
        k: places that count.

    Raises:
        QueryError: a relevance is negative or no number, or a delta holds NaN or infinity.
        SettingsError: k below 1.

    Source:
        Järvelin & Kekäläinen 2002, with relevance itself as gain and discount 1/log2(place + 1);
        ties after McSherry & Najork 2008; chance: every candidate is as likely in every place.
    """
    _check_k(k)
    codes = patient_codes(patient)
    found, chance = np.full(len(codes), np.nan), np.full(len(codes), np.nan)
    for rows, distance in cross_distances(delta, delta, "cosine", None):
        for row, away in zip(np.arange(len(codes))[rows], distance, strict=True):
            others = codes != codes[row]
            gains = relevance(int(row)) if callable(relevance) else relevance[row]
            gain = np.asarray(gains, np.float64)[others]
            if not (np.isfinite(gain).all() and (gain >= 0).all()):
                raise QueryError(f"relevance of transition {row} is negative or no number")
            found[row], chance[row] = _ndcg(gain, away[others], k)
    return Retrieval(found, chance)


def concordance_within(prediction: Reals, score: Reals, patient: Names) -> ByPatient:
    """How often the better of two scans of one patient is also predicted to be the better.

    Over pairs of one patient's scans whose scores differ; equal predictions count half. Scans
    with unknown score are left out. `mean(pooled=True)` is the concordance index over all pairs.

    Args:
        prediction: (n,) predicted health score; higher is healthier.
        score: (n,) health scores, NaN where unknown.
        patient: (n,) patient of each scan.

    Returns:
        Each patient's share, 1 is best and 1/2 chance, and number of pairs.

    Raises:
        QueryError: a prediction is NaN where the score is known, or a scan has no patient.

    Source:
        Harrell et al. 1982, concordance index without censoring, within patients.
    """
    guesses, scores = np.asarray(prediction, np.float64), np.asarray(score, np.float64)
    known = np.isfinite(scores)
    if np.isnan(guesses[known]).any():
        raise QueryError(
            f"{np.isnan(guesses[known]).sum()} of {known.sum()} scored scans have no prediction"
        )
    rows = patient_rows(patient, known)
    value = np.full(len(rows.count), np.nan)
    count = np.zeros(len(rows.count), np.int64)
    for number, (start, n) in enumerate(zip(rows.first, rows.count, strict=True)):
        own = rows.rows[start : start + n]
        one, other = np.triu_indices(n, 1)
        ordered = np.sign(scores[own[one]] - scores[own[other]])
        guessed = np.sign(guesses[own[one]] - guesses[own[other]])
        count[number] = np.count_nonzero(ordered)
        if count[number]:
            value[number] = np.mean(0.5 + 0.5 * (ordered * guessed)[ordered != 0])
    return ByPatient(value, count, patient_names(patient))


def cross_distances(
    queries: Reals, gallery: Reals, metric: Metric, center: Reals | None
) -> Iterator[tuple[slice, Floats]]:
    """Distance of every query to all of a gallery, a block of queries at a time.

    Yields:
        The rows of the block, and (block, n) distances as of `distance.pair_distance`.

    Raises:
        QueryError, SettingsError: as in `distance.pair_distance`.
    """
    pair_distance(gallery, np.empty((0, 2), np.int64), metric, center)  # refuses the metric
    if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
        raise QueryError("an embedding holds NaN or infinity: look for a diverged encoder")
    origin = np.asarray(center if metric == "centered" else 0.0, np.float64)
    columns = np.asarray(gallery, np.float64) if metric == "euclidean" else _unit(gallery, origin)
    for start in range(0, len(queries), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(queries)))
        if metric == "euclidean":
            yield rows, _lengths(queries[rows], columns)
        else:
            cosine = _unit(queries[rows], origin) @ columns.T
            yield rows, np.clip(np.round(1.0 - cosine, _DIGITS), 0.0, 2.0)


def _unit(rows: Reals, origin: Floats) -> Floats:
    """(n, e) directions seen from the origin; 0 for rows that equal it, so that they are at 1."""
    moved = np.asarray(rows, np.float64) - origin
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    lengths[lengths <= _NOISE * np.linalg.norm(origin)] = np.inf
    return np.asarray(moved / lengths)


def _lengths(rows: Reals, columns: Floats) -> Floats:
    """(block, n) Euclidean distances, rounded nowhere."""
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(np.asarray(rows, np.float64), columns))


def _nearer(scores: Floats, triplets: NDArray[np.int64]) -> Floats:
    """(m,) 1 where the second scan is nearer to the first in score than the third, -1, 0 if not."""
    anchor, one, other = scores[triplets].T
    return np.asarray(np.sign(np.abs(anchor - other) - np.abs(anchor - one)))


def _triplets(
    rows: PatientRows,
    columns: tuple[NDArray[np.int64], Floats, NDArray[np.int64]],
    limit: int,
    seed: int,
) -> tuple[NDArray[np.int64], bool]:
    """(m, 3) triplets of one view that differ in score, and whether they are all there are."""
    codes, scores, views = columns

    def is_useful(t: NDArray[np.int64]) -> NDArray[np.bool_]:
        is_one_view = (views[t[:, :1]] == views[t[:, 1:]]).all(axis=1)
        return np.asarray(is_one_view & (_nearer(scores, t) != 0))

    others = rows.count.sum() - rows.count
    is_exact = bool(np.sum(rows.count * others * (others - 1)) // 2 <= limit)
    if is_exact:
        found = _all_triplets(rows, codes)
        found = found[is_useful(found)]
    else:
        found = sampled_rows(rows, 3, limit, is_useful, np.random.default_rng(seed))
    n_patients = np.count_nonzero(rows.count)
    if n_patients < 3 or len(found) == 0:
        raise NotEnoughDataError(
            f"{n_patients} patients with scores make {len(found)} triplets that differ in score: "
            "three patients whose scores differ are needed"
        )
    return found, is_exact


def _all_triplets(rows: PatientRows, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(m, 3) every used row before every two of other patients, the two in one order only."""
    found = [np.empty((0, 3), np.int64)]
    for anchor in rows.rows:
        others = rows.rows[codes[rows.rows] != codes[anchor]]
        one, other = np.triu_indices(len(others), 1)
        found.append(np.column_stack([np.full(len(one), anchor), others[one], others[other]]))
    return np.concatenate(found)


def _ndcg(gain: Floats, distance: Floats, k: int) -> tuple[float, float]:
    """Gain of candidates in order of distance, and of random order; NaN where nothing matters."""
    discount = 1.0 / np.log2(np.arange(2, len(gain) + 2))
    discount[k:] = 0.0
    best = float(np.sort(gain)[::-1] @ discount)
    if best == 0:
        return float("nan"), float("nan")
    _, group, size = np.unique(distance, return_inverse=True, return_counts=True)
    upto = np.concatenate([[0.0], np.cumsum(discount)])
    last = np.cumsum(size)
    places = (upto[last] - upto[last - size]) / size  # mean discount of each set of ties
    return float(gain @ places[group]) / best, float(gain.mean() * discount.sum()) / best


def _median(scores: Floats, owners: NDArray[np.int64]) -> float:
    """Median of scores whose patients weigh equally; the middle of two where it falls between."""
    order = np.argsort(scores, kind="stable")
    upto = np.cumsum((1.0 / np.bincount(owners)[owners])[order])
    half = 0.5 * upto[-1]
    ends = np.searchsorted(upto, [half * (1 - _NOISE), half * (1 + _NOISE)])
    return float(scores[order][ends].mean())


def _check_k(k: int) -> None:
    """Refuses fewer than one neighbour."""
    if k < 1:
        raise SettingsError(f"k {k} is no number of neighbours: give 1 or more")


def _check_apart(train_patient: Names, test_patient: Names) -> None:
    """Refuses a patient who is trained on and tested."""
    both = sorted(set(train_patient) & set(test_patient), key=str)
    if both:
        raise SplitError(f"{len(both)} test patients were trained on, such as {both[0]}")
