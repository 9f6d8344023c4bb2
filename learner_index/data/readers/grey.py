"""Turning decoded samples into grey: luma of colours, and the two pixel types scans may have."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import ScanError

Grey = NDArray[np.uint8] | NDArray[np.float32]


def luma(colour: NDArray[Any]) -> Grey:
    """Brightness of an RGB image, as the eye weighs the colours; equal channels stay as they are.

    Args:
        colour: (h, w, 3) red, green and blue.

    Returns:
        (h, w) uint8 for uint8, else float32 in the input's units.

    Raises:
        ScanError: there are not three channels.

    Source:
        ITU-R BT.601, as 16-bit fixed point.
    """
    if colour.shape[-1] != 3:
        raise ScanError(f"{colour.shape[-1]} colour channels; export the scan as grey or RGB")
    if colour.dtype != np.uint8:
        wide = colour.astype(np.float64)
        return np.asarray(wide @ np.array([19595.0, 38470.0, 7471.0]) / 65536.0, np.float32)
    red, green, blue = (colour[..., c].astype(np.uint32) for c in range(3))
    total = red * 19595 + green * 38470 + blue * 7471 + 0x8000
    return (total >> 16).astype(np.uint8)


def as_pixels(values: NDArray[Any]) -> Grey:
    """Values as a scan may hold them: uint8 as it is, any other number as float32, contiguous.

    Raises:
        ScanError: the values are no real numbers.
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values, dtype=np.uint8)
    if values.dtype.kind not in "biuf":
        raise ScanError(f"pixels of type {values.dtype.kind!r} are no real numbers; convert them")
    return np.ascontiguousarray(values, dtype=np.float32)
