"""What is measured on patients who do not train, and when nothing can be."""

import re
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from learner_index.config import PretrainOptions, ScoreOptions
from learner_index.data.manifest import read_manifest
from learner_index.data.split import PatientSplit
from learner_index.pipeline import validation as module
from learner_index.pipeline.trainingset import TrainingSet, read_training_set
from learner_index.pipeline.validation import aim_of, measure_run, validation_of
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
    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)[0]
    embeddings = np.repeat(np.eye(3, 4, dtype=np.float32), 2, axis=0)
    embeddings[:, 3] = [-0.1, 0.1, -0.2, 0.2, -0.5, 0.5]

    figures = validation.measure(embeddings, np.zeros(6, np.float32))

    assert validation.criterion == "val_spearman"
    assert figures["val_spearman"] == pytest.approx(1)
    assert np.isnan(figures["val_score_spearman"])  # a constant prediction


def test_error_is_in_units_of_the_score(tmp_path):
    """Standardized predictions are turned back: mean 10, spread 4, wrong by 2 each."""
    found = cohort(tmp_path, MOVING)
    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)[0]
    predicted = (found.labels.score + 2 - SCALE[0]) / SCALE[1]

    figures = validation.measure(np.eye(6, dtype=np.float32), predicted.astype(np.float32))

    assert figures["val_mae"] == pytest.approx(2, abs=1e-5)
    assert figures["val_score_spearman"] == pytest.approx(1)


def test_classes_have_no_error_in_score_units(tmp_path):
    """Trained on coarse classes, a prediction is no score: only its order is measured."""
    found = cohort(tmp_path, MOVING)
    classes = np.array([0.0, 0, 1, 1, 1, 2])
    validation = validation_of(found, all_rows(found), classes, SCALE)[0]

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

    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)[0]

    n = len(validation.rows)
    figures = validation.measure(np.eye(n, dtype=np.float32), np.arange(n, dtype=np.float32))
    assert validation.criterion == "val_score_spearman"
    assert set(figures) == {"val_score_spearman", "val_mae"}


@pytest.mark.parametrize(
    ("scores", "rows", "says"),
    [
        pytest.param([[1, 2], [3, 5]], [], "0 scans of patients who", id="nobody"),
        pytest.param([[1, 2], [3, 5]], [0, 1], "2 scans of patients who", id="two scans"),
        pytest.param(
            [["", 2], [3, ""], ["", ""]], [0, 1, 3, 4, 5], "1 scans of patients", id="no scores"
        ),
        pytest.param(
            [[1, 1], [1, 5]], [0, 1, 2], "all 3 scans .* the same health score", id="equal scores"
        ),
    ],
)
def test_nothing_to_measure(tmp_path, scores, rows, says):
    """Too few scans with a score, or no score that differs: no validation, and the reason."""
    found = cohort(tmp_path, scores)

    validation, notes = validation_of(
        found, np.array(rows, dtype=np.intp), found.labels.target, SCALE
    )

    assert validation is None
    assert len(notes) == 1
    assert re.match(f"the last epoch is kept, because {says}", notes[0])


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([[1], [2], [4]], "fewer than 3 patients who validate have two scored visits"),
        ([[1, 2], [3, 4], [5, 6]], "no score of the patients who validate changed more"),
    ],
)
def test_a_head_that_is_not_trained_chooses_no_epoch(tmp_path, scores, says):
    """With regression weight 0 predictions are noise: the last epoch is kept, and why."""
    found = cohort(tmp_path, scores)

    validation, notes = validation_of(
        found, all_rows(found), found.labels.target, SCALE, has_head=False
    )

    assert validation is None
    assert says in notes[0]
    assert "regression weight 0" in notes[0]


def test_without_a_head_only_distances_are_measured(tmp_path):
    """Neither an error nor a correlation of predictions that mean nothing."""
    found = cohort(tmp_path, MOVING)
    validation, notes = validation_of(
        found, all_rows(found), found.labels.target, SCALE, has_head=False
    )

    figures = validation.measure(np.eye(6, dtype=np.float32), np.arange(6, dtype=np.float32))

    assert set(figures) == {"val_spearman"}
    assert notes == ()


def test_pairs_are_found_once(tmp_path):
    """Not again after every epoch."""
    found = cohort(tmp_path, MOVING)
    with mock.patch.object(module, "scored_pairs", side_effect=module.scored_pairs) as pairs:
        validation, _ = validation_of(found, all_rows(found), found.labels.target, SCALE)
        for _ in range(3):
            validation.measure(np.eye(6, dtype=np.float32), np.zeros(6, np.float32))

    assert pairs.call_count == 1


def test_the_whole_cohort_decides_what_is_followed(tmp_path):
    """Patients without scores are not measured by classes where others are by scores."""
    scores = [["", ""], ["", ""], ["", ""], [1, 2]]
    found = cohort(tmp_path, scores, severity=[0, 1, 0, 2, 1, 3, 0, 1])
    options = replace(PretrainOptions(), score=ScoreOptions(class_column="severity"))
    found = read_training_set(found.manifest, options, tmp_path / "cache")

    validation, notes = validation_of(found, np.arange(6), found.labels.target, SCALE)
    figures, _ = measure_run(found, PatientSplit(("p3",), (), ("p0", "p1", "p2")), None)

    assert aim_of(found)[1] == "health score"
    assert (validation, figures["unseen"]) == (None, None)
    assert "0 scans of patients who validate have a health score" in notes[0]


def test_scans_of_other_views_are_not_compared(tmp_path):
    """Two visits in different views are no pair."""
    found = cohort(tmp_path, MOVING, view=["L1", "R1"] * 3)

    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)[0]

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

    validation = validation_of(found, all_rows(found), found.labels.target, SCALE)[0]

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

    figures, drawn = measure_run(found, split, predict)

    assert figures["val"] is None
    assert figures["unseen"]["center"] == "mean of the measured patients"
    assert drawn.shape == (2000,)
    assert figures["unseen"]["low"] == np.nanquantile(drawn, 0.025)
    assert figures["unseen"]["metric"] == "centered"
    assert (figures["unseen"]["n_patients"], figures["unseen"]["n_pairs"]) == (3, 3)
    assert figures["unseen"]["low"] <= figures["unseen"]["rho"] <= figures["unseen"]["high"]


def test_a_run_without_unseen_patients_has_no_figure(tmp_path):
    """None, not a number that rests on nobody."""
    found = cohort(tmp_path, MOVING)
    split = PatientSplit(("p0", "p1", "p2"))

    found = measure_run(found, split, lambda rows: (np.zeros((len(rows), 2), np.float32),) * 2)

    assert found == ({"unseen": None, "val": None}, None)


def test_patients_who_chose_the_epoch_are_marked(tmp_path):
    """Their figure flatters, and says so itself."""
    found = cohort(tmp_path, MOVING)
    split = PatientSplit((), ("p0", "p1", "p2"))

    figures, _ = measure_run(found, split, lambda rows: (np.eye(len(rows), dtype=np.float32),) * 2)

    assert figures["val"]["note"] == "SEEN BY ENCODER: these patients chose the epoch"


def test_folds_draw_independently(tmp_path):
    """Each split has a seed of its own, so that draws of two folds can be averaged."""
    found = cohort(tmp_path, [*MOVING, [1, 4], [2, 9], [7, 3]])
    embeddings = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)

    drawn = [
        measure_run(found, split, lambda rows: (embeddings[rows],) * 2)[1]
        for split in (
            PatientSplit(("p3", "p4", "p5"), (), ("p0", "p1", "p2")),
            PatientSplit(("p3", "p4"), ("p5",), ("p0", "p1", "p2")),
        )
    ]

    assert not np.array_equal(drawn[0], drawn[1], equal_nan=True)


def test_embeddings_all_alike_have_no_rho(tmp_path):
    """A collapsed encoder: not a number, instead of a crash or a lucky one."""
    found = cohort(tmp_path, MOVING)
    split = PatientSplit((), (), ("p0", "p1", "p2"))

    figures, _ = measure_run(found, split, lambda rows: (np.ones((len(rows), 2), np.float32),) * 2)

    assert np.isnan(figures["unseen"]["rho"])
    assert figures["unseen"]["n_pairs"] == 3
