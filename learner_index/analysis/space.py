"""What an embedding space looks like: whitening, effective rank, and distances seen three ways.

Raw cosine alone makes any space of non-negative features look collapsed; every figure is
therefore given raw, centred and whitened. Measures of order live in `ordering`, pairs of
different patients in `across`, records that can be resampled in `by_patient`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.across import (
    AcrossPairs,
    across_patient_agreement,
    across_patient_pairs,
    drawn_across,
)
from learner_index.analysis.by_patient import AcrossPatients, ByPatient, by_patient
from learner_index.analysis.distance import (
    Floats,
    Integers,
    Names,
    Reals,
    pair_distance,
    patient_codes,
    patient_mean,
)
from learner_index.analysis.ordering import (
    NeighborErrors,
    Retrieval,
    concordance_within,
    neighbor_score_error,
    retrieval_ndcg,
    triplet_ordinality,
)
from learner_index.analysis.within import (
    BOOTSTRAPS,
    Agreement,
    ScoredPairs,
    drawn_agreement,
    scored_pairs,
)
from learner_index.config import Metric
from learner_index.errors import NotEnoughDataError, QueryError, SpaceMismatchError

__all__ = [
    "LOOKS",
    "AcrossPairs",
    "AcrossPatients",
    "ByPatient",
    "Look",
    "NeighborErrors",
    "Retrieval",
    "Whitening",
    "across_agreements",
    "across_patient_agreement",
    "across_patient_pairs",
    "by_patient",
    "concordance_within",
    "drawn_across",
    "effective_rank",
    "figure_one",
    "fit_whitening",
    "look",
    "neighbor_score_error",
    "retrieval_ndcg",
    "triplet_ordinality",
    "within_agreements",
]

Look = Literal["raw", "centered", "whitened"]
LOOKS: tuple[Look, ...] = get_args(Look)
_FLAT = 1e-12  # share of the largest variance below which a direction is rounding


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """Turns embeddings so that those it was fitted on spread alike in every direction.

    Attributes:
        center: (e,) `patient_mean` of the patients fitted on.
        matrix: (e, e) symmetric; directions without any variance go to 0.
        n_patients: patients fitted on.
    """

    center: Floats
    matrix: Floats
    n_patients: int

    def apply(self, embeddings: Reals) -> Floats:
        """(n, e) whitened embeddings, in standard deviations of the patients fitted on.

        Raises:
            SpaceMismatchError: the embeddings have another width.
        """
        if embeddings.shape[1] != len(self.center):
            raise SpaceMismatchError(
                f"embeddings {embeddings.shape[1]} wide, but the whitening was fitted on "
                f"{len(self.center)}: fit it on embeddings by the same encoder"
            )
        return np.asarray((embeddings - self.center) @ self.matrix, np.float64)


def fit_whitening(embeddings: Reals, patient: Names) -> Whitening:
    """Whitening of the patients trained on, who weigh equally however many scans they have.

    The covariance is shrunk towards a multiple of the identity, so that fewer scans than
    dimensions are enough. How much depends on how patients differ from each other: more scans of
    the same patients are no more evidence.

    Args:
        embeddings: (n, e) of training patients only.
        patient: (n,) patient of each scan.

    Raises:
        NotEnoughDataError: fewer than two patients, or all embeddings are equal.
        QueryError: an embedding holds NaN or infinity, or a scan has no patient.

    Source:
        Shrinkage of Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional
        covariance matrices", whose independent x xᵀ are here the means of x xᵀ over each
        patient's scans; the same for one scan a patient. Symmetric inverse root of the result.
    """
    rows, codes = _weighted(embeddings, patient)
    n_patients = len(np.unique(codes))
    if n_patients < 2 or not rows.any():
        raise NotEnoughDataError(
            f"no spread to whiten in {len(rows)} scans of {n_patients} patients: "
            "give training patients whose embeddings differ"
        )
    matrix = inverse_root(shrunk_covariance(rows, codes, n_patients))
    return Whitening(patient_mean(embeddings, patient), matrix, n_patients)


def inverse_root(covariance: Floats) -> Floats:
    """(e, e) symmetric W with W C W = 1 for a covariance C; where C is 0, so is W."""
    values, vectors = np.linalg.eigh(covariance)
    used = values > _FLAT * values[-1]
    kept = vectors[:, used]
    return np.asarray((kept / np.sqrt(values[used])) @ kept.T)


def effective_rank(embeddings: Reals, patient: Names) -> float:
    """How many directions embeddings spread in: 1 is a line, e an even spread in all.

    Few patients cannot show many directions: with p patients of one scan it stays below p, and an
    even spread in e directions reads about e·p/(e + p). Compare encoders on the same scans.

    Args:
        embeddings: (n, e).
        patient: (n,) patient of each scan; patients weigh equally.

    Returns:
        1 to e, no unit; unchanged by turning, shifting or scaling the space.

    Raises:
        NotEnoughDataError: no scans, or all embeddings are equal.
        QueryError: as in `fit_whitening`.

    Source:
        Participation ratio (Σλ)²/Σλ² of the eigenvalues of the covariance: Gao et al. 2017, "A
        theory of multineuronal dimensionality, dynamics and measurement"; its bias in few rows:
        Chun et al. 2025, arXiv 2509.26560.
    """
    rows, codes = _weighted(embeddings, patient)
    if not rows.any():
        raise NotEnoughDataError(
            f"no effective rank: all {len(rows)} embeddings of {len(np.unique(codes))} patients "
            "are equal"
        )
    rows = rows / np.abs(rows).max()
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    return float(np.trace(gram) ** 2 / np.sum(gram * gram))


def look(
    embeddings: Reals, whitening: Whitening, how: Look
) -> tuple[Reals, NDArray[np.float64] | None, Metric]:
    """What to give to a measure to see a space raw, centred or whitened.

    Returns:
        Embeddings, center and metric, as `distance.pair_distance` takes them.

    Raises:
        QueryError: no such way to look.
        SpaceMismatchError: the whitening is of another width.
    """
    if how == "raw":
        return embeddings, None, "cosine"
    if how == "centered":
        return embeddings, whitening.center, "centered"
    if how == "whitened":
        return whitening.apply(embeddings), None, "cosine"
    raise QueryError(f"no way to look {how!r}: use {', '.join(LOOKS)}")


def within_agreements(
    embeddings: Reals,
    scored: ScoredPairs,
    whitening: Whitening,
    *,
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> dict[Look, tuple[Agreement, Floats]]:
    """`within.drawn_agreement` seen raw, centred and whitened, on the same draws of patients."""
    found = {}
    for how in LOOKS:
        rows, center, metric = look(embeddings, whitening, how)
        found[how] = drawn_agreement(
            rows, scored, center=center, metric=metric, n_bootstraps=n_bootstraps, seed=seed
        )
    return found


def across_agreements(
    embeddings: Reals, paired: AcrossPairs, whitening: Whitening, weights: Reals
) -> dict[Look, tuple[Agreement, Floats]]:
    """`across.drawn_across` seen raw, centred and whitened, on the same draws of patients."""
    distances = _looks(embeddings, paired.pairs, whitening)
    return dict(zip(distances, drawn_across([*distances.values()], paired, weights), strict=True))


def figure_one(
    embeddings: Reals,
    score: Reals,
    patient: Names,
    visit: Integers,
    view: Names | None,
    *,
    whitening: Whitening,
) -> pd.DataFrame:
    """Every scored pair of one patient's scans: its score change and its distance, three ways.

    Args:
        embeddings: (n, e).
        score: (n,) health scores, NaN where unknown.
        patient: (n,) as in `distance.within_patient_pairs`, like visit and view.
        visit: (n,) visit numbers.
        view: (n,) views, or None.
        whitening: fitted on training patients.

    Returns:
        Columns patient, abs_delta_score in score units, and distance_raw, distance_centered and
        distance_whitened in 0..2; a row a pair.

    Raises:
        NotEnoughDataError: fewer than three patients have a pair.
        QueryError, SpaceMismatchError: as in `look` and `pair_distance`.
    """
    scored = scored_pairs(score, patient, visit, view)
    owner = np.asarray(patient, dtype=object)[scored.pairs[:, 0]]
    frame = pd.DataFrame({"patient": owner, "abs_delta_score": scored.change})
    for how, distance in _looks(embeddings, scored.pairs, whitening).items():
        frame[f"distance_{how}"] = distance
    return frame


def _looks(embeddings: Reals, pairs: Integers, whitening: Whitening) -> dict[Look, Floats]:
    """Distance of each pair, seen in each way."""
    found = {}
    for how in LOOKS:
        rows, center, metric = look(embeddings, whitening, how)
        found[how] = pair_distance(rows, pairs, metric, center)
    return found


def _weighted(embeddings: Reals, patient: Names) -> tuple[Floats, NDArray[np.int64]]:
    """(n, e) centred rows whose outer products sum to the covariance, and their patients."""
    if not np.isfinite(embeddings).all():
        raise QueryError("an embedding holds NaN or infinity: look for a diverged encoder")
    moved = np.asarray(embeddings, np.float64) - patient_mean(embeddings, patient)
    size = np.abs(np.asarray(embeddings, np.float64)).max(axis=0, initial=0.0)
    moved[:, np.abs(moved).max(axis=0, initial=0.0) <= _FLAT * size] = 0.0  # rounding of constants
    codes = patient_codes(patient)
    counts = np.bincount(codes)
    return moved / np.sqrt(counts[codes] * len(counts))[:, None], codes


def shrunk_covariance(rows: Floats, codes: NDArray[np.int64], n_patients: int) -> Floats:
    """Covariance of weighted rows, shrunk by how well the patients determine it.

    Args:
        rows: (n, e) whose outer products sum to the covariance; patients weigh equally.
        codes: (n,) patient of each row, numbered 0 to n_patients - 1.
        n_patients: patients.

    Returns:
        (e, e) between that covariance and a multiple of the identity; see `fit_whitening`.
    """
    covariance: Floats = rows.T @ rows
    mean = np.trace(covariance) / len(covariance)
    size = np.sum(covariance**2)
    ordered = rows[np.argsort(codes, kind="stable")]
    own = np.split(ordered, np.cumsum(np.bincount(codes))[:-1])
    own_sizes = sum(np.sum((each @ each.T) ** 2) for each in own) * n_patients
    error, spread = (own_sizes - size) / n_patients, size - len(covariance) * mean**2
    share = min(1.0, error / spread) if spread > _FLAT * size else 0.0
    return np.asarray((1.0 - share) * covariance + share * mean * np.eye(len(covariance)))
