"""Do embeddings move when health does: agreement of distances and score changes within patients.

What is paired and how far apart it lies is the job of `distance`. Figures are pooled over pairs;
intervals come from resampling patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.correlation import centered_ranks, correlation, spearman
from learner_index.analysis.distance import (
    Floats,
    Integers,
    Names,
    Reals,
    centered_distance,
    pair_distance,
    patient_codes,
    patient_mean,
    within_patient_pairs,
)
from learner_index.config import Metric
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

__all__ = [
    "Agreement",
    "Case",
    "Difference",
    "ScoredPairs",
    "centered_distance",
    "compare_agreement",
    "distance_agreement",
    "drawn_agreement",
    "mean_agreement",
    "pair_distance",
    "patient_mean",
    "scored_pairs",
    "spearman",
    "within_patient_pairs",
]

BOOTSTRAPS = 2000
_CELLS = 2_000_000  # draws times pairs ranked at a time: 16 MB an array


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
class ScoredPairs:
    """Pairs of one patient's scans whose scores are both known; found once, measured often.

    Attributes:
        pairs: (m, 2) row numbers.
        change: (m,) size of the score change in score units, never negative.
        owner: (m,) patient, numbered 0 to n_patients - 1 in order of names.
        n_patients: three or more.
    """

    pairs: NDArray[np.int64]
    change: Floats
    owner: NDArray[np.int64]
    n_patients: int


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
    scored = scored_pairs(score, patient, visit, view)
    return drawn_agreement(
        embeddings, scored, center=center, metric=metric, n_bootstraps=n_bootstraps, seed=seed
    )[0]


def drawn_agreement(
    embeddings: Reals,
    scored: ScoredPairs,
    *,
    center: Reals | None,
    metric: Metric = "centered",
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> tuple[Agreement, Floats]:
    """`distance_agreement` of pairs that are known already, and what its interval rests on.

    Returns:
        The agreement, and (n_bootstraps,) rho of each draw, NaN where it is undefined.

    Raises:
        SettingsError, QueryError: as in `pair_distance`.
    """
    distance = pair_distance(embeddings, scored.pairs, metric, center)
    drawn = _bootstrap([distance], scored, n_bootstraps, np.random.default_rng(seed))[0]
    low, high, n_used = _interval(drawn)
    rho = spearman(distance, scored.change)
    return Agreement(rho, low, high, scored.n_patients, len(scored.pairs), n_used), drawn


def mean_agreement(cases: Sequence[tuple[Agreement, Floats]]) -> Agreement | None:
    """Mean rho over cohorts that share no patients, such as folds; each weighs the same.

    Args:
        cases: of each cohort its agreement and (n_bootstraps,) rho of each draw, as of
            `drawn_agreement`, every cohort's with a seed of its own: patients are resampled
            within each cohort, independently of the others.

    Returns:
        Counts summed over cohorts; None where no cohort has a rho, and those without are left
        out.
    """
    used = [(found, drawn) for found, drawn in cases if not np.isnan(found.rho)]
    if not used:
        return None
    low, high, n_used = _interval(np.mean([drawn for _, drawn in used], axis=0))
    agreements = [found for found, _ in used]
    return Agreement(
        float(np.mean([found.rho for found in agreements])),
        low,
        high,
        sum(found.n_patients for found in agreements),
        sum(found.n_pairs for found in agreements),
        n_used,
    )


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


def _measure(case: Case, metric: Metric) -> tuple[ScoredPairs, list[Floats]]:
    """A case's pairs, and their distances to either encoder."""
    scored = scored_pairs(case.score, case.patient, case.visit, case.view)
    sides = ((case.first, case.center_first), (case.second, case.center_second))
    return scored, [pair_distance(rows, scored.pairs, metric, center) for rows, center in sides]


def scored_pairs(score: Reals, patient: Names, visit: Integers, view: Names | None) -> ScoredPairs:
    """Pairs of `within_patient_pairs` with two known scores; arguments as in `distance_agreement`.

    Raises:
        NotEnoughDataError: fewer than three patients have a pair.
        QueryError: a scan has no patient.
    """
    scores = np.asarray(score, np.float64)
    pairs = within_patient_pairs(patient, visit, view)
    pairs = pairs[np.isfinite(scores[pairs]).all(axis=1)]
    change = np.abs(scores[pairs[:, 0]] - scores[pairs[:, 1]])
    names, owner = np.unique(patient_codes(patient)[pairs[:, 0]], return_inverse=True)
    if len(names) < 3:
        raise NotEnoughDataError(
            f"{len(names)} patients have scored scans of one view at two visits "
            f"({len(pairs)} pairs): three patients are needed"
        )
    return ScoredPairs(pairs, change, owner.astype(np.int64), len(names))


def _bootstrap(
    distances: Sequence[Floats], scored: ScoredPairs, n_bootstraps: int, rng: np.random.Generator
) -> Floats:
    """(len(distances), n_bootstraps) rho of each distance in each draw of patients; NaN if none."""
    found = np.empty((len(distances), n_bootstraps))
    p, block = scored.n_patients, max(1, _CELLS // len(scored.pairs))
    for start in range(0, n_bootstraps, block):
        n = min(block, n_bootstraps - start)
        drawn = rng.integers(0, p, (n, p)) + p * np.arange(n)[:, None]
        times = np.bincount(drawn.ravel(), minlength=n * p).reshape(n, p)
        weights = times[:, scored.owner].astype(np.float64)  # (n, m) copies of each pair
        change = centered_ranks(scored.change, weights)
        for row, distance in enumerate(distances):
            ranks = centered_ranks(distance, weights)
            found[row, start : start + n] = correlation(ranks, change, weights)
    return found


def _interval(drawn: Floats) -> tuple[float, float, int]:
    """Ends of the 95 % percentile interval, and how many draws it rests on."""
    defined = drawn[~np.isnan(drawn)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
    return float(low), float(high), len(defined)
