"""Writing a store: the lock, recovery, appends, and sibling-and-swap for everything else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.records import Reference
from learner_index.errors import StoreExistsError, StoreFormatError
from learner_index.store.commit import ROOT, commit, members_of, read_root, sync_members
from learner_index.store.lock import writer_lock
from learner_index.store.mapping import write_mapping
from learner_index.store.paths import Step, no_step, refusals_named, sync_paths
from learner_index.store.reader import StoreReader, reference_mapping
from learner_index.store.recover import NEXT, recover, swap_in
from learner_index.store.rows import append_rows, node_paths, open_for_writing, write_empty

COPY_ROWS = 65_536


class StoreWriter:
    """The one process that may change a store; made by `open_writer`.

    Attributes:
        path: the store.
        cache: its cache folder.
    """

    def __init__(self, path: Path, cache: Path, step: Step) -> None:
        self.path = path
        self.cache = cache
        self._step = step

    @property
    def exists(self) -> bool:
        """Whether there is a store at the path."""
        return (self.path / ROOT).exists()

    def read(self) -> StoreReader:
        """The store as committed now."""
        return StoreReader(self.path)

    def create(self, width: int, kinds: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        """Make a store of no rows; it appears whole or not at all.

        Args:
            width: number of values e in an embedding.
            kinds: column -> "text", "number" or "flag", in order, `scan_id` among them.
            settings: what `uns` shall hold beside the generation, JSON-ready.

        Raises:
            StoreExistsError: something is at the path already.
            StoreWriteError: the file system refused.
        """
        if self.path.exists():
            raise StoreExistsError(f"{self.path.name} is there already: choose another name")
        with refusals_named(self.path):
            write_empty(self.cache / NEXT, width, kinds, settings, 1, self.cache)
            self._step("create: before the folder is renamed")
            (self.cache / NEXT).rename(self.path)
            sync_paths([self.path.parent, self.cache])
            self._step("create: folder renamed")

    def append(self, embeddings: NDArray[np.float32], obs: pd.DataFrame) -> None:
        """Append rows and commit them.

        Args:
            embeddings: (m, e) float32, finite.
            obs: m rows with exactly the store's columns, `scan_id` among them.

        Raises:
            StoreFormatError: columns or widths differ from the store's, or values are not finite.
            StoreWriteError: the file system refused.
        """
        self._require_fitting(embeddings, obs)
        with refusals_named(self.path):
            append_rows(self.path, embeddings, obs, self.cache, self._step)

    def rewrite(
        self,
        obs: pd.DataFrame,
        kinds: Mapping[str, str],
        source_rows: NDArray[np.intp],
        *,
        replaced: Mapping[int, NDArray[np.float32]] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a complete sibling with these rows and columns, then put it in the place.

        Args:
            obs: (m,) rows of the new generation with the columns of `kinds`.
            kinds: column -> kind of the new generation, `scan_id` among them.
            source_rows: (m,) row of the present generation whose embedding each new row keeps.
            replaced: new row -> embedding (e,) that takes the place of the kept one.
            settings: what `uns` shall hold; None keeps it as it is.

        Raises:
            StoreWriteError: the file system refused; the present generation is untouched.
        """
        old = self.read()
        kept = old.settings() if settings is None else dict(settings)
        sibling = self.cache / NEXT
        with refusals_named(self.path):
            write_empty(sibling, old.width, kinds, kept, old.generation + 1, self.cache)
            self._step("rewrite: sibling made")
            for start in range(0, len(obs), COPY_ROWS):
                stop = min(start + COPY_ROWS, len(obs))
                block = old.embeddings(source_rows[start:stop])
                for row, vector in (replaced or {}).items():
                    if start <= row < stop:
                        block[row - start] = vector
                append_rows(sibling, block, obs.iloc[start:stop], self.cache)
                self._step("rewrite: block copied")
            swap_in(self.path, self.cache, self._step)

    def add_reference(self, reference: Reference) -> None:
        """Store the reference; the first one is added in one commit, another one by a swap."""
        present = self.read()
        if present.reference() is not None:
            settings = {**present.settings(), "reference": reference_mapping(reference)}
            rows = np.arange(present.n_rows)
            self.rewrite(present.obs(), present.kinds, rows, settings=settings)
            return
        with refusals_named(self.path):
            group = open_for_writing(self.path)["uns"]
            write_mapping(group, "reference", reference_mapping(reference))  # type: ignore[arg-type]
            self._step("reference: written")
            paths = node_paths(self.path)
            sync_members(self.path, [p for p in paths if p.startswith("uns/reference")], 0)
            commit(self.path, read_root(self.path)["attributes"], paths, self.cache, self._step)

    def _require_fitting(self, embeddings: NDArray[np.float32], obs: pd.DataFrame) -> None:
        """Refuse rows that do not belong into this store."""
        width = int(members_of(read_root(self.path))["X"]["shape"][1])
        if embeddings.shape != (len(obs), width):
            raise StoreFormatError(
                f"embeddings of shape {embeddings.shape} do not fit {len(obs)} rows "
                f"of width {width}"
            )
        if not np.isfinite(embeddings).all():
            raise StoreFormatError("embeddings must be finite: leave out the scans that are not")
        if set(obs.columns) != set(self.read().kinds):
            odd = sorted(set(obs.columns) ^ set(self.read().kinds))
            raise StoreFormatError(f"the rows' columns differ from the store's in {', '.join(odd)}")


@contextmanager
def open_writer(path: Path, *, step: Step = no_step) -> Iterator[StoreWriter]:
    """Take the writer's lock, bring the store back to what was committed, and let it be changed.

    Args:
        path: a store, or where one is to be made.
        step: called with the name of each step; tests kill the process there.

    Raises:
        StoreLockedError: another process is writing.
        StoreFormatError: something that is no store lies at the path.
        StoreWriteError: the file system refused.
    """
    with writer_lock(path) as cache:
        with refusals_named(path):
            recover(path, cache, step)
        yield StoreWriter(path, cache, step)
