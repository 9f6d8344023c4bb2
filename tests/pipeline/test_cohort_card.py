"""What is shown of stores, builds, runs and gains."""

from pathlib import Path

import pytest

import learner_index as li
from learner_index.data.records import Problem
from learner_index.data.split import PatientSplit
from learner_index.pipeline.gain import Gain, GainDifference
from learner_index.pipeline.pretrain import PretrainResult
from learner_index.pipeline.result import BuildResult
from tests.toy import ToySource, make_cohort


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scans and a manifest."""
    place = tmp_path_factory.mktemp("toy")
    make_cohort(place)
    return place


def test_a_store_shows_what_it_holds(folder):
    """Patients, visits, views, score, encoder and days; no path."""
    li.build(folder / "cohort.csv", folder / "c.zarr", ToySource())
    html = li.open_store(folder / "c.zarr")._repr_html_()

    for words in (
        "Store c.zarr",
        "3 (3 followed)",
        "L1 6",
        "health_score, 6 of 6 scans, 79 to 100",
        "unseen 6",
        "count within one patient",
    ):
        assert words in html
    assert str(folder) not in html
    assert "SEEN BY ENCODER" not in html
    assert "SIMULATED" not in html


def test_seen_patients_and_simulated_scans_are_told(folder):
    """Who trained the encoder stands in the note; computed scans are called so."""
    split = PatientSplit(train=("p0",), val=(), unseen=("p1", "p2"))
    store = folder / "seen.zarr"
    (folder / "SIMULATED.txt").write_text("computed")
    li.build(folder / "cohort.csv", store, ToySource(split=split))
    (folder / "SIMULATED.txt").unlink()
    cohort = li.open_store(store)

    assert "SEEN BY ENCODER: 1 patient" in cohort._repr_html_()
    assert "SIMULATED" in cohort._repr_html_()
    assert repr(cohort).startswith("Cohort(seen.zarr: SIMULATED, 6 scans")


def test_a_build_is_one_line_of_counts():
    """Counts and what was skipped, the store by its name alone."""
    skipped = [Problem("line 2", "s1", "empty file")]
    shown = repr(BuildResult(Path("/somewhere/c.zarr"), 5, 2, n_embedded=4, skipped=skipped))

    assert shown.splitlines()[0] == "Store c.zarr: 5 scans of 2 patients"
    assert "embedded 4, shared 0, changed 0, unchanged 0, pruned 0, skipped 1" in shown
    assert "note: line 2 s1: empty file" in shown
    assert "somewhere" not in shown


def test_a_run_says_what_it_learned_from_whom():
    """Objective, patients by role, best epoch; of folds, how many."""
    asked = {"objective": {"name": "mse"}, "encoder": {"spec": "toy"}}
    record = {"cohort": "c.csv", "options": asked, "is_simulated": True}
    one = {"n_patients": {"train": 7, "val": 2}, "best_epoch": 3, "n_epochs": 5}
    run = PretrainResult(Path("/somewhere/run"), record | one)
    folds = PretrainResult(Path("run"), record, (run, run))

    assert repr(run).startswith("SIMULATED: Pretraining run")
    assert "best epoch       3 of 5" in repr(run)
    assert "patients, train  7" in repr(run)
    assert "somewhere" not in repr(run)
    assert "folds      2" in repr(folds)


def test_a_gain_is_shown_with_its_interval():
    """How much closer, the interval, n, and whom the encoder has seen."""
    gain = Gain(90.0, 110.0, 12.25, 28.0, 24, 315, 3, {}, is_simulated=True)
    shown = repr(gain).splitlines()

    assert shown[0] == "SIMULATED: Nearest patients 20 closer in health score than others"
    assert "95 % 12.2 to 28; nearest 90 apart, others 110; 24 patients" in " ".join(shown)
    assert "3 patients SEEN BY ENCODER" in " ".join(" ".join(shown).split())
    difference = GainDifference(-2.5, -6.0, 1.0, 24)
    assert repr(difference).splitlines() == [
        "First gain minus second: -2.5 in health score",
        "95 % -6 to +1; 24 patients",
    ]
