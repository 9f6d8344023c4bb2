"""Embeddings to and from their chunk files, without zarr's detours and with its checksums.

A chunk of X is its rows as little-endian float32 and then a CRC-32C of them, as the Zarr
specification has it; `stores/README.md` promises nothing else. Columns go through zarr.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from learner_index.data.replace import replace_file
from learner_index.errors import StoreDamagedError
from learner_index.store.paths import partial_name

READERS = min(4, os.cpu_count() or 1)
WRITERS = 4  # they wait for the disk, not for a core
_CODECS = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
]


def is_plain(metadata: Mapping[str, Any]) -> bool:
    """Whether an array's chunks are as this module reads and writes them."""
    separator = {"name": "default", "configuration": {"separator": "/"}}
    return bool(
        metadata["codecs"] == _CODECS
        and metadata["data_type"] == "float32"
        and metadata["chunk_key_encoding"] == separator
        and metadata["chunk_grid"]["configuration"]["chunk_shape"][1] == metadata["shape"][1]
    )


def rows_in_chunk(metadata: Mapping[str, Any]) -> int:
    """Rows that one chunk of an array holds."""
    return int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0])


def read_rows(node: Path, chunk_rows: int, rows: range, width: int) -> NDArray[np.float32]:
    """Consecutive rows of X; each chunk is read whole and compared with its checksum.

    Args:
        node: folder of the array.
        chunk_rows: rows in a chunk.
        rows: rows wanted, step 1.
        width: number of values e in an embedding.

    Returns:
        (n, e) float32.

    Raises:
        StoreDamagedError: a chunk is missing, cut short or altered.
    """
    wanted = np.empty((len(rows), width), "<f4")

    def read(index: int) -> None:
        low, high = index * chunk_rows, (index + 1) * chunk_rows
        first, last = max(low, rows.start), min(high, rows.stop)
        part = wanted[first - rows.start : last - rows.start]
        if len(part) == chunk_rows:
            _read_chunk(node, index, part)
            return
        spare = np.empty((chunk_rows, width), "<f4")
        _read_chunk(node, index, spare)
        part[:] = spare[first - low : last - low]

    _in_threads(READERS, read, range(rows.start // chunk_rows, -(-rows.stop // chunk_rows)))
    return wanted


def gather_rows(
    node: Path, chunk_rows: int, rows: NDArray[np.intp], width: int
) -> NDArray[np.float32]:
    """Any rows of X in the order asked for; each chunk that holds one of them is read once.

    Args:
        node: folder of the array.
        chunk_rows: rows in a chunk.
        rows: (n,) row numbers, all of them there; they may repeat.
        width: number of values e in an embedding.

    Returns:
        (n, e) float32.

    Raises:
        StoreDamagedError: a chunk is missing, cut short or altered.
    """
    wanted = np.empty((len(rows), width), "<f4")
    spare = np.empty((chunk_rows, width), "<f4")
    order = np.argsort(rows, kind="stable")
    chunk_of = rows[order] // chunk_rows
    for index in np.unique(chunk_of):
        places = order[slice(*np.searchsorted(chunk_of, [index, index + 1]))]
        _read_chunk(node, int(index), spare)
        wanted[places] = spare[rows[places] - index * chunk_rows]
    return wanted


def write_rows(node: Path, chunk_rows: int, first: int, values: NDArray[np.float32]) -> None:
    """Write rows from `first` on, the last ones of the array; whatever follows becomes zeros.

    Args:
        node: folder of the array.
        chunk_rows: rows in a chunk.
        first: row of the first value; the rows before it are kept.
        values: (m, e).

    Raises:
        StoreDamagedError: the chunk to be filled up is missing, cut short or altered.
    """
    values = np.ascontiguousarray(values, "<f4")
    stop = first + len(values)

    def write(index: int) -> None:
        low, high = index * chunk_rows, (index + 1) * chunk_rows
        if low >= first and high <= stop:
            _write_chunk(node, index, values[low - first : high - first])
            return
        chunk = np.zeros((chunk_rows, values.shape[1]), "<f4")
        if low < first:
            _read_chunk(node, index, chunk)
            chunk[first - low :] = 0
        start = max(low, first)
        chunk[start - low : min(high, stop) - low] = values[start - first : high - first]
        _write_chunk(node, index, chunk)

    _in_threads(WRITERS, write, range(first // chunk_rows, -(-stop // chunk_rows)))


def blank_rows(node: Path, chunk_rows: int, first: int, width: int) -> None:
    """Make everything from row `first` to the end of its chunk zeros."""
    if first % chunk_rows:
        write_rows(node, chunk_rows, first, np.zeros((0, width), np.float32))


def _in_threads(threads: int, work: Callable[[int], None], chunks: range) -> None:
    """Do work on each chunk, a few at a time; returns or raises once none is under way."""
    if len(chunks) < 2:
        for index in chunks:
            work(index)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, index) for index in chunks]:
            done.result()


def _read_chunk(node: Path, index: int, into: NDArray[np.float32]) -> None:
    """Fill a (chunk_rows, e) array from its file."""
    body = memoryview(into.data).cast("B")
    try:
        with (node / f"c/{index}/0").open("rb") as file:
            is_whole = file.readinto(body) == body.nbytes
            checksum = file.read(5)
    except FileNotFoundError:
        raise StoreDamagedError(f"{node.name}/c/{index}/0 is lost") from None
    if not is_whole or len(checksum) != 4:
        raise StoreDamagedError(f"{node.name}/c/{index}/0 has the wrong length")
    if google_crc32c.value(into) != int.from_bytes(checksum, "little"):
        raise StoreDamagedError(f"{node.name}/c/{index}/0 does not match its checksum")


def _write_chunk(node: Path, index: int, chunk: NDArray[np.float32]) -> None:
    """Put a (chunk_rows, e) array in place of its file."""
    target = node / f"c/{index}/0"
    body = memoryview(chunk.data).cast("B")
    checksum = int(google_crc32c.value(chunk)).to_bytes(4, "little")
    replace_file(target, [body, checksum], partial_name(target))
