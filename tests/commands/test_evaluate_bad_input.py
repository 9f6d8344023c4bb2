"""Wrong input to `learner-index evaluate`: one line each, before anything is trained.

What must be said about a case is what docs/bad-input.md shows under its name.
"""

import shutil
from pathlib import Path

import pytest

from learner_index.config import PretrainOptions
from learner_index.pipeline.build import build
from learner_index.pipeline.record import shareable
from learner_index.pipeline.runs import write_run
from tests.commands.page import Case, in_words, page_rows
from tests.commands.pretraining import altered, rows_of
from tests.pipeline.pretrain_toy import scored_cohort
from tests.toy import ToySource, write_manifest

ROWS = page_rows()["Evaluating"]
SETTINGS = (
    *("--encoder", "timm:test_resnet", "--size", "32", "--frames", "1", "--device", "cpu"),
    *("--folds", "2", "--seeds", "1", "--epochs", "1", "--bootstraps", "100", "--threshold", "2"),
    *("--set", "encoder.width=8", "--set", "encoder.pixel_mm=0", "--set", "encoder.anchor=center"),
    *("--set", "batches.patients=4"),
)
OUT = ("-o", "out", *SETTINGS)
EVALUATE = ("evaluate", "cohort.csv", *OUT)
PLAIN = (*EVALUATE, "--objective", "none", "--baseline", "handcrafted")
TRAIN = (*EVALUATE, "--objective", "mse", "--baseline", "none")
STORE = ("evaluate", "c.zarr", *OUT)


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Path:
    """Ten patients with three visits each, their manifest and a store."""
    folder = tmp_path_factory.mktemp("ready")
    scored_cohort(folder)
    build(folder / "cohort.csv", folder / "c.zarr", ToySource())
    return folder


@pytest.fixture
def home(ready, tmp_path, monkeypatch) -> Path:
    """Where the program is run: a copy of it."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def only(*patients: str) -> None:
    """Keep some patients in the manifest."""
    write_manifest(
        Path("cohort.csv"), [row for row in rows_of(Path()) if row["patient_id"] in patients]
    )


def bare() -> None:
    """A store whose manifest had no scores."""
    rows = [{k: v for k, v in row.items() if k != "health_score"} for row in rows_of(Path())]
    write_manifest(Path("bare.csv"), rows)
    build(Path("bare.csv"), Path("bare.zarr"), ToySource())


def twin() -> None:
    """A store of the same name in another folder."""
    shutil.copytree("c.zarr", "other/c.zarr")


def trained() -> None:
    """A folder in which an objective was trained with other settings."""
    known = {"kind": "folds", "state": "running", "data": "", "manifest": {}}
    write_run(Path("out/runs/mse-seed0"), {**known, "options": shareable(PretrainOptions())})


CASES = [
    Case("too few patients for the folds", (*PLAIN, "--folds", "11")),
    Case("one patient", PLAIN, lambda: only("p0")),
    Case("all stable", (*PLAIN, "--threshold", "50")),
    Case("no change to learn from", PLAIN, altered("health_score", lambda n, row: 2 * (n == 29))),
    Case("threshold", (*PLAIN, "--threshold", "0")),
    Case("objective unknown", (*EVALUATE, "--objective", "msee")),
    Case("baseline unknown", (*EVALUATE, "--baseline", "handcraftd")),
    Case("nothing to compare", (*EVALUATE, "--objective", "none", "--baseline", "none")),
    Case("named twice", (*EVALUATE, "--objective", "mse", "--objective", "mse")),
    Case("compared with nobody", (*PLAIN, "--against", "handcraft")),
    Case("classes", (*PLAIN, "--set", "score.class_column=grade")),
    Case("no scan chosen", (*PLAIN, "--where", "patient_id == p77")),
    Case("transitions misspelt", (*PLAIN, "--transitions", "sometimes"), code=2),
    Case("a manifest and a store", ("evaluate", "cohort.csv", "c.zarr", *OUT)),
    Case("two stores of one name", ("evaluate", "c.zarr", "other/c.zarr", *OUT), twin),
    Case("a store without scores", ("evaluate", "bare.zarr", *OUT), bare),
    Case("a store and a column", (*STORE, "--score-column", "mmse")),
    Case("a store and saturations", (*STORE, "--score-kind", "sf94")),
    Case("no store there", ("evaluate", "d.zarr", *OUT)),
    Case("resumed with other settings", TRAIN, trained),
    Case(
        "folder not writable",
        ("evaluate", "cohort.csv", "-o", "cohort.csv/out", *SETTINGS),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(home, program, case):
    """Exit code, and the page's line; nothing is trained."""
    case.spoil()

    done = program(*case.words)

    errors = [line for line in done.err.splitlines() if not line.startswith("· ")]
    assert done.code == case.code
    assert len(errors) == 1 or case.code == 2
    assert in_words(errors[-1]) == ROWS[case.name]
    assert "Traceback" not in done.err
    assert not list(Path().rglob("encoder.safetensors"))


def test_the_page_shows_the_cases():
    """Each once, in their order, and none that is no longer tried."""
    assert list(ROWS) == [case.name for case in CASES]
