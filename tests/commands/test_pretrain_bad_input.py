"""Wrong input to `learner-index pretrain`: one line each, and no half-made run is left.

What must be said about a case is what docs/bad-input.md shows under its name.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.commands.page import Case, in_words, page_rows
from tests.commands.pretraining import PRETRAIN, altered, rows_of
from tests.pipeline.pretrain_toy import scored_cohort
from tests.toy import write_manifest

ROWS = page_rows()["Pretraining"]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where the program is run: ten patients with three visits each."""
    scored_cohort(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(text: str) -> Callable[[], object]:
    return lambda: Path("run.toml").write_text(text, encoding="utf-8")


WITH_FILE = (*PRETRAIN, "--config", "run.toml")
CASES = [
    Case(
        "no scores",
        PRETRAIN,
        lambda: write_manifest(
            Path("cohort.csv"),
            [
                {("score" if name == "health_score" else name): v for name, v in row.items()}
                for row in rows_of(Path())
            ],
        ),
    ),
    Case("empty scores", PRETRAIN, altered("health_score", lambda number, row: "")),
    Case("one patient", PRETRAIN, altered("patient_id", lambda number, row: "p0")),
    Case("equal scores", PRETRAIN, altered("health_score", lambda number, row: 50)),
    Case("few train", (*PRETRAIN, "--test-share", "0.7")),
    Case("out of range", (*PRETRAIN, "--score-kind", "sf")),
    Case("kind misspelt", (*PRETRAIN, "--score-kind", "mmsee")),
    Case("more folds than patients", (*PRETRAIN, "--folds", "11")),
    Case("one fold", (*PRETRAIN, "--folds", "1")),
    Case("objective misspelt", (*PRETRAIN, "--objective", "learner_wieghted")),
    Case("objective's setting unknown", (*PRETRAIN, "--set", "objective.settings.gama=2")),
    Case("one scan a patient", (*PRETRAIN, "--objective", "direction", "--scans", "1")),
    Case(
        "one visit a patient",
        (*PRETRAIN, "--objective", "antisymmetric_delta"),
        altered("day", lambda number, row: 0),
    ),
    Case("small changes", (*PRETRAIN, "--objective", "direction")),
    Case("encoder misspelt", (*PRETRAIN, "--encoder", "timm:resnet10")),
    Case("device unknown", (*PRETRAIN, "--device", "gpu")),
    Case("precision unknown", (*PRETRAIN, "--precision", "fp8")),
    Case("rate", (*PRETRAIN, "--learning-rate", "0")),
    Case("cache", (*PRETRAIN, "--set", "cache.max_gb=inf")),
    Case("epochs", (*PRETRAIN, "--epochs", "0"), code=2),
    Case("no setting", (*PRETRAIN, "--set", "epochs"), code=2),
    Case("section misspelt", (*PRETRAIN, "--set", "trainig.epochs=3")),
    Case("no file", WITH_FILE),
    Case("not TOML", WITH_FILE, settings("epochs: 3\n")),
    Case("unknown key", WITH_FILE, settings("[training]\nepoch = 3\n")),
    Case("wrong type", WITH_FILE, settings('[training]\nepochs = "many"\n')),
    Case(
        "two splits",
        PRETRAIN,
        altered("split", lambda number, row: "test" if number == 0 else "train"),
    ),
    Case("a word that is no role", PRETRAIN, altered("split", lambda number, row: "tran")),
    Case(
        "same bytes in two roles",
        PRETRAIN,
        lambda: (
            altered(
                "split", lambda number, row: "test" if row["patient_id"] == "p9" else "train"
            )(),
            Path("scans/p9d0.npy").write_bytes(Path("scans/p0d0.npy").read_bytes()),
        ),
    ),
    Case(
        "all scans broken",
        PRETRAIN,
        lambda: [
            np.save(Path("scans") / f"p{p}d{d}.npy", np.full((8, 8), 10 * p + d, np.uint8))
            for p in range(10)
            for d in range(3)
        ],
    ),
    Case(
        "not a run",
        (*PRETRAIN, "--resume"),
        lambda: (Path("run").mkdir(), Path("run/thesis.tex").write_text("x", encoding="utf-8")),
    ),
    Case(
        "run of another version",
        (*PRETRAIN, "--resume"),
        lambda: (Path("run").mkdir(), Path("run/run.json").write_text('{"format": 99}')),
    ),
    Case(
        "run.json altered",
        (*PRETRAIN, "--resume"),
        lambda: (Path("run").mkdir(), Path("run/run.json").write_text('{"format": 1}')),
    ),
    Case("diverged", (*PRETRAIN, "--learning-rate", "1e30", "--set", "training.warmup=0")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(home, program, case):
    """Exit code, and the page's line; no half-made run is left."""
    case.spoil()
    existed = Path("run").exists()

    done = program(*case.words)

    errors = [line for line in done.err.splitlines() if not line.startswith("· ")]
    assert done.code == case.code
    assert len(errors) == 1 or case.code == 2
    assert in_words(errors[-1]) == ROWS[case.name]
    assert "Traceback" not in done.err
    assert existed or not Path("run").exists() or case.name == "diverged"


def test_the_page_shows_the_cases():
    """Each once, in their order, and none that is no longer tried."""
    assert list(ROWS) == [case.name for case in CASES]
