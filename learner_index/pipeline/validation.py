"""How good an encoder is on patients it was not trained on, by patient."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import patient_mean
from learner_index.analysis.within import (
    BOOTSTRAPS,
    Agreement,
    ScoredPairs,
    drawn_agreement,
    scored_pairs,
    spearman,
)
from learner_index.data.split import PatientSplit, Role
from learner_index.errors import NotEnoughDataError
from learner_index.learn.trainer import Validation
from learner_index.pipeline.roles import MARK
from learner_index.pipeline.trainingset import TrainingSet

Predict = Callable[[NDArray[np.intp]], tuple[NDArray[np.float32], NDArray[np.float32]]]
Floats = NDArray[np.float64]
FEWEST = 3  # patients with two visits, or scans
CENTER = "mean of the measured patients"


def aim_of(cohort: TrainingSet) -> tuple[Floats, str]:
    """(n,) what distances shall follow, decided for the whole cohort, and its name.

    The health score, or the classes trained on where not one scan of the cohort has a score.
    """
    if np.isfinite(cohort.labels.score).any():
        return cohort.labels.score, "health score"
    return cohort.labels.target, "class"


def validation_of(
    cohort: TrainingSet,
    rows: NDArray[np.intp],
    target: Floats,
    target_scale: tuple[float, float],
    *,
    has_head: bool = True,
) -> tuple[Validation | None, tuple[str, ...]]:
    """What is measured after each epoch, on the validation patients; None if nothing can be.

    Training stops by the Spearman correlation of embedding distance and |Δ health score| between
    visits of one patient. Distances are seen from the measured patients' own mean embedding, as
    those of a store are from its reference. Where fewer than three patients have two visits, or
    no score changed more than another, the correlation of predicted and observed scores decides,
    if scores are predicted at all. `val_mae` is in units of the health score, and is there only
    where the score itself is what is predicted.

    Args:
        cohort: scans and health scores.
        rows: usable scans of the validation patients.
        target: (n,) what is trained on: the score, or classes of it.
        target_scale: mean and standard deviation that standardized the targets.
        has_head: the loss has a regression term; without one, what is predicted means nothing.

    Returns:
        The validation, and notes: why the last epoch is kept where there is none.
    """
    aim, name = aim_of(cohort)
    rows = rows[np.isfinite(aim[rows])]
    observed = aim[rows]
    scored, lack = _rankable(cohort, rows)
    if len(rows) < FEWEST:
        lack = f"{len(rows)} scans of patients who validate have a {name}, {FEWEST} are needed"
        return None, (_last_epoch(lack),)
    if np.ptp(observed) == 0:
        lack = f"all {len(rows)} scans of patients who validate have the same {name}"
        return None, (_last_epoch(lack),)
    if scored is None and not has_head:
        return None, (_last_epoch(f"{lack}, and regression weight 0 predicts no scores"),)
    center, spread = target_scale
    is_score = name == "health score" and np.array_equal(aim, target, equal_nan=True)

    def measure(
        embeddings: NDArray[np.float32], predicted: NDArray[np.float32]
    ) -> Mapping[str, float]:
        figures = {}
        if has_head:
            figures["val_score_spearman"] = spearman(predicted, observed)
        if scored is not None:
            figures["val_spearman"] = _agreement(cohort, rows, embeddings, scored, 0)[0].rho
        if has_head and is_score:
            figures["val_mae"] = float(np.abs(predicted * spread + center - observed).mean())
        return figures

    return Validation(rows, measure, "val_spearman" if scored else "val_score_spearman"), ()


def measure_run(
    cohort: TrainingSet, split: PatientSplit, predict: Predict
) -> tuple[dict[str, Any], Floats | None]:
    """Within-patient agreement of distance and score change, for unseen and validation patients.

    Distances are seen from the measured patients' own mean embedding, as those of a store are
    from its reference.

    Returns:
        Role -> rho, its 95 % interval by patient, counts, metric and center; None where fewer
        than three patients have two scored visits. Validation patients chose the epoch: their
        figure is flattering, and marked so. Then (n_bootstraps,) rho of each draw of unseen
        patients, by a seed that no other split has; None without a figure.
    """
    found: dict[str, Any] = {}
    unseen: Floats | None = None
    aim, _ = aim_of(cohort)
    roles: tuple[Role, ...] = ("unseen", "val")
    for role in roles:
        rows = split.rows(cohort.patients, role)
        rows = rows[cohort.is_usable[rows] & np.isfinite(aim[rows])]
        try:
            scored = _pairs(cohort, rows)
        except NotEnoughDataError:
            found[role] = None
            continue
        seed = int(split.fingerprint, 16)
        agreement, drawn = _agreement(cohort, rows, predict(rows)[0], scored, BOOTSTRAPS, seed)
        found[role] = {"metric": "centered", "center": CENTER, **asdict(agreement)}
        if role == "val":
            found[role]["note"] = f"{MARK}: these patients chose the epoch"
        else:
            unseen = drawn
    return found, unseen


def _agreement(
    cohort: TrainingSet,
    rows: NDArray[np.intp],
    embeddings: NDArray[np.float32],
    scored: ScoredPairs,
    n_bootstraps: int,
    seed: int = 0,
) -> tuple[Agreement, Floats]:
    """Spearman of centered distance and |Δ health score| within patients, and its draws."""
    center = patient_mean(embeddings, _of(cohort.patients, rows))
    return drawn_agreement(embeddings, scored, center=center, n_bootstraps=n_bootstraps, seed=seed)


def _pairs(cohort: TrainingSet, rows: NDArray[np.intp]) -> ScoredPairs:
    """Pairs among some scans that have an aim.

    Raises:
        NotEnoughDataError: fewer than three patients have one.
    """
    aim, _ = aim_of(cohort)
    owners, views = _of(cohort.patients, rows), _of(cohort.views, rows)
    return scored_pairs(aim[rows], owners, cohort.visit[rows], views)


def _rankable(cohort: TrainingSet, rows: NDArray[np.intp]) -> tuple[ScoredPairs | None, str]:
    """Pairs whose changes can be ranked, or why there are none."""
    try:
        scored = _pairs(cohort, rows)
    except NotEnoughDataError:
        return None, f"fewer than {FEWEST} patients who validate have two scored visits in one view"
    if np.ptp(scored.change) == 0:
        return None, "no score of the patients who validate changed more than another"
    return scored, ""


def _last_epoch(reason: str) -> str:
    return f"the last epoch is kept, because {reason}"


def _of(values: list[str], rows: NDArray[np.intp]) -> list[str]:
    return [values[row] for row in rows.tolist()]
