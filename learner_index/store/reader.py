"""Reading a store: what was committed when it was opened, or an error, never a mixture."""

import os
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from learner_index.data.reference import Reference
from learner_index.errors import StoreChangedError, StoreDamagedError, StoreError, StoreFormatError
from learner_index.store.chunks import gather_rows, is_plain, read_rows, rows_in_chunk
from learner_index.store.commit import chunk_files, is_array, members_of, read_root
from learner_index.store.layout import column_arrays, decode_column
from learner_index.store.mapping import read_mapping
from learner_index.store.reference import read_reference
from learner_index.store.rows import stored_kinds


class StoreReader:
    """A store as it was committed at the moment of opening; appends made later stay unseen.

    Attributes:
        path: the store's folder.
        n_rows: number of scans n.
        width: number of values e in an embedding.
        generation: raised whenever the store was changed other than by appending.
        layout: version of the on-disk layout.
        kinds: column -> "text", "number" or "flag", `scan_id` first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        root, self._folder = _open_settled(path)
        weakref.finalize(self, os.close, self._folder)
        self._members = members_of(root)
        self.generation = int(root["attributes"]["generation"])
        self.layout = int(root["attributes"]["layout"])
        self.n_rows, self.width = (int(side) for side in self._members["X"]["shape"])
        self.kinds = stored_kinds(self._members)

    def embeddings(self, rows: NDArray[np.intp] | slice | None = None) -> NDArray[np.float32]:
        """Embeddings in row order.

        Args:
            rows: rows wanted, as ascending or any indices or a slice; None for all.

        Returns:
            (n, e) float32.

        Raises:
            StoreChangedError: the store was swapped meanwhile.
            StoreDamagedError: a chunk is missing or altered.
        """
        wanted = range(self.n_rows)[rows] if isinstance(rows, slice) else rows
        if wanted is None:
            wanted = range(self.n_rows)
        if isinstance(wanted, range) and wanted.step != 1:
            wanted = np.array(wanted)
        if not isinstance(wanted, range):
            wanted = np.arange(self.n_rows)[wanted]
        with self._unchanged(), self._intact():
            return self._embeddings(wanted)

    def _embeddings(self, rows: range | NDArray[np.intp]) -> NDArray[np.float32]:
        """Rows of X, all of them there."""
        metadata, node = self._members["X"], self.path / "X"
        if not is_plain(metadata):
            self._require_chunks("X")
            return np.asarray(self._array("X").oindex[np.asarray(rows), :], dtype=np.float32)
        chunk_rows = rows_in_chunk(metadata)
        if isinstance(rows, range):
            return read_rows(node, chunk_rows, rows, self.width)
        return gather_rows(node, chunk_rows, rows, self.width)

    def obs(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The scans' columns, a RangeIndex over rows; text is "string", numbers are float64.

        Args:
            columns: names wanted; None for all, `scan_id` first.

        Raises:
            StoreError: no such column.
            StoreChangedError: the store was swapped meanwhile.
            StoreDamagedError: a chunk is missing or altered.
        """
        names = list(self.kinds) if columns is None else list(columns)
        for name in names:
            if name not in self.kinds:
                raise StoreError(f"{self.path.name} has no column '{name}'")
        with self._unchanged():
            return pd.DataFrame({name: self._column(name) for name in names})

    def settings(self) -> dict[str, Any]:
        """All of `uns` but the reference, JSON-ready: encoder card, score rule, clock, versions.

        Raises:
            StoreChangedError: the store was swapped meanwhile.
            StoreDamagedError: a chunk is missing or altered.
        """
        with self._unchanged(), self._intact():
            return self._mapping("uns", without="uns/reference", is_plain=True)

    def reference(self, *, with_changes: bool = True) -> Reference | None:
        """The statistics fitted once on named patients; None before the first build ended.

        Args:
            with_changes: False leaves out what is known of changes, which similarity needs not.
        """
        if "uns/reference" not in self._members:
            return None
        left_out = "" if with_changes else "uns/reference/changes"
        with self._unchanged(), self._intact():
            return read_reference(self._mapping("uns/reference", without=left_out))

    def _column(self, name: str) -> "pd.Series[Any]":
        """One column, decoded."""
        paths = [array.path for array in column_arrays(name, self.kinds[name])]
        with self._intact():
            for path in paths:
                self._require_chunks(path)
            values = [np.asarray(self._array(path)[: self.n_rows]) for path in paths]
            return decode_column(name, self.kinds[name], values)

    def _mapping(self, path: str, *, without: str = "", is_plain: bool = False) -> dict[str, Any]:
        """A part of `uns` with exactly the entries that were committed at opening."""
        below = [name for name in self._members if name.startswith(f"{path}/")]
        if without:
            below = [name for name in below if not f"{name}/".startswith(f"{without}/")]
        for name in below:
            if is_array(self._members[name]):
                self._require_chunks(name)
        return read_mapping(self._group, path, below, is_plain=is_plain)

    @cached_property
    def _group(self) -> zarr.Group:
        """The group as committed at opening or later: it has at least the rows seen here."""
        return zarr.open_group(self.path, mode="r", zarr_format=3, use_consolidated=True)

    def _array(self, path: str) -> "zarr.Array[Any]":
        return self._group[path]  # type: ignore[return-value]

    @contextmanager
    def _intact(self) -> Iterator[None]:
        """Around reading one element: whatever goes wrong is damage, in one line."""
        try:
            yield
        except StoreDamagedError as error:
            raise StoreDamagedError(
                f"{self.path.name}: {error}: restore it from a copy, "
                "or delete the store and build it again"
            ) from error
        except (ValueError, RuntimeError, OSError, LookupError, TypeError) as error:
            raise StoreDamagedError(
                f"{self.path.name} cannot be read ({error}): "
                f"run `learner-index verify {self.path.name}` to see what is lost"
            ) from error

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Around a bulk read: the same generation stands at the path before and after."""
        try:
            yield
        except StoreDamagedError:
            self._require_unchanged()
            raise
        self._require_unchanged()

    def _require_chunks(self, path: str) -> None:
        """Zarr reads a missing chunk as zeros; here it is a loss."""
        for chunk in chunk_files(self._members[path]):
            if not (self.path / path / chunk).exists():
                raise StoreDamagedError(f"{path}/{chunk} is lost")

    def _require_unchanged(self) -> None:
        """Raise if another generation stands at the path now."""
        try:
            is_same = read_root(self.path)["attributes"]["generation"] == self.generation
            is_same = is_same and _is_at(self._folder, self.path)
        except StoreError:
            is_same = False
        if not is_same:
            raise StoreChangedError(
                f"{self.path.name} was rewritten while it was read: open it again"
            )


def _open_settled(path: Path) -> tuple[dict[str, Any], int]:
    """The root metadata, and the folder it came from, held open.

    As long as it is open no other folder can get its number, so that looking at the number tells
    generations apart, also after the store was deleted and built anew.
    """
    while True:
        try:
            folder = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            read_root(path)  # says what is wrong, or waits until a swap is done
            continue
        except OSError as error:
            raise StoreFormatError(f"{path.name} cannot be read: {error.strerror}") from error
        try:
            root = read_root(path)
        except StoreError:
            os.close(folder)
            raise
        if _is_at(folder, path):
            return root, folder
        os.close(folder)


def _is_at(folder: int, path: Path) -> bool:
    """Whether the path leads to the folder held open."""
    try:
        return os.path.samestat(os.fstat(folder), path.stat())
    except FileNotFoundError:
        return False
