"""From a scan to the encoder's input: which frames, what intensity, which millimetres.

Everything here is deterministic and part of the space. Reading files is left to `readers`.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Plane, Preprocessing
from learner_index.data.intensity import Intensity, parse_intensity
from learner_index.data.records import Scan
from learner_index.data.resample import fit_axis
from learner_index.errors import EncoderError

_AXES: dict[Plane, tuple[int, int, int]] = {  # of (z, y, x): normal, rows, columns
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}


def segment_indices(n: int, f: int) -> NDArray[np.intp]:
    """The centres of f equal segments of n frames.

    Where a centre lies on the border of two frames, the one nearer to the middle is taken, so
    that a clip played backwards gives the same frames, except the very middle of an even n.

    Args:
        n: frames there are, at least 1.
        f: frames wanted, at least 1; frames repeat when f is larger than n.

    Returns:
        (f,) ascending indices in 0..n-1.

    Raises:
        EncoderError: n or f is less than 1.

    Source:
        Wang et al., Temporal segment networks (2016), sampling at test time.

    Example:
        >>> segment_indices(100, 4).tolist()
        [12, 37, 62, 87]
    """
    if n < 1 or f < 1:
        raise EncoderError(f"cannot take {f} of {n} frames; ask for at least 1 of at least 1")
    odd = 2 * np.arange(f, dtype=np.int64) + 1
    index, rest = np.divmod(odd * n, 2 * f)
    centers: NDArray[np.intp] = (index - ((rest == 0) & (odd > f))).astype(np.intp)
    return centers


def preprocess(scan: Scan, settings: Preprocessing) -> NDArray[np.float32]:
    """A scan as the encoder sees it.

    Clips are sampled by segment; volumes likewise along the normal of `settings.plane`, within
    `settings.slice_range` counted in array order (from inferior, anterior or left). Coronal and
    sagittal slices stand upright, superior on top. Without `pixel_mm`, or when the scan's spacing
    is unknown, frames are stretched to the input's size.

    Args:
        scan: what a reader returned.
        settings: the declared preprocessing.

    Returns:
        (f, size, size) in 0..1, f = settings.frames for clips and volumes, 1 for an image.

    Raises:
        EncoderError: the settings are impossible.
    """
    check_preprocessing(settings)
    frames = _frames(scan, settings)  # (f, h, w)
    rule = parse_intensity(settings.intensity)
    scaled = _scaled(frames, scan, rule)
    spacing_mm = plane_spacing(scan, settings.plane)
    for axis in (0, 1):
        ratio = None  # input pixels per source pixel
        if settings.pixel_mm is not None and spacing_mm is not None:
            ratio = spacing_mm[axis] / settings.pixel_mm
        is_centered = axis == 1 or settings.anchor == "center"
        scaled = fit_axis(scaled, axis + 1, settings.size, ratio, is_centered=is_centered)
    return np.clip(scaled, 0.0, 1.0)


def check_preprocessing(settings: Preprocessing) -> None:
    """Refuse settings that no scan could be preprocessed with.

    Raises:
        EncoderError: names the setting.
    """
    low, high = settings.slice_range
    problems = {
        "size and frames must be at least 1": settings.size < 1 or settings.frames < 1,
        "pixel_mm must be a positive length": settings.pixel_mm is not None
        and not 0 < settings.pixel_mm < math.inf,
        "anchor must be top or center": settings.anchor not in ("top", "center"),
        f"plane must be one of {', '.join(_AXES)}": settings.plane not in _AXES,
        "slice_range must be two ascending shares within 0..1": not 0 <= low < high <= 1,
    }
    found = [problem for problem, is_found in problems.items() if is_found]
    if found:
        raise EncoderError(f"impossible preprocessing: {'; '.join(found)}")
    parse_intensity(settings.intensity)


def plane_spacing(scan: Scan, plane: Plane = "axial") -> tuple[float, float] | None:
    """(row, column) millimetres of the slices or frames that are used; None when unknown."""
    if scan.spacing_mm is None:
        return None
    if scan.kind != "volume":
        return scan.spacing_mm[0], scan.spacing_mm[1]
    _, rows, columns = _AXES[plane]
    return scan.spacing_mm[rows], scan.spacing_mm[columns]


def extent_mm(scan: Scan, plane: Plane = "axial") -> tuple[float, float] | None:
    """(height, width) of the field of view in millimetres; None when spacing is unknown.

    Args:
        scan: what a reader returned.
        plane: orientation of the slices taken from a volume; no matter for images and clips.
    """
    spacing_mm = plane_spacing(scan, plane)
    if spacing_mm is None:
        return None
    _, rows, columns = _AXES[plane if scan.kind == "volume" else "axial"]
    return scan.pixels.shape[rows] * spacing_mm[0], scan.pixels.shape[columns] * spacing_mm[1]


def choose_pixel_mm(extents: Sequence[tuple[float, float]], size: int) -> float | None:
    """Edge of an input pixel with which the field common to all scans fills the input.

    The common field is the smallest height and width, but at least half of the median: one tiny
    outlier does not crop everyone.

    Args:
        extents: (height, width) in millimetres of a sample of scans.
        size: height and width of the encoder's input in pixels.

    Returns:
        Millimetres, to 3 significant digits; None when there are no extents.

    Raises:
        EncoderError: an extent or the size is not positive.

    Example:
        >>> choose_pixel_mm([(60.0, 50.0), (120.0, 100.0)], 224)
        0.268
    """
    if not extents:
        return None
    lengths = np.asarray(extents, dtype=np.float64)  # (n, 2)
    if size < 1 or not np.all(np.isfinite(lengths)) or lengths.min() <= 0:
        raise EncoderError("extents and size must be positive; leave out scans without spacing")
    common = np.maximum(lengths.min(axis=0), np.median(lengths, axis=0) / 2)
    return float(f"{float(common.max()) / size:.3g}")


def _frames(scan: Scan, settings: Preprocessing) -> NDArray[np.generic]:
    """(f, h, w) frames or upright slices that are used, in their own units."""
    pixels = scan.pixels
    if scan.kind == "image":
        return pixels[:1]
    if scan.kind == "clip":
        return pixels[segment_indices(len(pixels), settings.frames)]
    slices = pixels.transpose(_AXES[settings.plane])
    if settings.plane != "axial":
        slices = slices[:, ::-1, :]  # rows run from superior
    low, high = settings.slice_range
    first = min(math.floor(low * len(slices)), len(slices) - 1)
    last = max(math.ceil(high * len(slices)), first + 1)
    return slices[first + segment_indices(last - first, settings.frames)]


def _scaled(frames: NDArray[np.generic], scan: Scan, rule: Intensity) -> NDArray[np.float32]:
    """Frames in 0..1; a volume's limits come from all of it, other scans' from the frames used."""
    low, high = rule.limits(scan.pixels if scan.kind == "volume" else frames)
    values: NDArray[np.float32] = frames.astype(np.float32)
    if high <= low:
        return np.zeros_like(values)
    values -= np.float32(low)
    values /= np.float32(high - low)
    return np.clip(values, 0.0, 1.0, out=values)
