"""Features anyone can compute without a network: the baseline a learned encoder has to beat.

They are what B-lines, white lung, A-lines, ventricles and sulci change: brightness, its profile in
depth, streaks along depth, repetition in depth, edges, dark areas, movement.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats

_BANDS = 8
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_PARTS = 4  # that frames are cut into, in time or along a volume
_SMOOTHING = 9  # rows; repetition is looked for in what is finer
_NOISE = 1e-9  # grey values nearer to each other are the same

FEATURES: tuple[str, ...] = (
    "mean",
    "spread",
    "skewness",
    *(f"quantile_{q:g}" for q in _QUANTILES),
    *(f"depth_{band}" for band in range(1, _BANDS + 1)),
    "column_spread",
    "column_peaks",
    "streak_share",
    "depth_repetition",
    "edges_down",
    "edges_across",
    "dark_share",
    "dark_share_center",
    "bright_share",
    *(f"dark_share_part_{part}" for part in range(1, _PARTS + 1)),
    "movement",
)
"""Names of the features, in the order of `handcrafted_features`."""


def handcrafted_features(frames: NDArray[np.floating]) -> Floats:
    """Plain measurements of a scan.

    Skewness, peaks, streaks, repetition and the shares of dark and bright do not change with
    gain and offset of the grey values; the order of frames matters to parts and movement alone;
    a mirrored scan, left for right, measures the same.

    Args:
        frames: (f, h, w) grey values in 0..1; row 0 is nearest to an ultrasound probe.

    Returns:
        (len(FEATURES),) finite numbers, in the order of `FEATURES`. In 0..1 but for skewness,
        depth_repetition, which is a correlation, and column_peaks, a count. Edges and movement
        are mean steps between neighbours; along a volume, movement is from slice to slice.

    Source:
        Ours, after what readers of lung ultrasound count (B-lines per pleural line, A-lines,
        brightness) and of brain MRI measure (area of ventricles and sulci).
    """
    pixels = np.asarray(frames, np.float64)
    picture = pixels.mean(axis=0)  # (h, w)
    return np.array([*_brightness(pixels), *_profile(picture), *_streaks(picture),
                     *_edges(pixels), *_areas(pixels), _movement(pixels)])  # fmt: skip


def _slices(length: int, n: int) -> list[slice]:
    """A length cut into n pieces of about one size; where it is shorter, some show the same."""
    starts = [length * piece // n for piece in range(n + 1)]
    return [slice(low, max(high, low + 1)) for low, high in pairwise(starts)]


def _brightness(pixels: Floats) -> list[float]:
    """Mean, spread, skewness and quantiles of grey values."""
    mean, spread = float(pixels.mean()), float(pixels.std())
    moved = pixels - mean
    cubes = float(np.mean(moved * moved * moved))  # three times as fast as a power
    skewness = cubes / spread**3 if spread > _NOISE else 0.0
    return [mean, spread, skewness, *np.quantile(pixels, _QUANTILES).tolist()]


def _profile(picture: Floats) -> list[float]:
    """Mean grey value of bands from near to deep."""
    return [float(picture[band].mean()) for band in _slices(len(picture), _BANDS)]


def _streaks(picture: Floats) -> list[float]:
    """Bright lines along depth in the deeper half, and repetition of the mean profile in depth."""
    deep = picture[len(picture) // 2 :]
    columns = deep.mean(axis=0)
    spread = float(columns.std())
    is_bright = columns > columns.mean() + spread + _NOISE
    n_peaks = np.count_nonzero(np.diff(is_bright, prepend=False) & is_bright)
    is_bright_pixel = deep > np.median(picture) + picture.std() + _NOISE
    is_streak = is_bright_pixel.mean(axis=0) > 0.5
    return [spread, float(n_peaks), float(is_streak.mean()), _repetition(picture)]


def _repetition(picture: Floats) -> float:
    """Highest autocorrelation of the depth profile from an eighth to half of the depth."""
    rows = picture.mean(axis=1)
    kernel = np.full(_SMOOTHING, 1 / _SMOOTHING)
    smooth = np.convolve(np.pad(rows, _SMOOTHING // 2, mode="edge"), kernel, mode="valid")
    detail = rows - smooth
    if np.abs(detail).max() < _NOISE:
        return 0.0
    lags = range(max(2, len(rows) // 8), max(2, len(rows) // 2) + 1)
    return max(float(detail[lag:] @ detail[:-lag]) for lag in lags) / float(detail @ detail)


def _edges(pixels: Floats) -> list[float]:
    """Mean step from one pixel to the next, down and across."""
    down, across = (np.abs(np.diff(pixels, axis=axis)) for axis in (1, 2))
    return [float(step.mean()) if step.size else 0.0 for step in (down, across)]


def _areas(pixels: Floats) -> list[float]:
    """Shares of dark and bright pixels: on the whole, in the middle, in parts of the frames."""
    low, high = np.quantile(pixels, [0.05, 0.95])
    is_dark = pixels < low + 0.3 * (high - low) - _NOISE
    is_bright = pixels > low + 0.7 * (high - low) + _NOISE
    _, h, w = pixels.shape
    center = is_dark[:, h // 4 : h - h // 4, w // 4 : w - w // 4]
    parts = [float(is_dark[part].mean()) for part in _slices(len(pixels), _PARTS)]
    return [float(is_dark.mean()), float(center.mean()), float(is_bright.mean()), *parts]


def _movement(pixels: Floats) -> float:
    """Mean step of a pixel from frame to frame; 0 for a single image."""
    return float(np.abs(np.diff(pixels, axis=0)).mean()) if len(pixels) > 1 else 0.0
