"""One writer at a time: a lock the system drops when its holder dies, and a note of who it is."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from learner_index.errors import StoreLockedError
from learner_index.store.paths import cache_folder, check_store_path, refusals_named


@contextmanager
def writer_lock(path: Path) -> Iterator[Path]:
    """Hold the right to write a store; yields its cache folder.

    Readers never take it. The lock is the operating system's, so a killed writer leaves none.

    Raises:
        StoreLockedError: another process is writing.
        StoreWriteError: the folder cannot be written.
    """
    cache = cache_folder(check_store_path(path))
    with refusals_named(path):
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreLockedError(_who_holds(path, cache)) from None
    try:
        with refusals_named(path):
            holder = {"host": socket.gethostname(), "pid": os.getpid()}
            (cache / "writer.json").write_text(json.dumps(holder), encoding="utf-8")
        yield cache
    finally:
        (cache / "writer.json").unlink(missing_ok=True)
        lock.release()


def _who_holds(path: Path, cache: Path) -> str:
    """One line naming the writer as far as it is known."""
    try:
        holder = json.loads((cache / "writer.json").read_text(encoding="utf-8"))
        who = f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return f"{path.name} is being written by {who}: wait until it is done, or stop it"
