"""The nearest scans of a sample, exactly, and so that a row's answer is its own affair.

A matrix product finds candidates; what decides is each row's own differences in float64. A row's
neighbours are then the same bytes alone, among others, and in any order.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BLOCK_VALUES = 1 << 22  # products held at a time
_SPARE = 16  # candidates beyond those asked for, against rounding


def unit_rows(moved: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n, e) rows of length 1, so that distances order as cosines do; a row of zeros stays."""
    rows = moved.astype(np.float64)
    lengths = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
    units: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return units.astype(np.float32)


def nearest(
    sample: NDArray[np.float32], rows: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], Floats]:
    """The k rows of a sample nearest to each row, nearest first; of equals the first.

    Args:
        sample: (s, e) of length 1.
        rows: (n, e) of length 1.
        k: at most s.

    Returns:
        (n, k) places in the sample and (n, k) Euclidean distances.
    """
    near = np.empty((len(rows), k), np.int64)
    distances = np.empty((len(rows), k))
    step = max(1, _BLOCK_VALUES // len(sample))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        found = _candidates(sample, block, k)
        apart = _apart(sample, block, found)
        order = np.argsort(apart, axis=1, kind="stable")[:, :k]
        near[start : start + step] = np.take_along_axis(found, order, axis=1)
        distances[start : start + step] = np.take_along_axis(apart, order, axis=1)
    return near, distances


def _candidates(
    sample: NDArray[np.float32], block: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """(b, k and some) places in the sample, ascending, among which the nearest are."""
    wanted = k + _SPARE
    if wanted >= len(sample):
        return np.broadcast_to(np.arange(len(sample)), (len(block), len(sample)))
    products = block @ sample.T
    found = np.argpartition(products, len(sample) - wanted, axis=1)[:, -wanted:]
    return np.sort(found, axis=1)


def _apart(
    sample: NDArray[np.float32], block: NDArray[np.float32], found: NDArray[np.int64]
) -> Floats:
    """(b, c) distances to the candidates, a few rows at a time."""
    apart = np.empty(found.shape)
    step = max(1, _BLOCK_VALUES // (found.shape[1] * sample.shape[1]))
    for start in range(0, len(block), step):
        some = slice(start, start + step)
        differences = sample[found[some]].astype(np.float64) - block[some, None]
        apart[some] = np.sqrt(np.sum(differences * differences, axis=2))
    return apart
