"""One orientation for all volumes: slices to superior, rows from anterior, columns x ascending."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.data.readers.grey import as_pixels
from learner_index.data.records import Scan
from learner_index.errors import ScanError

_SAME_PLACE_MM = 1e-3
_GAP_TOLERANCE = 0.1  # of the usual gap
_FLAT = 0.1  # share of a right-angled voxel's volume


@dataclass(frozen=True, slots=True)
class Stack:
    """How slices lie in space.

    Attributes:
        order: (n,) slice indices in ascending position along the normal.
        affine: (4, 4) from (column, row, ordered slice) to RAS millimetres; no origin.
        notes: what a person should know.
    """

    order: NDArray[np.intp]
    affine: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def stack_slices(
    positions: NDArray[np.float64],
    orientation: NDArray[np.float64],
    spacing_mm: tuple[float, float],
) -> Stack:
    """Order slices along their normal and say where their voxels are.

    Args:
        positions: (n, 3) LPS millimetres of each slice's first pixel, n at least 2.
        orientation: (6,) LPS direction along a row, then along a column.
        spacing_mm: (row, column).

    Raises:
        ScanError: two slices share a place, a gap differs from the others, or the directions
            are no right angle.
    """
    along_row, along_column = orientation[:3], orientation[3:]
    normal = np.cross(along_row, along_column)
    if not np.all(np.isfinite(positions)) or not 0.99 < float(np.linalg.norm(normal)) < 1.01:
        raise ScanError("slice orientation or positions are no valid directions; export again")
    depth = positions @ normal
    order = np.argsort(depth, kind="stable")
    gap = _even_gap(depth[order])
    steps = np.diff(positions[order], axis=0)
    drift = float(np.max(np.linalg.norm(steps - np.outer(steps @ normal, normal), axis=1)))
    notes = ("slices are sheared (tilted gantry)",) if drift > max(0.05 * gap, 0.05) else ()
    columns = [along_row * spacing_mm[1], along_column * spacing_mm[0], normal * gap]
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ np.stack(columns, axis=1)
    return Stack(order, affine, notes)


def _even_gap(depth: NDArray[np.float64]) -> float:
    """The one distance between neighbours of ascending depths."""
    gaps = np.diff(depth)
    doubled = int(np.sum(gaps < _SAME_PLACE_MM))
    if doubled:
        raise ScanError(
            f"{doubled} of {len(depth)} slices lie where another does; "
            "separate echoes, phases or repeats into folders of their own"
        )
    gap = float(np.median(gaps))
    uneven = np.abs(gaps - gap) > max(_GAP_TOLERANCE * gap, 0.01)
    if np.any(uneven):
        raise ScanError(
            f"{len(depth)} slices with uneven gaps of {gaps.min():.3g} to {gaps.max():.3g} mm; "
            "add the missing slices or resample the series"
        )
    return gap


def ras_scan(
    values: NDArray[Any],
    affine: NDArray[np.float64],
    notes: tuple[str, ...] = (),
    tags: Mapping[str, str] | None = None,
) -> Scan:
    """A volume turned to the axes it is closest to; a single slice becomes an image.

    Args:
        values: (i, j, k) in the file's own order.
        affine: (4, 4) from (i, j, k) to RAS millimetres.
        notes: carried over.
        tags: carried over.

    Raises:
        ScanError: the affine gives an axis no direction or length.
    """
    from nibabel.affines import voxel_sizes
    from nibabel.orientations import apply_orientation, io_orientation

    sizes = voxel_sizes(affine)
    if not np.all(np.isfinite(affine)) or sizes.min() <= 0:
        raise ScanError("orientation in the header is unusable; mend its affine")
    if abs(float(np.linalg.det(affine[:3, :3]))) < _FLAT * float(sizes.prod()):
        raise ScanError("two axes of the header point the same way; mend its affine")
    turns = io_orientation(affine)
    x, y, z = sizes[np.argsort(turns[:, 0])].tolist()
    volume = apply_orientation(values, turns).transpose(2, 1, 0)[:, ::-1, :]
    return _volume_or_image(volume, (z, y, x), notes, tags or {})


def _volume_or_image(
    volume: NDArray[Any],
    spacing_mm: tuple[float, float, float],
    notes: tuple[str, ...],
    tags: Mapping[str, str],
) -> Scan:
    """(z, y, x) as a volume, or as an image, upright, when an axis has length 1."""
    z, y, x = spacing_mm
    if volume.shape[0] == 1:
        return Scan(as_pixels(volume), (y, x), "image", notes, tags)
    if volume.shape[1] == 1:
        return Scan(as_pixels(volume[::-1, 0, :][None]), (z, x), "image", notes, tags)
    if volume.shape[2] == 1:
        return Scan(as_pixels(volume[::-1, :, 0][None]), (z, y), "image", notes, tags)
    return Scan(as_pixels(volume), spacing_mm, "volume", notes, tags)
