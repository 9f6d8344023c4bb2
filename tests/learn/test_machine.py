"""Where a training computes, resolved."""

import pytest
import torch

from learner_index.errors import EncoderError
from learner_index.learn.machine import machine_of
from learner_index.learn.processes import Processes


@pytest.mark.parametrize(("precision", "wanted"), [("auto", "fp32"), ("bf16", "bf16")])
def test_what_settings_come_to(precision, wanted):
    """On a CPU auto is fp32, and bf16 may be trained in."""
    found = machine_of("cpu", precision, Processes(0, 2, 0))

    assert found == {
        "world": 2,
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "precision": wanted,
    }


def test_an_unknown_device_is_refused():
    """As everywhere else."""
    with pytest.raises(EncoderError, match="unknown device 'gpu'"):
        machine_of("gpu", "auto", Processes())
