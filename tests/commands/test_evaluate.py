"""`learner-index evaluate` as a person runs it: what is printed, written, and said on stderr."""

import json
import shutil
from pathlib import Path

import pytest

from learner_index.data.split import PatientSplit
from learner_index.pipeline.build import build
from tests.commands.pretraining import altered
from tests.pipeline.pretrain_toy import scored_cohort
from tests.toy import ToySource

SETTINGS = (
    *("--folds", "2", "--seeds", "1", "--bootstraps", "100", "--threshold", "2"),
    *("--encoder", "timm:test_resnet", "--size", "32", "--frames", "1", "--device", "cpu"),
    *("--set", "encoder.width=8", "--set", "encoder.pixel_mm=0", "--set", "encoder.anchor=center"),
    *("--epochs", "1", "--set", "batches.patients=4", "--baseline", "handcrafted"),
)
QUICK = ("--objective", "none", *SETTINGS)
FILES = {
    *("report.md", "methods.md", "measures.csv", "comparisons.csv", "predictions.csv"),
    "evaluation.json",
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """Ten patients with three visits each, and a store whose encoder has seen four of them."""
    folder = tmp_path_factory.mktemp("ready")
    scored_cohort(folder)
    seen = PatientSplit(train=("p0", "p1"), val=("p2", "p3"))
    build(folder / "cohort.csv", folder / "own.zarr", ToySource(split=seen))
    return folder


@pytest.fixture
def home(ready, tmp_path, monkeypatch) -> Path:
    """Where the program is run: a copy of it."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plain(monkeypatch):
    """Without figures, which take seconds."""
    monkeypatch.setattr(
        "learner_index.pipeline.evaluation.report.draw_figures", lambda found, folder: []
    )


def test_a_manifest_is_trained_on_and_measured(home, program):
    """Everything is written, figures too; the table and the verdicts are printed."""
    done = program("evaluate", "cohort.csv", "-o", "out", "--objective", "mse", *SETTINGS)

    assert done.code == 0, done.err
    assert {path.name for path in Path("out").iterdir()} >= FILES
    assert Path("out/runs/mse-seed0/fold-2/encoder.safetensors").is_file()
    lines = done.out.splitlines()
    assert lines[0] == "cohort.csv: 10 patients and 30 scans, 2 folds"
    assert [line.split()[0] for line in lines[2:6]] == ["mse", "handcrafted", "majority", "no"]
    assert all(line.endswith("unseen") for line in lines[2:6])
    assert "macro-F1: 10 patients, 20 pairs" in lines
    assert lines[-1].startswith("handcrafted against mse: macro-F1 ")
    assert "· pretraining mse, seed 0" in done.err
    assert "next: read out/report.md" in done.err
    text = Path("out/report.md").read_text(encoding="utf-8")
    for name in (path.name for path in Path("out/figures").iterdir()):
        assert f"](figures/{name})" in text


def test_json_is_the_record(home, program, plain):
    """On stdout, strict, and the same as in the folder."""
    done = program("evaluate", "cohort.csv", "-o", "out", *QUICK, "--json")

    assert done.code == 0, done.err
    shown = json.loads(done.out, parse_constant=lambda word: pytest.fail(word))
    assert shown == json.loads(Path("out/evaluation.json").read_text(encoding="utf-8"))
    assert shown["cohort"] == "cohort.csv"


def test_a_store_that_has_seen_patients_says_so_on_its_line(home, program, plain):
    """In the table and in the verdict's neighbours; nothing is trained."""
    shutil.copytree("own.zarr", "again.zarr")
    shutil.copytree("own.cache", "again.cache")

    done = program("evaluate", "own.zarr", "again.zarr", "-o", "out", *SETTINGS)

    assert done.code == 0, done.err
    rows = [line for line in done.out.splitlines() if line.startswith(("own ", "again "))]
    assert len(rows) == 3
    assert all("SEEN BY ENCODER (4 of 10 patients)" in line for line in rows)
    assert not Path("out/runs").exists()


def test_scans_that_cannot_be_read_make_exit_3(home, program, plain):
    """They are named on stderr, and the rest is measured."""
    Path("scans/p3d1.npy").write_bytes(b"\x93NUMPY")

    done = program("evaluate", "cohort.csv", "-o", "out", *QUICK)

    assert done.code == 3
    assert "skipped line 12 p3d1" in done.err
    assert "10 patients and 29 scans" in done.out


def test_conditions_and_columns_reach_the_cohort(home, program, plain):
    """--where leaves patients out; --score-column reads another column."""
    altered("second", lambda number, row: 10 * int(row["day"]))()

    done = program(
        "evaluate", "cohort.csv", "-o", "out", *QUICK, "--where", "patient_id != p9",
        "--score-column", "second", "--drop-column", "health_score", "--threshold", "1",
    )  # fmt: skip

    assert done.code == 1
    assert "all 18 transitions are improved at θ = 1" in done.err


def test_the_folder_is_named_after_the_cohort(home, program, plain):
    """results/COHORT, as stores are named."""
    done = program("evaluate", "cohort.csv", *QUICK)

    assert done.code == 0, done.err
    assert (Path("results") / home.name / "report.md").is_file()


def test_notes_are_told(home, program, plain):
    """How changes are distributed stands on stderr, each note on a line."""
    done = program("evaluate", "cohort.csv", "-o", "out", *QUICK)

    assert "noticed 20 transitions of 10 patients at θ = 2: 0 worsened" in done.err
