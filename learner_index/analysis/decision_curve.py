"""What acting on a predicted probability is worth, at every threshold one might act at.

Drawing patients and intervals are the job of `resample`, the figure that of `plots.decision`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learner_index.analysis.classes import averaged, checked_weights
from learner_index.analysis.predicted import (
    SUM_ERROR,
    Integers,
    Reals,
    check_patients,
    patient_counts,
)
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

__all__ = ["THRESHOLDS", "TREAT_NONE", "net_benefit", "treat_all"]

THRESHOLDS = tuple(step / 100 for step in range(100))
"""0, 0.01, ... 0.99."""
TREAT_NONE = 0.0
"""Net benefit of acting on nobody, at every threshold."""

Floats = NDArray[np.float64]


def net_benefit(
    probability: Reals,
    is_event: NDArray[np.bool_],
    patient: Integers,
    thresholds: ArrayLike,
    weights: Floats,
) -> Floats:
    """Events acted on, less needless actions at the price the threshold puts on them.

    Who acts from probability x on holds one event that is acted on to be worth (1 - x) / x
    needless actions. With TP and FP the shares of all transitions that were acted on and had the
    event, or had not, net benefit = TP - FP x / (1 - x). A transition weighs its patient's weight
    divided by the patient's number of transitions.

    A model is worth using at x where it lies above `treat_all` and above `TREAT_NONE`. It is
    never above the share of events. Probabilities that are not calibrated cost net benefit.

    Args:
        probability: (t,) predicted for the event, 0 to 1.
        is_event: (t,) whether it came about.
        patient: (t,) patient of each transition, numbered 0 to p - 1.
        thresholds: (x,) probabilities from which on one acts, that one included; 0 or more, below
            1. In any order, such as `THRESHOLDS`.
        weights: (draws, p) how often each patient counts, as of `resample.draw_weights`; all 1
            for the cohort itself.

    Returns:
        (draws, x) in events per transition; higher is better. NaN where a draw weighs nothing.

    Raises:
        NotEnoughDataError: there is no transition.
        QueryError: lengths differ, a probability is none, events are not true or false, or
            weights do not fit the patients.
        SettingsError: a threshold is below 0, or 1 or more.

    Source:
        Vickers & Elkin 2006, Med. Decis. Making 26(6), 565-574.
    """
    given = np.asarray(probability, np.float64)
    _check_columns(given, is_event, patient)
    check_patients(patient)
    cuts = _checked_thresholds(thresholds)
    checked = checked_weights(weights, len(patient_counts(patient)))
    worth = np.where(np.asarray(is_event)[:, None], 1.0, -cuts / (1 - cuts))  # (t, x)
    return averaged(np.where(given[:, None] >= cuts, worth, 0.0), patient, checked)


def treat_all(
    is_event: NDArray[np.bool_], patient: Integers, thresholds: ArrayLike, weights: Floats
) -> Floats:
    """Net benefit of acting on everybody: share of events - share of others times x / (1 - x).

    Args:
        is_event: (t,) as in `net_benefit`, and so are all others.
        patient: (t,) patient of each transition.
        thresholds: (x,) probabilities from which on one would act.
        weights: (draws, p) how often each patient counts.

    Returns:
        (draws, x) in events per transition; the share of events at threshold 0, and 0 at a
        threshold that equals it.

    Raises:
        NotEnoughDataError, QueryError, SettingsError: as `net_benefit`.
    """
    return net_benefit(np.ones(len(is_event)), is_event, patient, thresholds, weights)


def _check_columns(probability: Floats, is_event: NDArray[np.bool_], patient: Integers) -> None:
    """Refuses columns that do not belong together."""
    shapes = [np.shape(column) for column in (probability, is_event, patient)]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise QueryError(
            f"probabilities, events and patients have shapes {shapes[0]}, {shapes[1]} and "
            f"{shapes[2]}: give one of each a transition"
        )
    if len(probability) == 0:
        raise NotEnoughDataError("no transitions to act on: add patients with two visits")
    if np.asarray(is_event).dtype != np.bool_:
        raise QueryError(
            f"events are {np.asarray(is_event).dtype}: give true or false, as true == code does"
        )
    wrong = np.flatnonzero(~((probability >= 0) & (probability <= 1 + SUM_ERROR)))
    if len(wrong):
        raise QueryError(
            f"probability of row {wrong[0]} is {probability[wrong[0]]}: give numbers from 0 to 1"
        )


def _checked_thresholds(thresholds: ArrayLike) -> Floats:
    """(x,) thresholds that have a price."""
    cuts = np.ravel(np.asarray(thresholds, np.float64))
    wrong = cuts[~((cuts >= 0) & (cuts < 1))]
    if wrong.size:
        raise SettingsError(f"threshold {wrong[0]} is none to act at: give 0 or more, below 1")
    return cuts
