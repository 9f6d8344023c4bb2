"""Do embeddings move when health does: distances and score changes between visits of one patient.

Only scans of one patient are compared, in one view, so that neither anatomy nor view can pass for
disease. Figures are pooled over pairs; intervals come from resampling patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Metric
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

BOOTSTRAPS = 2000
_NOISE = 1e-12  # what centring leaves of a vector, beside the center: below it, rounding
_BLOCK = 2048  # pairs measured at a time
_CELLS = 2_000_000  # draws times pairs ranked at a time: 16 MB an array

Floats = NDArray[np.float64]
Reals = NDArray[np.floating]
Integers = NDArray[np.integer]
Names = Sequence[str | None] | NDArray[np.object_] | pd.Series


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well embedding distance follows the size of the score change within patients.

    Attributes:
        rho: Spearman correlation, pooled over pairs; 1 is best, 0 is none. NaN where it is
            undefined: all distances, or all score changes, are equal.
        low, high: ends of the 95 % percentile interval, from resampling patients; NaN if none.
        n_patients: patients with at least one pair.
        n_pairs: pairs of scans.
        n_bootstraps: draws the interval rests on: those asked for, less those without a rho.
    """

    rho: float
    low: float
    high: float
    n_patients: int
    n_pairs: int
    n_bootstraps: int


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one encoder's distances follow score changes than another's.

    Attributes:
        delta: rho of the first minus rho of the second, averaged over cases; positive favours
            the first. NaN where a rho is undefined.
        low, high: as in `Agreement`; an interval that holds 0 shows nothing.
        n_patients, n_pairs: summed over cases.
        n_bootstraps: as in `Agreement`.
    """

    delta: float
    low: float
    high: float
    n_patients: int
    n_pairs: int
    n_bootstraps: int


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One cohort as two encoders see it.

    Attributes:
        first, second: (n, e1), (n, e2) embeddings by either encoder, same scans in the same rows.
        score: (n,) health scores, NaN where unknown.
        patient, visit, view: (n,) as in `within_patient_pairs`.
        center_first, center_second: (e1,), (e2,) what "centered" subtracts from each; other
            metrics need none.
    """

    first: Reals
    second: Reals
    score: Reals
    patient: Names
    visit: Integers
    view: Names | None
    center_first: Reals | None = None
    center_second: Reals | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """Pairs whose scores are both known; `change` is the size of their difference."""

    pairs: NDArray[np.int64]  # (m, 2) rows
    change: Floats  # (m,) score units, never negative
    owner: NDArray[np.int64]  # (m,) patient, numbered 0 to n_patients - 1 in order of names
    n_patients: int


def within_patient_pairs(patient: Names, visit: Integers, view: Names | None) -> NDArray[np.int64]:
    """Pairs of scans that show one patient in one view at two visits.

    Args:
        patient: (n,) patient of each scan.
        visit: (n,) visit number of each scan; -1 is an unknown visit, which is in no pair.
        view: (n,) view of each scan; None, NaN and "" all mean unknown and match each other.
            None: there are no views.

    Returns:
        (m, 2) row numbers, the smaller first, in order of first and then second row.

    Raises:
        QueryError: a scan has no patient.
    """
    owners, visits = _patient_codes(patient), np.asarray(visit)
    views = np.zeros(len(owners), np.int64) if view is None else _view_codes(view)
    groups = owners * (views.max(initial=0) + 1) + views
    known = np.flatnonzero(visits >= 0)
    rows = known[np.argsort(groups[known], kind="stable")]
    found = [np.empty((0, 2), np.int64)]
    for members in np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1):
        one, other = np.triu_indices(len(members), 1)
        pairs = np.column_stack([members[one], members[other]])
        found.append(pairs[visits[pairs[:, 0]] != visits[pairs[:, 1]]])
    together = np.concatenate(found)
    return together[np.lexsort((together[:, 1], together[:, 0]))]


def patient_mean(embeddings: Reals, patient: Names) -> Floats:
    """Mean over patients of each patient's mean embedding: the center for "centered" distances.

    Args:
        embeddings: (n, e).
        patient: (n,) patient of each scan.

    Returns:
        (e,) a patient with many scans weighs no more than one with few.

    Raises:
        NotEnoughDataError: there are no scans.
    """
    if len(embeddings) == 0:
        raise NotEnoughDataError("no scans to take a mean of: embed scans first")
    codes = _patient_codes(patient)
    counts = np.bincount(codes)
    weights = 1.0 / (counts[codes] * len(counts))
    return np.asarray(np.einsum("n,ne->e", weights, embeddings, dtype=np.float64))


def centered_distance(embeddings: Reals, pairs: Integers, center: Reals) -> Floats:
    """1 minus the cosine between the scans of each pair, both seen from the center.

    Args:
        embeddings: (n, e).
        pairs: (m, 2) row numbers.
        center: (e,) subtracted first, usually `patient_mean` of the patients trained on.

    Returns:
        (m,) 0 is the same direction, 2 the opposite one; 1 where a scan equals the center.
    """
    return pair_distance(embeddings, pairs, "centered", center)


def pair_distance(
    embeddings: Reals, pairs: Integers, metric: Metric = "centered", center: Reals | None = None
) -> Floats:
    """Distance between the two scans of each pair, smaller is closer.

    Args:
        embeddings: (n, e).
        pairs: (m, 2) row numbers.
        metric: "centered" is `centered_distance`; "cosine" subtracts nothing; "euclidean" is the
            length of the difference.
        center: (e,) needed by "centered", ignored by the others.

    Returns:
        (m,) in 0..2 for the first two metrics, in units of the embedding for "euclidean".

    Raises:
        SettingsError: the metric is unknown, or "centered" without a center.
        QueryError: an embedding holds NaN or infinity.
    """
    if metric not in get_args(Metric):
        raise SettingsError(f"metric {metric!r} is unknown: use {', '.join(get_args(Metric))}")
    if metric == "centered" and center is None:
        raise SettingsError('the "centered" distance needs a center: pass patient_mean(...)')
    is_moved = metric == "centered" and center is not None
    origin = np.asarray(center if is_moved else np.zeros(embeddings.shape[1]), np.float64)
    measure = _euclidean if metric == "euclidean" else _cosine
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), _BLOCK):
        rows = pairs[start : start + _BLOCK]
        ends = np.asarray(embeddings[rows.T], np.float64)  # (2, block, e)
        if not np.isfinite(ends).all():
            raise QueryError("an embedding holds NaN or infinity: look for a diverged encoder")
        found[start : start + _BLOCK] = measure(ends, origin)
    return found


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


def distance_agreement(
    embeddings: Reals,
    score: Reals,
    patient: Names,
    visit: Integers,
    view: Names | None,
    *,
    center: Reals | None,
    metric: Metric = "centered",
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Agreement:
    """Whether two scans of one patient lie farther apart the more the health score changed.

    Spearman correlation between embedding distance and size of the score change over all pairs of
    `within_patient_pairs` whose scores are known: pooled over pairs, so that a patient with many
    visits weighs more; interval by patient. Each draw takes as many patients as there are, with
    replacement; a patient drawn twice brings every pair twice.

    Args:
        embeddings: (n, e).
        score: (n,) health scores, NaN where unknown.
        patient: (n,) as in `within_patient_pairs`, like visit and view.
        visit: (n,) visit numbers.
        view: (n,) views, or None.
        center: (e,) what "centered" subtracts; None for other metrics.
        metric: which distance.
        n_bootstraps: draws; 0 gives no interval.
        seed: of the draws.

    Raises:
        NotEnoughDataError: fewer than three patients have a pair.
        SettingsError, QueryError: as in `pair_distance` and `within_patient_pairs`.
    """
    scored = _scored_pairs(score, patient, visit, view)
    distance = pair_distance(embeddings, scored.pairs, metric, center)
    drawn = _bootstrap([distance], scored, n_bootstraps, np.random.default_rng(seed))[0]
    low, high, n_used = _interval(drawn)
    rho = spearman(distance, scored.change)
    return Agreement(rho, low, high, scored.n_patients, len(scored.pairs), n_used)


def compare_agreement(
    cases: Sequence[Case],
    *,
    metric: Metric = "centered",
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Difference:
    """Which of two encoders has distances that follow score changes better, with an interval.

    Each case gives rho of its first minus rho of its second embeddings, as in
    `distance_agreement`; the answer is their mean over cases. A draw resamples the patients of
    each case, independently of the other cases, and measures both encoders on the same patients.

    Args:
        cases: cohorts that share no patients, one for each seed that simulated a cohort. Several
            trainings on one cohort are not several cases: the interval would be too narrow.
        metric: which distance.
        n_bootstraps: draws; 0 gives no interval.
        seed: of the draws.

    Raises:
        NotEnoughDataError: there is no case, or one has fewer than three patients with a pair.
        SettingsError, QueryError: as in `distance_agreement`; a note names the case.
    """
    if not cases:
        raise NotEnoughDataError("no cases to compare: give at least one cohort")
    rng, deltas, drawn = np.random.default_rng(seed), [], np.zeros(n_bootstraps)
    n_patients = n_pairs = 0
    for number, case in enumerate(cases):
        try:
            scored, (first, second) = _measure(case, metric)
        except (NotEnoughDataError, QueryError, SettingsError) as error:
            error.add_note(f"in case {number} of {len(cases)}, counted from 0")
            raise
        deltas.append(spearman(first, scored.change) - spearman(second, scored.change))
        rhos = _bootstrap([first, second], scored, n_bootstraps, rng)
        drawn += (rhos[0] - rhos[1]) / len(cases)
        n_patients, n_pairs = n_patients + scored.n_patients, n_pairs + len(scored.pairs)
    low, high, n_used = _interval(drawn)
    return Difference(float(np.mean(deltas)), low, high, n_patients, n_pairs, n_used)


def _measure(case: Case, metric: Metric) -> tuple[_Scored, list[Floats]]:
    """A case's pairs, and their distances to either encoder."""
    scored = _scored_pairs(case.score, case.patient, case.visit, case.view)
    sides = ((case.first, case.center_first), (case.second, case.center_second))
    return scored, [pair_distance(rows, scored.pairs, metric, center) for rows, center in sides]


def _scored_pairs(score: Reals, patient: Names, visit: Integers, view: Names | None) -> _Scored:
    """The pairs with two known scores; refuses fewer than three patients."""
    scores = np.asarray(score, np.float64)
    pairs = within_patient_pairs(patient, visit, view)
    pairs = pairs[np.isfinite(scores[pairs]).all(axis=1)]
    change = np.abs(scores[pairs[:, 0]] - scores[pairs[:, 1]])
    names, owner = np.unique(_patient_codes(patient)[pairs[:, 0]], return_inverse=True)
    if len(names) < 3:
        raise NotEnoughDataError(
            f"{len(names)} patients have scored scans of one view at two visits "
            f"({len(pairs)} pairs): three patients are needed"
        )
    return _Scored(pairs, change, owner.astype(np.int64), len(names))


def _bootstrap(
    distances: Sequence[Floats], scored: _Scored, n_bootstraps: int, rng: np.random.Generator
) -> Floats:
    """(len(distances), n_bootstraps) rho of each distance in each draw of patients; NaN if none."""
    found = np.empty((len(distances), n_bootstraps))
    p, block = scored.n_patients, max(1, _CELLS // len(scored.pairs))
    for start in range(0, n_bootstraps, block):
        n = min(block, n_bootstraps - start)
        drawn = rng.integers(0, p, (n, p)) + p * np.arange(n)[:, None]
        times = np.bincount(drawn.ravel(), minlength=n * p).reshape(n, p)
        weights = times[:, scored.owner].astype(np.float64)  # (n, m) copies of each pair
        change = _centered_ranks(scored.change, weights)
        for row, distance in enumerate(distances):
            ranks = _centered_ranks(distance, weights)
            found[row, start : start + n] = _correlation(ranks, change, weights)
    return found


def _centered_ranks(values: Floats, weights: Floats) -> Floats:
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


def _correlation(a: Floats, b: Floats, weights: Floats) -> Floats:
    """(draws,) correlation of centred ranks; NaN for fewer than three copies, or a constant."""
    together = np.sum(weights * a * b, axis=1)
    spread = np.sqrt(np.sum(weights * a * a, axis=1) * np.sum(weights * b * b, axis=1))
    spread[(spread == 0) | (np.sum(weights, axis=1) < 3)] = np.nan
    return np.asarray(np.clip(together / spread, -1.0, 1.0))


def _interval(drawn: Floats) -> tuple[float, float, int]:
    """Ends of the 95 % percentile interval, and how many draws it rests on."""
    defined = drawn[~np.isnan(drawn)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
    return float(low), float(high), len(defined)


def _euclidean(ends: Floats, _: Floats) -> Floats:
    """(m,) length of the difference, which no origin changes."""
    return np.asarray(np.linalg.norm(ends[0] - ends[1], axis=-1))


def _cosine(ends: Floats, center: Floats) -> Floats:
    """(m,) 1 minus cosine as half the squared chord: exactly 0 for equal scans, fine near 0."""
    moved = ends - center  # (2, m, e)
    lengths = np.linalg.norm(moved, axis=-1)
    lengths[lengths <= _NOISE * np.linalg.norm(center)] = np.inf
    moved /= lengths[..., None]
    chords = 0.5 * np.sum((moved[0] - moved[1]) ** 2, axis=1)
    return np.where(np.isinf(lengths).any(axis=0), 1.0, np.minimum(chords, 2.0))


def _patient_codes(patient: Names) -> NDArray[np.int64]:
    """(n,) number of each scan's patient, in order of names, so that row order does not matter."""
    codes = pd.factorize(np.asarray(patient, dtype=object), sort=True)[0]
    if (codes < 0).any():
        raise QueryError(f"{np.count_nonzero(codes < 0)} scans have no patient: name one for each")
    return codes.astype(np.int64)


def _view_codes(view: Names) -> NDArray[np.int64]:
    """(n,) number of each scan's view; one number for all that is missing."""
    named = pd.Series(np.asarray(view, dtype=object))
    return pd.factorize(named.where(named.notna(), "").to_numpy(object))[0].astype(np.int64)
