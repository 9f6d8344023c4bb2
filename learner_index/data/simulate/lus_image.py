"""A lung ultrasound clip from a state: echo amplitudes, then decibels, then 8 bits.

Row 0 is the probe's surface. Which patient, zone and nuisance is drawn in `lus_anatomy`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.data.simulate.lus_anatomy import (
    APERTURE_MM,
    DEVICES,
    N_WEDGE_SITES,
    Anatomy,
    Nuisance,
    Zone,
    field_position_mm,
)

Floats = NDArray[np.float32]

_DISPLAY = {"device-A": (1.0, 1.0), "device-B": (0.8, 1.06), "device-C": (1.25, 0.94)}
_COMB_MM = 1.8  # ring-down period of a B-line
_NOISE_DB = 1.2
_HEADROOM_DB = 4.0  # keeps the pleura below white at ordinary gain
_FLOOR = 1e-3  # electronic noise, amplitude
_BREATH = 0.8  # share of a breath that a clip covers


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Where pixels lie; axes f frames, h rows, w columns."""

    z: Floats  # (1, h, 1) depth in mm
    dz: float  # row spacing in mm
    across: Floats  # (w,) mm from the middle
    along: NDArray[np.float64]  # (f, w) position along the lung's field, mm
    smooth: Floats  # (f, 1, w) pleural depth without roughness, mm
    rough: Floats  # (f, 1, w) roughness, SD 1
    pleura: Floats  # (f, 1, w) pleural depth, mm
    below: Floats  # (f, h, w) mm beneath the pleura, 0 above it
    beneath: Floats  # (f, h, w) share of a pixel that lies beneath the pleura


def b_line_count(e: float) -> int:
    """Number of lesion sites lit at interstitial disease `e`; never falls as e rises.

    Source:
        Our plan for the simulation: the first round(45 e^1.3) of 60 sites.
    """
    return round(45.0 * math.pow(e, 1.3))


def wedge_count(c: float) -> int:
    """Number of subpleural consolidations at `c`; never falls as c rises."""
    return round(N_WEDGE_SITES * c)


def spacing_mm(anatomy: Anatomy, height: int, width: int) -> tuple[float, float]:
    """(row, column) size of a pixel in millimetres."""
    return anatomy.depth_mm / height, APERTURE_MM / width


def render_clip(
    anatomy: Anatomy,
    zone: Zone,
    nuisance: Nuisance,
    *,
    e: float,
    c: float,
    device: str = DEVICES[0],
    frames: int = 8,
) -> NDArray[np.uint8]:
    """The clip that a probe on this zone would show.

    Args:
        anatomy: chest wall and machine settings.
        zone: the lung behind; its speckle sets the size of the picture.
        nuisance: what is new at this scan.
        e: interstitial disease of the zone, 0..1; higher is sicker.
        c: consolidation of the zone, 0..1; higher is sicker.
        device: which grey curve turns decibels into 8 bits.
        frames: number of frames f.

    Returns:
        (f, h, w) grey values; row 0 is the probe's surface.
    """
    rng = np.random.default_rng(nuisance.noise_seed)
    grid = _grid(anatomy, zone, nuisance, e, c, frames)
    speckle = _sliding_speckle(zone, grid)
    depth, jag = _wedge_depth(zone, grid, c)
    b_profile, coverage = _b_profile(zone, grid, e, rng)
    lung = _air(speckle, grid, e) + _a_lines(anatomy, speckle, grid, coverage, e, c)
    lung += _b_lines(b_profile, speckle, grid)
    lung = _with_wedges(lung, speckle, grid, depth, jag)
    echo = _wall(anatomy, zone, grid) * (1.0 - grid.beneath) + lung * grid.beneath
    echo += _pleural_line(speckle, grid, depth, e, c)
    return _display(echo, anatomy, nuisance, grid, device, rng)


def _grid(
    anatomy: Anatomy, zone: Zone, nuisance: Nuisance, e: float, c: float, frames: int
) -> _Grid:
    """Pixel positions and pleural depth in every frame."""
    height, width = zone.wall_speckle.shape
    dz, dx = spacing_mm(anatomy, height, width)
    z = ((np.arange(height) + 0.5) * dz).astype(np.float32)[None, :, None]
    across = ((np.arange(width) + 0.5) * dx - APERTURE_MM / 2).astype(np.float64)
    breath = np.sin(nuisance.phase + 2 * np.pi * _BREATH * np.arange(frames) / frames)
    along = field_position_mm(nuisance, across, 3.0 * (1.0 - 0.6 * c) * breath)
    shape = anatomy.tilt * across + anatomy.curvature_per_mm * across**2
    wall = anatomy.wall_mm + nuisance.wall_shift_mm
    smooth = (wall + 0.6 * breath[:, None] + shape[None, :]).astype(np.float32)[:, None, :]
    rough = zone.roughness(along).astype(np.float32)[:, None, :]
    pleura = smooth + np.float32((0.15 + 1.3 * max(e / 2, c)) * 0.6) * rough
    below = z - pleura
    beneath = np.clip(below / np.float32(dz) + np.float32(0.5), 0, 1)
    below = np.maximum(below, 0)
    return _Grid(z, dz, across.astype(np.float32), along, smooth, rough, pleura, below, beneath)


def _line(distance: Floats, width_mm: float, dz: float) -> Floats:
    """Gaussian profile of a thin echo, widened so that no line falls between two rows."""
    spread = np.float32(width_mm**2 + (0.5 * dz) ** 2)
    return np.asarray(np.exp(distance * distance * (np.float32(-0.5) / spread)))


def _sliding_speckle(zone: Zone, grid: _Grid) -> Floats:
    """(f, h, w) speckle amplitude that moves with the lung, interpolated between columns."""
    column = grid.along / (APERTURE_MM / len(grid.across))
    left = np.clip(column.astype(np.intp), 0, zone.lung_speckle.shape[1] - 2)
    share = (column - left).astype(np.float32)
    field = zone.lung_speckle
    mixed = field[:, left] * (1 - share) + field[:, left + 1] * share  # (h, f, w)
    return np.ascontiguousarray(np.abs(mixed).transpose(1, 0, 2))


def _wall(anatomy: Anatomy, zone: Zone, grid: _Grid) -> Floats:
    """(f, h, w) skin, muscle and fascia; they move with the pleura."""
    scale = anatomy.wall_mm / grid.smooth  # (f, 1, w) compressed as the pleura rises
    muscle = grid.z > np.float32(anatomy.fascia[0, 0]) * grid.smooth
    layers = np.where(muscle, np.float32(0.055), np.float32(0.09))
    for share, amplitude, width_mm, slope in anatomy.fascia:
        centre = np.float32(share) * grid.smooth + np.float32(slope) * grid.across
        layers += np.float32(amplitude) * _line(grid.z - centre, float(width_mm), grid.dz)
    layers += np.float32(0.7) * np.exp(-grid.z * scale / np.float32(1.2))  # skin
    return np.asarray(layers * (np.float32(0.25) + zone.wall_speckle))


def _air(speckle: Floats, grid: _Grid, e: float) -> Floats:
    """(f, h, w) haze under the pleura; thick and lasting where the lung is wet."""
    dry = np.float32(0.03) * np.exp(np.float32(-0.05) * grid.below)
    wet = np.float32(0.10 * e**3) * np.exp(np.float32(-0.015) * grid.below)
    return np.asarray((dry + wet) * speckle)


def _a_lines(
    anatomy: Anatomy, speckle: Floats, grid: _Grid, coverage: Floats, e: float, c: float
) -> Floats:
    """(f, h, w) echoes of the pleura at 2, 3 and 4 times its depth, wiped by B-lines."""
    strength = 0.5 * (1 - 0.6 * c) * (1 - 0.5 * e) * (1 - coverage) * np.exp(-0.35 * grid.rough**2)
    smoothly = grid.smooth + np.float32(0.3) * (grid.pleura - grid.smooth)
    total = np.zeros_like(grid.below)
    for k in (2, 3, 4):
        ratio = np.float32(anatomy.a_line_ratio ** (k - 1))
        total += ratio * _line(grid.z - k * smoothly, 0.3 + 0.15 * k, grid.dz)
    return np.asarray(total * strength.astype(np.float32) * (np.float32(0.5) + 0.5 * speckle))


def _b_profile(
    zone: Zone, grid: _Grid, e: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(f, 1, w) amplitude of the B-lines across the picture, and the share of pleura they cover."""
    n, frames = b_line_count(e), len(grid.along)
    flicker = 1 + 0.25 * np.sin(
        rng.uniform(0, 2 * np.pi, (len(zone.b_sites_mm), 1)) + np.arange(frames)
    )
    offset = (grid.along[None] - zone.b_sites_mm[:n, None, None]).astype(np.float32)  # (n, f, w)
    width = ((0.8 + 1.6 * e) * 0.7 * zone.b_width[:n]).astype(np.float32)[:, None, None]
    bumps = np.exp(-0.5 * (offset / width) ** 2)
    height = (zone.b_strength[:n, None] * flicker[:n]).astype(np.float32)[:, :, None]
    clear = np.prod(1 - np.minimum(bumps, np.float32(0.98)), axis=0)
    profile = np.sqrt(np.sum((bumps * height) ** 2, axis=0))
    return profile[:, None, :].astype(np.float32), (1 - clear)[:, None, :].astype(np.float32)


def _b_lines(profile: Floats, speckle: Floats, grid: _Grid) -> Floats:
    """(f, h, w) comets from the pleura to the bottom, with the comb of their ring-down."""
    visible = 0.3 * abs(np.sinc(grid.dz / _COMB_MM))  # a comb finer than the rows blurs away
    comb = 1 + np.float32(visible) * np.cos(np.float32(2 * np.pi / _COMB_MM) * grid.below)
    decay = np.exp(np.float32(-0.012) * grid.below)
    return np.asarray(np.float32(0.3) * profile * decay * comb * (np.float32(0.35) + speckle))


def _wedge_depth(zone: Zone, grid: _Grid, c: float) -> tuple[Floats, Floats]:
    """(f, 1, w) depth of the consolidation under each point of pleura, and its jagged edge."""
    n = wedge_count(c)
    depth = np.zeros(grid.along.shape)
    jag = zone.roughness((grid.along * 1.7) % zone.wedge_sites_mm.max())
    for site, size in zip(zone.wedge_sites_mm[:n], zone.wedge_size[:n], strict=True):
        inside = 1 - ((grid.along - site) / ((3.5 + 6.0 * c) * size)) ** 2
        depth = np.maximum(depth, (4 + 14 * c) * size * np.sqrt(np.maximum(inside, 0)))
    depth = depth * (1 + 0.16 * np.clip(jag, -2, 2))
    return depth[:, None, :].astype(np.float32), jag[:, None, :].astype(np.float32)


def _with_wedges(lung: Floats, speckle: Floats, grid: _Grid, depth: Floats, jag: Floats) -> Floats:
    """(f, h, w) lung with dark subpleural wedges, their bright shred line and comets below it."""
    if not depth.any():
        return lung
    past = (grid.below - depth) / np.float32(grid.dz)
    present = np.clip(depth / 2, 0, 1)  # fades out at the wedge's tips
    inside = np.clip(np.float32(0.5) - past, 0, 1) * present
    shred = _line(grid.below - depth, 0.6, grid.dz) * present * (np.float32(0.5) + 0.15 * jag)
    behind = np.clip(past, 0, 1) * np.clip(depth / 10, 0, 1) ** 2  # soft at both flanks
    streak = np.clip(np.float32(0.6) + 0.4 * jag, 0.15, 1.4)
    tail = behind * streak * np.exp(np.float32(-0.04) * (grid.below - depth))
    shown = lung * (1 - inside) * (1 - np.float32(0.7) * behind)
    shown += np.float32(0.02) * speckle * inside
    return np.asarray(shown + (np.maximum(shred, 0) + np.float32(0.10) * tail) * (0.4 + speckle))


def _pleural_line(speckle: Floats, grid: _Grid, depth: Floats, e: float, c: float) -> Floats:
    """(f, h, w) the pleura: thicker with consolidation, broken where it is rough or eaten."""
    gap = np.clip((np.abs(grid.rough) - 1.1) * np.float32(1.2 * max(e / 2, c)), 0, 0.85)
    whole = (1 - gap) * (1 - np.float32(0.6) * np.clip(depth / 4, 0, 1))
    line = _line(grid.z - grid.pleura, 0.55 + 0.5 * c, grid.dz)
    return np.asarray(whole * line * (np.float32(0.6) + 0.4 * speckle))


def _display(
    echo: Floats,
    anatomy: Anatomy,
    nuisance: Nuisance,
    grid: _Grid,
    device: str,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """(f, h, w) grey values: attenuation, gains, noise, dynamic range and the device's curve."""
    slope = anatomy.tgc_db_per_mm - anatomy.attenuation_db_per_mm
    level = np.float32(20.0) * np.log10(echo + np.float32(_FLOOR)) + np.float32(slope) * grid.z
    level += np.float32(_NOISE_DB) * rng.standard_normal(echo.shape, dtype=np.float32)
    level += np.float32(anatomy.gain_db + nuisance.gain_db - _HEADROOM_DB)
    gamma, contrast = _DISPLAY[device]
    shown = np.clip(1 + level / np.float32(anatomy.dynamic_range_db), 0, 1) ** np.float32(gamma)
    shown = np.clip(np.float32(0.5) + np.float32(contrast) * (shown - np.float32(0.5)), 0, 1)
    return np.asarray(np.rint(shown * 255), np.uint8)
