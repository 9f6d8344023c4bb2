"""The map that is a plain projection: the two directions in which patients differ most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import NotEnoughDataError

Floats = NDArray[np.float64]
_LEAST = 3  # scans a plane can be laid through


@dataclass(frozen=True, slots=True, eq=False)
class LinearMap:
    """Principal components of centred embeddings, each patient weighing the same.

    Attributes:
        center: (e,) mean of the sample.
        axes: (2, e) orthonormal; the largest entry of each is positive.
        variance_shares: (2,) share of the sample's variance along each.

    Source:
        Pearson (1901), On lines and planes of closest fit to systems of points in space.
    """

    center: Floats
    axes: Floats
    variance_shares: Floats
    method = "pca"

    @classmethod
    def fit(cls, moved: NDArray[np.floating], patients: NDArray[np.int64]) -> Self:
        """The plane of most variance.

        Args:
            moved: (s, e) embeddings less the mean of their view.
            patients: (s,) patient of each.

        Raises:
            NotEnoughDataError: there are fewer than 3 scans, or all are alike.
        """
        if len(moved) < _LEAST:
            raise NotEnoughDataError(
                f"a map of {len(moved)} scans shows nothing: build {_LEAST} or more into the store"
            )
        weights = 1.0 / np.bincount(patients)[patients]
        weights /= weights.sum()
        center = weights @ moved.astype(np.float64)
        _, lengths, axes = np.linalg.svd(
            np.sqrt(weights)[:, None] * (moved - center), full_matrices=False
        )
        total = float(np.sum(lengths**2))
        if total <= 0 or len(axes) < 2:
            raise NotEnoughDataError(
                "all scans have one embedding, or embeddings of one value: there is no map of them"
            )
        largest = np.take_along_axis(axes, np.argmax(np.abs(axes), axis=1)[:, None], axis=1)
        return cls(center, (axes * np.sign(largest))[:2], lengths[:2] ** 2 / total)

    @classmethod
    def load(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The map that `arrays` speak of.

        Raises:
            KeyError: an array is missing.
        """
        return cls(arrays["center"], arrays["axes"], arrays["variance_shares"])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All it knows."""
        return {
            "center": self.center,
            "axes": self.axes,
            "variance_shares": self.variance_shares,
        }

    def place(self, moved: NDArray[np.floating]) -> Floats:
        """(n, 2) places of (n, e) embeddings; each depends on its own row alone."""
        rows = moved.astype(np.float64) - self.center
        return np.stack([np.sum(rows * axis, axis=1) for axis in self.axes], axis=1)

    def arrows(
        self, moved: NDArray[np.floating], deltas: NDArray[np.floating]
    ) -> tuple[Floats, Floats]:
        """Differences of embeddings as arrows: their projection on the two axes.

        Args:
            moved: (t, e) where they start; a linear map need not know.
            deltas: (t, e) later minus earlier embedding.

        Returns:
            (t, 2) arrows in the map's units, and (t,) the share of each one's length that lies
            in the plane, 0 to 1.
        """
        found = deltas.astype(np.float64) @ self.axes.T
        lengths = np.linalg.norm(deltas, axis=1)
        seen = np.linalg.norm(found, axis=1)
        shares = np.divide(seen, lengths, out=np.zeros(len(found)), where=lengths > 0)
        return found, np.minimum(shares, 1.0)
