"""Resampling along one axis: exact area average when shrinking, linear when enlarging."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-6  # of a pixel
_Taps = Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]


def fit_axis(
    values: NDArray[np.float32], axis: int, size: int, ratio: float | None, *, is_centered: bool
) -> NDArray[np.float32]:
    """Make one axis `size` long, at a given scale or by stretching.

    Args:
        values: any shape.
        axis: the axis to change, not negative.
        size: its new length.
        ratio: new pixels per old pixel, kept exactly: what does not fit is cropped, what is
            missing is 0, and a last partial pixel is left out; None stretches to fill.
        is_centered: crop and pad both ends alike, else only the far end.

    Returns:
        The values with the axis `size` long.
    """
    n = values.shape[axis]
    step = n / size if ratio is None else 1.0 / ratio  # old pixels per new pixel
    length = size if ratio is None else min(size, max(1, math.floor(n / step + _ROUNDING)))
    covered = min(length * step, float(n))
    start = (n - covered) / 2 if is_centered else 0.0
    edges = start + covered * (np.arange(length + 1) / length)
    column = (-1, *(1,) * (values.ndim - axis - 1))
    drawn = np.zeros((*values.shape[:axis], length, *values.shape[axis + 1 :]), np.float32)
    for index, weight in _shares(edges, n) if step > 1 else _neighbors(edges, n):
        drawn += np.take(values, index, axis) * weight.astype(np.float32).reshape(column)
    before = (size - length) // 2 if is_centered else 0
    margins = [(0, 0)] * values.ndim
    margins[axis] = (before, size - length - before)
    return drawn if length == size else np.pad(drawn, margins)


def _shares(edges: NDArray[np.float64], n: int) -> _Taps:
    """For the mean between edges: each k-th pixel touched, and the share of it."""
    left, right = edges[:-1], edges[1:]
    first = np.floor(left).astype(np.intp)
    for k in range(int(np.max(np.ceil(right) - first))):
        pixel = first + k
        overlap = np.minimum(right, pixel + 1) - np.maximum(left, pixel)
        yield np.clip(pixel, 0, n - 1), np.clip(overlap, 0.0, None) / (right - left)


def _neighbors(edges: NDArray[np.float64], n: int) -> _Taps:
    """For the value at the centres between edges: the pixels before and after, with shares."""
    centers = np.clip((edges[:-1] + edges[1:]) / 2 - 0.5, 0, n - 1)
    before = np.floor(centers).astype(np.intp)
    share = centers - before
    yield before, 1 - share
    yield np.minimum(before + 1, n - 1), share
