"""Wrong input to `learner-index pretrain`: one line each, and no half-made run is left."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.commands.pretraining import PRETRAIN, altered, rows_of
from tests.pipeline.pretrain_toy import scored_cohort
from tests.toy import write_manifest


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where the program is run: ten patients with three visits each."""
    scored_cohort(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is wrong, and what must be said about it in the last line on stderr."""

    name: str
    words: tuple[str, ...]
    says: str
    spoil: Callable[[], object] = lambda: None
    code: int = 1


def settings(text: str) -> Callable[[], object]:
    return lambda: Path("run.toml").write_text(text, encoding="utf-8")


WITH_FILE = (*PRETRAIN, "--config", "run.toml")
CASES = [
    Case(
        "no scores",
        PRETRAIN,
        r"error: manifest cohort.csv has no health score: .* NAME \(perhaps 'score'\)",
        lambda: write_manifest(
            Path("cohort.csv"),
            [
                {("score" if name == "health_score" else name): v for name, v in row.items()}
                for row in rows_of(Path())
            ],
        ),
    ),
    Case(
        "empty scores",
        PRETRAIN,
        r"error: manifest cohort\.csv has no health score, column 'health_score' has no value",
        altered("health_score", lambda number, row: ""),
    ),
    Case(
        "one patient",
        PRETRAIN,
        "error: manifest cohort.csv has 1 patient: pretraining compares patients; add some",
        altered("patient_id", lambda number, row: "p0"),
    ),
    Case(
        "equal scores",
        PRETRAIN,
        r"error: manifest cohort.csv has the same health score in all 30 scans: nothing can be "
        "learned from it; add scans that differ, or choose another column",
        altered("health_score", lambda number, row: 50),
    ),
    Case(
        "few train",
        (*PRETRAIN, "--test-share", "0.7"),
        r"error: 10 patients: 2 would validate and 7 stay unseen, so fewer than 2 train",
    ),
    Case(
        "out of range",
        (*PRETRAIN, "--score-kind", "sf"),
        r"error: line 2 p0d0: .* 0\.0 is outside .*: correct it, or take --score-kind generic",
    ),
    Case("kind misspelt", (*PRETRAIN, "--score-kind", "mmsee"), r"mmsee.*did you mean 'mmse'"),
    Case(
        "more folds than patients",
        (*PRETRAIN, "--folds", "11"),
        "error: 10 patients for 11 folds: add some or lower --folds",
    ),
    Case("one fold", (*PRETRAIN, "--folds", "1"), "error: --folds 1: give 2 or more"),
    Case(
        "objective misspelt",
        (*PRETRAIN, "--objective", "learner_wieghted"),
        r"error: .*learner_wieghted.*did you mean 'learner_weighted'",
    ),
    Case(
        "objective's setting unknown",
        (*PRETRAIN, "--set", "objective.settings.gama=2"),
        r"error: .*gama.*did you mean 'gamma'",
    ),
    Case(
        "encoder misspelt",
        (*PRETRAIN, "--encoder", "timm:resnet10"),
        r"error: timm knows no network 'resnet10': did you mean resnet10t",
    ),
    Case("device unknown", (*PRETRAIN, "--device", "gpu"), r"error: unknown device 'gpu'"),
    Case("precision unknown", (*PRETRAIN, "--precision", "fp8"), "error: unknown precision 'fp8'"),
    Case(
        "rate",
        (*PRETRAIN, "--learning-rate", "0"),
        r"error: training.learning_rate is 0.0: give a finite number above 0",
    ),
    Case("cache", (*PRETRAIN, "--set", "cache.max_gb=inf"), "error: cache.max_gb is inf"),
    Case("epochs", (*PRETRAIN, "--epochs", "0"), r"Invalid value for '--epochs'", code=2),
    Case("no setting", (*PRETRAIN, "--set", "epochs"), "'epochs' is not SECTION", code=2),
    Case(
        "section misspelt",
        (*PRETRAIN, "--set", "trainig.epochs=3"),
        r"error: the settings: no section \[trainig\] \(did you mean 'training'\?\)",
    ),
    Case("no file", WITH_FILE, r"error: cannot read run.toml: No such file or directory"),
    Case("not TOML", WITH_FILE, "error: run.toml is no TOML file: ", settings("epochs: 3\n")),
    Case(
        "unknown key",
        WITH_FILE,
        r"error: run.toml: \[training\] has no 'epoch' \(did you mean 'epochs'\?\)",
        settings("[training]\nepoch = 3\n"),
    ),
    Case(
        "wrong type",
        WITH_FILE,
        r"error: run.toml: training.epochs is 'many', give a valid integer$",
        settings('[training]\nepochs = "many"\n'),
    ),
    Case(
        "two splits",
        PRETRAIN,
        r"error: manifest cohort.csv has 1 error, .*'p0' is in splits 'test' and 'train'",
        altered("split", lambda number, row: "test" if number == 0 else "train"),
    ),
    Case(
        "a word that is no role",
        PRETRAIN,
        r"error: patient 'p0' has 'tran' in column split \(did you mean 'train'\?\)",
        altered("split", lambda number, row: "tran"),
    ),
    Case(
        "same bytes in two roles",
        PRETRAIN,
        r"error: the same scan has two roles, p0d0 of patient 'p0' \(train\) and p9d0 of patient "
        r"'p9' \(unseen\): drop one of them, or give both patients one role",
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
        r"error: none of the 30 scans of cohort.csv can be used, first line 2 p0d0: ",
        lambda: [
            np.save(Path("scans") / f"p{p}d{d}.npy", np.full((8, 8), 10 * p + d, np.uint8))
            for p in range(10)
            for d in range(3)
        ],
    ),
    Case(
        "not a run",
        (*PRETRAIN, "--resume"),
        r"error: 'run' is there already and is no run: -o NAME starts one elsewhere",
        lambda: (Path("run").mkdir(), Path("run/thesis.tex").write_text("x", encoding="utf-8")),
    ),
    Case(
        "run of another version",
        (*PRETRAIN, "--resume"),
        r"error: the run in 'run' is of format 99, this version reads 1",
        lambda: (Path("run").mkdir(), Path("run/run.json").write_text('{"format": 99}')),
    ),
    Case(
        "run.json altered",
        (*PRETRAIN, "--resume"),
        r"error: run.json in 'run' was altered: kind, state, .* cannot be read",
        lambda: (Path("run").mkdir(), Path("run/run.json").write_text('{"format": 1}')),
    ),
    Case(
        "diverged",
        (*PRETRAIN, "--learning-rate", "1e30", "--set", "training.warmup=0"),
        r"error: the (loss|gradient) is (nan|inf) in epoch 1, step \d, on the batch of",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(home, program, case):
    """Exit code, and one line that says what, where and what to do; no half-made run is left."""
    case.spoil()
    existed = Path("run").exists()

    done = program(*case.words)

    errors = [line for line in done.err.splitlines() if not line.startswith("· ")]
    assert done.code == case.code
    assert len(errors) == 1 or case.code == 2
    assert re.search(case.says, errors[-1])
    assert "Traceback" not in done.err
    assert existed or not Path("run").exists() or case.name == "diverged"
