"""Where a training computes, as its record tells: bits are the same only on the same machine."""

import torch

from learner_index.learn.device import device_label, pick_device, training_precision
from learner_index.learn.processes import Processes


def machine_of(device: str, precision: str, processes: Processes) -> dict[str, int | str]:
    """Processes, threads of each, device and number format that settings come to here.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or "fp16".
        processes: this process among others.

    Raises:
        EncoderError: there is no such device, or it does not compute so.
        SettingsError: several processes would share it.
    """
    place = pick_device(processes.device(device))
    return {
        "world": processes.world,
        "threads": torch.get_num_threads(),
        "device": device_label(place),
        "precision": training_precision(precision, place),
    }
