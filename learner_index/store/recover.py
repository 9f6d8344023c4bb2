"""Bring a store that was killed at any moment back to exactly what was committed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from learner_index.store.commit import ROOT, chunk_files, is_array, members_of, read_root
from learner_index.store.paths import (
    Step,
    exchange_folders,
    no_step,
    remove_tree,
    sync_paths,
    write_json_atomically,
)
from learner_index.store.rows import open_for_writing, row_array, row_paths

NEXT = "next.zarr"
PREVIOUS = "previous.zarr"


def recover(path: Path, cache: Path, step: Step = no_step) -> None:
    """Undo whatever an interrupted writer left; does nothing to a store left in order.

    Args:
        path: the store; it need not exist.
        cache: its cache folder.
        step: called with the name of each step.
    """
    _finish_renames(path, cache)
    for leftover in (NEXT, PREVIOUS, *(file.name for file in cache.glob("*.tmp"))):
        remove_tree(cache / leftover)
    if path.exists():
        members = members_of(read_root(path))
        _trim_tail(path, members, step)
        _remove_strangers(path, members)


def _finish_renames(path: Path, cache: Path) -> None:
    """Finish a swap on a system that needs two renames and was stopped between them."""
    if not path.exists() and (cache / PREVIOUS).exists():
        source = cache / NEXT if (cache / NEXT / ROOT).exists() else cache / PREVIOUS
        source.rename(path)
        sync_paths([path.parent, cache])


def _trim_tail(path: Path, members: dict[str, dict[str, Any]], step: Step) -> None:
    """Take uncommitted rows off every array, and their bytes out of the last chunk.

    A shrink alone would leave the bytes in the chunk, and the next growth would show them again.
    """
    for name, metadata in members.items():
        if _own(path, name) is None:
            write_json_atomically(path / name / ROOT, metadata, path / name)
    dirty = [name for name in row_paths(members) if _own(path, name) != members[name]]
    if not dirty:
        return
    group = open_for_writing(path)
    for name in dirty:
        array = row_array(group, name)
        rows, per_chunk = members[name]["shape"][0], array.chunks[0]
        end = min(-(-rows // per_chunk) * per_chunk, array.shape[0])
        if rows < end:
            array[rows:end] = _fill(array)
        step(f"recover: {name} blanked")
        array.resize((rows, *array.shape[1:]))
        step(f"recover: {name} shrunk")


def _own(path: Path, name: str) -> dict[str, Any] | None:
    """An array's own metadata as it lies on disk."""
    try:
        return dict(json.loads((path / name / ROOT).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


def _fill(array: "zarr.Array[Any]") -> Any:
    """What a value that was never written looks like."""
    return array.fill_value if array.fill_value is not None else np.zeros((), array.dtype)


def _remove_strangers(path: Path, members: dict[str, dict[str, Any]]) -> None:
    """Delete every file that no committed array or group owns, and folders left empty."""
    owned = {ROOT}
    for name, metadata in members.items():
        owned.add(f"{name}/{ROOT}")
        if is_array(metadata):
            owned.update(f"{name}/{chunk}" for chunk in chunk_files(metadata))
    for found in sorted(path.rglob("*"), reverse=True):
        if found.is_dir():
            if not any(found.iterdir()):
                found.rmdir()
        elif found.relative_to(path).as_posix() not in owned:
            found.unlink()


def swap_in(path: Path, cache: Path, step: Step = no_step) -> None:
    """Put the finished sibling in the store's place and delete what was there.

    One kernel call where the system has it, so that readers always find a store; elsewhere two
    renames that `recover` finishes.
    """
    step("swap: sibling finished")
    sync_paths([cache, path.parent])
    if not exchange_folders(cache / NEXT, path):
        path.rename(cache / PREVIOUS)
        step("swap: between two renames")
        (cache / NEXT).rename(path)
    sync_paths([cache, path.parent])
    step("swap: done")
    remove_tree(cache / NEXT)
    remove_tree(cache / PREVIOUS)
    step("swap: old one deleted")
