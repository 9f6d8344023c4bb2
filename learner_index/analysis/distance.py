"""Pairs of scans of one patient, and how far apart embeddings lie.

Only scans of one patient are paired, in one view, so that neither anatomy nor view can pass for
disease.
"""

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Metric
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

_NOISE = 1e-12  # what centring leaves of a vector, beside the center: below it, rounding
_BLOCK = 2048  # pairs measured at a time

Floats = NDArray[np.float64]
Reals = NDArray[np.floating]
Integers = NDArray[np.integer]
Names = Sequence[str | None] | NDArray[np.object_] | NDArray[np.integer] | pd.Series


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
    owners, visits = patient_codes(patient), np.asarray(visit)
    views = np.zeros(len(owners), np.int64) if view is None else view_codes(view)
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
    codes = patient_codes(patient)
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


def patient_codes(patient: Names) -> NDArray[np.int64]:
    """(n,) number of each scan's patient, in order of names, so that row order does not matter."""
    codes = pd.factorize(np.asarray(patient, dtype=object), sort=True)[0]
    if (codes < 0).any():
        raise QueryError(f"{np.count_nonzero(codes < 0)} scans have no patient: name one for each")
    return codes.astype(np.int64)


def view_codes(view: Names) -> NDArray[np.int64]:
    """(n,) number of each scan's view, as they appear; one number for all that is missing.

    A dictionary tells views apart, since `pandas.factorize` cuts texts at NUL.
    """
    named = pd.Series(np.asarray(view, dtype=object))
    numbers: dict[object, int] = {}
    filled = named.where(named.notna(), "")
    return np.array([numbers.setdefault(name, len(numbers)) for name in filled], np.int64)
