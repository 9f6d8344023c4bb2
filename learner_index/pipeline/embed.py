"""Scans in, embeddings out: read in parallel, batched across lengths, given back in order."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Preprocessing
from learner_index.data.preprocess import preprocess, segment_indices
from learner_index.data.readers import read_scan
from learner_index.data.records import Embedder
from learner_index.errors import EncoderError, EncoderMemoryError, LearnerIndexError

SHARED_AT_MOST = 50_000
"""Embeddings kept for scans of equal bytes; beyond it equal scans are computed again."""


@dataclass(frozen=True, slots=True)
class Job:
    """A scan to embed: its manifest row, its id and its file."""

    row: int
    scan_id: str
    path: Path


@dataclass(slots=True)
class Embedded:
    """What became of a job; `embedding` stays None when `reason` says why.

    Attributes:
        is_shared: the embedding was computed for another scan of the same bytes.
        notes: what the reader noticed.
    """

    job: Job
    content_hash: str = ""
    embedding: NDArray[np.float32] | None = None
    reason: str = ""
    is_shared: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether it is known what became of the job."""
        return self.embedding is not None or self.reason != ""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What a worker makes of a job; no frames when the bytes are stored, or another job's."""

    content_hash: str
    frames: NDArray[np.float32] | None
    notes: tuple[str, ...] = ()
    stored: NDArray[np.float32] | None = None


@dataclass(slots=True)
class _Owners:
    """Which job computes the embedding for which bytes; the first worker to ask becomes it."""

    hashes: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)

    def claim(self, content_hash: str) -> bool:
        """Whether the caller is the one to compute it."""
        with self.lock:
            is_first = content_hash not in self.hashes
            self.hashes.add(content_hash)
            return is_first

    def forget(self, content_hash: str) -> None:
        """Let the next scan of these bytes be computed again."""
        with self.lock:
            self.hashes.discard(content_hash)


def read_frames(path: Path, settings: Preprocessing) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """A scan as the encoder's input, and what the reader noticed.

    Returns:
        (f, h, w) float32 in 0..1 with f = settings.frames, or 1 for a single image.

    Raises:
        ScanError: the scan cannot be used; the message does not name the file.
    """
    scan = read_scan(path, pick=lambda n: segment_indices(n, min(n, settings.frames)))
    return preprocess(scan, settings), scan.notes


class EmbeddingStream:
    """Embeds jobs in order with bounded memory, whatever their number.

    Args:
        embedder: what turns frames into embeddings.
        settings: how pixels become frames.
        hash_file: content hash of a scan by id and path.
        workers: threads that read and decode.
        known: gives the stored embedding for a content hash, or None.
    """

    def __init__(
        self,
        embedder: Embedder,
        settings: Preprocessing,
        hash_file: Callable[[str, Path], str],
        *,
        workers: int,
        known: Callable[[str], NDArray[np.float32] | None] = lambda _: None,
    ) -> None:
        self._embedder = embedder
        self._settings = settings
        self._hash_file = hash_file
        self._workers = max(1, workers)
        self._known = known
        self._owners = _Owners()
        self._shared: OrderedDict[str, Embedded] = OrderedDict()
        self._buckets: dict[int, list[tuple[Embedded, NDArray[np.float32]]]] = {}
        self._waiting: deque[Embedded] = deque()

    def run(self, jobs: Iterable[Job]) -> Iterator[Embedded]:
        """What became of each job, in the order of the jobs."""
        ahead = 2 * self._workers + self._embedder.batch_size
        futures: deque[tuple[Job, Future[_Decoded]]] = deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="read-scan") as pool:
            try:
                for job in jobs:
                    futures.append((job, pool.submit(self._decode, job)))
                    if len(futures) >= ahead:
                        yield from self._take(*futures.popleft())
                while futures:
                    yield from self._take(*futures.popleft())
                yield from self._drain()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _decode(self, job: Job) -> _Decoded:
        """In a worker: hash the scan, and read it unless its bytes are being embedded already."""
        content_hash = self._hash_file(job.scan_id, job.path)
        stored = self._known(content_hash)
        if stored is not None:
            return _Decoded(content_hash, None, stored=stored)
        if not self._owners.claim(content_hash):
            return _Decoded(content_hash, None)
        try:
            return _Decoded(content_hash, *read_frames(job.path, self._settings))
        except BaseException:
            self._owners.forget(content_hash)
            raise

    def _take(self, job: Job, future: "Future[_Decoded]") -> Iterator[Embedded]:
        """Queue one decoded job and give back whatever is settled by now."""
        entry = Embedded(job)
        self._waiting.append(entry)
        try:
            decoded = future.result()
        except (LearnerIndexError, OSError, MemoryError) as error:
            entry.reason = reason_of(error)
        else:
            self._place(entry, decoded)
        yield from self._settled()

    def _place(self, entry: Embedded, decoded: _Decoded) -> None:
        """Share, look up or put into a batch."""
        entry.content_hash, entry.notes = decoded.content_hash, decoded.notes
        if decoded.stored is not None:
            entry.embedding, entry.is_shared = decoded.stored, True
        if decoded.frames is None:
            return
        self._remember(entry)
        bucket = self._buckets.setdefault(len(decoded.frames), [])
        bucket.append((entry, decoded.frames))
        if len(bucket) == self._embedder.batch_size:
            self._flush(len(decoded.frames))

    def _remember(self, entry: Embedded) -> None:
        """Keep an entry for others of the same bytes; forget the oldest settled ones."""
        self._shared[entry.content_hash] = entry
        while len(self._shared) > SHARED_AT_MOST:
            oldest = next(iter(self._shared.values()))
            if not oldest.is_settled:
                break
            del self._shared[oldest.content_hash]
            self._owners.forget(oldest.content_hash)

    def _flush(self, frames: int) -> None:
        """Embed one bucket; a scan that the encoder cannot embed does not spoil the others."""
        bucket = self._buckets.pop(frames, [])
        if not bucket:
            return
        try:
            embeddings = self._embedder.embed(np.stack([pixels for _, pixels in bucket]))
        except EncoderMemoryError:
            raise
        except EncoderError as error:
            if len(bucket) == 1:
                bucket[0][0].reason = str(error)
                return
            for single in bucket:
                self._buckets[frames] = [single]
                self._flush(frames)
            return
        for (entry, _), embedding in zip(bucket, embeddings, strict=True):
            entry.embedding = embedding

    def _settled(self) -> Iterator[Embedded]:
        """Entries from the front that are settled; hurry a batch that holds up too many."""
        if len(self._waiting) > 8 * self._embedder.batch_size:
            self._settle(self._waiting[0])
        while self._waiting and self._is_settled(self._waiting[0]):
            yield self._waiting.popleft()

    def _drain(self) -> Iterator[Embedded]:
        """Embed what is left, however small the batches, and give everything back."""
        for frames in sorted(self._buckets):
            self._flush(frames)
        while self._waiting:
            self._settle(self._waiting[0])
            yield self._waiting.popleft()

    def _is_settled(self, entry: Embedded) -> bool:
        """Whether an entry is settled, after copying what its owner found."""
        if not entry.is_settled and entry.content_hash:
            owner = self._shared.get(entry.content_hash)
            if owner is not None and owner is not entry and owner.is_settled:
                entry.embedding, entry.reason = owner.embedding, owner.reason
                entry.is_shared, entry.notes = True, owner.notes
        return entry.is_settled

    def _settle(self, entry: Embedded) -> None:
        """Make an entry settled: embed its batch, or compute it itself if its owner failed."""
        for frames in sorted(self._buckets):
            self._flush(frames)
        if self._is_settled(entry):
            return
        try:
            pixels, entry.notes = read_frames(entry.job.path, self._settings)
            entry.embedding = self._embedder.embed(pixels[None])[0]
        except EncoderMemoryError:
            raise
        except (LearnerIndexError, OSError, MemoryError) as error:
            entry.reason = reason_of(error)


def reason_of(error: Exception) -> str:
    """Why a scan is left out, on one line that does not name its file."""
    if isinstance(error, LearnerIndexError):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror}): check the file and its permissions"
    return "does not fit into memory: reduce it or leave it out"
