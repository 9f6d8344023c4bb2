"""Do embeddings of different patients order by health: distances against score differences.

The counterpart of `within`. Anatomy, site and view also set patients apart, so agreement is lower
here than within patients for an encoder that follows disease.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.by_patient import (
    PatientRows,
    copies_of,
    joint_copies,
    patient_names,
    patient_rows,
    sampled_rows,
)
from learner_index.analysis.correlation import centered_ranks, correlation
from learner_index.analysis.distance import (
    Floats,
    Names,
    Reals,
    pair_distance,
    patient_codes,
    view_codes,
)
from learner_index.analysis.resample import draw_weights, interval
from learner_index.analysis.within import BOOTSTRAPS, Agreement
from learner_index.config import Metric
from learner_index.errors import NotEnoughDataError

MAX_PAIRS = 20_000
_CELLS = 1_000_000  # draws times pairs ranked at a time: 8 MB an array


@dataclass(frozen=True, slots=True, eq=False)
class AcrossPairs:
    """Pairs of scans of different patients whose scores are both known.

    Attributes:
        pairs: (m, 2) row numbers.
        change: (m,) size of the score difference in score units, never negative.
        owner: (m, 2) their patients, as places in `patient`.
        weight: (m,) 1 on average; pairs of patients weigh the same, whoever has more scans.
        patient: (p,) every patient, in order of names, also those without a pair.
        is_exact: these are all pairs there are, rather than a sample.
    """

    pairs: NDArray[np.int64]
    change: Floats
    owner: NDArray[np.int64]
    weight: Floats
    patient: NDArray[np.object_]
    is_exact: bool


def across_patient_agreement(
    embeddings: Reals,
    score: Reals,
    patient: Names,
    *,
    view: Names | None = None,
    center: Reals | None = None,
    metric: Metric = "centered",
    max_pairs: int = MAX_PAIRS,
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Agreement:
    """Whether scans of two patients lie farther apart the more their health scores differ.

    Spearman correlation between embedding distance and size of the score difference over pairs
    of `across_patient_pairs`; interval by patient, of the pairs at hand.

    Args:
        embeddings: (n, e) of scans, or of visits.
        score: (n,) health scores, NaN where unknown.
        patient: (n,) patient of each row.
        view: (n,) views, as in `across_patient_pairs`.
        center: (e,) what "centered" subtracts; None for other metrics.
        metric: which distance.
        max_pairs: as in `across_patient_pairs`.
        n_bootstraps: draws of patients; 0 gives no interval.
        seed: of the sample of pairs, and of the draws.

    Raises:
        NotEnoughDataError, QueryError: as in `across_patient_pairs`.
        SettingsError: as in `distance.pair_distance`.
    """
    paired = across_patient_pairs(score, patient, view=view, max_pairs=max_pairs, seed=seed)
    weights = draw_weights(len(paired.patient), n_bootstraps, seed)
    distance = pair_distance(embeddings, paired.pairs, metric, center)
    return drawn_across([distance], paired, weights)[0][0]


def across_patient_pairs(
    score: Reals,
    patient: Names,
    *,
    view: Names | None = None,
    max_pairs: int = MAX_PAIRS,
    seed: int = 0,
) -> AcrossPairs:
    """Pairs of scans of different patients, balanced so that every two patients weigh the same.

    All pairs when there are at most `max_pairs`, each weighing 1/(n_a n_b) for patients of n_a and
    n_b scored scans. Otherwise `max_pairs` drawn with replacement with those chances: two
    patients at random, then a scan of each. Pairs of two views are left out of either.

    Args:
        score: (n,) health scores, NaN where unknown.
        patient: (n,) patient of each row.
        view: (n,) views; only scans of one view are paired. None: any two are.
        max_pairs: the most there may be.
        seed: of the sample, which the order of rows decides too.

    Raises:
        NotEnoughDataError: fewer than three patients have a pair.
        QueryError: a scan has no patient.
    """
    scores, codes = np.asarray(score, np.float64), patient_codes(patient)
    rows = patient_rows(patient, np.isfinite(scores))
    views = np.zeros(len(codes), np.int64) if view is None else view_codes(view)
    n_all = (rows.count.sum() ** 2 - np.sum(rows.count**2)) // 2
    is_exact = bool(n_all <= max_pairs)
    pairs = _all_pairs(rows, codes) if is_exact else np.empty((0, 2), np.int64)
    if not is_exact:
        rng = np.random.default_rng(seed)
        pairs = sampled_rows(rows, 2, max_pairs, lambda t: views[t[:, 0]] == views[t[:, 1]], rng)
    pairs = pairs[views[pairs[:, 0]] == views[pairs[:, 1]]]
    owner = codes[pairs]
    if len(np.unique(owner)) < 3:
        raise NotEnoughDataError(
            f"{len(np.unique(owner))} patients have scored scans to pair with another patient's "
            f"({len(pairs)} pairs): three patients are needed"
        )
    weight = 1.0 / np.prod(rows.count[owner], axis=1) if is_exact else np.ones(len(pairs))
    change = np.abs(scores[pairs[:, 0]] - scores[pairs[:, 1]])
    names = patient_names(patient)
    return AcrossPairs(pairs, change, owner, weight / weight.mean(), names, is_exact)


def drawn_across(
    distances: Sequence[Floats], paired: AcrossPairs, weights: Reals
) -> list[tuple[Agreement, Floats]]:
    """`across_patient_agreement` of known distances, and what its interval rests on.

    In each draw a pair counts as often as the product of its patients' copies, and is ranked
    anew: nothing is approximated but the sample of pairs, which stays the same in all draws.

    Args:
        distances: of each encoder, or way to look, (m,) `distance.pair_distance` of the pairs.
        paired: the pairs.
        weights: (draws, p) copies of each of `paired.patient` in each draw.

    Returns:
        Of each, its agreement and (draws,) rho of each draw, NaN where it is undefined.

    Raises:
        QueryError: the weights are of other patients.
    """
    n_patients, n_pairs = len(np.unique(paired.owner)), len(paired.pairs)
    rhos = _weighted_rhos(distances, paired, copies_of(None, len(paired.patient)))[:, 0]
    drawn = _weighted_rhos(distances, paired, copies_of(weights, len(paired.patient)))
    found = []
    for rho, each in zip(rhos, drawn, strict=True):
        ends = interval(each)
        agreement = Agreement(float(rho), ends.low, ends.high, n_patients, n_pairs, ends.n_draws)
        found.append((agreement, each))
    return found


def _weighted_rhos(distances: Sequence[Floats], paired: AcrossPairs, weights: Floats) -> Floats:
    """(len(distances), draws) Spearman correlation with the change in each draw of patients."""
    found = np.empty((len(distances), len(weights)))
    block = max(1, _CELLS // len(paired.pairs))
    for start in range(0, len(weights), block):
        copies = joint_copies(weights[start : start + block].T, paired.owner).T  # (draws, m)
        times = np.ascontiguousarray(copies) * paired.weight
        change = centered_ranks(paired.change, times)
        for row, distance in enumerate(distances):
            ranks = centered_ranks(distance, times)
            found[row, start : start + block] = correlation(ranks, change, times)
    return found


def _all_pairs(rows: PatientRows, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(m, 2) every pair of used rows whose patients differ."""
    one, other = np.triu_indices(len(rows.rows), 1)
    pairs = np.column_stack([rows.rows[one], rows.rows[other]])
    return np.asarray(pairs[codes[pairs[:, 0]] != codes[pairs[:, 1]]])
