"""Objectives on a patient's changes: what they need of a cohort, and when they assume too much.

Without two visits of a patient such an objective would train as plain regression and not say so.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from learner_index.config import ObjectiveOptions, PretrainOptions
from learner_index.data.split import PatientSplit
from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.pairs import TIE
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.objectives.registry import objective
from learner_index.pipeline.trainingset import TrainingSet

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
_ANY_SCALE = LabelScale(1.0, 1.0)


def check_objective(options: PretrainOptions) -> None:
    """Refuse an objective that cannot be, or cannot be with these batches.

    Raises:
        SettingsError: see `JointLoss.of`, or a batch has one scan of a patient and the objective
            compares a patient's visits.
    """
    loss = JointLoss.of(options.objective, _ANY_SCALE)
    if loss.needs_visits and options.batches.scans < 2:
        raise SettingsError(
            f"{options.objective.name} compares visits of one patient, and batches.scans is "
            f"{options.batches.scans}: give --scans 2 or more"
        )


def require_visits(
    cohort: TrainingSet, options: PretrainOptions, splits: Sequence[PatientSplit]
) -> None:
    """Refuse, before anything is decoded, to compare visits that no patient has.

    Raises:
        NotEnoughDataError: none of those who train has two visits with a score.
    """
    loss, known = JointLoss.of(options.objective, _ANY_SCALE), np.isfinite(cohort.labels.target)
    for split in splits if loss.needs_visits else ():
        rows = split.rows(cohort.patients, "train")
        rows = rows[known[rows]]
        _largest_change(
            options.objective.name,
            cohort.labels.target[rows],
            cohort.patient[rows],
            cohort.visit[rows],
        )


def require_changes(loss: JointLoss, score: Floats, patient: Codes, visit: Codes) -> None:
    """Refuse an objective on changes where none of those who train shows one it counts.

    Args:
        loss: with the scale of the scores.
        score: (n,) known scores of the scans to train on.
        patient: (n,) whose they are.
        visit: (n,) of which visit, below 0 where nothing says.

    Raises:
        NotEnoughDataError: no patient has two visits, or all changes are below the threshold.
    """
    term = loss.contrastive
    if term is None or not loss.needs_visits:
        return
    name = term.objective.card.name
    share = _largest_change(name, score, patient, visit) / loss.labels.range
    threshold = term.settings.get("threshold")
    if threshold is not None and share <= float(threshold) + TIE:
        raise NotEnoughDataError(
            f"{name} counts changes of a patient above {threshold:g} of the labels' range, and "
            f"the largest among those who train is {share:.2g}: lower it by --set "
            "objective.settings.threshold=NUMBER, or take another --objective"
        )


def _largest_change(name: str, score: Floats, patient: Codes, visit: Codes) -> float:
    """Largest absolute difference of score between two known visits of one patient."""
    known = visit >= 0
    found = [
        np.abs(score[rows] - score[row]).max()
        for own in _by_patient(patient, np.flatnonzero(known))
        for row in own
        if len(rows := own[visit[own] != visit[row]])
    ]
    if not found:
        raise NotEnoughDataError(
            f"{name} compares visits of one patient, and none of the {len(np.unique(patient))} "
            "patients who train has two visits with a health score (column visit or day tells "
            "visits apart): add visits, or take another --objective"
        )
    return float(max(found))


def assumption_note(cohort: TrainingSet, options: ObjectiveOptions) -> str | None:
    """What an objective takes for granted of the disease, where this cohort may not grant it.

    That is where treatments differ, or scores rise in some patients and fall in some, by θ or
    more. Without θ any change counts; without days nobody knows which of two visits is later.

    Args:
        cohort: scores and, perhaps, treatments.
        options: a contrastive weight of 0 assumes nothing.
    """
    assumes = objective(options.name).card.assumes
    if not assumes or options.contrastive_weight == 0:
        return None
    seen = [*_treatments(cohort), *_both_ways(cohort)]
    if not seen:
        return None
    return (
        f"{options.name} assumes that {assumes}; here {' and '.join(seen)}, so recovery may look "
        "otherwise: judge answers about patients who get better and who get worse apart"
    )


def _treatments(cohort: TrainingSet) -> list[str]:
    """That scans differ in treatment; a blank counts as one more."""
    n = len(set(cohort.manifest.texts("treatment")))
    return [f"column treatment has {n} values"] if n > 1 else []


def _both_ways(cohort: TrainingSet) -> list[str]:
    """That the scores of some patients rise and of some fall, by θ or more."""
    table, theta = cohort.manifest.table, cohort.labels.threshold
    if "day" not in table:
        return []
    day, score = table["day"].to_numpy(np.float64, na_value=np.nan), cohort.labels.score
    n_rise = n_fall = 0
    for own in _by_patient(cohort.patient, np.flatnonzero(np.isfinite(day) & np.isfinite(score))):
        is_later = day[own][:, None] > day[own]
        change = np.where(is_later, score[own][:, None] - score[own], 0.0)
        n_rise += bool(change.max() >= theta if theta else change.max() > 0)
        n_fall += bool(change.min() <= -theta if theta else change.min() < 0)
    if not (n_rise and n_fall):
        return []
    size = f"by {theta:g} or more" if theta else "(by any amount: no θ is given)"
    return [f"the scores of {n_rise} patients rise and of {n_fall} fall {size}"]


def _by_patient(patient: Codes, rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Some rows, patient by patient."""
    if len(rows):
        ordered = rows[np.argsort(patient[rows], kind="stable")]
        yield from np.split(ordered, np.flatnonzero(np.diff(patient[ordered])) + 1)
