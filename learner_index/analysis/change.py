"""Health changes: improved, stable or worsened, and how often a prediction of them is right."""

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

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


def accuracy(true: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    """Share of health changes that were predicted right.

    Where most patients are stable, "always stable" scores high: report its share beside this.

    Args:
        true: (t,) health changes that came about.
        predicted: (t,) health changes that were predicted.

    Returns:
        0 to 1; 1 is best.

    Raises:
        QueryError: the two are not of one length.
        NotEnoughDataError: there is no transition.
    """
    seen, guessed = np.asarray(true), np.asarray(predicted)
    if seen.shape != guessed.shape:
        raise QueryError(
            f"{seen.size} health changes but {guessed.size} predictions: give one for each"
        )
    if seen.size == 0:
        raise NotEnoughDataError("no transitions to be right about: add patients with two visits")
    return float(np.mean(seen == guessed))
