"""Fits a cohort's map on a sample that no patient dominates."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from importlib.metadata import version
from typing import Any

import numpy as np

from learner_index.analysis.maps.balanced import balanced_sample
from learner_index.analysis.maps.linear import LinearMap
from learner_index.analysis.maps.neighborly import AROUND, MIN_DIST, N_NEIGHBORS, NeighborMap
from learner_index.analysis.maps.quality import map_quality
from learner_index.config import MapOptions
from learner_index.data.show import plural
from learner_index.errors import QueryError
from learner_index.pipeline.maps.kept import Floats, KeptMap, moved_by, scan_marks
from learner_index.pipeline.progression.source import Followed
from learner_index.pipeline.roles import n_seen

SMALL = 200
"""Scans below which "auto" takes PCA: 15 neighbours, UMAP's own number, are then more than a
thirteenth of the cohort, so that its groups say little that a projection does not, and a
projection has arrows without approximation, no settings and nothing to load."""
MOST_FITTED = 5000


def fit_map(
    followed: Followed,
    settings: Mapping[str, Any],
    options: MapOptions,
    say: Callable[[str], None] = lambda words: None,
) -> KeptMap:
    """The map of one modality's scans.

    Args:
        followed: the scans, with what the reference knows.
        settings: what the store remembers.
        options: method, seed, and how many scans are fitted on.
        say: told before UMAP is fitted.

    Raises:
        QueryError: an option cannot be met, or an embedding holds NaN.
        NotEnoughDataError: there are too few scans.
    """
    seed, most = options.seed or 0, options.most_fitted or MOST_FITTED
    obs, known = followed.obs, followed.known
    names, owners = obs["scan_id"].tolist(), obs["patient_id"].tolist()
    rows = balanced_sample(names, owners, most, seed)
    sampled = obs.iloc[rows]
    moved = moved_by(known, followed.embeddings[rows], sampled)
    require_finite(moved)
    patients = np.unique(sampled["patient_id"].to_numpy(object), return_inverse=True)[1]
    method = options.method
    if method == "auto":
        method = "pca" if len(obs) < SMALL else "umap"
    if method == "umap":
        say(f"fitting a UMAP on {plural(len(rows), 'scan')}: up to a minute the first time")
    fitted: LinearMap | NeighborMap = (
        LinearMap.fit(moved, patients)
        if method == "pca"
        else NeighborMap.fit(moved, patients, seed=seed)
    )
    space = str(settings["encoder"]["space"])
    card = {
        "method": method,
        "seed": seed,
        "most_fitted": most,
        "parameters": _parameters(fitted),
        "space": space,
        "reference": followed.fingerprint,
        "modality": followed.modality,
        "views": list(known.view_means),
        "is_simulated": bool(settings.get("is_simulated", False)),
        "fitted": {
            "n_scans": len(rows),
            "n_patients": int(patients.max(initial=-1)) + 1,
            "n_seen_by_encoder": n_seen(sampled),
            "n_scans_of_store": len(obs),
            "data": blake2b(moved.tobytes(), digest_size=16).hexdigest(),
        },
        "quality": map_quality(moved, fitted.place(moved)).figures(),
        "versions": {
            name: version(name) for name in ("learner-index", "numpy", "umap-learn", "numba")
        },
        "limits": list(limits(method)),
    }
    means = np.stack(list(known.view_means.values()))
    marks = np.sort(scan_marks(sampled, space))
    return KeptMap(fitted, means, known.center, marks, card)


def require_finite(moved: Floats) -> None:
    """Refuse embeddings that are no numbers.

    Raises:
        QueryError: one holds NaN or infinity.
    """
    if not np.isfinite(moved).all():
        raise QueryError("an embedding holds NaN or infinity: run verify on the store")


def limits(method: str) -> tuple[str, ...]:
    """What a map cannot tell."""
    how = "projected" if method == "pca" else f"drawn from the directions to {AROUND} neighbors"
    return (
        f"arrows were computed in the embedding space and {how}; read no direction off a map",
        "scans apart in other directions than the two shown lie together"
        if method == "pca"
        else "distances between groups, their sizes and densities on a UMAP mean little",
    )


def _parameters(fitted: LinearMap | NeighborMap) -> dict[str, Any]:
    """What else made the map, JSON-ready."""
    if isinstance(fitted, LinearMap):
        return {"variance_shares": fitted.variance_shares.tolist()}
    return {
        "n_neighbors": N_NEIGHBORS,
        "min_dist": MIN_DIST,
        "metric": "centered cosine",
        "begun_at": "principal components",
        "n_jobs": 1,
    }
