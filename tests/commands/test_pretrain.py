"""`learner-index pretrain`: flags, what is printed, and one line for whatever is wrong."""

import json
from pathlib import Path
from unittest import mock

import pytest

from learner_index.errors import RunWriteError
from learner_index.pipeline.configfile import options_from
from learner_index.pipeline.pretrain import pretrain
from learner_index.pipeline.runs import read_run
from tests.commands.pretraining import PRETRAIN, altered, rows_of
from tests.pipeline.pretrain_toy import UNSEEN, changed, scored_cohort
from tests.toy import write_manifest


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where the program is run: ten patients with three visits each."""
    scored_cohort(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What is done and printed


def test_trains_and_tells_how_it_went(home, program):
    """A table with n on stdout, stages and the next command on stderr; the run is there."""
    done = program(*PRETRAIN, "--test-share", "0.3", "--score-per", "visit")

    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].startswith("run: learner_weighted with timm:test_resnet on cohort.csv")
    assert lines[1].split() == [
        *("run", "train", "val", "unseen", "epochs", "kept", "rho", "95", "%", "pairs", "of")
    ]
    assert lines[2].split()[:6] == ["run", "5", "2", "3", "1", "1"]
    assert lines[2].split()[-2:] == ["9", "unseen"]
    assert "no patient was left unseen" not in done.out
    following = "next: learner-index build cohort.csv --encoder run --score-per visit"
    assert done.err.splitlines()[-1] == following
    assert read_run(Path("run"))["state"] == "done"


def test_trains_the_last_block_of_a_finished_run(home, program):
    """`--encoder RUN --blocks last`: named by its space; patients who are not here do not count."""
    program(*PRETRAIN, "--test-share", "0.3")
    first = read_run(Path("run"))
    kept = [row for row in rows_of(home) if row["patient_id"] not in first["patients"]["unseen"]]
    write_manifest(home / "cohort.csv", kept)
    start = ("--encoder", "run", "--blocks", "last", "--device", "cpu", "--epochs", "1")

    done = program("pretrain", "cohort.csv", "-o", "tuned", *start, "--val-share", "0")

    lines = done.out.splitlines()
    assert done.code == 0
    named = f"tuned: learner_weighted with run:{first['space']}, last block on cohort.csv"
    assert lines[0].startswith(named)
    assert lines[2].split()[:4] == ["tuned", "7", "0", "0"]
    assert "no patient was left unseen" in done.out
    assert read_run(Path("tuned"))["patients"]["unseen"] == first["patients"]["unseen"]


def test_refuses_blocks_it_does_not_know(home, program):
    """One line with the words there are."""
    done = program(*PRETRAIN, "--blocks", "first")

    assert done.code == 1
    assert "training.blocks is 'first', give 'all' or 'last'" in done.err


def test_says_when_nobody_was_left_unseen(home, program):
    """A figure of patients who chose the epoch flatters, and the way to an honest one is named."""
    done = program(*PRETRAIN)

    assert "no patient was left unseen" in done.out
    assert "--folds or --test-share" in done.out
    assert done.out.splitlines()[2].endswith("val (SEEN BY ENCODER)")
    assert "has not seen" not in done.err


def test_says_when_too_few_unseen_patients_have_two_visits(home, program):
    """One unseen patient gives no figure, which is not the same as having none."""
    done = program(*PRETRAIN, "--test-share", "0.1")

    assert "no patient was left unseen" not in done.out
    assert "fewer than 3 unseen patients" in done.out


def test_json_is_the_record(home, program):
    """--json prints run.json, patients included, and nothing else on stdout."""
    done = program(*PRETRAIN, "--json")

    found = json.loads(done.out)
    assert found == json.loads(Path("run/run.json").read_bytes())
    assert len(found["patients"]["train"]) == 8


def test_folds_are_a_line_each(home, program):
    """Two encoders, each with its counts; the first one is named for what comes next."""
    done = program(*PRETRAIN, "--folds", "2")

    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["fold-1", "fold-2"]
    assert [line.split()[3] for line in lines[2:4]] == ["5", "5"]
    assert lines[4].startswith("mean over 2 folds: rho ")
    assert lines[4].endswith("), 10 unseen patients, 30 pairs")
    assert done.err.splitlines()[-1].endswith("--encoder run/fold-1")


@pytest.mark.parametrize(("threshold", "is_told"), [((), True), (("--threshold", "4"), False)])
def test_reliability_of_a_kinds_own_threshold_is_printed(home, program, threshold, is_told):
    """Without repeats of the user's own; of a θ that was given, nothing is known."""
    altered("health_score", lambda number, row: number % 29)()

    done = program(*PRETRAIN, "--score-kind", "mmse", *threshold)

    first = done.out.splitlines()[0]
    assert first.startswith("run: ")
    assert ("Clark et al. 1999" in first) == is_told
    assert f"θ {4 if threshold else 3} points" in first


def test_own_repeats_win_over_what_is_known(home, program):
    """A share of the user's own pairs, instead of a figure from elsewhere."""
    altered("day", lambda number, row: 0)()
    altered("rescan", lambda number, row: "true" if number % 3 else "")()
    altered("health_score", lambda number, row: number % 29)()

    done = program(*PRETRAIN, "--score-kind", "mmse")

    first = done.out.splitlines()[0]
    assert "pairs of repeats would be called changed" in first
    assert "Clark" not in first


def test_flags_are_settings(home, program):
    """Each option arrives where it belongs; --seed is that of training and of the split."""
    with mock.patch("learner_index.pipeline.pretrain.pretrain") as run:
        run.side_effect = RunWriteError("seen enough")
        program(
            *PRETRAIN,
            *("--objective", "rnc", "--learning-rate", "0.01", "--seed", "7"),
            *("--score-kind", "sf", "--class-column", "severity", "--score-classes", "bad, good"),
            *("--threshold", "20", "--val-share", "0.3", "--test-share", "0.1", "--folds", "3"),
            *("--precision", "fp32", "--workers", "3", "--score-column", "sf"),
            *("--set", "objective.settings.temperature=3", "--set", "augment.flip=false"),
        )

    (manifest, folder, options), given = run.call_args.args, run.call_args.kwargs
    assert (manifest, folder) == (Path("cohort.csv"), Path("run"))
    assert options.encoder == changed(encoder={"precision": "fp32"}).encoder
    assert (options.training.epochs, options.training.learning_rate) == (1, 0.01)
    assert (options.training.seed, options.split.seed) == (7, 7)
    assert (options.split.val_share, options.split.test_share, options.split.folds) == (0.3, 0.1, 3)
    assert (options.batches.patients, options.batches.scans) == (4, 2)
    assert options.score.kind == "sf"
    assert options.score.change_threshold == 20
    assert options.score.class_column == "severity"
    assert options.score.classes == ("bad", "good")
    assert options.objective.name == "rnc"
    assert options.objective.settings == {"temperature": 3}
    assert not options.augment.flip
    assert given["manifest_changes"] == {"score_column": "sf"}
    assert given["workers"] == 3


def test_flags_win_over_the_file(home, program):
    """Settings of --config where nothing was typed."""
    Path("run.toml").write_text(
        "[training]\nepochs = 9\nlearning_rate = 0.02\n[score]\nbins = 4\n", encoding="utf-8"
    )
    with mock.patch("learner_index.pipeline.pretrain.pretrain") as run:
        run.side_effect = RunWriteError("seen enough")
        program(*PRETRAIN, "--config", "run.toml", "--set", "score.bins=none")

    options = run.call_args.args[2]
    assert options.training.epochs == 1
    assert options.training.learning_rate == 0.02
    assert options.score.bins is None


def test_a_run_is_named_after_its_cohort(home, program):
    """Without -o it goes to runs/COHORT."""
    with mock.patch("learner_index.pipeline.pretrain.pretrain") as run:
        run.side_effect = RunWriteError("seen enough")
        program("pretrain", "cohort.csv")

    assert run.call_args.args[1] == Path("runs") / home.name


# Going on


def test_resume_takes_the_runs_own_settings(home, program):
    """An interrupted run goes on with nothing repeated, and ends as an undisturbed one."""
    wanted = pretrain(Path("cohort.csv"), Path("wanted"), UNSEEN)
    with mock.patch("learner_index.pipeline.pretrain.fit_encoder", side_effect=KeyboardInterrupt):
        stopped = program(*PRETRAIN, "--epochs", "2", "--test-share", "0.3")
    done = program("pretrain", "cohort.csv", "-o", "run", "--resume")

    assert stopped.code == 130
    assert sum("--resume" in line for line in stopped.err.splitlines()) == 1
    assert done.code == 0
    found = Path("run/encoder.safetensors").read_bytes()
    assert found == Path("wanted/encoder.safetensors").read_bytes()
    assert options_from(read_run(Path("run"))["options"], "run.json") == UNSEEN
    assert wanted.run["options"] == read_run(Path("run"))["options"]


def test_resume_without_a_run_starts_one(home, program):
    """So that one command serves a queue that may stop and repeat it."""
    assert program(*PRETRAIN, "--resume").code == 0
    assert read_run(Path("run"))["state"] == "done"


def test_resume_of_a_finished_run_changes_nothing(home, program):
    """It says so and prints the figures again; no file is touched."""
    first = program(*PRETRAIN)
    before = {path: path.stat().st_mtime_ns for path in Path("run").iterdir()}
    again = program("pretrain", "cohort.csv", "-o", "run", "--resume")

    assert again.code == 0
    assert again.out == first.out
    assert "noticed the run was finished before: nothing was done" in again.err
    assert {path: path.stat().st_mtime_ns for path in Path("run").iterdir()} == before


def test_resume_refuses_another_setting(home, program):
    """What was typed is compared with the run's own; the rest need not be repeated."""
    program(*PRETRAIN)

    done = program("pretrain", "cohort.csv", "-o", "run", "--resume", "--epochs", "5")

    assert done.code == 1
    assert "training.epochs = 1, not 5" in done.err.splitlines()[-1]


def test_resume_refuses_other_scores(home, program):
    """A corrected manifest makes another run."""
    program(*PRETRAIN)
    altered("health_score", lambda number, row: number)()

    done = program("pretrain", "cohort.csv", "-o", "run", "--resume")

    assert done.code == 1
    assert "the scans and scores are not those the run was started with" in done.err


# What is wrong


def test_broken_scans_are_skipped_with_exit_code_3(home, program):
    """The others train; the broken one is named on stderr, with --json, too."""
    Path("scans/p3d1.npy").write_bytes(b"")

    done = program(*PRETRAIN, "--json")

    assert done.code == 3
    assert "skipped line 12 p3d1: empty: the file has 0 bytes; copy or export it again" in done.err
    assert json.loads(done.out)["skipped"][0].startswith("line 12 p3d1: ")


def test_scans_without_scores_are_counted(home, program):
    """Left out, with a note of how many."""
    altered("health_score", lambda number, row: "" if number < 3 else row["health_score"])()

    done = program(*PRETRAIN)

    assert done.code == 0
    assert "noticed 3 of 30 scans (10 %) without a health score" in done.err


def test_a_run_that_diverged_at_once_can_be_started_over(home, program):
    """Nothing was learned, so the corrected command needs no other folder."""
    wild = program(*PRETRAIN, "--learning-rate", "1e30", "--set", "training.warmup=0")
    state = read_run(Path("run"))["state"]

    assert (wild.code, state) == (1, "diverged")
    assert "nothing was kept yet" in wild.err
    assert program(*PRETRAIN).code == 0


def test_a_run_is_not_started_over_by_accident(home, program):
    """The same command twice: the first run stays."""
    program(*PRETRAIN)

    done = program(*PRETRAIN)

    assert done.code == 1
    assert done.err == "error: 'run' holds a finished run: -o NAME starts another\n"
