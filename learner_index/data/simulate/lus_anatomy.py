"""What does not change with disease: chest wall, machine, lesion sites and speckle of a patient.

Lengths are in millimetres, so that two depth settings show the same lung.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

APERTURE_MM = 48.0
"""Width of the picture: a linear probe shows the same width at every depth setting."""

OFFSET_MM = 200.0
"""The probe lands anywhere on this stretch of pleura, anew at every scan."""

N_B_SITES = 60
N_WEDGE_SITES = 10
DEPTHS_MM = (60.0, 80.0, 100.0, 120.0)
DEVICES = ("device-A", "device-B", "device-C")

_MARGIN_MM = 8.0  # beyond both ends, for breathing
_FIELD_MM = APERTURE_MM + OFFSET_MM + 2 * _MARGIN_MM
_ROUGH_STEP_MM = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """One patient's chest wall and the machine used, the same at every visit.

    Attributes:
        wall_mm: depth of the pleura under the probe.
        depth_mm: depth setting, the height of the picture.
        dynamic_range_db: range shown between black and white.
        gain_db: overall gain of this patient's examinations.
        tgc_db_per_mm: time gain compensation, residual slope.
        attenuation_db_per_mm: residual attenuation.
        tilt: pleural slope, mm per mm.
        curvature_per_mm: pleural curvature.
        psf_px: (axial, lateral) standard deviation of the point spread in pixels.
        a_line_ratio: amplitude of an A-line over the one above it.
        fascia: (k, 4) depth as a share of the wall, amplitude, width in mm, slope in mm per mm.
    """

    wall_mm: float
    depth_mm: float
    dynamic_range_db: float
    gain_db: float
    tgc_db_per_mm: float
    attenuation_db_per_mm: float
    tilt: float
    curvature_per_mm: float
    psf_px: tuple[float, float]
    a_line_ratio: float
    fascia: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """The lung behind one chest zone of one patient, the same at every visit.

    Attributes:
        b_sites_mm: (60,) positions along the pleura, in the order in which they light up.
        b_strength: (60,) amplitude of each site's B-line.
        b_width: (60,) width of each relative to the others.
        wedge_sites_mm: (10,) positions of consolidations, in the order in which they appear.
        wedge_size: (10,) size of each relative to the others.
        rough: pleural roughness along the field, mean 0 and SD 1, every 0.25 mm.
        wall_speckle: (h, w) amplitude with mean power 1.
        lung_speckle: (h, W) complex, mean power 1; W covers the whole field.
    """

    b_sites_mm: NDArray[np.float64]
    b_strength: NDArray[np.float64]
    b_width: NDArray[np.float64]
    wedge_sites_mm: NDArray[np.float64]
    wedge_size: NDArray[np.float64]
    rough: NDArray[np.float64]
    wall_speckle: NDArray[np.float32]
    lung_speckle: NDArray[np.complex64]

    def roughness(self, along_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pleural roughness at positions along the field."""
        grid = np.arange(len(self.rough)) * _ROUGH_STEP_MM
        return np.interp(along_mm, grid, self.rough)


@dataclass(frozen=True, slots=True, eq=False)
class Nuisance:
    """What differs between two scans of one state.

    Attributes:
        gain_db: gain turned by the operator.
        offset_mm: where the probe stands along the pleura.
        wall_shift_mm: chest wall pressed or released.
        phase: respiratory phase of the first frame, radians.
        noise_seed: seed of the electronic noise and of the flicker.
    """

    gain_db: float
    offset_mm: float
    wall_shift_mm: float
    phase: float
    noise_seed: int


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A patient's chest wall and settings, by distributions of our choice."""
    layers = int(rng.integers(2, 5))
    return Anatomy(
        wall_mm=float(np.clip(rng.normal(20.0, 4.0), 11.0, 34.0)),
        depth_mm=float(rng.choice(DEPTHS_MM)),
        dynamic_range_db=float(rng.uniform(50.0, 70.0)),
        gain_db=float(rng.normal(0.0, 3.0)),
        tgc_db_per_mm=float(rng.normal(0.03, 0.03)),
        attenuation_db_per_mm=float(rng.uniform(0.05, 0.12)),
        tilt=float(rng.normal(0.0, 0.03)),
        curvature_per_mm=float(rng.uniform(-0.0005, 0.002)),
        psf_px=(float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.9, 1.8))),
        a_line_ratio=float(rng.uniform(0.35, 0.8)),
        fascia=np.column_stack(
            [
                np.sort(rng.uniform(0.12, 0.85, layers)),
                rng.uniform(0.12, 0.4, layers),
                rng.uniform(0.3, 0.6, layers),
                rng.normal(0.0, 0.02, layers),
            ]
        ),
    )


def draw_zone(rng: np.random.Generator, anatomy: Anatomy, height: int, width: int) -> Zone:
    """A lung zone of a patient; lesion sites do not depend on the size of the picture."""
    sites = _MARGIN_MM / 2 + rng.uniform(size=N_B_SITES) * (_FIELD_MM - _MARGIN_MM)
    wedges = (rng.permutation(N_WEDGE_SITES) + rng.uniform(0.2, 0.8, N_WEDGE_SITES)) / N_WEDGE_SITES
    strength, spread = rng.uniform(0.6, 1.1, N_B_SITES), rng.uniform(0.75, 1.25, N_B_SITES)
    size = rng.uniform(0.8, 1.2, N_WEDGE_SITES)
    rough = _roughness(rng)
    columns = int(np.ceil(_FIELD_MM / (APERTURE_MM / width))) + 1
    axial, lateral = anatomy.psf_px
    wall = _speckle(rng, (height, width), (axial, 2.2 * lateral))  # muscle runs along the skin
    lung = _speckle(rng, (height, columns), (axial, lateral))
    amplitude = np.abs(wall).astype(np.float32)
    return Zone(sites, strength, spread, wedges * _FIELD_MM, size, rough, amplitude, lung)


def draw_nuisance(rng: np.random.Generator) -> Nuisance:
    """What is new at a scan, by distributions of our choice."""
    return Nuisance(
        gain_db=float(rng.normal(0.0, 3.0)),
        offset_mm=float(rng.uniform(0.0, OFFSET_MM)),
        wall_shift_mm=float(rng.uniform(-1.0, 1.0)),
        phase=float(rng.uniform(0.0, 2.0 * np.pi)),
        noise_seed=int(rng.integers(2**63)),
    )


def field_position_mm(
    nuisance: Nuisance, across_mm: NDArray[np.float64], slide_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(f, w) position in the lung's field of each column of each frame."""
    centre = _MARGIN_MM + APERTURE_MM / 2 + nuisance.offset_mm
    return np.asarray(centre + across_mm[None, :] + slide_mm[:, None])


def _roughness(rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise with structure of about 1.5 mm, mean 0 and SD 1."""
    n = int(np.ceil(_FIELD_MM / _ROUGH_STEP_MM)) + 1
    wave = np.fft.rfftfreq(n, _ROUGH_STEP_MM)  # cycles per mm
    spectrum = np.fft.rfft(rng.standard_normal(n)) * np.exp(-2 * (np.pi * 1.1 * wave) ** 2)
    rough = np.fft.irfft(spectrum, n)
    return np.asarray((rough - rough.mean()) / rough.std())


def _speckle(
    rng: np.random.Generator, shape: tuple[int, int], psf_px: tuple[float, float]
) -> NDArray[np.complex64]:
    """Fully developed speckle: complex Gaussian noise seen through the point spread."""
    noise = rng.standard_normal((2, *shape), dtype=np.float32)
    response = np.outer(*(_transfer(n, sd) for n, sd in zip(shape, psf_px, strict=True)))
    field = np.fft.ifft2(np.fft.fft2(noise[0] + 1j * noise[1]) * response)
    return np.asarray(field / np.sqrt(np.mean(np.abs(field) ** 2)), np.complex64)


def _transfer(n: int, sd_px: float) -> NDArray[np.float64]:
    """Frequency response of a Gaussian blur along an axis of n pixels."""
    return np.asarray(np.exp(-2.0 * (np.pi * sd_px * np.fft.fftfreq(n)) ** 2))
