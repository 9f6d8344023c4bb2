"""Health changes: improved, stable or worsened, by how far the health score moved."""

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import QueryError, SettingsError

IMPROVED, STABLE, WORSENED = 1, 0, -1


def health_changes(delta_score: NDArray[np.floating], threshold: float) -> NDArray[np.int8]:
    """What became of each patient between two visits.

    Args:
        delta_score: (t,) later health score minus earlier; positive is improvement.
        threshold: θ in score units, above 0; a change of θ or more either way counts.

    Returns:
        (t,) `IMPROVED` 1, `STABLE` 0 or `WORSENED` -1.

    Raises:
        SettingsError: the threshold is no finite number above 0.
        QueryError: a change is NaN.

    Example:
        >>> health_changes(np.array([50.0, 49.0, -51.0]), threshold=50).tolist()
        [1, 0, -1]
    """
    if not (np.isfinite(threshold) and threshold > 0):
        raise SettingsError(f"threshold {threshold} is no size of a change: give a number above 0")
    deltas = np.asarray(delta_score, np.float64)
    n_missing = np.count_nonzero(np.isnan(deltas))
    if n_missing:
        raise QueryError(
            f"{n_missing} of {deltas.size} score changes are missing: "
            "leave out transitions without two health scores"
        )
    above, below = deltas >= threshold, deltas <= -threshold
    return above.astype(np.int8) - below.astype(np.int8)
