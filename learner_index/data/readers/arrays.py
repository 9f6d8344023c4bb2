"""NumPy files: `.npy` with a frame or a clip, `.npz` with pixels, spacing and kind."""

import zipfile
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from learner_index.data.npyhead import read_npy_head, read_npy_values
from learner_index.data.readers.grey import as_pixels
from learner_index.data.readers.guards import Request, fenced
from learner_index.data.records import Scan, ScanKind
from learner_index.errors import ScanError

_SMALL = 64  # values; spacing and kind are never larger


def read_npy(path: Path, request: Request) -> Scan:
    """One frame (h, w) or a clip (f, h, w) without spacing."""
    with fenced("NumPy file"):
        with path.open("rb") as file:
            head = read_npy_head(file)
            start = file.tell()
        _check_claim(head.shape, head.dtype, path.stat().st_size - start)
        order: Literal["C", "F"] = "F" if head.is_fortran else "C"
        stored = np.memmap(path, head.dtype, "r", start, head.shape, order)
        return _scan(stored, None, None, request)


def read_npz(path: Path, request: Request) -> Scan:
    """Archive with `pixels` and, when known, `spacing_mm` and `kind`."""
    with fenced("NumPy archive"), zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if "pixels" not in members:
            raise ScanError("archive has no `pixels`; save with numpy.savez(file, pixels=…)")
        spacing = _small(archive, members.get("spacing_mm"))
        kind = _small(archive, members.get("kind"))
        name = members["pixels"]
        with archive.open(name) as file:
            shape, dtype, _ = read_npy_head(file)
        _check_claim(shape, dtype, archive.getinfo(name).file_size)
        h_w = (*shape, 1, 1)[:2] if len(shape) < 3 else shape[-2:]
        if request.pick is None:
            request.check_size(int(np.prod(shape[:-2], dtype=object)), *h_w)
        with archive.open(name) as file:
            stored = read_npy_values(file)
        return _scan(stored, spacing, kind, request)


def _check_claim(shape: tuple[int, ...], dtype: np.dtype[Any], held: int) -> None:
    """The header promises plain numbers, and no more of them than the file holds."""
    if dtype.kind not in "biuf":
        raise ScanError(f"array holds values of type {dtype.kind!r}; save real numbers")
    if any(length < 1 for length in shape):
        raise ScanError(f"empty: the array has shape {shape}; save at least one frame")
    claimed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if claimed > held:
        raise ScanError(f"truncated: {claimed} bytes claimed, {held} held; copy it again")


def _small(archive: zipfile.ZipFile, name: str | None) -> NDArray[Any] | None:
    """A short array of the archive; None when there is none."""
    if name is None:
        return None
    if archive.getinfo(name).file_size > 4096 + _SMALL * 8:
        raise ScanError("`spacing_mm` and `kind` hold too many values; save 2 or 3 numbers, a word")
    with archive.open(name) as file:
        return read_npy_values(file)


def _scan(
    stored: NDArray[Any], spacing: NDArray[Any] | None, kind: NDArray[Any] | None, request: Request
) -> Scan:
    """Pixels with what was said about them, after checking that all agrees."""
    if stored.ndim not in (2, 3) or (stored.ndim == 3 and stored.shape[-1] <= 4):
        raise ScanError(
            f"array has shape {stored.shape}; save grey (h, w), (f, h, w) or (slices, h, w)"
        )
    spacing_mm = None if spacing is None else _spacing(spacing)
    resolved = _kind(stored.ndim, spacing_mm, None if kind is None else str(kind))
    frames = stored[None] if stored.ndim == 2 else stored
    if resolved == "clip":
        frames = frames[request.indices(*frames.shape)]
    request.check_size(*frames.shape)
    return Scan(as_pixels(frames), spacing_mm, resolved)


def _spacing(values: NDArray[Any]) -> tuple[float, ...]:
    """Two or three positive lengths."""
    numbers = values.ravel().astype(np.float64)
    if len(numbers) not in (2, 3) or not np.all(np.isfinite(numbers)) or numbers.min() <= 0:
        raise ScanError("`spacing_mm` is not 2 or 3 positive numbers; save (row, column) in mm")
    return tuple(numbers.tolist())


def _kind(ndim: int, spacing_mm: tuple[float, ...] | None, said: str | None) -> ScanKind:
    """Kind that dimensions and spacing imply, or the one said when it fits them."""
    implied: ScanKind = "image" if ndim == 2 else "clip"
    if ndim == 3 and spacing_mm is not None and len(spacing_mm) == 3:
        implied = "volume"
    kind: ScanKind | None = implied
    if said is not None:
        kind = next((known for known in get_args(ScanKind) if known == said), None)
    lengths = 3 if kind == "volume" else 2
    fits = (kind == "image") == (ndim == 2) and len(spacing_mm or (0,) * lengths) == lengths
    if kind is None or not fits:
        raise ScanError(
            f"kind does not fit {ndim}-D pixels and {len(spacing_mm or ())} spacings; "
            "save image (h, w), clip (f, h, w) or volume with 3 spacings"
        )
    return kind
