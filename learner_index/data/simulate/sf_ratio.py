"""From severity to the S/F ratio a ward would chart: gas exchange, oxygen dial, finger probe.

Nothing here knows about images, so that images cannot see the noise of the health score.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FIO2_STEPS = np.array([0.21, 0.24, 0.28, 0.32, 0.36, 0.40, 0.50, 0.60, 0.80, 1.00])
"""Inspired oxygen fractions that a ward can dial, lowest first."""

_TARGET_SPO2 = 94.0  # middle of the 92-96 % target
_TARGET_HALF_WIDTH = 2.0
_SPO2_SD = 1.5  # percentage points, finger probe
_OVER_ONE, _OVER_TWO = 0.30, 0.10  # share of visits with 1 or 2 oxygen steps too many
_SF94_LIMIT = 94.0


@dataclass(frozen=True, slots=True, eq=False)
class Oxygenation:
    """What is charted at each visit, and what lies behind it.

    Attributes:
        true_pf: (n,) PaO2/FiO2 in mmHg, patient offset included; higher is healthier.
        true_sf: (n,) S/F ratio without any measurement noise.
        fio2: (n,) inspired oxygen fraction chosen by the clinician.
        spo2: (n,) saturation read off the finger probe, in percent.
        sf: (n,) observed S/F ratio, `spo2 / fio2`; higher is healthier.
    """

    true_pf: NDArray[np.float64]
    true_sf: NDArray[np.float64]
    fio2: NDArray[np.float64]
    spo2: NDArray[np.float64]
    sf: NDArray[np.float64]

    @property
    def sf94(self) -> NDArray[np.float64]:
        """(n,) S/F ratio where the saturation is at most 94 %, else NaN: no ceiling effect."""
        return np.where(self.spo2 <= _SF94_LIMIT, self.sf, np.nan)


def pf_ratio(s: ArrayLike, offset: ArrayLike = 0.0) -> NDArray[np.float64]:
    """PaO2/FiO2 in mmHg that a lung of severity `s` reaches.

    Args:
        s: (n,) severity in 0..1; higher is sicker.
        offset: (n,) the patient's own log-scale offset; cancels in ratios of two visits.

    Source:
        Our plan for the simulation: (55 + 430 (1 - s)^1.4) exp(b).
    """
    healthy = 1.0 - np.asarray(s, float)
    pf: NDArray[np.float64] = (55.0 + 430.0 * healthy**1.4) * np.exp(np.asarray(offset, float))
    return pf


def saturation(pao2: ArrayLike) -> NDArray[np.float64]:
    """Haemoglobin saturation in percent at an arterial oxygen tension in mmHg.

    Source:
        Severinghaus 1979, S = 1 / (1 + 23400 / (P^3 + 150 P)).
    """
    p = np.asarray(pao2, float)
    percent: NDArray[np.float64] = 100.0 / (1.0 + 23400.0 / (p**3 + 150.0 * p))
    return percent


def oxygen_step(pf: ArrayLike, target: ArrayLike) -> NDArray[np.intp]:
    """(n,) position in `FIO2_STEPS` of the lowest oxygen that reaches the target saturation.

    Args:
        pf: (n,) PaO2/FiO2 in mmHg.
        target: (n,) saturation aimed at, in percent; the last step where none reaches it.
    """
    reached = saturation(np.asarray(pf, float)[..., None] * FIO2_STEPS)  # (n, steps)
    enough = reached >= np.asarray(target, float)[..., None]
    first = np.where(enough.any(axis=-1), enough.argmax(axis=-1), len(FIO2_STEPS) - 1)
    return first.astype(np.intp)


def measure_oxygenation(
    s: NDArray[np.float64],
    offset: ArrayLike,
    rng: np.random.Generator,
    *,
    noise: float = 1.0,
) -> Oxygenation:
    """Chart the S/F ratio at visits of known severity.

    Args:
        s: (n,) severity in 0..1; higher is sicker.
        offset: (n,) or one number, the patient's log-scale offset b.
        rng: the same number of draws is taken whatever `noise` is.
        noise: 0 charts the true ratio; 1 is a ward; 2 doubles the saturation error, the spread of
            the target and the share of visits with more oxygen than needed.
    """
    pf = pf_ratio(s, offset)
    aim = rng.uniform(-1.0, 1.0, pf.shape) * _TARGET_HALF_WIDTH * noise
    over, error = rng.uniform(size=pf.shape), rng.standard_normal(pf.shape) * _SPO2_SD * noise
    extra = (over < noise * (_OVER_ONE + _OVER_TWO)).astype(np.intp) + (over < noise * _OVER_TWO)
    step = np.minimum(oxygen_step(pf, _TARGET_SPO2 + aim) + extra, len(FIO2_STEPS) - 1)
    fio2 = FIO2_STEPS[step]
    spo2 = saturation(pf * fio2) + error
    if noise > 0:
        spo2 = np.minimum(np.rint(spo2), 100.0)
    return Oxygenation(pf, _true_sf(pf), fio2, spo2, spo2 / fio2)


def _true_sf(pf: NDArray[np.float64]) -> NDArray[np.float64]:
    """S/F ratio with an exact probe and exactly the oxygen that the target of 94 % asks for."""
    fio2 = FIO2_STEPS[oxygen_step(pf, np.full(pf.shape, _TARGET_SPO2))]
    true_sf: NDArray[np.float64] = saturation(pf * fio2) / fio2
    return true_sf
