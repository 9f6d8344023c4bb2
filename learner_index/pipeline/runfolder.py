"""A run's folder: whether a run may start or go on in it, who writes, what a kill left behind.

What `run.json` says is left to `runs`, checkpoints to `learn`.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from learner_index.config import PretrainOptions
from learner_index.errors import RunError, RunFormatError, RunWriteError
from learner_index.learn.trainer import CHECKPOINT
from learner_index.pipeline.runs import (
    ENCODER_NAMES,
    RUN_NAME,
    is_run,
    read_run,
    split_of,
    versions,
)

_CHECKPOINTS = rf"{re.escape(CHECKPOINT)}|best-\d+\.safetensors"
_WRITTEN = rf"{_CHECKPOINTS}|run\.json|curves\.csv|curves\.png|encoder\.json|encoder\.safetensors"
_HALF_WRITTEN = re.compile(rf"\.({_WRITTEN})\.\d+")
_TEMPORARY = re.compile(rf"\.({_WRITTEN})\.\d+|{_CHECKPOINTS}")
_MAY_DIFFER = ("encoder.device", "encoder.batch_size", "cache.folder", "cache.max_gb")


def known_run(folder: Path, *, resume: bool) -> dict[str, Any]:
    """What is known of a run that goes on; nothing of a new one.

    A run that stopped before its first checkpoint has nothing to lose, and may be started over.

    Raises:
        RunFormatError: something would be overwritten, or the run cannot be read.
    """
    if resume and is_run(folder):
        return _sound(read_run(folder), folder)
    try:
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as problem:
        raise RunFormatError(
            f"{str(folder)!r} cannot hold a run ({problem.strerror}): -o NAME starts one elsewhere"
        ) from None
    own = {name for name in names if _HALF_WRITTEN.fullmatch(name)}
    if is_run(folder) and names - own != {RUN_NAME}:
        raise RunFormatError(f"{str(folder)!r} holds {_what_is_there(folder)}")
    if names - own - {RUN_NAME}:
        raise RunFormatError(
            f"{str(folder)!r} is there already and is no run: -o NAME starts one elsewhere"
        )
    return {}


def _what_is_there(folder: Path) -> str:
    """A run's state in words, and what can be done."""
    other = "-o NAME starts another"
    try:
        state = read_run(folder).get("state")
    except RunFormatError:
        return f"a run already: {other}"
    if state == "done":
        return f"a finished run: {other}"
    if state == "diverged":
        return f"a run that diverged: {other}, with a lower --learning-rate"
    return f"a run already: --resume goes on with it, {other}"


def _sound(run: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A run that has all that going on needs."""
    wanted = {"kind": str, "state": str, "data": str, "options": dict, "manifest": dict}
    if run.get("kind") != "folds":
        wanted |= {"patients": dict, "split": str}
    lost = [name for name, kind in wanted.items() if not isinstance(run.get(name), kind)]
    if not lost and not all(isinstance(section, dict) for section in run["options"].values()):
        lost = ["options"]
    if lost:
        raise RunFormatError(
            f"{RUN_NAME} in {str(folder)!r} was altered: {', '.join(lost)} cannot be read; "
            "restore it from a copy, or start another run with -o NAME"
        )
    return run


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only process that trains in a folder, which is made; a killed process lets go.

    Raises:
        RunError: another process trains in it.
        RunWriteError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as problem:
        raise RunWriteError(
            f"cannot make {str(folder)!r} ({problem.strerror}): -o NAME takes another place"
        ) from problem
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)
        with suppress(OSError):
            folder.rmdir()  # only if nothing was written


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(
            f"another process is training in {str(folder)!r}: wait until it is done, or stop it"
        ) from None
    except OSError:  # some network file systems lock no folders
        return


def require_same(known: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Lets a run go on only with the settings, patients and scans it was started with.

    A setting that did not exist when the run was started has its default.

    Args:
        known: what `run.json` says; nothing of a new run.
        record: what this call would write.

    Raises:
        RunFormatError: names the first difference.
    """
    if not known:
        return
    defaults = asdict(PretrainOptions())
    for section, values in record["options"].items():
        for name, value in values.items():
            default = _plain(defaults[section][name])
            before = known["options"].get(section, {}).get(name, default)
            if f"{section}.{name}" not in _MAY_DIFFER and before != _plain(value):
                raise RunFormatError(
                    f"the run was started with {section}.{name} = {before!r}, not "
                    f"{_plain(value)!r}: go on with its own settings by giving none, or start "
                    "another with -o NAME"
                )
    words = {"kind": "kind of run", "data": "scans and scores", "split": "patients' roles"}
    for name in words.keys() & record.keys():
        if known.get(name) != record[name]:
            raise RunFormatError(
                f"the {words[name]} are not those the run was started with: "
                "restore them, or start another run with -o NAME"
            )
    if "split" in record and split_of(known).fingerprint != record["split"]:
        raise RunFormatError(
            f"{RUN_NAME} was altered, its patients are not those of its split: restore it from a "
            "copy, or start another run with -o NAME"
        )


def version_notes(known: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person should know of a run that goes on with other libraries than it began with."""
    before, now = known.get("versions") or {}, versions()
    changed = [
        f"{name} {before[name]} became {now[name]}"
        for name in now
        if before.get(name, now[name]) != now[name]
    ]
    if not changed:
        return ()
    return (f"{', '.join(changed)} since the run began: its numbers may differ in the last digits",)


def is_finished(folder: Path, known: Mapping[str, Any]) -> bool:
    """Whether a run is done and its encoder is there."""
    files = (folder / name for name in ENCODER_NAMES)
    return known.get("state") == "done" and all(file.is_file() for file in files)


def sweep(folder: Path, *, is_done: bool) -> None:
    """Remove files that a killed process wrote in part and, when done, all checkpoints."""
    pattern = _TEMPORARY if is_done else _HALF_WRITTEN
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if pattern.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """The same as JSON gives it back."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value
