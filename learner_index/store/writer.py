"""Writing a store: the lock, recovery, appends, and sibling-and-swap for everything else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.reference import Reference
from learner_index.errors import StoreExistsError, StoreFormatError
from learner_index.store.commit import (
    ROOT,
    commit,
    members_of,
    metadata_below,
    read_root,
    sync_members,
)
from learner_index.store.durable import writable_group
from learner_index.store.layout import INDEX, PLAIN_TEXT
from learner_index.store.lock import writer_lock
from learner_index.store.mapping import write_mapping
from learner_index.store.paths import Step, folder_size, no_step, refusals_named, sync_paths
from learner_index.store.reader import StoreReader
from learner_index.store.recover import NEXT, recover, swap_in
from learner_index.store.reference import reference_mapping
from learner_index.store.rows import append_rows, write_empty

COPY_BYTES = 64 << 20


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
        self._is_settled = True
        self._ids: set[str] | None = None

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
        if width < 1:
            raise StoreFormatError(f"embeddings need at least one value, not {width}")
        with self._changing():
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
            StoreFormatError: columns or widths differ from the store's, values are not finite, or
                a scan is there already.
            StoreWriteError: the file system refused.
        """
        present = self.read()
        _require_fitting(present, embeddings, obs)
        if self._ids is None:
            self._ids = set(present.obs([INDEX])[INDEX])
        added = list(obs[INDEX].astype("string"))
        doubled = self._ids.intersection(added) or (set(added) if _has_doubles(added) else ())
        if doubled:
            raise StoreFormatError(f"{self.path.name} would hold scan {min(doubled)} twice")
        with self._changing():
            append_rows(self.path, embeddings, obs, self.cache, self._step)
        self._ids.update(added)

    def rewrite(
        self,
        obs: pd.DataFrame,
        kinds: Mapping[str, str],
        source_rows: NDArray[np.intp],
        *,
        replaced: Mapping[int, NDArray[np.float32]] | None = None,
        settings: Mapping[str, Any] | None = None,
        reference: Reference | None = None,
    ) -> None:
        """Write a complete sibling with these rows and columns, then put it in the place.

        Args:
            obs: (m,) rows of the new generation with the columns of `kinds`.
            kinds: column -> kind of the new generation, `scan_id` among them.
            source_rows: (m,) row of the present generation whose embedding each new row keeps.
            replaced: new row -> embedding (e,) that takes the place of the kept one.
            settings: what `uns` shall hold beside the reference; None keeps it as it is.
            reference: takes the place of the present one; None keeps that.

        Raises:
            StoreWriteError: the file system refused; the present generation is untouched.
        """
        old = self.read()
        new = _checked_rows(obs, kinds, source_rows)
        kept = old.settings() if settings is None else dict(settings)
        reference = reference or old.reference()
        if reference is not None:
            kept["reference"] = reference_mapping(reference)
        sibling = self.cache / NEXT
        with self._changing():
            self._ids = None
            write_empty(sibling, old.width, kinds, kept, old.generation + 1, self.cache)
            self._step("rewrite: sibling made")
            block_rows = max(1, COPY_BYTES // (4 * old.width))
            for start in range(0, len(new), block_rows):
                stop = min(start + block_rows, len(new))
                block = old.embeddings(source_rows[start:stop])
                _replace(block, start, replaced or {})
                append_rows(sibling, block, new.iloc[start:stop], self.cache)
                self._step("rewrite: block copied")
            swap_in(self.path, self.cache, self._step)

    def compact(self) -> int:
        """Rewrite the store in the present layout, as the next generation; rows stay as they are.

        Old layouts, leftover bytes and files of other programs go away.

        Returns:
            The bytes this freed; negative when the store grew.
        """
        before = folder_size(self.path)
        present = self.read()
        self.rewrite(present.obs(), present.kinds, np.arange(present.n_rows))
        return before - folder_size(self.path)

    def add_reference(self, reference: Reference) -> None:
        """Store the reference; the first one is added in one commit, another one by a swap."""
        present = self.read()
        if present.reference() is not None:
            rows = np.arange(present.n_rows)
            self.rewrite(present.obs(), present.kinds, rows, reference=reference)
            return
        with self._changing():
            with writable_group(self.path) as group:
                uns = group.require_group("uns")
                write_mapping(uns, "reference", reference_mapping(reference))
            self._step("reference: written")
            root = read_root(self.path)
            added = metadata_below(self.path, "uns/reference")
            sync_members(self.path, added, 0)
            commit(self.path, root["attributes"], members_of(root) | added, self.cache, self._step)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Around a change: first undo what an earlier one left that was interrupted or refused."""
        with refusals_named(self.path):
            if not self._is_settled:
                recover(self.path, self.cache, self._step)
            self._is_settled = False
            yield
            self._is_settled = True


def _require_fitting(
    present: StoreReader, embeddings: NDArray[np.float32], obs: pd.DataFrame
) -> None:
    """Refuse rows that do not belong into this store."""
    if embeddings.shape != (len(obs), present.width):
        raise StoreFormatError(
            f"embeddings of shape {embeddings.shape} do not fit {len(obs)} rows "
            f"of width {present.width}"
        )
    if not np.isfinite(embeddings).all():
        raise StoreFormatError("embeddings must be finite: leave out the scans that are not")
    if set(obs.columns) != set(present.kinds):
        odd = sorted(set(obs.columns) ^ set(present.kinds))
        raise StoreFormatError(f"the rows' columns differ from the store's in {', '.join(odd)}")
    _require_plain_text(obs)


def _require_plain_text(obs: pd.DataFrame) -> None:
    """Refuse rows without an id, a patient or another text that each row must have."""
    for name in PLAIN_TEXT.intersection(obs.columns):
        if obs[name].isna().any() or (obs[name] == "").any():
            raise StoreFormatError(f"column {name} has rows without a value: every scan needs one")


def _checked_rows(
    obs: pd.DataFrame, kinds: Mapping[str, str], source_rows: NDArray[np.intp]
) -> pd.DataFrame:
    """The rows of a new generation, once they can be one."""
    if len(obs) != len(source_rows) or set(obs.columns) != set(kinds):
        raise StoreFormatError("a new generation needs each row's source and each column's kind")
    _require_plain_text(obs)
    if _has_doubles(list(obs[INDEX])):
        raise StoreFormatError(f"a new generation holds {INDEX}s twice")
    return obs


def _has_doubles(ids: Sequence[str]) -> bool:
    return len(set(ids)) < len(ids)


def _replace(
    block: NDArray[np.float32], start: int, replaced: Mapping[int, NDArray[np.float32]]
) -> None:
    """Put new embeddings in place of kept ones, in a block whose first row is `start`."""
    if len(replaced) < len(block):
        rows: Iterable[int] = (row for row in replaced if start <= row < start + len(block))
    else:
        rows = (row for row in range(start, start + len(block)) if row in replaced)
    for row in rows:
        block[row - start] = replaced[row]


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
    place = path.resolve()  # a link is followed: cache and store must share a file system
    with writer_lock(place) as cache:
        with refusals_named(place):
            recover(place, cache, step)
        yield StoreWriter(place, cache, step)
