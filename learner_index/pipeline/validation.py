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
FEWEST_PATIENTS = 3


def validation_of(
    cohort: TrainingSet, rows: NDArray[np.intp], target_scale: tuple[float, float]
) -> Validation | None:
    """What is measured after each epoch, on the validation patients; None without any.

    Training stops by the Spearman correlation of embedding distance and |Δ health score| between
    visits of one patient; where too few patients have two visits, by that of predicted and
    observed scores.

    Args:
        cohort: scans and health scores.
        rows: usable scans of the validation patients.
        target_scale: mean and standard deviation that standardized the targets.
    """
    score, target = cohort.labels.score, cohort.labels.target
    aim = score if np.isfinite(score[rows]).any() else target
    rows = rows[np.isfinite(aim[rows])]
    if len(rows) < FEWEST_PATIENTS:
        return None
    center, spread = target_scale
    is_score = aim is score and np.array_equal(score, target, equal_nan=True)

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

    has_pairs = _n_paired_patients(cohort, rows) >= FEWEST_PATIENTS
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


def _n_paired_patients(cohort: TrainingSet, rows: NDArray[np.intp]) -> int:
    """Patients with two scored visits in one view."""
    patients = [cohort.patients[row] for row in rows.tolist()]
    views = cohort.views
    own = [views[row] for row in rows.tolist()]
    pairs = within_patient_pairs(patients, cohort.visit[rows], own)
    return len({patients[first] for first, _ in pairs.tolist()})
