"""Checkpoints: tensors and JSON in one safetensors file, replaced whole; no pickle anywhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learner_index.data.replace import replace_file
from learner_index.errors import RunFormatError, RunWriteError

VERSION = 1


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Put tensors and what else is to be remembered into a file, in place of what it held.

    Args:
        path: the file.
        tensors: any device; each is stored on its own.
        state: JSON-ready; floats come back exactly.

    Raises:
        RunWriteError: the file system refused; the file is as it was.
    """
    from safetensors.torch import save

    text = json.dumps({"version": VERSION, **state}, allow_nan=True)
    own = {name: _own(tensor) for name, tensor in tensors.items()}
    try:
        replace_file(path, [save(own, metadata={"state": text})])
    except OSError as problem:
        raise RunWriteError(
            f"cannot write {path.name} of run {str(path.parent)!r} "
            f"({problem.strerror or problem}): what was written before is intact; make room, "
            "then go on with --resume"
        ) from problem


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state that were written to a file.

    Raises:
        RunFormatError: it is damaged or gone, or of another version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = dict(json.loads((file.metadata() or {})["state"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as problem:
        raise RunFormatError(
            f"{path.name} of run {str(path.parent)!r} cannot be read: "
            "it is damaged or gone; start the run anew in another folder"
        ) from problem
    if state.pop("version", None) != VERSION:
        raise RunFormatError(
            f"{path.name} of run {str(path.parent)!r} is of another version of learner-index: "
            "go on with that version, or start the run anew"
        )
    return tensors, state


def _own(tensor: Tensor) -> Tensor:
    """A copy that shares its memory with no other tensor, as safetensors asks for."""
    return torch.clone(tensor.detach().cpu(), memory_format=torch.contiguous_format)
