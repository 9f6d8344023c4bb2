"""`run.json`: written whole, read back, and refused when it is not what it should be."""

import json
import math
from pathlib import Path
from unittest import mock

import pytest

from learner_index.errors import RunFormatError, RunWriteError, SplitError
from learner_index.pipeline.runs import (
    finished_encoder,
    is_run,
    read_run,
    split_of,
    versions,
    write_run,
)

ROLES = {"train": ["a", "b"], "val": [], "unseen": ["c"]}


def finished(folder: Path, **more: object) -> Path:
    """A folder that looks like a finished run."""
    write_run(folder, {"kind": "run", "state": "done", "patients": ROLES, **more})
    for name in ("encoder.safetensors", "encoder.json"):
        (folder / name).write_bytes(b"")
    return folder


def test_comes_back_as_it_was_written(tmp_path):
    """Nested content survives; the format is added and nothing else is left in the folder."""
    write_run(tmp_path / "run", {"kind": "run", "sections": {"a": [1, 2.5, None, "ü"]}})

    run = read_run(tmp_path / "run")

    assert run == {"format": 1, "kind": "run", "sections": {"a": [1, 2.5, None, "ü"]}}
    assert is_run(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]


def test_numbers_without_a_place_in_json_become_null(tmp_path):
    """NaN and infinity at any depth; other readers than Python's can read the file."""
    write_run(tmp_path, {"figures": {"rho": math.nan, "ends": (math.inf, -math.inf, 1.0)}})

    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert json.loads(text)["figures"] == {"rho": None, "ends": [None, None, 1.0]}
    assert "NaN" not in text
    assert "Infinity" not in text


def test_a_full_disk_is_one_line(tmp_path):
    """The refusal names file and folder, and says how to go on."""
    with (
        mock.patch(
            "learner_index.pipeline.runs.replace_file",
            side_effect=OSError(28, "No space left on device"),
        ),
        pytest.raises(RunWriteError, match=r"cannot write run.json in .*No space left.*--resume"),
    ):
        write_run(tmp_path, {})


def test_refuses_a_folder_without_a_run(tmp_path):
    """What is missing and which command makes one."""
    assert not is_run(tmp_path)
    with pytest.raises(RunFormatError, match=r"run.json is missing; `learner-index pretrain`"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_refuses_a_damaged_file(tmp_path, content):
    """No JSON, no text, nothing at all."""
    (tmp_path / "run.json").write_bytes(content)

    with pytest.raises(RunFormatError, match=r"run.json in .* cannot be read"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", [{"format": 99}, {}, [1], {"format": "1"}])
def test_refuses_another_format(tmp_path, content):
    """A later version's run, or JSON that is no run, is not guessed at."""
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(RunFormatError, match=r"is of format .* this version reads 1"):
        read_run(tmp_path)


def test_roles_are_read_as_a_split():
    """Patients by role; a patient no role names is unseen."""
    split = split_of({"patients": ROLES})

    assert split.role_of("a") == "train"
    assert split.role_of("nobody") == "unseen"


@pytest.mark.parametrize("run", [{}, {"patients": None}, {"patients": 3}])
def test_refuses_a_run_without_roles(run):
    """Who was trained on must be known."""
    with pytest.raises(RunFormatError, match="does not say who was trained on"):
        split_of(run)


def test_refuses_a_patient_in_two_roles():
    """An altered file cannot make a training patient unseen as well."""
    with pytest.raises(SplitError, match="'a' is named twice"):
        split_of({"patients": {**ROLES, "unseen": ["a"]}})


def test_a_finished_run_is_where_its_encoder_is(tmp_path):
    """The folder itself."""
    assert finished_encoder(finished(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: finished(folder, state="running"),
        lambda folder: (finished(folder) / "encoder.json").unlink(),
    ],
    ids=["still running", "encoder gone"],
)
def test_refuses_the_encoder_of_an_unfinished_run(tmp_path, spoil):
    """--resume is named."""
    spoil(tmp_path)

    with pytest.raises(RunFormatError, match=r"is not finished.*--resume"):
        finished_encoder(tmp_path)


def test_refuses_to_choose_among_folds(tmp_path):
    """Several encoders: the folders are named."""
    write_run(tmp_path, {"kind": "folds", "folds": ["fold-1", "fold-2"], "state": "done"})

    with pytest.raises(RunFormatError, match=r"one encoder a fold \(fold-1, fold-2\)"):
        finished_encoder(tmp_path)


def test_versions_of_what_decides_the_numbers():
    """The package itself and the libraries that compute."""
    assert set(versions()) == {"learner-index", "torch", "timm", "numpy"}
