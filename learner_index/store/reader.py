"""Reading a store: what was committed when it was opened, or an error, never a mixture."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from learner_index.data.records import Reference
from learner_index.errors import StoreChangedError, StoreDamagedError, StoreError
from learner_index.store.commit import chunk_files, members_of, read_root
from learner_index.store.layout import column_arrays, decode_column
from learner_index.store.mapping import read_mapping
from learner_index.store.rows import stored_kinds


class StoreReader:
    """A store as it was committed at the moment of opening; appends made later stay unseen.

    Attributes:
        path: the store's folder.
        n_rows: number of scans n.
        width: number of values e in an embedding.
        generation: raised whenever the store was changed other than by appending.
        kinds: column -> "text", "number" or "flag", `scan_id` first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        root, self._identity = _read_settled(path)
        self._members = members_of(root)
        self.generation = int(root["attributes"]["generation"])
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
        wanted = slice(0, self.n_rows) if rows is None else rows
        with self._checked("X"):
            return np.asarray(self._array("X").oindex[wanted, :], dtype=np.float32)

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
        return pd.DataFrame({name: self._column(name) for name in names})

    def settings(self) -> dict[str, Any]:
        """All of `uns`: encoder card, score rule, clock, versions, generation, reference."""
        with self._checked():
            return read_mapping(self._group()["uns"])  # type: ignore[arg-type]

    def reference(self) -> Reference | None:
        """The statistics fitted once on named patients; None before the first build ended."""
        if "uns/reference" not in self._members:
            return None
        with self._checked():
            found = read_mapping(self._group()["uns/reference"])  # type: ignore[arg-type]
        means = np.asarray(found["view_means"], dtype=np.float64)
        return Reference(
            mean=np.asarray(found["mean"], dtype=np.float64),
            view_means=dict(zip(found["views"], means, strict=True)),
            patients=tuple(found["patients"]),
            n_scans=int(found["n_scans"]),
            fingerprint=str(found["fingerprint"]),
        )

    def _column(self, name: str) -> "pd.Series[Any]":
        """One column, decoded."""
        if name not in self.kinds:
            raise StoreError(f"{self.path.name} has no column '{name}'")
        arrays = [array.path for array in column_arrays(name, self.kinds[name])]
        with self._checked(*arrays):
            values = [np.asarray(self._array(array)[: self.n_rows]) for array in arrays]
        return decode_column(name, self.kinds[name], values)

    def _group(self) -> zarr.Group:
        return zarr.open_group(self.path, mode="r", zarr_format=3)

    def _array(self, path: str) -> "zarr.Array[Any]":
        """An array as it is committed now: at least the rows that were there at opening."""
        return self._group()[path]  # type: ignore[return-value]

    @contextmanager
    def _checked(self, *arrays: str) -> Iterator[None]:
        """Around a bulk read: the same generation before and after, every chunk there and whole."""
        try:
            self._require_chunks(arrays)
            yield
        except StoreDamagedError:
            self._require_unchanged()
            raise
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            self._require_unchanged()
            raise StoreDamagedError(
                f"{self.path.name} cannot be read ({error}): "
                f"run `learner-index verify {self.path.name}` to see what is lost"
            ) from error
        self._require_unchanged()

    def _require_chunks(self, arrays: Sequence[str]) -> None:
        """Zarr reads a missing chunk as zeros; here it is a loss."""
        for path in arrays:
            for chunk in chunk_files(self._members[path]):
                if not (self.path / path / chunk).exists():
                    raise StoreDamagedError(
                        f"{self.path.name} has lost {path}/{chunk}: "
                        "restore it from a copy, or delete the store and build it again"
                    )

    def _require_unchanged(self) -> None:
        """Raise if another generation stands at the path now."""
        try:
            _, identity = _read_settled(self.path)
        except StoreError:
            identity = None
        if identity != self._identity:
            raise StoreChangedError(
                f"{self.path.name} was rewritten while it was read: open it again"
            )


def _read_settled(path: Path) -> tuple[dict[str, Any], tuple[int, int]]:
    """The root metadata, and what differs between generations: folder and generation number.

    Read again when a swap came between looking at the folder and at its root.
    """
    while True:
        before = path.stat().st_ino if path.exists() else None
        root = read_root(path)
        if path.exists() and path.stat().st_ino == before:
            return root, (before, int(root["attributes"]["generation"]))


def reference_mapping(reference: Reference) -> Mapping[str, Any]:
    """A reference as `uns/reference` holds it."""
    views = sorted(reference.view_means)
    return {
        "mean": reference.mean,
        "views": views,
        "view_means": np.array([reference.view_means[view] for view in views]),
        "patients": list(reference.patients),
        "n_scans": reference.n_scans,
        "fingerprint": reference.fingerprint,
    }
