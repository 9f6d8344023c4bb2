"""Video files through PyAV, as grey frames; colour range becomes 0..255, rotation is ignored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.data.readers.guards import Request, fenced
from learner_index.data.records import Scan
from learner_index.errors import ScanError

_FEWEST = 0.9  # of the frames the container claims; fewer means the end is missing


def read_video(path: Path, request: Request) -> Scan:
    """The clip in a video file.

    Raises:
        ScanError: there is no picture, the file is damaged, or its end is missing.
    """
    with fenced("video"):
        claimed, h, w = _claims(path)
        n = claimed or sum(1 for _ in _decoded(path))
        frames, decoded = _frames(path, request.indices(n, h, w), (h, w))
        if decoded < _FEWEST * n:
            raise ScanError(f"truncated: {n} frames claimed, {decoded} found; copy it again")
        if decoded != n:
            frames, _ = _frames(path, request.indices(decoded, h, w), (h, w))
        return Scan(frames, None, "clip", _notes(claimed, decoded))


def _notes(claimed: int, decoded: int) -> tuple[str, ...]:
    """What a person should know about the container's count."""
    if claimed in (0, decoded):
        return ()
    return (f"the container claims {claimed} frames, {decoded} decode",)


def _claims(path: Path) -> tuple[int, int, int]:
    """(frames, h, w) by the container; 0 frames when it does not count them."""
    import av

    with av.open(path, metadata_errors="ignore") as container:
        if not container.streams.video:
            raise ScanError("video file without a picture; give the file that has one")
        stream = container.streams.video[0]
        size = stream.codec_context
        return int(stream.frames), int(size.height), int(size.width)


def _decoded(path: Path) -> Iterator[Any]:
    """Every frame of the first picture stream, in order."""
    import av

    with av.open(path, metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # whoever has many files reads several at once
        yield from container.decode(stream)


def _frames(
    path: Path, chosen: NDArray[np.intp], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], int]:
    """Frames chosen, as (f, h, w) grey, and the number that the file really has."""
    from av.video.reformatter import VideoReformatter

    grey = VideoReformatter()  # one for all frames: each new one sets its conversion up again
    pixels = np.zeros((len(chosen), *size), np.uint8)
    decoded = 0
    for frame in _decoded(path):
        if (frame.height, frame.width) != size:
            raise ScanError("video whose frames change in size; split it where they do")
        places = np.flatnonzero(chosen == decoded)
        if len(places):
            pixels[places] = grey.reformat(frame, format="gray").to_ndarray()
        decoded += 1
    return pixels, decoded
