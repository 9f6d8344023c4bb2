"""Checkpoints: exact on the way there and back, whole or refused."""

import errno
import json
import math
import os

import pytest
import torch
from safetensors.torch import save_file

from learner_index.errors import RunFormatError, RunWriteError
from learner_index.learn import checkpoint
from learner_index.learn.checkpoint import read_checkpoint, write_checkpoint

TENSORS = {
    "float32": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    "bfloat16": torch.tensor([1.5, -2.0]).bfloat16(),
    "float16": torch.tensor([1.5, math.inf]).half(),
    "float64": torch.tensor([math.pi], dtype=torch.float64),
    "int64": torch.tensor([2**53 + 1]),
    "scalar": torch.tensor(7),
    "nan": torch.tensor(math.nan),
    "empty": torch.zeros(0, 3),
}
STATE = {
    "best": -math.inf,
    "rows": [{"loss": 0.1, "figure": math.nan}],
    "third": 1 / 3,
    "tiny": 5e-324,
}


def test_tensors_come_back_exactly(tmp_path):
    """Values, shapes and types are those that were written."""
    write_checkpoint(tmp_path / "c", TENSORS, {})

    found, _ = read_checkpoint(tmp_path / "c")

    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name].nan_to_num(9), tensor.nan_to_num(9))


def test_floats_come_back_exactly(tmp_path):
    """State is what it was, NaN and infinities included, and nothing is added."""
    write_checkpoint(tmp_path / "c", {}, STATE)

    _, found = read_checkpoint(tmp_path / "c")

    assert repr(found) == repr(STATE)


def test_tensors_may_share_memory_and_lie_in_any_order(tmp_path):
    """Tied weights, parts of others and channels-last ones are stored each on its own."""
    whole = torch.arange(48.0).reshape(2, 3, 2, 4)
    given = {
        "a": whole,
        "tied": whole,
        "part": whole[1],
        "last": whole.contiguous(memory_format=torch.channels_last),
        "trained": torch.nn.Parameter(whole[0, 0].T),
    }

    write_checkpoint(tmp_path / "c", given, {})

    found, _ = read_checkpoint(tmp_path / "c")
    assert all(torch.equal(found[name], given[name]) for name in given)


def _cut(path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_refuses_a_file_that_was_cut(tmp_path, share):
    """What is left of a checkpoint is not read as one."""
    path = tmp_path / "c"
    write_checkpoint(path, TENSORS, STATE)
    _cut(path, share)

    with pytest.raises(RunFormatError, match="cannot be read: it is damaged or gone"):
        read_checkpoint(path)


def test_refuses_what_is_no_checkpoint(tmp_path):
    """Other bytes, no file at all, and weights without a state are refused by name."""
    noise, weights = tmp_path / "noise", tmp_path / "weights"
    noise.write_bytes(b"\x80not safetensors" * 9)
    save_file({"a": torch.zeros(1)}, weights)

    for path in (noise, weights, tmp_path / "absent"):
        with pytest.raises(RunFormatError, match=f"{path.name} of run .* damaged or gone"):
            read_checkpoint(path)


@pytest.mark.parametrize("text", ["{", "3", '"word"', "[1]"])
def test_refuses_a_state_that_is_none(tmp_path, text):
    """A state that is no JSON object is damage."""
    save_file({"a": torch.zeros(1)}, tmp_path / "c", metadata={"state": text})

    with pytest.raises(RunFormatError, match="damaged"):
        read_checkpoint(tmp_path / "c")


@pytest.mark.parametrize("state", [{"version": 2, "epoch": 1}, {"epoch": 1}])
def test_refuses_another_version(tmp_path, state):
    """A checkpoint of another version, or without one, is not guessed at."""
    save_file({"a": torch.zeros(1)}, tmp_path / "c", metadata={"state": json.dumps(state)})

    with pytest.raises(RunFormatError, match="another version of learner-index"):
        read_checkpoint(tmp_path / "c")


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    """No room: one error that says what to do, the old file as it was and no remains beside it."""
    path = tmp_path / "c"
    write_checkpoint(path, TENSORS, {"epoch": 1})
    before = path.read_bytes()

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunWriteError, match=r"cannot write c .*No space left.*--resume"):
        write_checkpoint(path, TENSORS, {"epoch": 2})

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_without_words_is_told_too(tmp_path, monkeypatch):
    """An OSError that has no message of the system's shows its own."""

    def fail(*_given: object) -> None:
        raise OSError("the share is away")

    monkeypatch.setattr(checkpoint, "replace_file", fail)

    with pytest.raises(RunWriteError, match="the share is away"):
        write_checkpoint(tmp_path / "c", {}, {})
