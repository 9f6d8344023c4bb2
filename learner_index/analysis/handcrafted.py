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
_STRIP = 4  # parts that frames are cut into, in time or along a volume

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
    *(f"dark_share_part_{part}" for part in range(1, _STRIP + 1)),
    "movement",
)
"""Names of the features, in the order of `handcrafted_features`."""


def handcrafted_features(frames: NDArray[np.floating]) -> Floats:
    """Plain measurements of a scan.

    Args:
        frames: (f, h, w) grey values in 0..1; row 0 is nearest to an ultrasound probe.

    Returns:
        (len(FEATURES),) finite numbers: shares and grey values in 0..1, counts per frame width,
        and a skewness.

    Source:
        Ours, after what readers of lung ultrasound count (B-lines per pleural line, A-lines,
        brightness) and of brain MRI measure (area of ventricles and sulci).
    """
    pixels = np.asarray(frames, np.float64)
    picture = pixels.mean(axis=0)  # (h, w)
    return np.array([*_brightness(pixels), *_profile(picture), *_streaks(picture),
                     *_edges(pixels), *_areas(pixels), _movement(pixels)])  # fmt: skip


def _brightness(pixels: Floats) -> list[float]:
    """Mean, spread, skewness and quantiles of grey values."""
    mean, spread = float(pixels.mean()), float(pixels.std())
    skewness = float(np.mean((pixels - mean) ** 3)) / spread**3 if spread > 1e-9 else 0.0
    return [mean, spread, skewness, *np.quantile(pixels, _QUANTILES).tolist()]


def _profile(picture: Floats) -> list[float]:
    """Mean grey value of bands from near to deep."""
    edges = np.linspace(0, len(picture), _BANDS + 1).round().astype(int)
    return [float(picture[low : max(high, low + 1)].mean()) for low, high in pairwise(edges)]


def _streaks(picture: Floats) -> list[float]:
    """Bright lines along depth in the deeper half, and repetition of the mean profile in depth."""
    deep = picture[len(picture) // 2 :]
    columns = deep.mean(axis=0)
    middle, spread = columns.mean(), columns.std()
    is_bright = columns > middle + spread
    peaks = np.count_nonzero(is_bright[1:] & ~is_bright[:-1]) / len(columns)
    is_streak = (deep > np.median(picture) + picture.std()).mean(axis=0) > 0.5
    return [float(spread), float(peaks), float(is_streak.mean()), _repetition(picture)]


def _repetition(picture: Floats) -> float:
    """Highest autocorrelation of the depth profile from an eighth to half of the depth."""
    rows = picture.mean(axis=1)
    smooth = np.convolve(np.pad(rows, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")
    detail = rows - smooth
    power = float(detail @ detail)
    if power < 1e-12:
        return 0.0
    lags = range(max(2, len(rows) // 8), max(3, len(rows) // 2))
    return max(float(detail[lag:] @ detail[:-lag]) for lag in lags) / power


def _edges(pixels: Floats) -> list[float]:
    """Mean step from one pixel to the next, down and across."""
    down, across = (np.abs(np.diff(pixels, axis=axis)) for axis in (1, 2))
    return [float(step.mean()) if step.size else 0.0 for step in (down, across)]


def _areas(pixels: Floats) -> list[float]:
    """Shares of dark and bright pixels: on the whole, in the middle, in parts of the frames."""
    low, high = np.quantile(pixels, [0.05, 0.95])
    is_dark = pixels < low + 0.3 * (high - low)
    _, h, w = pixels.shape
    center = is_dark[:, h // 4 : max(h - h // 4, 1), w // 4 : max(w - w // 4, 1)]
    bright = float((pixels > low + 0.7 * (high - low)).mean())
    places = np.linspace(0, len(pixels), _STRIP + 1)
    parts = [
        float(is_dark[int(a) : max(int(np.ceil(b)), int(a) + 1)].mean())
        for a, b in pairwise(places)
    ]
    return [float(is_dark.mean()), float(center.mean()), bright, *parts]


def _movement(pixels: Floats) -> float:
    """Mean change of a pixel from frame to frame; 0 for a single image."""
    return float(np.abs(np.diff(pixels, axis=0)).mean()) if len(pixels) > 1 else 0.0
