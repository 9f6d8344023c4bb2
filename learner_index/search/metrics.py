"""The three metrics, as one inner product for the backends and exactly, in float64, for answers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Metric
from learner_index.errors import QueryError

_BLOCK = 512  # rows prepared at a time: a float64 block that stays in the processor's cache
_EPSILON = 2.0**-24  # largest relative error of one float32 rounding
_NOISE = 1e-12  # a difference this small beside what was subtracted is rounding, not direction


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A table's rows, ready for inner products: a larger product means more alike.

    Attributes:
        metric: the metric whose order the products have.
        center: (e,) float64 subtracted from rows and queries; zeros for "cosine".
        scale: length that counts as 1; 1 but for "euclidean".
        rows: (n, w) float32, C-contiguous, by position; w is e, or e + 2 for "euclidean".
        reach: no row of `rows` is longer.
    """

    metric: Metric
    center: NDArray[np.float64]
    scale: float
    rows: NDArray[np.float32]
    reach: float

    def query(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(q, e) raw query vectors -> (q, w) vectors whose products with `rows` rank."""
        if self.metric != "euclidean":
            return _units(vectors, self.center).astype(np.float32)
        moved = (vectors - self.center) / self.scale
        halves = -0.5 * np.sum(moved * moved, axis=1, keepdims=True)
        return np.hstack([moved, np.ones_like(halves), halves]).astype(np.float32)

    def slack(self, vectors: NDArray[np.float32]) -> float:
        """Bound on the difference between a float32 product and the true one.

        Args:
            vectors: (q, w) prepared query vectors.

        Source:
            Higham (2002), Accuracy and Stability of Numerical Algorithms, eq. 3.5: whatever the
            order of summation, |fl(x·y) - x·y| <= w u / (1 - w u) |x| |y|, u = 2**-24; eight more
            roundings cover the preparation of both sides.
        """
        roundings = (self.rows.shape[1] + 8) * _EPSILON
        longest = float(_lengths(vectors.astype(np.float64)).max(initial=0.0))
        return float(roundings / (1 - roundings) * self.reach * longest + 1e-12)

    def similarities(
        self, rows: NDArray[np.float32], vectors: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Exact similarity of raw rows to raw query vectors, larger is closer.

        Each value depends on its row and its vector alone, not on their neighbours, so that equal
        rows tie exactly and every backend gives the same answer.

        Args:
            rows: (m, e) embeddings as stored.
            vectors: (q, e) query embeddings.

        Returns:
            (m, q) cosines in -1..1, or minus the Euclidean distances.
        """
        found = np.empty((len(rows), len(vectors)))
        if self.metric == "euclidean":
            raw = rows.astype(np.float64)
            for column, vector in enumerate(vectors):
                found[:, column] = -_lengths(raw - vector)
            return found
        units = _units(rows, self.center)
        for column, toward in enumerate(_units(vectors, self.center)):
            found[:, column] = np.sum(units * toward, axis=1)
        return np.clip(found, -1.0, 1.0, out=found)

    def distance(self, similarity: float) -> float:
        """The distance that belongs to a similarity: 1 minus the cosine, or the Euclidean one."""
        return abs(similarity) if self.metric == "euclidean" else 1.0 - similarity


def prepare(
    embeddings: NDArray[np.float32],
    order: NDArray[np.int64],
    metric: Metric,
    center: NDArray[np.float64],
) -> Prepared:
    """Rows of a table turned once so that every search is a plain inner product.

    Args:
        embeddings: (n, e) as stored; may be a memory map.
        order: (n,) row at each position.
        metric: the metric to prepare for.
        center: (e,) what is subtracted: the reference's mean for "centered", zeros for "cosine";
            "euclidean" chooses its own.

    Raises:
        QueryError: an embedding holds NaN or infinity.
    """
    if metric == "euclidean":
        return _prepare_euclidean(embeddings, order)
    rows = np.empty((len(order), embeddings.shape[1]), np.float32)
    for start, raw in _blocks(embeddings, order):
        rows[start : start + len(raw)] = _units(raw, center)
    return Prepared(metric, center, 1.0, rows, reach=1.0 + 1e-6)


def _prepare_euclidean(embeddings: NDArray[np.float32], order: NDArray[np.int64]) -> Prepared:
    """Rows (x, -|x|²/2, 1), whose product with (q, 1, -|q|²/2) is minus half the squared distance.

    Moving the origin to the rows' mean and measuring in units of the longest row keep the
    float32 products accurate; neither changes the order of distances.
    """
    width = embeddings.shape[1]
    center, longest = np.zeros(width), 0.0
    for _, raw in _blocks(embeddings, order):
        center += np.sum(raw, axis=0, dtype=np.float64) / len(order)
    for _, raw in _blocks(embeddings, order):
        longest = max(longest, float(_lengths(raw - center).max()))
    scale = longest or 1.0
    rows = np.ones((len(order), width + 2), np.float32)
    for start, raw in _blocks(embeddings, order):
        moved = (raw - center) / scale
        rows[start : start + len(raw), :width] = moved
        rows[start : start + len(raw), width] = -0.5 * np.sum(moved * moved, axis=1)
    return Prepared("euclidean", center, scale, rows, reach=1.5 + 1e-6)


def _units(raw: NDArray[np.float32], center: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred vectors of length 1; zeros where nothing but rounding is left after centring."""
    moved = raw - center
    lengths = _lengths(moved)
    lengths[lengths <= _NOISE * np.sqrt(np.sum(center * center))] = np.inf
    moved /= lengths[:, None]
    return moved


def _lengths(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) Euclidean lengths; squares of float32 values never overflow float64."""
    lengths: NDArray[np.float64] = np.sqrt(np.sum(vectors * vectors, axis=1))
    return lengths


def _blocks(
    embeddings: NDArray[np.float32], order: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first position, raw rows) block by block, each checked to be finite."""
    for start in range(0, len(order), _BLOCK):
        raw = embeddings[order[start : start + _BLOCK]]
        if not np.isfinite(raw).all():
            raise QueryError("an embedding holds NaN or infinity: run verify on the store")
        yield start, raw
