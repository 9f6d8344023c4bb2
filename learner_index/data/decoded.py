"""Keeps decoded scans on disk between epochs, by content; choosing frames is left to `learn`."""

import io
import json
import os
import re
import time
import uuid
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Preprocessing
from learner_index.data.npyhead import read_npy_head
from learner_index.data.preprocess import preprocess, segment_indices
from learner_index.data.readers import read_scan
from learner_index.data.records import Scan
from learner_index.errors import ScanError, SettingsError

NEIGHBORS = 3  # frames kept of each segment of a clip whose frames may jitter
TOUCH_AFTER_NS = 60_000_000_000  # a file used again within a minute keeps its time stamp
_STALE_NS = 3_600_000_000_000  # a temporary file this old was left by a process that died
_LOOKS = 16  # times the folder is looked through while a process fills it once
_CHECK_BYTES = 4  # CRC-32 behind the array
_HEAD = 512  # bytes that hold the header of a .npy file of this size
_VERSION = 1  # of decoding and of the files
_OWN_FILE = re.compile(r"[0-9a-f]{32}\.(npy|[0-9a-f]{32}\.tmp)")


class _Entry(NamedTuple):
    """A file of the cache as it was when the folder was looked through; sorts by its use."""

    used_ns: int
    path: str
    size: int


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may look into; one that exists stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def decode_scan(path: Path, settings: Preprocessing, *, jitter: bool) -> NDArray[np.float16]:
    """A scan as the encoder's input, with neighbouring frames where a clip has them.

    With `jitter`, a clip of at least 3·f frames gives the centres of the thirds of each segment;
    [1::3] of them are the frames that are embedded. It gives only those where their grey values
    depend on which frames are taken, as limits by percentile can.

    Returns:
        (m, size, size) in 0..1; m = 1 for an image, 3·f for a clip with neighbours, else f.

    Raises:
        ScanError: the scan cannot be used.
        EncoderError: the settings are impossible.
    """
    frames = _with_neighbors(path, settings) if jitter else None
    if frames is None:
        frames = preprocess(_read(path, settings.frames), settings)
    return frames.astype(np.float16)


def _with_neighbors(path: Path, settings: Preprocessing) -> NDArray[np.float32] | None:
    """(m, size, size) frames; None when only a plain read can tell how they look."""
    wide = settings.frames * NEIGHBORS
    try:
        scan = _read(path, settings.frames, wide)
    except ScanError:  # frames that the encoder never sees may be to blame
        return None
    if scan.kind != "clip" or len(scan.pixels) != wide:
        return preprocess(scan, settings)
    frames = preprocess(scan, replace(settings, frames=wide))
    middle = replace(scan, pixels=scan.pixels[1::NEIGHBORS])
    is_constant = middle.pixels.min() == middle.pixels.max()
    is_same = np.array_equal(preprocess(middle, settings), frames[1::NEIGHBORS])
    return frames if is_same and not is_constant else None


def _read(path: Path, f: int, wide: int | None = None) -> Scan:
    """A scan; of a clip f frames, or `wide` where it has so many."""

    def pick(n: int) -> NDArray[np.intp]:
        return segment_indices(n, wide if wide is not None and n >= wide else min(n, f))

    return read_scan(path, pick=pick)


class DecodedCache:
    """Decoded scans by content, at most so many bytes; those used longest ago leave first.

    Files are named by hashes only, and may be deleted at any time. Threads may share one cache
    and processes one folder. A damaged file is decoded again; when the disk refuses a write,
    nothing more is written.

    Args:
        folder: made at the first write, for its owner's eyes only; None: nothing is kept.
        max_bytes: most the files may hold; further processes that write at the same time may each
            add a sixteenth to it. 0: nothing is kept.

    Raises:
        SettingsError: max_bytes is negative.

    Example:
        >>> cache = DecodedCache(Path("runs/first/decoded"), 8 << 30)
        >>> cache.frames("0f6a...", Path("scans/P01_0_L1.mp4"), Preprocessing(), jitter=True).shape
        (24, 224, 224)
    """

    def __init__(self, folder: Path | None, max_bytes: int) -> None:
        if max_bytes < 0:
            raise SettingsError(
                f"a cache of {max_bytes} bytes is impossible: give 0, to keep nothing, or more"
            )
        self._folder = Path(folder) if folder is not None and max_bytes > 0 else None
        self._max_bytes = max_bytes
        self._lock = Lock()  # guards all below
        self._total = 0
        self._unseen = 0  # bytes written since the folder was looked through
        self._oldest: deque[_Entry] = deque()
        self._note = ""
        self.hits = self.misses = 0
        try:
            self._look()
        except OSError as error:
            self._give_up(error)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: at most that decoded scans are no longer kept, and why."""
        return (self._note,) if self._note else ()

    def frames(
        self, content_hash: str, path: Path, settings: Preprocessing, *, jitter: bool
    ) -> NDArray[np.float16]:
        """A scan as `decode_scan` gives it; the file at `path` is read only when not kept yet.

        Raises:
            ScanError: the scan cannot be used.
            EncoderError: the settings are impossible.
        """
        file = self._file(content_hash, settings, jitter=jitter)
        found = None if file is None else _load(file)
        with self._lock:
            self.hits += found is not None
            self.misses += found is None
        if found is None:
            found = decode_scan(path, settings, jitter=jitter)
            if file is not None:
                self._keep(file, found)
        return found

    def _file(self, content_hash: str, settings: Preprocessing, *, jitter: bool) -> Path | None:
        """Where a decoded scan is kept, if anywhere."""
        if self._folder is None:
            return None
        text = json.dumps([_VERSION, content_hash, asdict(settings), jitter], sort_keys=True)
        key = blake2b(text.encode(), digest_size=16).hexdigest()
        return self._folder / key[0] / key[1] / f"{key}.npy"

    def _keep(self, file: Path, frames: NDArray[np.float16]) -> None:
        """Write a decoded scan whole or not at all; a disk that refuses ends the writing."""
        if self._note or len(content := _packed(frames)) > self._max_bytes:
            return
        temporary = file.with_name(f"{file.stem}.{uuid.uuid4().hex}.tmp")
        try:
            with self._lock:
                self._make_room(len(content))
                make_private(self._folder or file.parent)
                file.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(content)
                temporary.replace(file)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Write no more; the note is the first reason."""
        with self._lock:
            self._note = self._note or (
                f"decoded scans are no longer kept ({error.strerror or type(error).__name__}), "
                "so each epoch decodes them again: free space, or choose another cache folder"
            )

    def _make_room(self, size: int) -> None:
        """Count a file to come, after the files used longest ago have left for it."""
        if self._unseen + size > self._max_bytes // _LOOKS:
            self._look()  # other processes write, too
        while self._total + size > self._max_bytes:
            if self._oldest:
                self._drop(self._oldest.popleft())
            else:
                self._look()
        self._total += size
        self._unseen += size

    def _drop(self, entry: _Entry) -> None:
        """Remove a file, unless it has been used since the folder was looked through."""
        path = Path(entry.path)
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime_ns != entry.used_ns:
                return
            path.unlink()
        self._total -= entry.size

    def _look(self) -> None:
        """Measure the folder, and order its files by when they were used."""
        self._oldest = deque(sorted(self._entries()))
        self._total = sum(entry.size for entry in self._oldest)
        self._unseen = 0

    def _entries(self) -> Iterator[_Entry]:
        """Files of the cache, and old temporary ones; whatever else lies there is not touched."""
        young_ns = time.time_ns() - _STALE_NS
        for number in range(256 if self._folder is not None else 0):
            folder = f"{self._folder}/{number // 16:x}/{number % 16:x}"
            with suppress(FileNotFoundError), os.scandir(folder) as found:
                for item in filter(lambda item: _OWN_FILE.fullmatch(item.name), found):
                    with suppress(FileNotFoundError):
                        status = item.stat(follow_symlinks=False)
                        if item.name.endswith(".npy") or status.st_mtime_ns < young_ns:
                            yield _Entry(status.st_mtime_ns, item.path, status.st_size)


def _packed(frames: NDArray[np.float16]) -> bytes:
    """A .npy file with a check sum behind it, which np.load passes over."""
    buffer = io.BytesIO()
    np.save(buffer, frames, allow_pickle=False)
    content = buffer.getvalue()
    return content + zlib.crc32(content).to_bytes(_CHECK_BYTES, "big")


def _load(file: Path) -> NDArray[np.float16] | None:
    """The frames in a file, which counts as used now; None when it is absent or damaged."""
    try:
        packed, used_ns = np.fromfile(file, np.uint8), file.stat().st_mtime_ns
    except OSError:
        return None
    content, check = packed[:-_CHECK_BYTES], packed[-_CHECK_BYTES:].tobytes()
    if not len(content) or zlib.crc32(content.data).to_bytes(_CHECK_BYTES, "big") != check:
        return None
    if time.time_ns() - used_ns > TOUCH_AFTER_NS:
        with suppress(OSError):
            os.utime(file)
    head = io.BytesIO(content[:_HEAD].tobytes())
    shape = read_npy_head(head).shape
    return content[head.tell() :].view(np.float16).reshape(shape)
