"""From disease age to the MMSE a memory clinic would note, with the noise of the test.

Nothing here knows about images, so that images cannot see the noise of the health score.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

PERFECT = 30.0
_HEALTHY, _LOSS = 29.3, 16.0  # points far from disease; points lost in the end
_PACE_Y = 4.0
_RESERVE = 0.6  # points per SD of cognitive reserve
_NOISE_SD, _NOISE_RISE = 1.0, 1.8  # points: far from disease, and what is added in the end


def logistic(x: ArrayLike) -> NDArray[np.float64]:
    """Rise from 0 to 1 around 0."""
    rise: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.asarray(x, float)))
    return rise


def true_mmse(
    psi: ArrayLike, reserve: ArrayLike = 0.0, *, lead: float = 0.0
) -> NDArray[np.float64]:
    """MMSE without noise or rounding; at most 30, higher is healthier.

    Args:
        psi: (n,) disease age in years, by the clock of the images.
        reserve: (n,) or one number, cognitive reserve in SDs; no image shows it.
        lead: years by which imaging leads cognition; c below.

    Source:
        Our plan for the simulation: 29.3 - 16 sigma((psi - c) / 4) + 0.6 reserve.
    """
    points = _HEALTHY - _LOSS * _decline(psi, lead) + _RESERVE * np.asarray(reserve, float)
    return np.minimum(points, PERFECT)


def measure_mmse(
    psi: NDArray[np.float64],
    reserve: ArrayLike,
    rng: np.random.Generator,
    *,
    lead: float = 0.0,
    noise: float = 1.0,
) -> NDArray[np.int64]:
    """(n,) points noted at visits of known disease age: whole, 0..30.

    Args:
        psi: (n,) disease age in years.
        reserve: cognitive reserve in SDs.
        rng: the same number of draws is taken whatever `noise` is.
        lead: years by which imaging leads cognition.
        noise: 0 rounds the true points; 1 is a clinic, noisier as cognition declines; 2 doubles.

    Source:
        Our plan for the simulation: an error of SD 1.0 + 1.8 sigma((psi - c) / 4).
    """
    error = rng.standard_normal(psi.shape) * (_NOISE_SD + _NOISE_RISE * _decline(psi, lead))
    points = true_mmse(psi, reserve, lead=lead) + noise * error
    return np.clip(np.rint(points), 0, PERFECT).astype(np.int64)


def _decline(psi: ArrayLike, lead: float) -> NDArray[np.float64]:
    """How far cognition has declined, 0..1."""
    return logistic((np.asarray(psi, float) - lead) / _PACE_Y)
