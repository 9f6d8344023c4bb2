"""Where a store and its sibling cache lie, and the durable file operations both rest on."""

import ctypes
import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from learner_index.data.replace import replace_file
from learner_index.data.suggest import near_names
from learner_index.errors import StoreError, StoreWriteError

SUFFIX = ".zarr"
PARTIAL = ".partial"
_MOST = 2  # stores proposed in place of a wrong path
_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2

Step = Callable[[str], None]
"""Called with the name of each step of a write; tests kill the process there."""


def no_step(name: str) -> None:
    """The step hook outside tests: does nothing."""


def check_store_path(path: Path) -> Path:
    """The path itself, once it is one a store may have.

    Raises:
        StoreError: the name does not end in .zarr, so its cache could be another store's.
    """
    if path.suffix != SUFFIX or path.stem == "":
        raise StoreError(
            f"'{path.name or path}' is no store name: end it in {SUFFIX}, as in "
            f"cohort{SUFFIX}{stores_near(path)}"
        )
    return path


def stores_near(path: Path) -> str:
    """Stores that were perhaps meant: " (did you mean 'stores/cohort.zarr'?)", or ""."""
    if path.is_dir():
        found = sorted(path.glob(f"*{SUFFIX}"))[:_MOST]
    else:
        stems = {one.stem: one for one in path.parent.glob(f"*{SUFFIX}")}
        found = [stems[stem] for stem in near_names(path.stem, sorted(stems))]
    shown = [one.name if one.is_absolute() else str(one) for one in found]  # no machine's paths
    return f" (did you mean {' or '.join(map(repr, shown))}?)" if shown else ""


def cache_folder(path: Path) -> Path:
    """Sibling `NAME.cache` of the store `NAME.zarr`: lock, indexes, caches, unfinished work.

    A link is followed first: the cache must lie on the store's own file system.
    """
    return path.resolve().with_suffix(".cache")


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Turn the file system's refusals into one line that says what is safe and what to do.

    Raises:
        StoreWriteError: disk full, read-only folder, quota or a failing disk.
    """
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        hint = {
            errno.ENOSPC: "the disk is full: free some space",
            errno.EDQUOT: "the disk quota is used up: free some space",
            errno.EFBIG: "a file grew past the size allowed here: raise the limit",
            errno.EROFS: "the folder is read-only: choose another place",
            errno.EACCES: "no permission to write there: choose another place",
            errno.EPERM: "no permission to write there: choose another place",
        }.get(error.errno or 0, f"{error.strerror or error}: mend that")
        raise StoreWriteError(
            f"cannot write {path.name}: {hint} and run the same command again; "
            "everything committed before is intact"
        ) from error


def sync_paths(paths: Iterable[Path]) -> None:
    """Flush files and folders to the disk, each once; absent ones are passed over."""
    for path in dict.fromkeys(paths):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def partial_name(target: Path) -> Path:
    """Name of a file beside the target that `recover` deletes when a writer was killed."""
    return target.with_name(f"{target.name}.{os.getpid()}-{threading.get_ident()}{PARTIAL}")


def write_json_atomically(target: Path, content: Any, scratch: Path) -> None:
    """Replace a JSON file in one rename, flushed before and after.

    Args:
        target: file to replace.
        content: JSON-ready value.
        scratch: folder on the same file system for the temporary file.
    """
    text = json.dumps(content, indent=2, allow_nan=False).encode()
    replace_file(target, [text], scratch / f"{target.name}.{os.getpid()}.tmp")
    sync_paths([target.parent])


def exchange_folders(one: Path, other: Path) -> bool:
    """Swap two folders in one step of the kernel; False where the system cannot.

    Linux has renameat2(RENAME_EXCHANGE), macOS renamex_np(RENAME_SWAP). Without either, readers
    would meet a moment with no store, so the caller must leave a trail to recover from.
    """
    library = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        return bool(library.renamex_np(first, second, _RENAME_SWAP) == 0)
    if not hasattr(library, "renameat2"):
        return False
    done = library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)
    return bool(done == 0)


def remove_tree(path: Path) -> None:
    """Delete a folder or file if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder_size(path: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
