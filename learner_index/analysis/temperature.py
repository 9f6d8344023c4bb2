"""One number that makes a head's probabilities neither too bold nor too shy.

It changes how sure a head is, never which class it finds likelier. It must be fitted on patients
that the head has not seen, and that do not calibrate sets.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.conformal import check_rows
from learner_index.analysis.distance import Names, patient_codes
from learner_index.analysis.softmax import softmax
from learner_index.errors import QueryError

LEAST = 5  # patients below which a temperature would be a guess
LOWEST, HIGHEST = 0.05, 20.0

Floats = NDArray[np.float64]
Reals = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Temperature:
    """What logits are divided by before they become probabilities.

    Attributes:
        value: T. Above 1 the head was too sure of itself, below 1 not sure enough.
        n_patients: patients it was fitted on.
        note: what a person should know of it; "" for nothing.
    """

    value: float = 1.0
    n_patients: int = 0
    note: str = ""

    def apply(self, logits: Reals) -> Floats:
        """(t, c) probabilities softmax(logits / T); minus infinity gives 0.

        Raises:
            QueryError: a logit is NaN or plus infinity, or a row has none that is finite.
        """
        return softmax(_checked(logits) / self.value)


def fit_temperature(logits: Reals, target: Integers, patient: Names) -> Temperature:
    """The temperature with the smallest log loss, patients weighing the same.

    The loss is convex in 1 / T, so its slope has one zero at most. It is looked for between 0.05
    and 20; beyond, the nearer end is taken and a note says so. Rows whose outcome has a logit of
    minus infinity are left out: at every temperature their loss is infinite.

    Args:
        logits: (t, c) of patients that the head has not seen; minus infinity for a class that the
            head does not know.
        target: (t,) number of the class that came about.
        patient: (t,) patient of each row.

    Returns:
        T = 1 with a note where fewer than 5 patients are left, or where T changes nothing.

    Raises:
        QueryError: lengths differ, a target is no class, a logit is NaN or plus infinity, or a
            row has none that is finite.

    Source:
        Guo et al. 2017, "On calibration of modern neural networks", ICML, section 4.2.
    """
    values, codes = _checked(logits), np.asarray(target)
    check_rows(values, codes, patient)
    is_known = np.isfinite(values[np.arange(len(values)), codes])
    owners = patient_codes(np.asarray(patient, object)[is_known])
    n_patients = len(np.unique(owners))
    if n_patients < LEAST:
        note = f"temperature 1, not fitted: {n_patients} patients, {LEAST} needed"
        return Temperature(1.0, n_patients, note)
    weight = 1.0 / (np.bincount(owners)[owners] * n_patients)
    value, note = _best(values[is_known], codes[is_known], weight)
    if not is_known.all():
        left_out = f"{np.count_nonzero(~is_known)} rows of classes unknown to the head left out"
        note = "; ".join(filter(None, [note, left_out]))
    return Temperature(value, n_patients, note)


def _best(logits: Floats, target: Integers, weight: Floats) -> tuple[float, str]:
    """The temperature at which the slope of the loss is 0, and a note."""
    from scipy.optimize import brentq

    lead = np.where(np.isfinite(logits), logits, 0.0)
    lead -= logits[np.arange(len(logits)), target][:, None]  # over the class that came about

    def slope(log_t: float) -> float:
        """Of the log loss by 1 / T, which falls as T rises: excess of the expected logit."""
        return float(weight @ np.sum(softmax(logits / np.exp(log_t)) * lead, axis=1))

    low, high = np.log([LOWEST, HIGHEST])
    coldest, hottest = slope(low), slope(high)
    if coldest == hottest == 0:
        return 1.0, "temperature 1, not fitted: none gives other probabilities"
    if coldest <= 0:
        return LOWEST, f"temperature at its lower end {LOWEST:g}: colder still fits better"
    if hottest >= 0:
        return HIGHEST, f"temperature at its upper end {HIGHEST:g}: hotter still fits better"
    return float(np.exp(brentq(slope, low, high, xtol=1e-13, rtol=1e-13))), ""


def _checked(logits: Reals) -> Floats:
    """Logits as float64; refuses those that give no probabilities."""
    values = np.asarray(logits, np.float64)
    if np.isnan(values).any() or (values == np.inf).any():
        raise QueryError("a logit is NaN or plus infinity: look for a diverged head")
    is_lost = ~np.isfinite(values).any(axis=1)
    if is_lost.any():
        row = int(np.argmax(is_lost))
        raise QueryError(f"row {row} has no finite logit: no class is possible in it")
    return values
