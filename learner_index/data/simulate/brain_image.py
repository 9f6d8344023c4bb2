"""A brain scan from a state: tissues in their place, then the site's scanner, then 8 bits.

Coronal rows run from superior and slices from anterior; axial rows run from anterior and slices
from inferior; columns run to the patient's right. That is how volumes are read and sliced.
"""

import numpy as np
from numpy.typing import NDArray

from learner_index.data.simulate.brain_anatomy import (
    FIELD_MM,
    N_AXIAL,
    N_CORONAL,
    SCANNERS,
    Anatomy,
    Nuisance,
    Scanner,
)
from learner_index.data.simulate.brain_shapes import Floats, Plane
from learner_index.data.simulate.brain_tissue import Atrophy, axial_slice, coronal_slice

_WHITE = 0.88  # where white fat comes to lie on a scanner of usual gain


def pixel_mm(side: int) -> float:
    """Edge of a pixel in pictures `side` pixels wide."""
    return FIELD_MM / side


def render_scan(
    anatomy: Anatomy, nuisance: Nuisance, atrophy: Atrophy, *, site: str, side: int
) -> NDArray[np.uint8]:
    """The slices that a scanner would show.

    Args:
        anatomy: the patient's head.
        nuisance: what is new at this scan.
        atrophy: states of the brain.
        site: whose scanner, one of `SCANNERS`.
        side: height and width in pixels.

    Returns:
        (8, side, side) grey values: 4 coronal slices, then 4 axial ones.

    Source:
        Our plan for the simulation; masks are analytic instead of supersampled.
    """
    rng = np.random.default_rng(nuisance.noise_seed)
    shades = [
        draw(_plane(anatomy, nuisance, view, side), anatomy, atrophy, position)
        for view, (draw, n) in enumerate(((coronal_slice, N_CORONAL), (axial_slice, N_AXIAL)))
        for position in range(n)
    ]
    shading = np.repeat([_shading(bias, side) for bias in nuisance.bias], (N_CORONAL, N_AXIAL), 0)
    level = np.stack(shades) * shading * np.float32(nuisance.gain)
    return _scanned(level, SCANNERS[site], pixel_mm(side), rng)


def _plane(anatomy: Anatomy, nuisance: Nuisance, view: int, side: int) -> Plane:
    """Where pixels lie in the patient's head; it may be turned, moved, large or wide."""
    edge = pixel_mm(side)
    along = (np.arange(side) + 0.5) * edge - FIELD_MM / 2
    shift_x, shift_y = nuisance.shift_mm[view]
    x, y = along[None, :] - shift_x, -along[:, None] - shift_y
    turn = np.deg2rad(nuisance.rotation_deg[view])
    right, up = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    wide = anatomy.scale * anatomy.aspect
    x32, y32 = (right / wide).astype(np.float32), (up / anatomy.scale).astype(np.float32)
    return Plane(x32, y32, edge / float(np.sqrt(wide * anatomy.scale)))


def _shading(bias: NDArray[np.float64], side: int) -> Floats:
    """(h, w) smooth shading of a coil, about 1."""
    x = np.linspace(-1.0, 1.0, side)[None, :]
    y = np.linspace(-1.0, 1.0, side)[:, None]
    fields = np.stack(np.broadcast_arrays(x, y, x * y, x * x - 1 / 3, y * y - 1 / 3))
    return np.exp(np.tensordot(bias, fields, 1)).astype(np.float32)


def _scanned(
    level: Floats, scanner: Scanner, edge_mm: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(f, h, w) grey values: point spread, Rician noise, grey curve."""
    side = level.shape[-1]
    wave = np.fft.fftfreq(side, edge_mm)  # cycles per mm
    fall = np.exp(-2.0 * (np.pi * scanner.blur_mm * wave) ** 2)
    spectrum = np.fft.rfft2(level) * (fall[:, None] * fall[None, : side // 2 + 1])
    seen = np.fft.irfft2(spectrum, s=level.shape[-2:]).astype(np.float32)
    noise = np.float32(scanner.noise) * rng.standard_normal((2, *seen.shape), dtype=np.float32)
    magnitude = np.hypot(seen + noise[0], noise[1])
    shown = np.clip(np.float32(_WHITE) * magnitude, 0, 1) ** np.float32(scanner.gamma)
    return np.asarray(np.rint(shown * 255), np.uint8)
