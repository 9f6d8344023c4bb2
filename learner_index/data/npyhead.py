"""Reads the header of a NumPy file without Python's parser, which threads of 3.11 may not share.

NumPy reads it with `ast.literal_eval`; two threads in there at once can fail with `SystemError`
(CPython issue 106905). Scans are read by many threads, so their headers are matched instead.
"""

import re
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import ScanError

_FIELD = re.compile(
    r"\s*'(descr|fortran_order|shape)'\s*:\s*('[<>|=]?[a-zA-Z]\d*'|True|False|\([\dL,\s]*\))\s*,?",
    re.ASCII,
)
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_LONGEST = 10_000  # bytes, as NumPy allows


class NpyHead(NamedTuple):
    """What a NumPy file says it holds: shape, type, and whether it runs along columns first."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool


def read_npy_head(file: IO[bytes]) -> NpyHead:
    """Read a header; the file is left at the first value.

    Raises:
        ScanError: the values are not plain numbers or text.
        ValueError: this is no NumPy file.
    """
    version = np.lib.format.read_magic(file)
    if version not in _LENGTH_BYTES:
        raise ValueError(f"version {version}")
    length = int.from_bytes(file.read(_LENGTH_BYTES[version]), "little")
    if not 0 < length <= _LONGEST:
        raise ValueError(f"a header of {length} bytes")
    text = file.read(length).decode("latin1").strip()
    fields = _fields(text)
    if set(fields) != {"descr", "fortran_order", "shape"}:
        raise ScanError("array has named fields; save plain numbers")
    lengths = fields["shape"].strip("()").replace("L", "").split(",")
    shape = tuple(int(length) for length in lengths if length.strip())
    return NpyHead(shape, np.dtype(fields["descr"].strip("'")), fields["fortran_order"] == "True")


def read_npy_values(file: IO[bytes]) -> NDArray[Any]:
    """Read a whole NumPy file from an archive; the values may not be written to.

    Raises:
        ScanError: the values are not plain numbers or text.
        ValueError: this is no NumPy file, or it holds too few values.
    """
    head = read_npy_head(file)
    n_values = int(np.prod(head.shape, dtype=object))
    if head.dtype.hasobject:
        raise ScanError("array holds Python objects; save plain numbers")
    values = np.frombuffer(file.read(n_values * head.dtype.itemsize), head.dtype, n_values)
    return values.reshape(head.shape, order="F" if head.is_fortran else "C")


def _fields(text: str) -> dict[str, str]:
    """The entries of a header, as they are written; none when it is no plain one."""
    if not (text.startswith("{") and text.endswith("}")):
        return {}
    entries, start, end = {}, 1, len(text) - 1
    while text[start:end].strip():
        found = _FIELD.match(text, start, end)
        if found is None:
            return {}
        entries[found[1]] = found[2]
        start = found.end()
    return entries
