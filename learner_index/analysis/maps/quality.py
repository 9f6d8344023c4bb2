"""How much of the embedding space a map keeps: neighbours that are still neighbours."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.maps.neighbors import nearest, unit_rows

_NEAREST = 10  # neighbours compared
_MOST = 2000  # scans, or changes, it is measured on
_ROUNDS = 20  # permutations of few changes

Floats = NDArray[np.float64]
Reals = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class MapQuality:
    """How far a map can be trusted, measured on scans it was fitted on.

    Attributes:
        n_scans: measured on.
        n_nearest: nearest scans compared, in the embedding space by centred cosine.
        n_kept: how many of them are among as many nearest on the map, on average.
        n_kept_by_chance: the same for a map of places dealt out at random.
        trustworthiness: 0 to 1, larger is better; 1: whoever is near on the map is near in the
            embedding space, too; 0.5: chance.
    """

    n_scans: int
    n_nearest: int
    n_kept: float
    n_kept_by_chance: float
    trustworthiness: float

    def figures(self) -> dict[str, float]:
        """As JSON-ready numbers."""
        return asdict(self)


def map_quality(moved: NDArray[np.floating], places: NDArray[np.floating]) -> MapQuality:
    """Compare the neighbours of scans in the embedding space with those on the map.

    Args:
        moved: (s, e) embeddings less the mean of their view; of more than 2,000, as many are used.
        places: (s, 2) their places.

    Source:
        Venna & Kaski (2001), Neighborhood preservation in nonlinear projection methods: an
        experimental study, eq. 1.
    """
    rows = _some(np.arange(len(moved)))
    n = len(rows)
    k = min(_NEAREST, (n - 1) // 2)
    if k < 1:
        return MapQuality(n, 0, 0.0, 0.0, float("nan"))
    near = _others_on_map(np.asarray(places[rows], np.float64), k)
    ranks = np.take_along_axis(_ranks(unit_rows(moved[rows])), near, axis=1)  # (n, k)
    intruding = float(np.sum(np.maximum(ranks - k, 0)))
    trust = 1 - 2 * intruding / (n * k * (2 * n - 3 * k - 1))
    kept = float(np.sum(ranks <= k)) / n
    return MapQuality(n, k, kept, k * k / (n - 1), trust)


def kept_by_placed(
    moved: NDArray[np.floating], places: NDArray[np.floating], is_fitted: NDArray[np.bool_]
) -> float | None:
    """How many of the nearest fitted scans a placed scan keeps among its nearest, on average.

    Args:
        moved: (n, e) embeddings less the mean of their view.
        places: (n, 2) their places.
        is_fitted: (n,) whether the map was fitted on each; of either kind 2,000 are used.

    Returns:
        A number to compare with `MapQuality.n_kept`; None where nothing was placed, or too few
        scans were fitted on.
    """
    from scipy.spatial import cKDTree

    fitted, placed = _some(np.flatnonzero(is_fitted)), _some(np.flatnonzero(~is_fitted))
    k = min(_NEAREST, (len(fitted) - 1) // 2)
    if k < 1 or not len(placed):
        return None
    before, _ = nearest(unit_rows(moved[fitted]), unit_rows(moved[placed]), k)
    _, after = cKDTree(places[fitted]).query(places[placed], k=k)
    after = np.asarray(after, np.int64).reshape(len(placed), k)
    return float(np.mean(np.sum(before[:, :, None] == after[:, None, :], axis=(1, 2))))


def agreement_by_chance(
    arrows: Callable[[Reals, Reals], tuple[Floats, Floats]],
    moved: Reals,
    deltas: Reals,
    patients: NDArray[np.integer],
    seed: int,
) -> tuple[float, float] | None:
    """How far neighbours agree on arrows, and how far they would on other patients' changes.

    Args:
        arrows: of a map of neighbours, as `NeighborMap.arrows`.
        moved: (t, e) where changes start; of more than 2,000 changes, as many are used.
        deltas: (t, e) later minus earlier embedding.
        patients: (t,) whose change each is.
        seed: of the permutations; few changes are permuted up to 20 times.

    Returns:
        Median agreement of the changes, and with changes permuted between patients; None where
        fewer than two patients have one.
    """
    rows = _some(np.arange(len(moved)))
    moved, deltas, patients = moved[rows], deltas[rows], patients[rows]
    if len(np.unique(patients)) < 2:
        return None
    rng, dealt = np.random.default_rng(seed), []
    for _ in range(min(_ROUNDS, max(1, _MOST // len(rows)))):
        order = rng.permutation(len(rows))
        other = patients[order] != patients
        dealt.append(arrows(moved[other], deltas[order][other])[1])
    chance = np.concatenate(dealt)
    if not len(chance):
        return None
    return float(np.median(arrows(moved, deltas)[1])), float(np.median(chance))


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most 2,000 of some rows, from all over."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(np.int64)]


def _ranks(units: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n, n) how near each row is to each, 1 for the nearest other one; 0 for itself."""
    products = units.astype(np.float64) @ units.T.astype(np.float64)
    np.fill_diagonal(products, np.inf)
    order = np.argsort(-products, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(units))[None], axis=1)
    return ranks


def _others_on_map(places: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """(n, k) nearest other places, whichever come first where several are one place."""
    from scipy.spatial import cKDTree

    _, near = cKDTree(places).query(places, k=k + 1)
    own = near == np.arange(len(near))[:, None]
    own[~own.any(axis=1), -1] = True
    others: NDArray[np.int64] = np.asarray(near, np.int64)[~own].reshape(len(near), k)
    return others
