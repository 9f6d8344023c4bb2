"""What is measured on patients who do not train, and when nothing can be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learner_index.config import PretrainOptions, ScoreOptions
from learner_index.data.manifest import read_manifest
from learner_index.data.split import PatientSplit
from learner_index.pipeline.trainingset import TrainingSet, read_training_set
from learner_index.pipeline.validation import measure_run, validation_of
from tests.pipeline.pretrain_toy import scored_cohort
from tests.toy import write_manifest

SCALE = (10.0, 4.0)


def cohort(folder: Path, scores: list[list[float | str]], **columns: list[object]) -> TrainingSet:
    """Patients with these scores, visit by visit; further columns row by row."""
    rows = scored_cohort(folder, n_patients=len(scores), n_visits=len(scores[0]))
    flat = [score for own in scores for score in own]
    for number, row in enumerate(rows):
        row["health_score"] = flat[number]
        row.update({name: values[number] for name, values in columns.items()})
    write_manifest(folder / "cohort.csv", rows)
    return read_training_set(
        read_manifest(folder / "cohort.csv"), PretrainOptions(), folder / "cache"
    )


def all_rows(found: TrainingSet) -> np.ndarray:
    return np.arange(found.manifest.n_scans)


MOVING = [[1, 2], [3, 5], [4, 9]]


def test_stops_by_changes_within_patients(tmp_path):
    """Three patients with two visits: embeddings as far apart as scores give 1."""
    found = cohort(tmp_path, MOVING)
    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)
    embeddings = np.repeat(np.eye(3, 4, dtype=np.float32), 2, axis=0)
    embeddings[:, 3] = [-0.1, 0.1, -0.2, 0.2, -0.5, 0.5]

    figures = validation.measure(embeddings, np.zeros(6, np.float32))

    assert validation.criterion == "val_spearman"
    assert figures["val_spearman"] == pytest.approx(1)
    assert np.isnan(figures["val_score_spearman"])  # a constant prediction


def test_error_is_in_units_of_the_score(tmp_path):
    """Standardized predictions are turned back: mean 10, spread 4, wrong by 2 each."""
    found = cohort(tmp_path, MOVING)
    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)
    predicted = (found.labels.score + 2 - SCALE[0]) / SCALE[1]

    figures = validation.measure(np.eye(6, dtype=np.float32), predicted.astype(np.float32))

    assert figures["val_mae"] == pytest.approx(2, abs=1e-5)
    assert figures["val_score_spearman"] == pytest.approx(1)


def test_classes_have_no_error_in_score_units(tmp_path):
    """Trained on coarse classes, a prediction is no score: only its order is measured."""
    found = cohort(tmp_path, MOVING)
    classes = np.array([0.0, 0, 1, 1, 1, 2])
    validation = validation_of(found, all_rows(found), classes, SCALE)

    figures = validation.measure(np.eye(6, dtype=np.float32), np.arange(6, dtype=np.float32))

    assert set(figures) == {"val_spearman", "val_score_spearman"}


@pytest.mark.parametrize(
    "scores",
    [
        pytest.param([[1, 2], [3, 5]], id="two patients"),
        pytest.param([[1, ""], [3, 5], [4, 9]], id="one visit scored"),
        pytest.param([[1, 2], [3, 4], [5, 6]], id="equal changes"),
        pytest.param([[1], [2], [4]], id="one visit each"),
    ],
)
def test_falls_back_to_scores(tmp_path, scores):
    """Where changes within patients cannot be ranked, predicted scores decide."""
    found = cohort(tmp_path, scores)

    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)

    n = len(validation.rows)
    figures = validation.measure(np.eye(n, dtype=np.float32), np.arange(n, dtype=np.float32))
    assert validation.criterion == "val_score_spearman"
    assert set(figures) == {"val_score_spearman", "val_mae"}


@pytest.mark.parametrize(
    ("scores", "rows"),
    [
        pytest.param([[1, 2], [3, 5]], [], id="nobody"),
        pytest.param([[1, 2], [3, 5]], [0, 1], id="two scans"),
        pytest.param([["", 2], [3, ""], ["", ""]], [0, 1, 3, 4, 5], id="no scores"),
        pytest.param([[1, 1], [1, 5]], [0, 1, 2], id="equal scores"),
    ],
)
def test_nothing_to_measure(tmp_path, scores, rows):
    """Too few scans with a score, or no score that differs: no validation."""
    found = cohort(tmp_path, scores)

    assert validation_of(found, np.array(rows, dtype=np.intp), found.labels.target, SCALE) is None


def test_scans_of_other_views_are_not_compared(tmp_path):
    """Two visits in different views are no pair."""
    found = cohort(tmp_path, MOVING, view=["L1", "R1"] * 3)

    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)

    assert validation.criterion == "val_score_spearman"


def test_classes_alone_will_do(tmp_path):
    """Without any health score, changes of class are followed; there is no error in points."""
    scored_cohort(tmp_path, n_patients=4, n_visits=2)
    rows = [
        {
            "scan_id": f"p{p}d{d}",
            "patient_id": f"p{p}",
            "path": f"scans/p{p}d{d}.npy",
            "day": d,
            "severity": p % 3 + d * (p % 2),
        }
        for p in range(4)
        for d in range(2)
    ]
    write_manifest(tmp_path / "cohort.csv", rows)
    options = replace(PretrainOptions(), score=ScoreOptions(class_column="severity"))
    found = read_training_set(read_manifest(tmp_path / "cohort.csv"), options, tmp_path / "cache")

    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)

    figures = validation.measure(np.eye(8, dtype=np.float32), np.arange(8, dtype=np.float32))
    assert validation.criterion == "val_spearman"
    assert "val_mae" not in figures


def test_figures_of_a_run_count_whom_they_rest_on(tmp_path):
    """Unseen patients with an interval by patient; nobody validates, so nothing is said of them."""
    found = cohort(tmp_path, [*MOVING, [1, 4], [2, 9]])
    split = PatientSplit(("p3", "p4"), (), ("p0", "p1", "p2"))

    def predict(rows):
        rng = np.random.default_rng(0)
        return rng.normal(size=(len(rows), 3)).astype(np.float32), np.zeros(len(rows), np.float32)

    figures = measure_run(found, split, predict)

    assert figures["val"] is None
    assert figures["unseen"]["metric"] == "centered"
    assert (figures["unseen"]["n_patients"], figures["unseen"]["n_pairs"]) == (3, 3)
    assert figures["unseen"]["low"] <= figures["unseen"]["rho"] <= figures["unseen"]["high"]


def test_a_run_without_unseen_patients_has_no_figure(tmp_path):
    """None, not a number that rests on nobody."""
    found = cohort(tmp_path, MOVING)
    split = PatientSplit(("p0", "p1", "p2"))

    figures = measure_run(found, split, lambda rows: (np.zeros((len(rows), 2), np.float32),) * 2)

    assert figures == {"unseen": None, "val": None}


def test_embeddings_all_alike_have_no_rho(tmp_path):
    """A collapsed encoder: not a number, instead of a crash or a lucky one."""
    found = cohort(tmp_path, MOVING)
    split = PatientSplit((), (), ("p0", "p1", "p2"))

    figures = measure_run(found, split, lambda rows: (np.ones((len(rows), 2), np.float32),) * 2)

    assert np.isnan(figures["unseen"]["rho"])
    assert figures["unseen"]["n_pairs"] == 3
