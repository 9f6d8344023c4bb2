"""Check everything a store promises, and say in one line each what does not hold."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.errors import StoreError
from learner_index.store.commit import ROOT, chunk_files, is_array, members_of, read_root
from learner_index.store.layout import INDEX, PLAIN_TEXT
from learner_index.store.paths import folder_size
from learner_index.store.reader import StoreReader
from learner_index.store.rows import row_paths


def verify_store(path: Path) -> tuple[str, ...]:
    """Every way in which a store is not what was committed; empty when all is well.

    Reads each chunk, so checksums are compared as well. Uncommitted leftovers of a killed writer
    are no damage: they are invisible, and the next writer removes them.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreFormatError: it is no store.
    """
    root = read_root(path)
    members = members_of(root)
    found = [*_lost_files(path, members), *_uneven_rows(members)]
    if not found:
        found = [*_unreadable(path), *_broken_rules(path, root)]
    return tuple(found)


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
        try:
            reader.obs([name])
        except StoreError as error:
            yield f"obs/{name}: {error}"
    step = 65_536
    for start in range(0, reader.n_rows, step):
        stop = min(start + step, reader.n_rows)
        try:
            block = reader.embeddings(slice(start, stop))
        except StoreError as error:
            yield f"X: rows {start} to {stop - 1}: {error}"
            continue
        if not np.isfinite(block).all():
            yield f"X: rows {start} to {stop - 1} hold values that are not finite"
    try:
        reader.settings()
    except StoreError as error:
        yield f"uns: {error}"


def _broken_rules(path: Path, root: dict[str, Any]) -> Iterator[str]:
    """Rules about the content: unique ids, no empty id, one generation throughout."""
    reader = StoreReader(path)
    try:
        obs = reader.obs([name for name in reader.kinds if name in PLAIN_TEXT])
        settings = reader.settings()
    except StoreError:
        return
    for name in obs.columns:
        empty = int((obs[name] == "").sum())
        if empty:
            yield f"obs/{name}: {empty} empty values"
    doubled = obs.loc[obs[INDEX].duplicated(), INDEX]
    if len(doubled):
        yield f"obs/{INDEX}: {len(doubled)} ids stand twice, the first is {doubled.iloc[0]}"
    if settings.get("generation") != root["attributes"]["generation"]:
        yield "uns/generation: differs from the root's generation"


def store_size(path: Path) -> int:
    """Bytes of all files of a store."""
    return folder_size(path)


def leftovers(path: Path) -> int:
    """Number of arrays with uncommitted rows, left by a killed or a running writer."""
    members = members_of(read_root(path))
    own = {name: json.loads((path / name / ROOT).read_text("utf-8")) for name in row_paths(members)}
    return sum(own[name] != members[name] for name in own)
