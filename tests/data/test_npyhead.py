"""Headers of NumPy files, read without Python's parser."""

import ast
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learner_index.data.npyhead import read_npy_head, read_npy_values
from learner_index.errors import ScanError


def _saved(array: np.ndarray) -> io.BytesIO:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    buffer.seek(0)
    return buffer


def _with_header(text: str, version: int = 1) -> io.BytesIO:
    header = text.encode("latin1")
    n_bytes = 2 if version == 1 else 4
    size = len(header).to_bytes(n_bytes, "little")
    return io.BytesIO(b"\x93NUMPY" + bytes([version, 0]) + size + header + bytes(64))


@given(
    hnp.arrays(
        st.sampled_from(["u1", "<i2", ">i4", "<f2", "<f8", ">f4", "?", "<U5", "<c8"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    ),
    st.booleans(),
)
def test_reads_what_numpy_saves(array, is_fortran):
    """Any shape, byte order and layout comes back as it was saved."""
    array = np.asfortranarray(array) if is_fortran else array

    found = read_npy_values(_saved(array))

    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def test_does_not_use_pythons_parser(monkeypatch):
    """Threads of Python 3.11 fail in there now and then (CPython issue 106905)."""
    monkeypatch.setattr(ast, "parse", pytest.fail)

    assert read_npy_head(_saved(np.zeros((2, 3)))).shape == (2, 3)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    "text",
    [
        "{'shape': (2L, 3L), 'descr': '<f4', 'fortran_order': True}",
        "{'descr': '<f4','fortran_order': True,'shape': (2,3), }   \n",
    ],
)
def test_reads_headers_of_other_programs(text, version):
    """Another order, Python 2's long integers, other spaces; each version of the format."""
    head = read_npy_head(_with_header(text, version))

    assert head == ((2, 3), np.dtype("<f4"), True)


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': 1}",
        "descr",
        "{}",
    ],
)
def test_refuses_other_headers(text):
    """Named fields, a missing or an unknown entry."""
    with pytest.raises(ScanError, match="named fields; save plain numbers"):
        read_npy_head(_with_header(text))


def test_refuses_objects():
    """A pickle is never opened."""
    file = _with_header("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }")

    with pytest.raises(ScanError, match="Python objects"):
        read_npy_values(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93NUMPY\x09\x00", r"version \(9, 0\)"),
        (b"\x93NUMPY\x01\x00\x00\x00", "a header of 0 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\x00\x00", "a header of 65535 bytes"),
        (b"no array", "magic string"),
    ],
)
def test_refuses_what_is_no_numpy_file(content, message):
    """An unknown version, an empty or an endless header, other bytes."""
    with pytest.raises(ValueError, match=message):
        read_npy_head(io.BytesIO(content))


def test_refuses_fewer_values_than_promised():
    """A file that was cut off gives no array."""
    file = io.BytesIO(_saved(np.arange(9.0)).getvalue()[:-8])

    with pytest.raises(ValueError, match="smaller"):
        read_npy_values(file)
