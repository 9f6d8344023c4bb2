"""Predicted health changes of one cohort as a record whose columns belong together.

How good they are is the job of `classes`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.change import IMPROVED, STABLE, WORSENED
from learner_index.errors import NotEnoughDataError, QueryError

CLASSES = (WORSENED, STABLE, IMPROVED)
_SUM_ERROR = 1e-5  # how far from 1 a row of probabilities may sum: float32 rounds

Reals = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Health changes of one cohort, as they came about and as one model predicted them.

    Attributes:
        true: (t,) health changes that came about: -1, 0 or 1.
        probability: (t, 3) of worsened, stable and improved, in this order; each row sums to 1.
            A model without probabilities gives class shares or one 1 a row.
        label: (t,) predicted health changes, `likeliest(probability)` or by another rule.
        patient: (t,) patient of each transition, numbered 0 to p - 1; each has a transition.

    Raises:
        NotEnoughDataError: there is no transition.
        QueryError: lengths differ, a health change is none of the three, a probability is not
            finite or negative, a row does not sum to 1, or a patient's number is left out.
    """

    true: Integers
    probability: Reals
    label: Integers
    patient: Integers

    def __post_init__(self) -> None:
        """Refuses columns that do not belong together."""
        t = len(self.true)
        if t == 0:
            raise NotEnoughDataError("no transitions to measure: add patients with two visits")
        shapes = {"true": (t,), "probability": (t, 3), "label": (t,), "patient": (t,)}
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise QueryError(
                    f"{name} has shape {np.shape(getattr(self, name))} where {t} transitions need "
                    f"{shape}: give one row a transition"
                )
        _check_codes(self.true, "true")
        _check_codes(self.label, "label")
        check_probability(self.probability)
        counts = patient_counts(self.patient)
        if not counts.all():
            raise QueryError(
                f"patient {int(np.argmin(counts))} of {len(counts)} has no transition: "
                "number patients 0, 1, 2, ... without a gap"
            )

    @property
    def n_patients(self) -> int:
        """p, how many patients there are."""
        return int(np.max(self.patient)) + 1


def likeliest(probability: Reals) -> NDArray[np.int8]:
    """The class with the largest probability; stable where two share it.

    Unlike the first of the largest, this treats worsened and improved alike.

    Args:
        probability: (t, 3) of worsened, stable and improved.

    Returns:
        (t,) -1, 0 or 1.
    """
    worsened, stable, improved = np.asarray(probability).T
    is_better = improved > np.maximum(worsened, stable)
    is_worse = worsened > np.maximum(improved, stable)
    return np.asarray(is_better, np.int8) - np.asarray(is_worse, np.int8)


def patient_counts(patient: Integers) -> Integers:
    """(p,) transitions of each patient."""
    codes = np.asarray(patient)
    if not np.issubdtype(codes.dtype, np.integer) or codes.min(initial=0) < 0:
        raise QueryError("patients must be numbered 0, 1, 2, ...: pass patient_codes(...)")
    return np.bincount(codes)


def _check_codes(codes: Integers, name: str) -> None:
    """Refuses what is no health change."""
    wrong = np.flatnonzero(~np.isin(codes, CLASSES))
    if len(wrong):
        raise QueryError(
            f"{name} of row {wrong[0]} is {np.asarray(codes)[wrong[0]]}: "
            "use -1 worsened, 0 stable, 1 improved"
        )


def check_probability(probability: Reals) -> None:
    """Refuses rows that are no distribution."""
    rows = np.asarray(probability, np.float64)
    shares = np.where(np.isfinite(rows) & (rows >= 0), rows, 2.0)  # 2 fits into no sum of 1
    is_wrong = np.abs(shares.sum(axis=1) - 1) > _SUM_ERROR
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise QueryError(
            f"probabilities of row {row} are {rows[row].tolist()}: "
            "give finite ones, 0 or more, that sum to 1"
        )
