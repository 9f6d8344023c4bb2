"""Slices of a simulated brain as volumes in space, as a scanner's export would hold them."""

import numpy as np
from numpy.typing import NDArray

from learner_index.data.simulate.brain_anatomy import AXIAL_GAP_MM, CORONAL_GAP_MM

Volume = tuple[NDArray[np.uint8], NDArray[np.float64]]
"""Voxels (x, y, z), ascending to right, anterior and superior; affine to RAS millimetres."""

_FIRST_CORONAL_MM, _FIRST_AXIAL_MM = -12.0, 0.0  # of the most posterior and most inferior slice


def coronal_volume(slices: NDArray[np.uint8], pixel_mm: float) -> Volume:
    """Coronal slices in space.

    Args:
        slices: (f, h, w) from anterior; rows from superior, columns to the right.
        pixel_mm: edge of a pixel.
    """
    voxels = slices[::-1, ::-1].transpose(2, 0, 1)
    corner = (*_middle(slices, pixel_mm), _FIRST_CORONAL_MM)
    sizes = (pixel_mm, CORONAL_GAP_MM, pixel_mm)
    return voxels, _affine(sizes, (corner[0], corner[2], corner[1]))


def axial_volume(slices: NDArray[np.uint8], pixel_mm: float) -> Volume:
    """Axial slices in space.

    Args:
        slices: (f, h, w) from inferior; rows from anterior, columns to the right.
        pixel_mm: edge of a pixel.
    """
    voxels = slices[:, ::-1].transpose(2, 1, 0)
    corner = (*_middle(slices, pixel_mm), _FIRST_AXIAL_MM)
    return voxels, _affine((pixel_mm, pixel_mm, AXIAL_GAP_MM), corner)


def _middle(slices: NDArray[np.uint8], pixel_mm: float) -> tuple[float, float]:
    """Where the first column and the last row lie when the slice's middle is 0."""
    _, height, width = slices.shape
    return -(width - 1) / 2 * pixel_mm, -(height - 1) / 2 * pixel_mm


def _affine(
    sizes: tuple[float, float, float], corner: tuple[float, float, float]
) -> NDArray[np.float64]:
    """(4, 4) from voxel indices to millimetres."""
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = corner
    return affine
