"""What does not change with disease: a patient's head and folds, and the look of a scanner.

Lengths are in millimetres, so that every size of picture shows the same head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_CORONAL, N_AXIAL = 4, 4
N_SLICES = N_CORONAL + N_AXIAL
FIELD_MM = 200.0
"""Height and width of every picture."""
CORONAL_GAP_MM, AXIAL_GAP_MM = 6.0, 7.0
"""Distance between neighbouring slices."""

_N_SULCI = 28
_N_BIAS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Sulci around one slice, the same at every visit.

    Attributes:
        angle: (k,) ascending position around the brain, radians in 0..2 pi.
        depth_mm: (k,) how deep each goes.
        width: (k,) width of each relative to the others.
        wave: amplitude (radians), frequency (per mm) and phase of their bends.
    """

    angle: NDArray[np.float64]
    depth_mm: NDArray[np.float64]
    width: NDArray[np.float64]
    wave: tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """One patient's head, the same at every visit.

    Attributes:
        scale: size of the head, 1 the usual one; areas go with its square.
        aspect: width of the head relative to its other lengths.
        ventricle: area of the lateral ventricles before any disease, 1 the usual one.
        hippocampus: area of the hippocampi before any disease, 1 the usual one.
        asymmetry: right over left, minus 1, of (ventricular, hippocampal) area.
        folds: of each slice.
    """

    scale: float
    aspect: float
    ventricle: float
    hippocampus: float
    asymmetry: tuple[float, float]
    folds: tuple[Folds, ...]


@dataclass(frozen=True, slots=True)
class Scanner:
    """How a site's scanner shows a head.

    Attributes:
        gamma: exponent of its grey curve.
        blur_mm: standard deviation of its point spread.
        noise: SD of the noise in either channel, as a share of white.
    """

    gamma: float
    blur_mm: float
    noise: float


SCANNERS = {
    "site-A": Scanner(1.00, 0.9, 0.025),
    "site-B": Scanner(0.88, 1.1, 0.031),
    "site-C": Scanner(1.14, 1.3, 0.038),
    "site-D": Scanner(0.96, 1.5, 0.045),
}


@dataclass(frozen=True, slots=True, eq=False)
class Nuisance:
    """What differs between two scans of one state; views have a position each.

    Attributes:
        rotation_deg: (2,) in-plane turn of the coronal and of the axial slices.
        shift_mm: (2, 2) x and y of the coronal and of the axial slices.
        gain: overall intensity, 1 the usual one.
        bias: (2, 5) coefficients of the coil's shading in either view.
        noise_seed: seed of the noise.
    """

    rotation_deg: NDArray[np.float64]
    shift_mm: NDArray[np.float64]
    gain: float
    bias: NDArray[np.float64]
    noise_seed: int


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A patient's head; the spread of hippocampal area, like the rest, is a choice of ours."""
    return Anatomy(
        scale=float(np.clip(rng.normal(1.0, 0.025), 0.93, 1.05)),  # +-5 % is two SDs
        aspect=float(np.clip(rng.normal(1.0, 0.02), 0.94, 1.05)),
        ventricle=float(np.exp(np.clip(rng.normal(0.0, 0.28), -0.7, 0.7))),
        hippocampus=float(np.clip(rng.normal(1.0, 0.07), 0.8, 1.2)),
        asymmetry=(float(rng.normal(0.0, 0.08)), float(rng.normal(0.0, 0.04))),
        folds=tuple(_draw_folds(rng) for _ in range(N_SLICES)),
    )


def draw_nuisance(rng: np.random.Generator) -> Nuisance:
    """What is new at a scan; 2 mm are a pixel of 96."""
    return Nuisance(
        rotation_deg=rng.uniform(-2.5, 2.5, 2),
        shift_mm=rng.uniform(-2.0, 2.0, (2, 2)),
        gain=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.15)),
        bias=rng.normal(0.0, 0.05, (2, _N_BIAS)),
        noise_seed=int(rng.integers(2**63)),
    )


def _draw_folds(rng: np.random.Generator) -> Folds:
    """Sulci at uneven distances, of uneven depth."""
    places = (np.arange(_N_SULCI) + rng.uniform(0.15, 0.85, _N_SULCI)) / _N_SULCI
    return Folds(
        angle=2 * np.pi * places,
        depth_mm=rng.uniform(8.0, 18.0, _N_SULCI),
        width=rng.uniform(0.6, 1.4, _N_SULCI),
        wave=(
            float(rng.uniform(0.02, 0.05)),
            float(rng.uniform(0.18, 0.32)),
            float(rng.uniform(0.0, 2 * np.pi)),
        ),
    )
