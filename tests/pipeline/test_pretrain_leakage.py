"""Nothing of patients who do not train reaches the weights: they are altered, and nothing moves."""

import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.pipeline.pretrain import PretrainResult, pretrain
from tests.pipeline.pretrain_toy import SMALL, changed, scored_cohort
from tests.toy import write_manifest

UNTRAINED = ("p1", "p4", "p7", "p9")
BINNED = changed(score={"bins": 3}, training={"patience": 0, "epochs": 3})


def cohort(folder: Path, word: str) -> list[dict[str, object]]:
    """Ten patients of whom four have another role than train."""
    rows = scored_cohort(folder)
    for row in rows:
        row["split"] = word if row["patient_id"] in UNTRAINED else "train"
    write_manifest(folder / "cohort.csv", rows)
    return rows


def disturb(folder: Path, rows: list[dict[str, object]]) -> None:
    """Other pixels and other scores for all patients who do not train."""
    rng = np.random.default_rng(1)
    for row in rows:
        if row["patient_id"] in UNTRAINED:
            row["health_score"] = 1000 * rng.random()
            np.save(folder / str(row["path"]), rng.integers(0, 255, (40, 24), dtype=np.uint8))
    write_manifest(folder / "cohort.csv", rows)


def run(folder: Path, name: str, options=BINNED) -> tuple[PretrainResult, LabelScale]:
    """A run, and the scale its loss was given."""
    with mock.patch.object(JointLoss, "of", side_effect=JointLoss.of) as made:
        done = pretrain(folder / "cohort.csv", folder / name, options)
    return done, made.call_args.args[1]


@pytest.mark.parametrize("options", [BINNED, SMALL], ids=["classes", "scores"])
def test_unseen_patients_change_nothing(tmp_path, options):
    """Pixels and scores of unseen patients: edges, scales, curves and weights stay."""
    rows = cohort(tmp_path, "test")
    before, scale = run(tmp_path, "before", options)
    disturb(tmp_path, rows)

    after, other_scale = run(tmp_path, "after", options)

    assert after.run["data"] != before.run["data"]
    assert after.run["target"] == before.run["target"]
    assert other_scale == scale
    for name in ("encoder.safetensors", "curves.csv"):
        assert (after.folder / name).read_bytes() == (before.folder / name).read_bytes()


def test_validation_patients_only_choose_the_epoch(tmp_path):
    """Theirs altered, what is trained stays: losses of all epochs, edges and scales."""
    rows = cohort(tmp_path, "val")
    before, scale = run(tmp_path, "before")
    disturb(tmp_path, rows)

    after, other_scale = run(tmp_path, "after")

    def trained(result: PretrainResult) -> list[dict[str, float]]:
        history = result.run["history"]
        return [{k: v for k, v in row.items() if not k.startswith("val_")} for row in history]

    assert after.run["history"] != before.run["history"]
    assert trained(after) == trained(before)
    assert after.run["target"] == before.run["target"]
    assert other_scale == scale


def test_an_epoch_kept_does_not_depend_on_who_validates(tmp_path):
    """With one epoch there is nothing to choose: validation patients change no weight."""
    rows = cohort(tmp_path, "val")
    once = changed(BINNED, training={"epochs": 1})
    before, _ = run(tmp_path, "before", once)
    disturb(tmp_path, rows)

    after, _ = run(tmp_path, "after", once)

    files = [done.folder / "encoder.safetensors" for done in (before, after)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_scan_that_trains_does_change_the_weights(tmp_path):
    """The test above can fail: one altered training scan gives another encoder."""
    cohort(tmp_path, "test")
    before, _ = run(tmp_path, "before")
    shutil.copy(tmp_path / "scans/p0d0.npy", tmp_path / "scans/p0d1.npy")

    after, _ = run(tmp_path, "after")

    files = [done.folder / "encoder.safetensors" for done in (before, after)]
    assert files[0].read_bytes() != files[1].read_bytes()
