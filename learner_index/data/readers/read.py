"""From a path to a scan: the kind of file by content, then by suffix; the result checked."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from learner_index.data.readers.arrays import read_npy, read_npz
from learner_index.data.readers.dicom import read_dicom
from learner_index.data.readers.dicom_series import read_series
from learner_index.data.readers.dicom_tags import check_tags
from learner_index.data.readers.guards import MAX_PIXELS, Pick, Request, fenced
from learner_index.data.readers.nifti import read_nifti
from learner_index.data.readers.pictures import read_frames, read_picture
from learner_index.data.readers.video import read_video
from learner_index.data.records import Scan
from learner_index.errors import ScanError, ScanNotFoundError, UnsupportedScanError

Reader = Callable[[Path, Request], Scan]
_SUFFIXES: dict[Reader, tuple[str, ...]] = {
    read_nifti: (".nii", ".nii.gz"),
    read_dicom: (".dcm", ".dicom", ".ima"),
    read_video: (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm"),
    read_picture: (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"),
    read_npy: (".npy",),
    read_npz: (".npz",),
}
_MAGIC: tuple[tuple[int, bytes, Reader], ...] = (
    (128, b"DICM", read_dicom),
    (344, b"n+1\0", read_nifti),
    (4, b"n+2\0", read_nifti),
    (0, b"\x89PNG", read_picture),
    (0, b"\xff\xd8\xff", read_picture),
    (0, b"II*\0", read_picture),
    (0, b"MM\0*", read_picture),
    (0, b"GIF8", read_picture),
    (0, b"\x93NUMPY", read_npy),
    (4, b"ftyp", read_video),
    (8, b"AVI ", read_video),
    (0, b"\x1a\x45\xdf\xa3", read_video),
)
_HEAD = 352  # bytes that hold every magic


def read_scan(
    path: Path,
    *,
    pick: Pick | None = None,
    tags: Sequence[str] = (),
    max_pixels: int = MAX_PIXELS,
) -> Scan:
    """The scan that a file or folder holds, as grey pixels.

    Args:
        path: a file, a folder of DICOM slices, or a folder of frames.
        pick: for clips only: from the number of frames to the ascending indices wanted, so that
            a long clip never has to fit into memory. Images and volumes are read whole.
        tags: DICOM keywords wanted as text in `Scan.tags`; those that can identify a person are
            refused, those the file lacks are absent.
        max_pixels: scans larger than this are refused before they are decoded; of a clip with
            `pick` only the frames picked count.

    Raises:
        ScanNotFoundError: there is nothing at the path.
        UnsupportedScanError: no reader knows this kind of file.
        ScanError: the scan is broken, empty, constant, not finite, oversized or truncated. The
            message is one line without the path, which may hold an identity.

    Example:
        >>> read_scan(Path("missing.png"))
        Traceback (most recent call last):
        ...
        learner_index.errors.ScanNotFoundError: no such file or folder; check the manifest's path
    """
    check_tags(tags)
    request = Request(pick, tags, max_pixels)
    path = Path(path)
    with fenced("scan"):
        if not path.exists():
            raise ScanNotFoundError("no such file or folder; check the manifest's path")
        if path.is_dir():
            return _checked(_read_folder(path, request))
        if path.stat().st_size == 0:
            raise ScanError("empty: the file has 0 bytes; copy or export it again")
        reader = _reader(path)
    if reader is None:
        raise UnsupportedScanError(
            f"no reader knows this kind of file; give one of {' '.join(known_suffixes())}, "
            "a DICOM file or a folder of slices or frames"
        )
    return _checked(reader(path, request))


def known_suffixes() -> tuple[str, ...]:
    """File name endings that a reader knows; DICOM files are also known without any."""
    return tuple(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)


def is_scan_file(path: Path) -> bool:
    """Whether a file looks like a scan by its content or its name."""
    with fenced("file"):
        return path.is_file() and not path.name.startswith(".") and _reader(path) is not None


def _reader(path: Path) -> Reader | None:
    """The reader for a file: by content, else by suffix."""
    head = _head(path)
    for offset, magic, reader in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return reader
    name = path.name.lower()
    for reader, suffixes in _SUFFIXES.items():
        if name.endswith(suffixes):
            return reader
    return None


def _head(path: Path) -> bytes:
    """First bytes of a file, unpacked when it is a gzipped NIfTI."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        with gzip.open(path) as packed:
            unpacked = packed.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return head
    return unpacked if unpacked[344:348] == b"n+1\0" or unpacked[4:8] == b"n+2\0" else head


def _read_folder(path: Path, request: Request) -> Scan:
    """A folder of DICOM slices or of frames; files that are no scans are passed over."""
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    files = [entry for entry in entries if entry.is_file() and entry.name != "DICOMDIR"]
    readers = {file: _reader(file) for file in files if file.stat().st_size > 0}
    slices = [file for file, reader in readers.items() if reader is read_dicom]
    frames = [file for file, reader in readers.items() if reader is read_picture]
    others = [file for file, reader in readers.items() if reader not in (None, *_FOLDER_READERS)]
    empty = sum(file.stat().st_size == 0 for file in files)
    if empty and (slices or frames):
        raise ScanError(f"{empty} of {len(files)} files have 0 bytes; copy the folder again")
    if others or (slices and frames):
        raise ScanError(
            f"folder mixes {len(slices)} DICOM files, {len(frames)} pictures and {len(others)} "
            "other scans; give each scan its own row or folder"
        )
    if not slices and not frames:
        n_folders = len(entries) - len(files)
        raise ScanError(
            f"empty: no slices or frames among {len(files)} files and {n_folders} folders; "
            "give the folder that holds them"
        )
    return read_series(slices, request) if slices else read_frames(frames, request)


_FOLDER_READERS = (read_dicom, read_picture)


def _checked(scan: Scan) -> Scan:
    """The scan, unless its pixels carry nothing.

    Raises:
        ScanError: they are not finite, or all the same.
    """
    pixels = scan.pixels
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():  # NaN passes through both
        count = int(np.sum(~np.isfinite(pixels)))
        raise ScanError(f"{count} pixels are NaN or infinite; replace them by numbers")
    if low == high:
        shape = " × ".join(str(length) for length in pixels.shape)
        raise ScanError(f"constant: all {shape} pixels are {low:g}; export the scan again")
    return scan
