"""A run's folder: what may start or go on in it, and what a killed process left."""

import fcntl
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from learner_index.data.split import PatientSplit
from learner_index.errors import RunError, RunFormatError, RunWriteError
from learner_index.pipeline.runfolder import (
    held,
    is_finished,
    known_run,
    require_same,
    sweep,
    version_notes,
)
from learner_index.pipeline.runs import read_run, versions, write_run
from tests.pipeline.pretrain_toy import SMALL, changed

SPLIT = PatientSplit(("p0", "p1"), (), ("p2",))


def record(**more: Any) -> dict[str, Any]:
    """What a run writes that goes on later."""
    return {
        "kind": "run",
        "state": "running",
        "data": "d1",
        "manifest": {},
        "options": asdict(SMALL),
        "patients": SPLIT.to_dict(),
        "split": SPLIT.fingerprint,
        "versions": versions(),
        **more,
    }


def run_with_checkpoint(folder: Path, **more: Any) -> Path:
    """A folder as a killed run leaves it."""
    write_run(folder, record(**more))
    (folder / "checkpoint.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize("resume", [False, True])
def test_a_new_or_empty_folder_starts_a_run(tmp_path, resume):
    """With --resume, too: the same command can start a job and start it over."""
    (tmp_path / "empty").mkdir()

    assert known_run(tmp_path / "absent", resume=resume) == {}
    assert known_run(tmp_path / "empty", resume=resume) == {}


def test_half_written_files_are_no_obstacle(tmp_path):
    """A kill within the very first write leaves a hidden file and no run."""
    (tmp_path / ".run.json.4711").write_bytes(b"{")

    assert known_run(tmp_path, resume=True) == {}


@pytest.mark.parametrize("resume", [False, True])
def test_refuses_a_folder_of_something_else(tmp_path, resume):
    """Nothing of a person's is overwritten."""
    (tmp_path / "thesis.tex").write_text("precious", encoding="utf-8")

    with pytest.raises(RunFormatError, match=r"is there already and is no run: -o NAME"):
        known_run(tmp_path, resume=resume)


def test_refuses_a_file(tmp_path):
    """A run needs a folder."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(RunFormatError, match=r"cannot hold a run \(Not a directory\)"):
        known_run(tmp_path / "file", resume=False)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("running", "holds a run already: --resume goes on with it, -o NAME starts another"),
        ("done", "holds a finished run: -o NAME starts another"),
        ("diverged", "holds a run that diverged: -o NAME .* lower --learning-rate"),
    ],
)
def test_refuses_to_start_over_a_run(tmp_path, state, says):
    """What is there, and what can be done about it."""
    run_with_checkpoint(tmp_path, state=state)

    with pytest.raises(RunFormatError, match=says):
        known_run(tmp_path, resume=False)


def test_a_run_without_a_checkpoint_may_be_started_over(tmp_path):
    """It stopped before anything was learned: a corrected command works in the same folder."""
    write_run(tmp_path, record(state="diverged"))

    assert known_run(tmp_path, resume=False) == {}


def test_refuses_to_start_over_a_run_of_another_version(tmp_path):
    """Even what cannot be read is not overwritten."""
    run_with_checkpoint(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}', encoding="utf-8")

    with pytest.raises(RunFormatError, match="holds a run already: -o NAME"):
        known_run(tmp_path, resume=False)
    with pytest.raises(RunFormatError, match="is of format 99, this version reads 1"):
        known_run(tmp_path, resume=True)


@pytest.mark.parametrize("name", ["kind", "state", "data", "options", "patients", "split"])
def test_refuses_to_go_on_with_an_altered_record(tmp_path, name):
    """A part that is gone is named."""
    content = record()
    del content[name]
    write_run(tmp_path, content)

    with pytest.raises(RunFormatError, match=rf"was altered: {name}.* cannot be read"):
        known_run(tmp_path, resume=True)


def test_refuses_settings_that_are_no_sections(tmp_path):
    """`options` holds sections, not values."""
    write_run(tmp_path, record(options={"training": 3}))

    with pytest.raises(RunFormatError, match="was altered: options cannot be read"):
        known_run(tmp_path, resume=True)


def known(folder: Path, **more: Any) -> dict[str, Any]:
    """What was written and read again."""
    write_run(folder, record(**more))
    return read_run(folder)


def test_the_same_run_goes_on(tmp_path):
    """Also on another device, or with another cache."""
    elsewhere = changed(encoder={"device": "cuda"}, cache={"folder": "/tmp/cache", "max_gb": 1.0})

    require_same(known(tmp_path), record())
    require_same(known(tmp_path), record(options=asdict(elsewhere)))
    require_same({}, record())


def older(*names: str) -> dict[str, Any]:
    """Settings of a run that was started before some of those for training existed."""
    options = asdict(SMALL)
    options["training"] = {k: v for k, v in options["training"].items() if k not in names}
    return options


def test_a_run_older_than_a_setting_goes_on(tmp_path):
    """What did not exist then has its default now; of a whole section, too."""
    require_same(known(tmp_path, options=older("blocks")), record())
    without = {name: values for name, values in asdict(SMALL).items() if name != "objective"}
    require_same(known(tmp_path, options=without), record())


def test_a_run_older_than_a_setting_goes_on_with_its_default_only(tmp_path):
    """Other blocks would be another run."""
    last = asdict(changed(training={"blocks": "last"}))

    with pytest.raises(RunFormatError, match=r"training.blocks = 'all', not 'last'"):
        require_same(known(tmp_path, options=older("blocks")), record(options=last))
    with pytest.raises(RunFormatError, match=r"training.epochs = 30, not 2"):
        require_same(known(tmp_path, options=older("epochs")), record())


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"options": asdict(changed(training={"epochs": 9}))}, r"training.epochs = 2, not 9"),
        (
            {"options": asdict(changed(score={"edges": (1.0, 2.0)}))},
            r"score.edges = \[\], not \[1.0, 2.0\]",
        ),
        (
            {"options": asdict(changed(objective={"settings": {"gamma": 2.0}}))},
            r"objective.settings = \{\}, not \{'gamma': 2.0\}",
        ),
        ({"data": "d2"}, "the scans and scores are not those the run was started with"),
        ({"split": "other"}, "the patients' roles are not those"),
        ({"kind": "folds"}, "the kind of run"),
    ],
)
def test_refuses_to_go_on_otherwise(tmp_path, other, says):
    """Names the setting with both values, or what else differs."""
    with pytest.raises(RunFormatError, match=says):
        require_same(known(tmp_path), record(**other))


def test_refuses_patients_moved_between_roles(tmp_path):
    """A run.json whose unseen patient was moved to train by hand."""
    moved = {"train": ["p0", "p1", "p2"], "val": [], "unseen": []}

    with pytest.raises(RunFormatError, match=r"its patients are not those of its split"):
        require_same(known(tmp_path, patients=moved), record())


def test_other_versions_are_told():
    """A run that goes on with another torch is not to the bit what it would have been."""
    assert version_notes({}) == ()
    assert version_notes({"versions": versions()}) == ()
    (note,) = version_notes({"versions": {**versions(), "torch": "1.0"}})
    assert note.startswith("torch 1.0 became ")


def test_sweeps_only_its_own_files(tmp_path):
    """Half-written files always, checkpoints when done; anything else stays."""
    own = [".run.json.12", ".best-0003.safetensors.7", ".curves.png.1"]
    checkpoints = ["checkpoint.safetensors", "best-0001.safetensors", "best-0012.safetensors"]
    others = ["run.json", "encoder.safetensors", "notes.txt", "best-of.safetensors", ".x.1"]
    for name in own + checkpoints + others:
        (tmp_path / name).write_bytes(b"")

    sweep(tmp_path, is_done=False)
    halfway = {path.name for path in tmp_path.iterdir()}
    sweep(tmp_path, is_done=True)

    assert halfway == {*checkpoints, *others}
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_finished_is_done_with_an_encoder(tmp_path):
    """Someone deleted the encoder: the run is to be done again, not said to be finished."""
    assert not is_finished(tmp_path, {"state": "done"})
    for name in ("encoder.safetensors", "encoder.json"):
        (tmp_path / name).write_bytes(b"")
    assert is_finished(tmp_path, {"state": "done"})
    assert not is_finished(tmp_path, {"state": "running"})


def test_one_process_trains_in_a_folder(tmp_path):
    """A second one is refused while the first is at work, and let in after it was killed."""
    code = (
        "import fcntl, os, sys, time\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    (tmp_path / "run").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()

        with (
            pytest.raises(RunError, match=r"another process is training in .*run'"),
            held(tmp_path / "run"),
        ):
            pass
        other.kill()
        other.wait()

    with held(tmp_path / "run"):
        (tmp_path / "run" / "made").write_bytes(b"")
    assert (tmp_path / "run" / "made").exists()


def test_file_systems_without_such_locks_are_no_obstacle(tmp_path, monkeypatch):
    """Some network file systems refuse to lock a folder; training goes on."""

    def refused(*_: object) -> None:
        raise OSError(9, os.strerror(9))

    monkeypatch.setattr(fcntl, "flock", refused)

    with held(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


def test_a_start_that_fails_leaves_no_folder(tmp_path):
    """Nothing was written, so nothing is left in the way of the corrected command."""
    with pytest.raises(ValueError, match="wrong"), held(tmp_path / "run"):
        raise ValueError("wrong")

    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    """A file is where its parent should be."""
    (tmp_path / "file").write_bytes(b"")

    with (
        pytest.raises(RunWriteError, match=r"cannot make .*file/run' \(Not a directory\): -o NAME"),
        held(tmp_path / "file" / "run"),
    ):
        pass
