"""The map that keeps neighbours together: UMAP of a sample, and where new scans go on it.

UMAP places the sample once. Every other scan, now or later, goes to the weighted mean of its
neighbours' places; that needs the sample alone, no random numbers and no UMAP.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from learner_index.analysis.maps.linear import LinearMap
from learner_index.analysis.maps.neighbors import nearest, unit_rows
from learner_index.errors import NotEnoughDataError

Floats = NDArray[np.float64]
N_NEIGHBORS, MIN_DIST = 15, 0.1  # UMAP's own defaults
AROUND = 30  # scans of the sample that tell where an arrow points
_LEAST_TURN = 1e-5  # of a change, and a tenth of it of its start: below, rounding
_HALVINGS = 64  # of the search for a bandwidth, as in UMAP
_LEAST_BANDWIDTH = 1e-3  # of the mean distance, as in UMAP
_BLOCK = 1024  # arrows at a time


@dataclass(frozen=True, slots=True, eq=False)
class NeighborMap:
    """Places of a sample by UMAP.

    Attributes:
        sample: (s, e) float32 centred embeddings of length 1; no two are equal.
        places: (s, 2) float32 on the map.
        spread: root mean square length of the sample's centred embeddings; the length of
            arrows is measured in it.
        n_neighbors: neighbours that make the map and that place a scan.

    Source:
        McInnes, Healy & Melville (2018), UMAP, arXiv 1802.03426.
    """

    sample: NDArray[np.float32]
    places: NDArray[np.float32]
    spread: float
    n_neighbors: int
    method = "umap"

    @classmethod
    def fit(
        cls,
        moved: NDArray[np.floating],
        patients: NDArray[np.int64],
        *,
        seed: int,
        n_neighbors: int = N_NEIGHBORS,
    ) -> Self:
        """UMAP from exact neighbours, begun at the principal components.

        Args:
            moved: (s, e) embeddings less the mean of their view.
            patients: (s,) patient of each.
            seed: of the layout; the same scans and seed give the same bytes.
            n_neighbors: that a scan is kept close to.

        Raises:
            NotEnoughDataError: there are too few different scans for so many neighbours.

        Source:
            Kobak & Linderman (2021), Nature Biotechnology 39: the beginning decides how much of
            the whole a UMAP keeps, and principal components are a better one than chance.
        """
        units, first = np.unique(unit_rows(moved), axis=0, return_index=True)
        first.sort()
        units = unit_rows(moved[first])
        if len(units) < 2 * n_neighbors:
            raise NotEnoughDataError(
                f"UMAP with {n_neighbors} neighbours needs {2 * n_neighbors} different scans, "
                f"there are {len(units)}: choose --method pca"
            )
        start = LinearMap.fit(units, patients[first]).place(units)
        spread = float(np.sqrt(np.mean(np.sum(moved.astype(np.float64) ** 2, axis=1))))
        return cls(units, _laid_out(units, start, seed, n_neighbors), spread, n_neighbors)

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The map that `arrays` speak of.

        Raises:
            KeyError: an array is missing.
        """
        spread, n_neighbors = arrays["scales"].tolist()
        return cls(arrays["sample"], arrays["places"], spread, int(n_neighbors))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All it knows."""
        scales = np.array([self.spread, self.n_neighbors], np.float64)
        return {"sample": self.sample, "places": self.places, "scales": scales}

    @property
    def radius(self) -> float:
        """Root mean square distance of the sample's places from their mean."""
        away = self.places.astype(np.float64) - self.places.mean(axis=0, dtype=np.float64)
        return float(np.sqrt(np.mean(np.sum(away * away, axis=1))))

    def place(self, moved: NDArray[np.floating]) -> Floats:
        """(n, 2) places of (n, e) embeddings; each depends on its own row alone.

        A scan of the sample stays where UMAP put it. Any other goes to Σ w y / Σ w over its
        nearest neighbours in the sample, w = exp(-distance / σ), σ such that the weights but the
        first add up to log2 of their number: the place from which UMAP's own `transform` starts
        its random walk, which is left out here, so that a place needs no chance and no company.

        Source:
            McInnes et al. (2018), algorithm 3; `init_graph_transform` in umap-learn 0.5.
        """
        near, distances = nearest(self.sample, unit_rows(moved), self.n_neighbors)
        weights = _weights(distances)
        weights /= np.sum(weights, axis=1, keepdims=True)
        places = self.places.astype(np.float64)[near]  # (n, k, 2)
        found = np.stack([np.sum(weights * places[:, :, axis], axis=1) for axis in (0, 1)], axis=1)
        is_own = distances[:, 0] == 0
        found[is_own] = places[is_own, 0]
        return found

    def arrows(
        self, moved: NDArray[np.floating], deltas: NDArray[np.floating]
    ) -> tuple[Floats, Floats]:
        """Differences of embeddings as arrows: towards the neighbours they point at.

        With x the start at length 1, d' the part of the change that turns it, δ_j from x to its
        neighbour j in the sample, c_j = cos(d', δ_j) and e_j the unit vector on the map from the
        start's place to the neighbour's, the arrow points along Σ_j (c_j - c̄) e_j. Subtracting
        the mean c̄ keeps an arrow from pointing to where scans are dense. Turning d around turns
        the arrow around. Its length is the neighbours' agreement times ‖d'‖ / (2 `spread`) radii
        of the map: a change of length alone turns nothing, and has no arrow. Changes that are
        noise have an agreement well above 0, too; see `agreement_by_chance`.

        Args:
            moved: (t, e) where the changes start: embeddings less the mean of their view.
            deltas: (t, e) later minus earlier embedding.

        Returns:
            (t, 2) arrows in the map's units, and (t,) how far the neighbours agree, 0 to 1:
            ‖Σ (c_j - c̄) e_j‖ / Σ |c_j - c̄|.

        Source:
            La Manno et al. (2018), Nature 560; Bergen et al. (2020), Nature Biotechnology 38, eq.
            8: mean of e_j weighted by softmax(c_j) - 1/k; here its first order in c, which is odd
            in d.
        """
        arrows, agreement = np.zeros((len(moved), 2)), np.zeros(len(moved))
        for start in range(0, len(moved), _BLOCK):
            some = slice(start, start + _BLOCK)
            arrows[some], agreement[some] = self._pointing(moved[some], deltas[some])
        return arrows * (agreement * self.radius / (2 * self.spread or 1.0))[:, None], agreement

    def _pointing(
        self, moved: NDArray[np.floating], deltas: NDArray[np.floating]
    ) -> tuple[Floats, Floats]:
        """(b, 2) arrows of length ‖d'‖, zeros where there is none, and (b,) agreement."""
        starts = unit_rows(moved)
        near, _ = nearest(self.sample, starts, min(AROUND, len(self.sample)))
        x = starts.astype(np.float64)
        toward = _lengthened(self.sample[near] - x[:, None])  # (b, k, e)
        turn = _turning(moved, deltas, x)
        cosines = np.einsum("bke,be->bk", toward, _lengthened(turn))
        cosines -= cosines.mean(axis=1, keepdims=True)
        ways = _lengthened(self.places[near].astype(np.float64) - self.place(moved)[:, None])
        total = np.einsum("bk,bkc->bc", cosines, ways)
        most = np.sum(np.abs(cosines), axis=1)
        length = np.linalg.norm(total, axis=1)
        agreement = np.divide(length, most, out=np.zeros(len(total)), where=most > 0)
        return _lengthened(total) * np.linalg.norm(turn, axis=1, keepdims=True), agreement


def _turning(
    moved: NDArray[np.floating], deltas: NDArray[np.floating], x: Floats
) -> NDArray[np.float64]:
    """(b, e) the part of each change at a right angle to its start; zeros where it is rounding."""
    turn = np.asarray(deltas - np.sum(deltas * x, axis=1, keepdims=True) * x, np.float64)
    whole, start = (np.linalg.norm(one.astype(np.float64), axis=1) for one in (deltas, moved))
    turn[np.linalg.norm(turn, axis=1) <= _LEAST_TURN * (whole + start / 10)] = 0.0
    return turn


def _laid_out(
    units: NDArray[np.float32], start: Floats, seed: int, n_neighbors: int
) -> NDArray[np.float32]:
    """(s, 2) UMAP of rows of length 1, from their exact neighbours.

    numba, in which UMAP is written, sets OpenMP to all cores when it starts, for PyTorch too and
    for good; the limit sets it back.
    """
    near, distances = nearest(units, units, n_neighbors)
    with threadpool_limits(1):
        return _umap(units, near, distances, start, seed)


def _umap(
    units: NDArray[np.float32],
    near: NDArray[np.int64],
    distances: Floats,
    start: Floats,
    seed: int,
) -> NDArray[np.float32]:
    """(s, 2) places, from neighbours and a first layout."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)  # not needed
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    chance = np.random.RandomState(seed)
    graph, *_ = fuzzy_simplicial_set(
        units,
        near.shape[1],
        chance,
        "euclidean",
        knn_indices=near.astype(np.int32),
        knn_dists=distances.astype(np.float32),
    )
    a, b = find_ab_params(1.0, MIN_DIST)
    places, _ = simplicial_set_embedding(
        units, graph, 2, 1.0, a, b, 1.0, 5, None, start.astype(np.float32), chance, "euclidean",
        {}, densmap=False, densmap_kwds={}, output_dens=False, parallel=False,
    )  # fmt: skip
    return np.ascontiguousarray(places, np.float32)


def _weights(distances: Floats) -> Floats:
    """(n, k) UMAP's membership of each neighbour: exp(-distance / σ), σ found by halving."""
    target = np.log2(distances.shape[1])
    low, high = np.zeros(len(distances)), np.full(len(distances), np.inf)
    sigma = np.ones(len(distances))
    for _ in range(_HALVINGS):
        total = np.sum(np.exp(-distances[:, 1:] / sigma[:, None]), axis=1)
        is_wide = total > target
        high, low = np.where(is_wide, sigma, high), np.where(is_wide, low, sigma)
        sigma = np.where(np.isinf(high), 2 * sigma, (low + high) / 2)
    least = _LEAST_BANDWIDTH * np.sum(distances, axis=1) / distances.shape[1]
    sigma = np.maximum(sigma, np.maximum(least, np.finfo(np.float64).tiny))
    return np.asarray(np.exp(-(distances - distances[:, :1]) / sigma[:, None]))


def _lengthened(vectors: Floats) -> Floats:
    """Vectors of length 1 along the last axis; zeros stay."""
    lengths = np.sqrt(np.sum(vectors * vectors, axis=-1, keepdims=True))
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))
