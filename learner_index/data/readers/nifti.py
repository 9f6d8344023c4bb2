"""NIfTI volumes, 3-D or the temporal mean of 4-D, turned to RAS."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.data.readers.guards import Request, fenced
from learner_index.data.readers.orient import ras_scan
from learner_index.data.records import Scan
from learner_index.errors import ScanError, UnsupportedScanError

_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


def read_nifti(path: Path, request: Request) -> Scan:
    """The volume in a `.nii` or `.nii.gz` file.

    Raises:
        ScanError: the file is damaged, truncated or too large.
        UnsupportedScanError: its values are colours or complex, or it has more than 4 dimensions.
    """
    with fenced("NIfTI file"):
        image = _open(path)
        header = image.header
        shape = _shape(image.shape)
        dtype = header.get_data_dtype()
        if dtype.kind not in "iuf":
            raise UnsupportedScanError("NIfTI values are colours or complex; save real numbers")
        request.check_size(math.prod(shape[2:]), *shape[:2])
        _check_length(path, int(header.get_data_offset()), math.prod(shape) * dtype.itemsize)
        values, notes = _values(image.dataobj, shape)
        factor = _MM.get(header.get_xyzt_units()[0], 1.0)
        affine = np.asarray(image.affine, np.float64) * np.array([factor] * 3 + [1.0])
        if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
            notes = (*notes, "the header names no orientation; left-to-right order was assumed")
        return ras_scan(values, affine, notes)


def _open(path: Path) -> Any:
    """The image with its header read and its values not."""
    import nibabel

    is_second = _magic(path)[:2] in (b"\x1c\x02", b"\x02\x1c")  # 540, the length of its header
    kind = nibabel.Nifti2Image if is_second else nibabel.Nifti1Image
    return kind.from_filename(path, keep_file_open=True)


def _magic(path: Path) -> bytes:
    """First four bytes of the header, either byte order, in the order of a little-endian file."""
    import gzip

    with path.open("rb") as plain:
        start = plain.read(4)
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path) as packed:
            start = packed.read(4)
    return start if start[:2] != b"\x00\x00" else start[2:]


def _shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(x, y, z, t), trailing axes of length 1 left out or added."""
    lengths = list(shape)
    while len(lengths) > 4 and lengths[-1] == 1:
        lengths.pop()
    if len(lengths) > 4 or len(lengths) < 2:
        raise UnsupportedScanError(f"NIfTI with {len(lengths)} dimensions; save a 3-D volume")
    x, y, z, t = [*lengths, 1, 1][:4]
    return x, y, z, t


def _check_length(path: Path, offset: int, n_bytes: int) -> None:
    """An unpacked file holds all values that its header promises."""
    held = path.stat().st_size
    if path.suffix == ".nii" and offset + n_bytes > held:
        raise ScanError(f"truncated: {offset + n_bytes} bytes claimed, {held} held; copy it again")


def _values(proxy: Any, shape: tuple[int, int, int, int]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """(x, y, z) values in the scan's own units, and a note when they are a mean."""
    t = shape[3]
    if t == 1:
        return np.asanyarray(proxy).reshape(shape[:3], order="F"), ()
    total = np.zeros(shape[:3])
    for moment in range(t):  # one at a time: a long series needs the memory of one volume
        total += np.asanyarray(proxy[:, :, :, moment]).reshape(shape[:3], order="F")
    return total / t, (f"mean of {t} volumes in time",)
