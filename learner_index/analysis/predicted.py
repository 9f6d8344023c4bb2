"""Predicted classes of one cohort as a record whose columns belong together.

How good they are is the job of `classes`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.change import IMPROVED, STABLE, WORSENED
from learner_index.errors import NotEnoughDataError, QueryError

CLASSES = (WORSENED, STABLE, IMPROVED)
SUM_ERROR = 1e-5  # how far from 1 a row of probabilities may sum: float32 rounds

Reals = NDArray[np.floating]
Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Classes of one cohort's transitions, as they came about and as one model predicted them.

    Classes are the three health changes unless said: any two or more will do.

    Attributes:
        true: (t,) codes of the classes that came about; of health changes -1, 0 or 1.
        probability: (t, c) of the classes, in their order; each row sums to 1. A model without
            probabilities gives class shares or one 1 a row.
        label: (t,) codes of the predicted classes, `likeliest(probability)` of health changes or
            by another rule.
        patient: (t,) patient of each transition, numbered 0 to p - 1; each has a transition.
        classes: (c,) codes, rising; worst first where they have an order.

    Raises:
        NotEnoughDataError: there is no transition.
        QueryError: lengths differ, a code is no class, a probability is not finite or negative,
            a row does not sum to 1, a patient's number is left out, or classes do not rise.
    """

    true: Integers
    probability: Reals
    label: Integers
    patient: Integers
    classes: tuple[int, ...] = CLASSES

    def __post_init__(self) -> None:
        """Refuses columns that do not belong together."""
        t = len(self.true)
        if t == 0:
            raise NotEnoughDataError("no transitions to measure: add patients with two visits")
        _check_classes(self.classes)
        c = len(self.classes)
        shapes = {"true": (t,), "probability": (t, c), "label": (t,), "patient": (t,)}
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise QueryError(
                    f"{name} has shape {np.shape(getattr(self, name))} where {t} transitions need "
                    f"{shape}: give one row a transition"
                )
        _check_codes(self.true, "true", self.classes)
        _check_codes(self.label, "label", self.classes)
        check_probability(self.probability)
        check_patients(self.patient)

    @property
    def n_patients(self) -> int:
        """p, how many patients there are."""
        return int(np.max(self.patient)) + 1


def likeliest(probability: Reals) -> NDArray[np.int8]:
    """The health change with the largest probability; stable where two share it.

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


def check_patients(patient: Integers) -> None:
    """Refuses numbers that leave a patient out."""
    counts = patient_counts(patient)
    if not counts.all():
        raise QueryError(
            f"patient {int(np.argmin(counts))} of {len(counts)} has no transition: "
            "number patients 0, 1, 2, ... without a gap"
        )


def _check_classes(classes: tuple[int, ...]) -> None:
    """Refuses classes that do not tell transitions apart."""
    if len(classes) < 2 or not (np.diff(classes) > 0).all():
        raise QueryError(
            f"classes {classes} do not rise, or are fewer than two: give codes such as (0, 1, 2)"
        )


def _check_codes(codes: Integers, name: str, classes: tuple[int, ...]) -> None:
    """Refuses what is no class."""
    wrong = np.flatnonzero(~np.isin(codes, classes))
    if len(wrong):
        known = ", ".join(map(str, classes))
        raise QueryError(
            f"{name} of row {wrong[0]} is {np.asarray(codes)[wrong[0]]}: use "
            f"{'-1 worsened, 0 stable, 1 improved' if classes == CLASSES else f'one of {known}'}"
        )


def check_probability(probability: Reals) -> None:
    """Refuses rows that are no distribution."""
    rows = np.asarray(probability, np.float64)
    shares = np.where(np.isfinite(rows) & (rows >= 0), rows, 2.0)  # 2 fits into no sum of 1
    is_wrong = np.abs(shares.sum(axis=1) - 1) > SUM_ERROR
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise QueryError(
            f"probabilities of row {row} are {rows[row].tolist()}: "
            "give finite ones, 0 or more, that sum to 1"
        )
