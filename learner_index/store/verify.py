"""Check everything a store promises, and say in one line each what does not hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.errors import StoreDamagedError
from learner_index.store.commit import (
    ROOT,
    chunk_files,
    is_array,
    members_of,
    own_metadata,
    read_root,
)
from learner_index.store.layout import INDEX, PLAIN_TEXT
from learner_index.store.paths import folder_size
from learner_index.store.reader import StoreReader
from learner_index.store.rows import row_paths

BLOCK_ROWS = 65_536


def verify_store(path: Path) -> tuple[str, ...]:
    """Every way in which a store is not what was committed; empty when all is well.

    Reads each chunk, so checksums are compared as well. Uncommitted leftovers of a killed writer
    are no damage: they are invisible, and the next writer removes them.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreFormatError: it is no store.
        StoreChangedError: it was swapped meanwhile; verify it again.
    """
    root = read_root(path)
    members = members_of(root)
    found = [*_lost_files(path, members), *_uneven_rows(members)]
    return tuple(found or [*_unreadable(path)] or _broken_rules(path, root))


def _lost_files(path: Path, members: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Committed metadata or chunks that are gone."""
    for name, metadata in members.items():
        if not (path / name / ROOT).exists():
            yield f"{name}: its metadata file is missing"
        if is_array(metadata):
            for chunk in chunk_files(metadata):
                if not (path / name / chunk).exists():
                    yield f"{name}: chunk {chunk} is missing"


def _uneven_rows(members: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Arrays whose number of rows is not that of the embeddings."""
    rows = members["X"]["shape"][0]
    for name in row_paths(members):
        if members[name]["shape"][0] != rows:
            yield f"{name}: {members[name]['shape'][0]} rows where X has {rows}"


def _unreadable(path: Path) -> Iterator[str]:
    """Chunks whose checksum or content is wrong."""
    reader = StoreReader(path)
    for name in reader.kinds:
        with _noted(f"obs/{name}") as said:
            reader.obs([name])
        yield from said
    for start in range(0, reader.n_rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, reader.n_rows)
        where = f"X: rows {start} to {stop - 1}"
        with _noted(where) as said:
            if not np.isfinite(reader.embeddings(slice(start, stop))).all():
                said.append(f"{where} hold values that are not finite")
        yield from said
    with _noted("uns") as said:
        reader.settings()
        reader.reference()
    yield from said


@contextmanager
def _noted(where: str) -> Iterator[list[str]]:
    """Collect damage as lines; a swap meanwhile is none and goes up."""
    said: list[str] = []
    try:
        yield said
    except StoreDamagedError as error:
        said.append(f"{where}: {error}")


def _broken_rules(path: Path, root: dict[str, Any]) -> Iterator[str]:
    """Rules about the content: unique ids, no empty id, one generation throughout."""
    reader = StoreReader(path)
    obs = reader.obs([name for name in reader.kinds if name in PLAIN_TEXT])
    for name in obs.columns:
        empty = int((obs[name] == "").sum())
        if empty:
            yield f"obs/{name}: {empty} empty values"
    doubled = obs.loc[obs[INDEX].duplicated(), INDEX]
    if len(doubled):
        yield f"obs/{INDEX}: {len(doubled)} ids stand twice, the first is {doubled.iloc[0]}"
    if reader.settings().get("generation") != root["attributes"]["generation"]:
        yield "uns/generation: differs from the root's generation"


def store_size(path: Path) -> int:
    """Bytes of all files of a store."""
    return folder_size(path)


def leftovers(path: Path) -> int:
    """Number of arrays with uncommitted rows, left by a killed or a running writer."""
    members = members_of(read_root(path))
    return sum(own_metadata(path, name) != members[name] for name in row_paths(members))
