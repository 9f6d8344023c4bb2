"""Bring a store that was killed at any moment back to exactly what was committed."""

from pathlib import Path
from typing import Any

import zarr

from learner_index.store.chunks import blank_rows, is_plain, rows_in_chunk
from learner_index.store.commit import (
    PREVIOUS,
    ROOT,
    chunk_files,
    is_array,
    is_between_renames,
    members_of,
    own_metadata,
    read_root,
    sync_members,
)
from learner_index.store.durable import writable_group
from learner_index.store.paths import (
    PARTIAL,
    Step,
    exchange_folders,
    no_step,
    remove_tree,
    sync_paths,
    write_json_atomically,
)
from learner_index.store.rows import damage_named, row_array, row_paths

NEXT = "next.zarr"
OLD = "old.zarr"
GROUP = {"node_type": "group"}


def recover(path: Path, cache: Path, step: Step = no_step) -> None:
    """Undo whatever an interrupted writer left; does nothing to a store left in order.

    Args:
        path: the store; it need not exist.
        cache: its cache folder.
        step: called with the name of each step.
    """
    _finish_renames(path, cache, step)
    for leftover in (NEXT, PREVIOUS, OLD, *(file.name for file in cache.glob("*.tmp"))):
        remove_tree(cache / leftover)
    if path.exists():
        members = members_of(read_root(path))
        _restore_metadata(path, members, cache)
        _trim_tail(path, members, step)
        _remove_leftovers(path, members)
        step("recover: done")


def _finish_renames(path: Path, cache: Path, step: Step) -> None:
    """Finish a swap on a system that needs two renames and was stopped between them."""
    if is_between_renames(path):
        source = cache / NEXT if (cache / NEXT / ROOT).exists() else cache / PREVIOUS
        source.rename(path)
        sync_paths([path.parent, cache])
        step("recover: renames finished")


def _restore_metadata(path: Path, members: dict[str, dict[str, Any]], cache: Path) -> None:
    """Write the metadata of arrays and groups that lost theirs; the root has a copy of each."""
    for name, metadata in members.items():
        if own_metadata(path, name) is None:
            (path / name).mkdir(parents=True, exist_ok=True)
            own = {key: value for key, value in metadata.items() if key != "consolidated_metadata"}
            write_json_atomically(path / name / ROOT, own, cache)


def _trim_tail(path: Path, members: dict[str, dict[str, Any]], step: Step) -> None:
    """Take uncommitted rows off every array, and their bytes out of the last chunk.

    A shrink alone would leave the bytes in the chunk, and the next growth would show them again.
    So all bytes go first, and are on the disk before any array shrinks.
    """
    dirty = [name for name in row_paths(members) if own_metadata(path, name) != members[name]]
    if not dirty:
        return
    with writable_group(path) as group:
        for name in dirty:
            _blank(path / name, row_array(group, name), members[name])
            step(f"recover: {name} blanked")
        for name in dirty:
            row_array(group, name).resize(tuple(members[name]["shape"]))
            step(f"recover: {name} shrunk")
    sync_members(path, {name: members[name] for name in dirty}, 0)


def _blank(node: Path, array: "zarr.Array[Any]", committed: dict[str, Any]) -> None:
    """Empty what follows the committed rows in their last chunk."""
    rows = committed["shape"][0]
    if is_plain(committed):
        blank_rows(node, rows_in_chunk(committed), rows, committed["shape"][1])
        return
    end = min(-(-rows // array.chunks[0]) * array.chunks[0], array.shape[0])
    if rows < end:
        with damage_named(node.name):
            array[rows:end] = array.fill_value


def _remove_leftovers(path: Path, members: dict[str, dict[str, Any]]) -> None:
    """Delete what an unfinished write may have left: partial files, chunks, parts of `uns`.

    Files of other programs elsewhere in the store stay.
    """
    owned = {
        f"{name}/{chunk}"
        for name, metadata in members.items()
        if is_array(metadata)
        for chunk in chunk_files(metadata)
    }
    for found in sorted(path.rglob("*"), reverse=True):
        name = found.relative_to(path).as_posix()
        if found.is_dir():
            if name not in members and _is_ours(name, members) and not any(found.iterdir()):
                found.rmdir()
        elif found.suffix == PARTIAL or (
            name not in owned
            and name.removesuffix(f"/{ROOT}") not in members
            and _is_ours(name, members)
        ):
            found.unlink()


def _is_ours(name: str, members: dict[str, dict[str, Any]]) -> bool:
    """Whether only this program writes there: inside an array, or in `uns`."""
    parts = name.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts)))
    return parts[0] == "uns" or any(is_array(members.get(part, GROUP)) for part in above)


def swap_in(path: Path, cache: Path, step: Step = no_step) -> None:
    """Put the finished sibling in the store's place and delete what was there.

    One kernel call where the system has it, so that readers always find a store; elsewhere two
    renames that `recover` finishes.
    """
    step("swap: sibling finished")
    sync_paths([cache, path.parent])
    if exchange_folders(cache / NEXT, path):
        old = cache / NEXT
    else:
        old = cache / PREVIOUS
        path.rename(old)
        sync_paths([cache, path.parent])
        step("swap: between two renames")
        (cache / NEXT).rename(path)
    sync_paths([cache, path.parent])
    step("swap: done")
    old.rename(cache / OLD)
    step("swap: old one set aside")
    remove_tree(cache / OLD)
    step("swap: old one deleted")
