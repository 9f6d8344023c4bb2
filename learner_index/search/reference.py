"""The reference: what the average scan of named patients looks like, fitted once and named."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.reference import Reference
from learner_index.errors import NotEnoughDataError

_BLOCK = 2048  # rows turned into float64 at a time


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a store has moved from its reference.

    Attributes:
        shift: distance between the reference's mean and the mean of all rows now, in units of
            `spread`; 0 is none, 1 is as far as a typical scan lies from the mean.
        spread: root mean square distance of the rows from their mean, patients weighted equally.
        n_new_patients: patients that came after the fit.
        n_new_scans: scans of patients that came after the fit.
        n_missing_patients: patients of the fit that are gone.
    """

    shift: float
    spread: float
    n_new_patients: int
    n_new_scans: int
    n_missing_patients: int


def fit_reference(
    embeddings: NDArray[np.float32],
    patient_ids: Sequence[str] | pd.Series,
    views: Sequence[str | None] | pd.Series | None,
    patients: Sequence[str] | None = None,
) -> Reference:
    """Mean embedding of named patients, each patient weighted equally, overall and per view.

    Args:
        embeddings: (n, e) one row a scan; may be a memory map.
        patient_ids: (n,) patient of each scan.
        views: (n,) view of each scan, missing where unknown; None when there are no views.
        patients: patients to fit on; None: all of them.

    Returns:
        The reference; the same scans give the same bytes and fingerprint.

    Raises:
        NotEnoughDataError: none of the patients has a scan.
    """
    ids = pd.Series(np.asarray(patient_ids, dtype=object))
    rows = np.arange(len(ids)) if patients is None else np.flatnonzero(ids.isin(list(patients)))
    if len(rows) == 0:
        raise NotEnoughDataError(
            "no scans to fit a reference on: embed scans first, or name patients who have some"
        )
    codes, found = pd.factorize(ids.iloc[rows], sort=True)
    mean = balanced_mean(embeddings, rows, codes)
    view_means = _view_means(embeddings, rows, codes, views)
    names = tuple(str(name) for name in found)
    return Reference(
        mean, view_means, names, len(rows), fingerprint(mean, view_means, names, len(rows))
    )


def balanced_mean(
    embeddings: NDArray[np.float32], rows: NDArray[np.int64], patients: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean over patients of each patient's mean embedding.

    Args:
        embeddings: (n, e).
        rows: (m,) the rows to take, at least one.
        patients: (m,) patient number of each of them.

    Returns:
        (e,) float64; blocks are summed in order, so equal input gives equal bytes.
    """
    weights = _balanced_weights(patients)
    total = np.zeros(embeddings.shape[1])
    for start in range(0, len(rows), _BLOCK):
        block = embeddings[rows[start : start + _BLOCK]].astype(np.float64)
        total += np.sum(block * weights[start : start + _BLOCK, None], axis=0)
    return total


def drift(
    reference: Reference, embeddings: NDArray[np.float32], patient_ids: Sequence[str] | pd.Series
) -> Drift:
    """How far all present rows lie from the reference, beside how far they lie from each other.

    Args:
        reference: what searches rest on.
        embeddings: (n, e) every row of the store now.
        patient_ids: (n,) patient of each row.

    Raises:
        NotEnoughDataError: there are no rows.
    """
    if len(embeddings) == 0:
        raise NotEnoughDataError("no scans to compare the reference with: the store is empty")
    codes, found = pd.factorize(np.asarray(patient_ids, dtype=object), sort=True)
    mean = balanced_mean(embeddings, np.arange(len(codes)), codes)
    spread = _spread(embeddings, codes, mean)
    moved = float(np.sqrt(np.sum((mean - reference.mean) ** 2)))
    is_new = ~np.isin(found.astype(str), reference.patients)
    return Drift(
        shift=moved / spread if spread > 0 else (0.0 if moved == 0 else float("inf")),
        spread=spread,
        n_new_patients=int(is_new.sum()),
        n_new_scans=int(is_new[codes].sum()),
        n_missing_patients=len(set(reference.patients) - set(found.astype(str))),
    )


def _balanced_weights(patients: NDArray[np.int64]) -> NDArray[np.float64]:
    """(m,) weight of each scan so that every patient weighs the same and all weigh 1."""
    counts = np.bincount(patients)
    weights: NDArray[np.float64] = 1.0 / (counts[patients] * np.count_nonzero(counts))
    return weights


def _view_means(
    embeddings: NDArray[np.float32],
    rows: NDArray[np.int64],
    patients: NDArray[np.int64],
    views: Sequence[str | None] | pd.Series | None,
) -> dict[str, NDArray[np.float64]]:
    """Balanced mean per view, views in alphabetical order; "" stands for a missing one."""
    if views is None:
        named = np.full(len(rows), "", object)
    else:
        column = pd.Series(np.asarray(views, dtype=object)[rows])
        named = column.where(column.notna(), "").to_numpy(object)
    means = {}
    for view in sorted(set(named)):
        chosen = np.flatnonzero(named == view)
        means[str(view)] = balanced_mean(embeddings, rows[chosen], patients[chosen])
    return means


def _spread(
    embeddings: NDArray[np.float32], patients: NDArray[np.int64], mean: NDArray[np.float64]
) -> float:
    """Root mean square distance from the mean, patients weighted equally."""
    weights, total = _balanced_weights(patients), 0.0
    for start in range(0, len(patients), _BLOCK):
        apart = embeddings[start : start + _BLOCK] - mean
        total += float(np.sum(np.sum(apart * apart, axis=1) * weights[start : start + _BLOCK]))
    return float(np.sqrt(total))


def fingerprint(
    mean: NDArray[np.float64],
    view_means: Mapping[str, NDArray[np.float64]],
    patients: tuple[str, ...],
    n_scans: int,
) -> str:
    """Hash over all of a reference's content: means, patients and number of scans."""
    digest = hashlib.blake2b(mean.tobytes(), digest_size=16)
    for view, view_mean in view_means.items():
        digest.update(f"\0view {len(view)}:{view}\0".encode() + view_mean.tobytes())
    for patient in patients:
        digest.update(f"\0patient {len(patient)}:{patient}".encode())
    digest.update(f"\0scans {n_scans}".encode())
    return digest.hexdigest()
