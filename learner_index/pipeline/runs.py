"""`run.json`: what a pretraining run was asked for, on whom, and how it went.

It lies beside the encoder's weights, in a run's folder and in the cache of every store that was
built with the encoder, and says which patients the encoder has seen.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from learner_index.data.replace import replace_file
from learner_index.data.split import PatientSplit
from learner_index.errors import RunFormatError, RunWriteError

RUN_NAME = "run.json"
FORMAT = 1
ENCODER_NAMES = ("encoder.safetensors", "encoder.json")


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run, finished or not."""
    return (folder / RUN_NAME).is_file()


def has_encoder(folder: Path) -> bool:
    """Whether a folder holds an encoder's weights and card."""
    return all((folder / name).is_file() for name in ENCODER_NAMES)


def write_run(folder: Path, content: Mapping[str, Any]) -> None:
    """Write `run.json` whole; numbers that are not finite become null.

    Raises:
        RunWriteError: the folder cannot be written.
    """
    text = json.dumps(finite({"format": FORMAT, **content}), indent=2, ensure_ascii=False)
    try:
        replace_file(folder / RUN_NAME, [text.encode()])
    except OSError as problem:
        raise RunWriteError(
            f"cannot write {RUN_NAME} in {str(folder)!r} ({problem.strerror or problem}): "
            "make room, then go on with --resume"
        ) from problem


def read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` in a folder says.

    Raises:
        RunFormatError: there is none, it is damaged, or of another version.
    """
    try:
        content = json.loads((folder / RUN_NAME).read_bytes())
    except FileNotFoundError:
        raise RunFormatError(
            f"no run in {str(folder)!r}: {RUN_NAME} is missing; `learner-index pretrain` makes one"
        ) from None
    except (OSError, ValueError) as problem:
        raise RunFormatError(f"{RUN_NAME} in {str(folder)!r} cannot be read: {problem}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise RunFormatError(
            f"the run in {str(folder)!r} is of format {found!r}, this version reads {FORMAT}: "
            "use the version of learner-index that wrote it, or pretrain anew in another folder"
        )
    return content


def split_of(run: Mapping[str, Any]) -> PatientSplit:
    """The patients of a run by role.

    Raises:
        RunFormatError: they are missing.
        SplitError: a patient stands in two roles.
    """
    try:
        return PatientSplit.from_dict(run["patients"])
    except (KeyError, TypeError) as problem:
        raise RunFormatError(f"{RUN_NAME} does not say who was trained on: {problem}") from None


def finished_encoder(folder: Path) -> Path:
    """The folder to load a finished run's encoder from.

    Raises:
        RunFormatError: no run, one that is not finished, or one of several folds.
    """
    run = read_run(folder)
    if run.get("kind") == "folds":
        names = ", ".join(run["folds"])
        raise RunFormatError(
            f"{str(folder)!r} holds one encoder a fold ({names}): name one of these folders"
        )
    if run.get("state") != "done" or not has_encoder(folder):
        raise RunFormatError(
            f"the run in {str(folder)!r} is not finished: `learner-index pretrain` with --resume "
            "goes on"
        )
    return folder


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    return {name: version(name) for name in ("learner-index", "torch", "timm", "numpy")}


def finite(value: Any) -> Any:
    """The same for JSON: NaN and infinity have no place in it."""
    if isinstance(value, Mapping):
        return {name: finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not -1e308 < value < 1e308 else value
