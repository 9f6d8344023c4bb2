"""Devices and precisions: what a name stands for, and what is refused."""

import pytest
import torch

from learner_index.errors import EncoderError
from learner_index.learn.device import (
    device_label,
    pick_device,
    pick_precision,
    training_precision,
)


@pytest.fixture
def gpus(monkeypatch):
    """Pretends that this machine has so many GPUs."""

    def pretend(count: int, *, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")

    return pretend


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_names_stand_for_devices(gpus, name, count, expected):
    """Each name gives the device it says; auto is a GPU where there is one."""
    gpus(count)

    assert str(pick_device(name)) == expected


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("cuda", 0, "sees no NVIDIA GPU"),
        ("cuda:3", 2, "cuda:0 to cuda:1"),
        ("mps", 0, "unknown device 'mps'"),
        ("cuda:x", 1, "unknown device 'cuda:x'"),
        ("cuda:", 1, "unknown device 'cuda:'"),
    ],
)
def test_refuses_absent_devices(gpus, name, count, message):
    """A device that is not there is refused, never replaced by another."""
    gpus(count)

    with pytest.raises(EncoderError, match=message):
        pick_device(name)


@pytest.mark.parametrize(
    ("precision", "device", "bf16", "expected"),
    [
        ("auto", "cpu", True, "fp32"),
        ("fp32", "cpu", True, "fp32"),
        ("auto", "cuda", True, "bf16"),
        ("auto", "cuda", False, "fp16"),
        ("fp32", "cuda", True, "fp32"),
        ("fp16", "cuda", True, "fp16"),
    ],
)
def test_precision_follows_the_device(gpus, precision, device, bf16, expected):
    """A CPU computes in fp32; a GPU in the half precision it has, unless told otherwise."""
    gpus(1, bf16=bf16)

    assert pick_precision(precision, torch.device(device)) == expected


@pytest.mark.parametrize(
    ("precision", "message"), [("bf16", "needs a GPU"), ("int8", "unknown precision 'int8'")]
)
def test_refuses_impossible_precisions(precision, message):
    """Half precision on a CPU and unknown names are refused."""
    with pytest.raises(EncoderError, match=message):
        pick_precision(precision, torch.device("cpu"))


def test_label_names_the_hardware(gpus):
    """A card says which GPU it was."""
    gpus(1)

    assert device_label(torch.device("cpu")) == "cpu"
    assert device_label(torch.device("cuda", 0)) == "cuda (GPU 0)"


def test_a_cpu_trains_in_bfloat16_but_not_in_float16():
    """Training may use what a CPU computes quickly; fp16 needs a GPU there too."""
    cpu = torch.device("cpu")

    assert [training_precision(name, cpu) for name in ("auto", "bf16")] == ["fp32", "bf16"]
    with pytest.raises(EncoderError, match="fp16 needs a GPU"):
        training_precision("fp16", cpu)
