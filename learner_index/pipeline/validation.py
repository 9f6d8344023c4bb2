"""How good an encoder is on patients it was not trained on, by patient."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.within import (
    distance_agreement,
    patient_mean,
    spearman,
    within_patient_pairs,
)
from learner_index.data.split import PatientSplit, Role
from learner_index.errors import NotEnoughDataError
from learner_index.learn.trainer import Validation
from learner_index.pipeline.trainingset import TrainingSet

Predict = Callable[[NDArray[np.intp]], tuple[NDArray[np.float32], NDArray[np.float32]]]
FEWEST = 3  # patients with two visits, or scans


def validation_of(
    cohort: TrainingSet,
    rows: NDArray[np.intp],
    target: NDArray[np.float64],
    target_scale: tuple[float, float],
) -> Validation | None:
    """What is measured after each epoch, on the validation patients; None if nothing can be.

    Training stops by the Spearman correlation of embedding distance and |Δ health score| between
    visits of one patient; where fewer than three patients have two visits, or no score changed
    more than another, by that of predicted and observed scores. `val_mae` is in units of the
    health score, and is there only where the score itself is what is predicted.

    Args:
        cohort: scans and health scores.
        rows: usable scans of the validation patients.
        target: (n,) what is trained on: the score, or classes of it.
        target_scale: mean and standard deviation that standardized the targets.
    """
    score = cohort.labels.score
    aim = score if np.isfinite(score[rows]).any() else target
    rows = rows[np.isfinite(aim[rows])]
    if len(rows) < FEWEST or np.ptp(aim[rows]) == 0:
        return None
    center, spread = target_scale
    has_pairs = _can_agree(cohort, rows, aim)
    is_score = np.array_equal(aim, target, equal_nan=True) and np.isfinite(score).any()

    def measure(
        embeddings: NDArray[np.float32], predicted: NDArray[np.float32]
    ) -> Mapping[str, float]:
        figures = {"val_score_spearman": spearman(predicted, aim[rows])}
        if has_pairs:
            figures["val_spearman"] = _agreement(cohort, rows, aim, embeddings, 0)["rho"]
        if is_score:
            errors = np.abs(predicted * spread + center - aim[rows])
            figures["val_mae"] = float(errors.mean())
        return figures

    return Validation(rows, measure, "val_spearman" if has_pairs else "val_score_spearman")


def measure_run(cohort: TrainingSet, split: PatientSplit, predict: Predict) -> dict[str, Any]:
    """Within-patient agreement of distance and score change, for unseen and validation patients.

    Returns:
        Role -> rho, its 95 % interval by patient, counts and the metric; None where fewer than
        three patients have two scored visits. Validation patients chose the epoch: their figure
        is flattering, and named so.
    """
    found: dict[str, Any] = {}
    score = cohort.labels.score
    aim = score if np.isfinite(score).any() else cohort.labels.target
    roles: tuple[Role, ...] = ("unseen", "val")
    for role in roles:
        rows = split.rows(cohort.patients, role)
        rows = rows[cohort.is_usable[rows] & np.isfinite(aim[rows])]
        try:
            embeddings, _ = predict(rows)
            found[role] = _agreement(cohort, rows, aim, embeddings, 2000)
        except NotEnoughDataError:
            found[role] = None
    return found


def _agreement(
    cohort: TrainingSet,
    rows: NDArray[np.intp],
    aim: NDArray[np.float64],
    embeddings: NDArray[np.float32],
    n_bootstraps: int,
) -> dict[str, Any]:
    """Spearman of centered distance and |Δ health score| within patients."""
    patients = [cohort.patients[row] for row in rows.tolist()]
    views = cohort.views
    found = distance_agreement(
        embeddings,
        aim[rows],
        patients,
        cohort.visit[rows],
        [views[row] for row in rows.tolist()],
        center=patient_mean(embeddings, patients),
        n_bootstraps=n_bootstraps,
    )
    return {"metric": "centered", **asdict(found)}


def _can_agree(cohort: TrainingSet, rows: NDArray[np.intp], aim: NDArray[np.float64]) -> bool:
    """Whether enough patients have two scored visits in one view, and their changes differ."""
    patients = [cohort.patients[row] for row in rows.tolist()]
    views = cohort.views
    own = [views[row] for row in rows.tolist()]
    pairs = within_patient_pairs(patients, cohort.visit[rows], own)
    if len({patients[first] for first, _ in pairs.tolist()}) < FEWEST:
        return False
    one, other = aim[rows][pairs.T]
    return bool(np.ptp(np.abs(one - other)) > 0)
