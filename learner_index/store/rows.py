"""Rows on their way into a folder: an empty store, and rows appended to every array at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from learner_index.errors import StoreDamagedError, StoreFormatError
from learner_index.store.chunks import is_plain, rows_in_chunk, write_rows
from learner_index.store.commit import (
    commit,
    is_array,
    members_of,
    metadata_below,
    read_root,
    sync_members,
)
from learner_index.store.durable import writable_group
from learner_index.store.layout import (
    INDEX,
    MAPPING,
    RowArray,
    column_arrays,
    embedding_array,
    encode_column,
    frame_attributes,
    group_attributes,
    kind_of,
    root_attributes,
)
from learner_index.store.mapping import write_mapping
from learner_index.store.paths import Step, no_step


def write_empty(
    path: Path,
    width: int,
    kinds: Mapping[str, str],
    settings: Mapping[str, Any],
    generation: int,
    scratch: Path,
) -> None:
    """Write and commit a store of no rows into a folder that does not exist yet.

    Args:
        path: the new folder.
        width: number of values e in an embedding.
        kinds: column -> "text", "number" or "flag", in order, `scan_id` among them.
        settings: what `uns` shall hold, JSON-ready.
        generation: the store's generation.
        scratch: folder on the same file system for temporary files.
    """
    attributes = root_attributes(generation)
    columns = [name for name in kinds if name != INDEX]
    arrays = {name: column_arrays(name, kinds[name]) for name in [INDEX, *columns]}
    with writable_group(path, "w-") as group:
        group.update_attributes(attributes)
        _create_rows(group, embedding_array(width), (0, width))
        group.create_group("obs", attributes=frame_attributes(INDEX, columns))
        for name in arrays:
            marks = group_attributes(name, kinds[name])
            if marks is not None:
                group.create_group(f"obs/{name}", attributes=dict(marks))
            for array in arrays[name]:
                _create_rows(group, array, (0,))
        _write_axes(group, width)
        write_mapping(group, "uns", {**settings, "generation": generation})
    members = metadata_below(path)
    sync_members(path, members, 0)
    commit(path, attributes, members, scratch)


def _create_rows(group: zarr.Group, array: RowArray, shape: tuple[int, ...]) -> None:
    """One array of no rows yet. Embeddings do not compress; columns do."""
    packed = [] if array.path == "X" else [ZstdCodec(level=3)]
    group.create_array(
        array.path,
        shape=shape,
        chunks=(array.chunk_rows, *shape[1:]),
        dtype=array.dtype,
        attributes=dict(array.attributes),
        serializer="auto" if array.dtype == "string" else BytesCodec(),
        compressors=[*packed, Crc32cCodec()],
        config={"write_empty_chunks": True},
    )


def _write_axes(group: zarr.Group, width: int) -> None:
    """AnnData's remaining elements: `var` names the embedding's values u0, u1 and so on."""
    var = group.create_group("var", attributes=frame_attributes("value", []))
    names = np.array([f"u{i}" for i in range(width)], dtype=object)
    array = var.create_array(
        "value",
        shape=(width,),
        chunks=(width,),
        dtype="string",
        attributes=dict(column_arrays(INDEX, "text")[0].attributes),
    )
    array[:] = names
    for name in ("layers", "obsm", "obsp", "varm", "varp"):
        group.create_group(name, attributes=dict(MAPPING))


def row_paths(members: Mapping[str, dict[str, Any]]) -> list[str]:
    """Paths of the arrays that have a value for each row."""
    return [
        name
        for name, metadata in members.items()
        if is_array(metadata) and (name == "X" or name.startswith("obs/"))
    ]


def stored_kinds(members: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Column -> kind as stored, the index first."""
    order = [INDEX, *members["obs"]["attributes"]["column-order"]]
    return {name: kind_of(members[f"obs/{name}"]["attributes"]) for name in order}


def append_rows(
    path: Path,
    embeddings: NDArray[np.float32],
    obs: pd.DataFrame,
    scratch: Path,
    step: Step = no_step,
) -> None:
    """Append rows to every array of a store, then commit them.

    Args:
        path: the store's folder, its uncommitted tail already trimmed.
        embeddings: (m, e) float32.
        obs: m rows with exactly the store's columns, `scan_id` among them.
        scratch: folder on the same file system for temporary files.
        step: called with the name of each step.

    Raises:
        StoreFormatError: a column's values do not fit its kind; nothing was written.
    """
    root = read_root(path)
    members = members_of(root)
    first = int(members["X"]["shape"][0])
    values = _row_values(members, embeddings, obs)
    grown = {
        name: {**members[name], "shape": [first + len(obs), *members[name]["shape"][1:]]}
        for name in values
    }
    with writable_group(path) as group:
        for name, part in values.items():
            row_array(group, name).resize(tuple(grown[name]["shape"]))
            step(f"append: {name} grown")
            write_values(path, group, name, grown[name], part)
            step(f"append: {name} written")
    sync_members(path, grown, first)
    step("append: flushed")
    commit(path, root["attributes"], members | grown, scratch, step)


def write_values(
    path: Path, group: zarr.Group, name: str, metadata: dict[str, Any], values: NDArray[Any]
) -> None:
    """Write the last values of an array.

    Args:
        path: the store's folder.
        group: its group.
        name: path of the array, already grown.
        metadata: the array's metadata, grown as well.
        values: what its last rows shall hold.

    Raises:
        StoreDamagedError: the chunk to be filled up is missing or altered.
    """
    rows = metadata["shape"][0]
    if is_plain(metadata):
        write_rows(path / name, rows_in_chunk(metadata), rows - len(values), values)
        return
    with damage_named(name):
        row_array(group, name)[rows - len(values) :] = values


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what zarr raises for an altered chunk into one line that names the array."""
    try:
        yield
    except OSError:
        raise
    except (ValueError, RuntimeError, LookupError, TypeError) as error:
        raise StoreDamagedError(f"{name} has a chunk that was altered ({error})") from error


def row_array(group: zarr.Group, name: str) -> "zarr.Array[Any]":
    """An array that writes chunks of zeros too: a chunk that is missing always means loss."""
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise StoreDamagedError(f"{name} is a group where an array belongs: run `verify`")
    return array.with_config({"write_empty_chunks": True})


def _row_values(
    members: Mapping[str, dict[str, Any]], embeddings: NDArray[np.float32], obs: pd.DataFrame
) -> dict[str, NDArray[Any]]:
    """Array path -> new values, for every array that has a value for each row."""
    values: dict[str, NDArray[Any]] = {"X": np.ascontiguousarray(embeddings, np.float32)}
    for name, kind in stored_kinds(members).items():
        try:
            encoded = encode_column(name, kind, obs[name])
        except (ValueError, TypeError) as error:
            raise StoreFormatError(f"column {name} does not hold a {kind}: {error}") from error
        arrays = column_arrays(name, kind)
        values |= {array.path: part for array, part in zip(arrays, encoded, strict=True)}
    return values
