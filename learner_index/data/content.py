"""Names exact content: a hash of a scan's bytes, and a memory of hashes of unchanged files."""

import json
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from learner_index.errors import ScanError, ScanNotFoundError

HASH_BYTES = 16
GONE = "no file or folder there: check the path in the manifest"
SETTLED_NS = 2_000_000_000  # a file this young may change again without a new time stamp
_BLOCK = 1 << 20
_VERSION = 2


def content_hash(path: Path) -> str:
    """Hash of a scan's bytes: 32 hexadecimal digits, equal for equal content.

    Args:
        path: a file, or a folder of files (a DICOM series, frames). A folder's hash covers the
            relative names and bytes of its regular files; hidden ones are ignored.

    Raises:
        ScanNotFoundError: there is nothing at the path.
        ScanError: it cannot be read.
    """
    try:
        if not Path(path).is_dir():
            return _file_hash(path).hexdigest()
        whole = blake2b(b"folder", digest_size=HASH_BYTES)
        for name, file in folder_files(path):
            label = os.fsencode(name)
            whole.update(len(label).to_bytes(4, "big") + label + _file_hash(file).digest())
        return whole.hexdigest()
    except FileNotFoundError:
        raise ScanNotFoundError(GONE) from None
    except OSError as error:
        raise ScanError(f"cannot be read ({error.strerror}): check its rights") from error


def _file_hash(path: str | Path) -> "blake2b":
    digest = blake2b(digest_size=HASH_BYTES)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a plain open is quicker
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest


def folder_files(folder: str | Path) -> list[tuple[str, str]]:
    """Relative name and path of each regular file in a folder, sorted; hidden ones left out."""
    return sorted(_walk(os.fspath(folder), ""))


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield f"{prefix}{entry.name}", entry.path


def file_stamp(status: os.stat_result) -> str:
    """What tells a change of a file without reading it: its inode, size and modification time."""
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


class HashCache:
    """Content hashes by scan_id, so that files whose size and time are unchanged are not read.

    A stamp is the inode, the size and the modification time, so that a moved folder stays known
    and another file under the same id does not; the cache holds no path. On a file system that
    numbers its files anew at each mount, everything is hashed again. A file younger than two
    seconds is hashed again next time, since a change within the clock's grain would not show.

    Example:
        >>> cache = HashCache.load(Path("stores/cohort.cache/hashes.json"))
        >>> cache.hash("P01_0_L1", Path("scans/P01_0_L1.mp4"))
        '0f6a...'
        >>> cache.save()
    """

    def __init__(self, file: Path) -> None:
        self._file = Path(file)
        self._known: dict[str, tuple[str, str]] = {}
        self._is_changed = False

    @classmethod
    def load(cls, file: Path) -> "HashCache":
        """The cache in a file; an absent or unreadable one starts empty."""
        cache = cls(file)
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            cache._known = _entries(json.loads(cache._file.read_bytes()))
        return cache

    def hash(self, scan_id: str, path: str | Path) -> str:
        """Content hash of a scan, from memory when its files are unchanged.

        Raises:
            ScanNotFoundError: there is nothing at the path.
            ScanError: it cannot be read.
        """
        try:
            stamp, newest_ns = _stamp(path)
        except FileNotFoundError:
            raise ScanNotFoundError(GONE) from None
        except OSError as error:
            raise ScanError(f"cannot be read ({error.strerror}): check its rights") from error
        known = self._known.get(scan_id)
        if known is not None and known[0] == stamp:
            return known[1]
        started_ns = time.time_ns()
        found = content_hash(Path(path))
        if newest_ns < started_ns - SETTLED_NS:
            self._known[scan_id] = (stamp, found)
            self._is_changed = True
        return found

    def remembered(self, scan_ids: Sequence[str], stamps: Sequence[str]) -> list[str]:
        """Content hashes of scans whose files have these stamps, without a look; "" if unknown."""
        known, nothing = self._known, ("", "")
        entries = [known.get(scan_id, nothing) for scan_id in scan_ids]
        return [
            found if before == stamp else ""
            for (before, found), stamp in zip(entries, stamps, strict=True)
        ]

    def save(self) -> None:
        """Writes the cache beside its file and renames it; readers see the old or the new one."""
        if not self._is_changed:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(_content(self._known)))
            temporary.replace(self._file)
        finally:
            temporary.unlink(missing_ok=True)
        self._is_changed = False


def _content(known: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """What the cache's file holds: three flat lists, which JSON reads several times faster."""
    return {
        "version": _VERSION,
        "scan_ids": list(known),
        "stamps": [stamp for stamp, _ in known.values()],
        "hashes": [found for _, found in known.values()],
    }


def _entries(content: Any) -> dict[str, tuple[str, str]]:
    """The cache's entries; a ValueError for anything that is not one."""
    if content["version"] != _VERSION:
        raise ValueError("another version")
    lists = [content[name] for name in ("scan_ids", "stamps", "hashes")]
    if not all(isinstance(texts, list) and set(map(type, texts)) <= {str} for texts in lists):
        raise ValueError("not hashes")
    scan_ids, stamps, hashes = lists
    return dict(zip(scan_ids, zip(stamps, hashes, strict=True), strict=True))


def _stamp(path: str | Path) -> tuple[str, int]:
    """What tells a change without reading, and the newest modification time in it."""
    status = os.stat(path)  # noqa: PTH116 - Path is slower
    if not stat.S_ISDIR(status.st_mode):
        return file_stamp(status), status.st_mtime_ns
    lines, newest_ns = [str(status.st_ino)], 0
    for name, file in folder_files(path):
        entry = os.stat(file)  # noqa: PTH116
        lines.append(f"{name}\0{entry.st_ino}\0{entry.st_size}\0{entry.st_mtime_ns}")
        newest_ns = max(newest_ns, entry.st_mtime_ns)
    return _digest(lines), newest_ns


def _digest(lines: list[str]) -> str:
    """Hash of a folder's lines, which hold file names."""
    return blake2b(os.fsencode("\0\0".join(lines)), digest_size=HASH_BYTES).hexdigest()
