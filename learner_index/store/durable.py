"""A zarr store on a local folder that keeps what it has when the power fails."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import zarr
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from learner_index.data.replace import replace_file
from learner_index.store.paths import partial_name, remove_tree


class DurableStore(LocalStore):
    """A folder in which no file takes its name before its bytes are on the disk.

    Zarr's own store renames without flushing, so that a power cut can leave an empty file where a
    chunk with committed rows was. `stop` ends all writing, also by tasks that an interrupted
    program left running.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._gate = threading.Lock()
        self._is_stopped = False

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file."""
        self._check_writable()
        await asyncio.to_thread(self._put, key, value)

    def _put(self, key: str, value: Buffer) -> None:
        """Write one file, unless stopped."""
        target = self.root / key
        with self._gate:
            self._require_going()
            replace_file(target, [memoryview(value.as_buffer_like())], partial_name(target))

    async def delete(self, key: str) -> None:
        """Delete one file, unless stopped."""
        self._check_writable()
        await asyncio.to_thread(self._remove, key)

    def _remove(self, key: str) -> None:
        with self._gate:
            self._require_going()
            remove_tree(self.root / key)

    def _require_going(self) -> None:
        if self._is_stopped:
            raise RuntimeError("this writer was interrupted")

    def stop(self) -> None:
        """Let the write in progress end, and allow no other."""
        with self._gate:
            self._is_stopped = True


@contextmanager
def writable_group(path: Path, mode: Literal["r+", "w-"] = "r+") -> Iterator[zarr.Group]:
    """A folder's group with each array's own, perhaps uncommitted, metadata.

    After the block nothing is written any more, however it was left.

    Args:
        path: the folder.
        mode: "r+" when it is there, "w-" when it is to be made.
    """
    store = DurableStore(path)
    try:
        yield zarr.open_group(store, mode=mode, zarr_format=3, use_consolidated=False)
    finally:
        store.stop()
