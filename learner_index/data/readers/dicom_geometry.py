"""Where a DICOM file's pixels are: spacing, the ultrasound region, positions of frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TISSUE_2D = (1, 1)  # RegionSpatialFormat, RegionDataType
_CENTIMETRES = 3
_BOUNDS = (
    "RegionLocationMinX0",
    "RegionLocationMinY0",
    "RegionLocationMaxX1",
    "RegionLocationMaxY1",
)


@dataclass(frozen=True, slots=True)
class Window:
    """The part of each frame that is kept, and its spacing.

    Attributes:
        rows: first row kept, and the row after the last.
        columns: likewise.
        spacing_mm: (row, column), None when the header does not say.
    """

    rows: slice
    columns: slice
    spacing_mm: tuple[float, float] | None

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of what is kept."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def window(header: Any) -> Window:
    """The largest 2-D tissue region of an ultrasound header, else the whole frame."""
    h, w = int(header.Rows), int(header.Columns)
    found = [_region(item, h, w) for item in header.get("SequenceOfUltrasoundRegions") or ()]
    regions = [region for region in found if region is not None]
    if not regions:
        return Window(slice(0, h), slice(0, w), pixel_spacing(header))
    best = max(regions, key=lambda region: region.shape[0] * region.shape[1])
    if best.spacing_mm is None:
        return Window(best.rows, best.columns, pixel_spacing(header))
    return best


def _region(item: Any, h: int, w: int) -> Window | None:
    """One region cut to the frame; None when it is no 2-D tissue or lies outside."""
    if (item.get("RegionSpatialFormat"), item.get("RegionDataType")) != _TISSUE_2D:
        return None
    bounds = [item.get(name) for name in _BOUNDS]
    if any(bound is None for bound in bounds):
        return None
    left, top, right, bottom = (int(bound) for bound in bounds)
    rows = slice(max(top, 0), min(bottom + 1, h))
    columns = slice(max(left, 0), min(right + 1, w))
    if rows.stop - rows.start < 2 or columns.stop - columns.start < 2:
        return None
    return Window(rows, columns, _region_spacing(item))


def _region_spacing(item: Any) -> tuple[float, float] | None:
    """(row, column) millimetres of a region measured in centimetres."""
    units = (item.get("PhysicalUnitsXDirection"), item.get("PhysicalUnitsYDirection"))
    if units != (_CENTIMETRES, _CENTIMETRES):
        return None
    return _positive(item.get("PhysicalDeltaY"), item.get("PhysicalDeltaX"), 10.0)


def pixel_spacing(header: Any) -> tuple[float, float] | None:
    """(row, column) in the patient, else at the detector; None when the header does not say."""
    measures = _functional(header, None, "PixelMeasuresSequence")
    candidates = [item.get("PixelSpacing") for item in (measures, header) if item is not None]
    for value in (*candidates, header.get("ImagerPixelSpacing")):
        if value is not None and not isinstance(value, str) and len(value) == 2:
            return _positive(value[0], value[1], 1.0)
    return None


def _positive(row: Any, column: Any, factor: float) -> tuple[float, float] | None:
    """Two lengths in millimetres, or None when they are no lengths."""
    if row is None or column is None:
        return None
    lengths = abs(float(row)) * factor, abs(float(column)) * factor
    return lengths if all(0 < length < 1e4 for length in lengths) else None


def frame_positions(header: Any, n: int) -> NDArray[np.float64] | None:
    """(n, 3) LPS position of each frame; None unless every frame has one."""
    places = [_functional(header, frame, "PlanePositionSequence") for frame in range(n)]
    found = [None if place is None else place.get("ImagePositionPatient") for place in places]
    if any(position is None or len(position) != 3 for position in found):
        return None
    return np.array([[float(value) for value in position or ()] for position in found])


def frame_orientations(header: Any, n: int) -> NDArray[np.float64] | None:
    """(n, 6) LPS directions of each frame; None unless every frame has them."""
    planes = [_functional(header, frame, "PlaneOrientationSequence") for frame in range(n)]
    found = [None if plane is None else plane.get("ImageOrientationPatient") for plane in planes]
    if any(directions is None or len(directions) != 6 for directions in found):
        return None
    return np.array([[float(value) for value in directions or ()] for directions in found])


def rescale(header: Any, frame: int) -> tuple[float, float]:
    """(slope, intercept) of one frame; (1, 0) when the header has none."""
    own = _functional(header, frame, "PixelValueTransformationSequence")
    source = header if own is None else own
    slope, intercept = source.get("RescaleSlope"), source.get("RescaleIntercept")
    return (
        1.0 if slope in (None, "") else float(slope),
        0.0 if intercept in (None, "") else float(intercept),
    )


def _functional(header: Any, frame: int | None, name: str) -> Any | None:
    """A functional group of one frame, else the one that all frames share, else None."""
    groups = list(header.get("SharedFunctionalGroupsSequence") or ())[:1]
    if frame is not None:
        groups = list(header.get("PerFrameFunctionalGroupsSequence") or ())[frame:][:1] + groups
    for group in groups:
        items = group.get(name)
        if items:
            return items[0]
    return None
