"""Cohorts of numbers: patients whose scores are known, and embeddings planted beside them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import EvaluateOptions, PretrainOptions, ScoreOptions, Transition
from learner_index.data.manifest import read_manifest
from learner_index.data.split import PatientSplit, draw_folds
from learner_index.pipeline.evaluation.crossfit import Contest
from learner_index.pipeline.evaluation.judge import measured
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.measures import Outcome
from learner_index.pipeline.evaluation.models import Fixed
from learner_index.pipeline.evaluation.result import Evaluation
from learner_index.pipeline.trainingset import read_training_set
from tests.toy import write_manifest

THETA = 5.0
OPTIONS = EvaluateOptions(folds=4, n_bootstraps=200, n_permutations=99)
PRETRAINING = PretrainOptions(score=ScoreOptions(change_threshold=THETA))
Rows = list[dict[str, object]]


def planted_rows(n_patients: int = 40, n_visits: int = 3, seed: int = 0) -> Rows:
    """Patients whose score goes up by 10, down by 10 or stays, from visit to visit."""
    rng = np.random.default_rng(seed)
    rows: Rows = []
    for p in range(n_patients):
        score = 50 + float(rng.integers(-20, 20))
        for day in range(n_visits):
            rows.append(
                {
                    "scan_id": f"p{p:02}d{day}",
                    "patient_id": f"p{p:02}",
                    "path": f"p{p:02}d{day}.npy",
                    "day": day,
                    "health_score": score,
                    "site": "AB"[p % 2],
                }
            )
            score += 10.0 * int(rng.integers(-1, 2))
    return rows


def altered(rows: Rows, change: Callable[[dict[str, object]], dict[str, object]]) -> Rows:
    """Rows with some columns changed."""
    return [{**row, **change(row)} for row in rows]


def material_of(
    folder: Path,
    rows: Rows,
    *,
    theta: float | None = THETA,
    truth: pd.DataFrame | None = None,
    mode: Transition = "consecutive",
) -> Material:
    """The material of a manifest with these rows; no scan is read."""
    manifest = read_manifest(write_manifest(folder / "cohort.csv", rows))
    options = PretrainOptions(score=ScoreOptions(change_threshold=theta))
    scans = read_training_set(manifest, options, folder / "cache")
    return Material.from_training_set(scans, np.arange(len(rows)), truth, mode)


def splits_of(material: Material, folds: int = OPTIONS.folds) -> tuple[PatientSplit, ...]:
    """Folds of its patients."""
    owners = [material.patients[code] for code in material.owners]
    return draw_folds(owners, material.score, replace(PRETRAINING.split, folds=folds))


def knowing(material: Material, name: str = "knows") -> Fixed:
    """A model whose embedding is the score, beside a number that says nothing."""
    constant = np.ones(material.n_scans)
    return fixed(np.column_stack([np.nan_to_num(material.score), constant]), name)


def guessing(material: Material, name: str = "guesses", width: int = 4, seed: int = 0) -> Fixed:
    """A model whose embedding is drawn at random for every scan."""
    return fixed(np.random.default_rng(seed).normal(size=(material.n_scans, width)), name)


def fixed(rows: NDArray[np.floating], name: str, kind: str = "frozen") -> Fixed:
    """A model that is the same in all folds."""
    return Fixed(name, kind, "planted", np.asarray(rows, np.float32))


def judged(
    material: Material,
    *models: object,
    splits: Sequence[PatientSplit] | None = None,
    options: EvaluateOptions = OPTIONS,
) -> Evaluation:
    """The models on four folds."""
    chosen = tuple(splits or splits_of(material))
    contest = Contest(material, chosen, models)
    return measured(contest, options, PRETRAINING, lambda line: None)


def outcome(found: Evaluation, name: str) -> Outcome:
    """What one model came to."""
    return next(one for one in found.outcomes if one.name == name)


def value(found: Evaluation, name: str, measure: str) -> float:
    """One figure of one model."""
    return outcome(found, name).figures[measure].value
