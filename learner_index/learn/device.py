"""Where and how precisely an encoder computes; provenance of an embedding, not its space."""

from typing import Literal, get_args

import torch

from learner_index.errors import EncoderError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def pick_device(name: str) -> torch.device:
    """The device a name stands for; "auto" is the first GPU where there is one.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        EncoderError: no such device here, or the name is none of these.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number.isdecimal() or name == "cuda"):
        raise EncoderError(f"unknown device {name!r}: take auto, cpu, cuda or cuda:N")
    return _cuda(int(number or 0))


def _cuda(number: int) -> torch.device:
    """GPU by number, refused when it is not there."""
    if not torch.cuda.is_available():
        raise EncoderError(
            "device cuda was asked for, but PyTorch sees no NVIDIA GPU here: "
            "take --device cpu, or check the driver with nvidia-smi"
        )
    count = torch.cuda.device_count()
    if number >= count:
        raise EncoderError(f"no device cuda:{number}: this machine has cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", number)


def pick_precision(precision: str, device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """Number format of the network's arithmetic; "auto" is fp32 on a CPU, bf16 or fp16 on a GPU.

    Raises:
        EncoderError: half precision on a CPU, or an unknown name.
    """
    if precision not in get_args(Precision):
        raise EncoderError(f"unknown precision {precision!r}: take auto, fp32, bf16 or fp16")
    if device.type == "cpu":
        if precision in ("bf16", "fp16"):
            raise EncoderError(f"precision {precision} needs a GPU: take auto or fp32 on a CPU")
        return "fp32"
    if precision == "auto":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return precision  # type: ignore[return-value]  # one of the three that are left


def training_precision(precision: str, device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """As `pick_precision`, but a CPU may train in bfloat16, although it does not embed in it.

    Raises:
        EncoderError: float16 on a CPU, or an unknown name.
    """
    if device.type == "cpu" and precision == "bf16":
        return "bf16"
    return pick_precision(precision, device)


def device_label(device: torch.device) -> str:
    """Name of the device for a card: "cpu", or the GPU's model."""
    if device.type == "cpu":
        return "cpu"
    return f"cuda ({torch.cuda.get_device_name(device)})"
