"""NumPy files as scans."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from learner_index.data.readers import read_scan
from learner_index.errors import ScanError

_SHAPES = st.one_of(
    st.tuples(st.integers(1, 4), st.integers(5, 7)),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(5, 7)),
)
_TYPES = st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.bool_])


@settings(max_examples=40, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".npy", ".npz"]))
def test_arrays_come_back_as_they_were_saved(tmp_path_factory, data, suffix):
    """Saving and reading gives the same values; uint8 stays uint8, others become float32."""
    path = tmp_path_factory.mktemp("round") / f"scan{suffix}"
    shape = data.draw(_SHAPES)
    elements = {"allow_nan": False, "allow_infinity": False}
    dtype = data.draw(_TYPES)
    values = data.draw(arrays(dtype, shape, elements=elements if dtype is np.float32 else None))
    values.flat[0] = not values.flat[-1]
    np.save(path, values) if suffix == ".npy" else np.savez(path, pixels=values)

    scan = read_scan(path)

    expected = np.uint8 if dtype is np.uint8 else np.float32
    assert scan.pixels.dtype == expected
    assert scan.pixels.flags.c_contiguous
    assert np.array_equal(scan.pixels.reshape(shape), values.astype(expected))


@pytest.mark.parametrize(
    ("shape", "spacing", "kind", "expected"),
    [
        ((4, 5), None, None, "image"),
        ((4, 5), (0.5, 0.4), None, "image"),
        ((3, 4, 5), (0.5, 0.4), None, "clip"),
        ((3, 4, 5), (2.0, 0.5, 0.4), None, "volume"),
        ((3, 4, 5), None, "volume", "volume"),
    ],
)
def test_kind_follows_shape_and_spacing(tmp_path, shape, spacing, kind, expected):
    """Two spacings mean an image or clip, three a volume, unless the archive says it."""
    members = {"pixels": np.arange(np.prod(shape)).reshape(shape)}
    members |= {} if spacing is None else {"spacing_mm": np.array(spacing)}
    members |= {} if kind is None else {"kind": np.array(kind)}
    np.savez(tmp_path / "scan.npz", **members)

    scan = read_scan(tmp_path / "scan.npz")

    assert scan.kind == expected
    assert scan.spacing_mm == spacing


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"frames": np.eye(5)}, "no `pixels`"),
        ({"pixels": np.eye(5), "spacing_mm": np.array([1.0, -1.0])}, "2 or 3 positive numbers"),
        ({"pixels": np.eye(5), "spacing_mm": np.ones(100_000)}, "too many values"),
        ({"pixels": np.eye(5), "spacing_mm": np.ones(3)}, "kind does not fit"),
        ({"pixels": np.eye(5), "kind": np.array("movie")}, "kind does not fit"),
        ({"pixels": np.ones((2, 5, 5)), "kind": np.array("image")}, "kind does not fit"),
        ({"pixels": np.ones((8, 8, 3))}, "shape"),
        ({"pixels": np.ones((2, 2, 8, 8))}, "shape"),
        ({"pixels": np.ones((2, 0, 8))}, "empty"),
        ({"pixels": np.array(["a", "b"])}, "type 'U'"),
        ({"pixels": np.eye(5) * 1j}, "type 'c'"),
    ],
)
def test_refuses_archives_that_do_not_add_up(tmp_path, members, message):
    """Members that contradict each other are refused with what was found."""
    np.savez(tmp_path / "scan.npz", **members)

    with pytest.raises(ScanError, match=message):
        read_scan(tmp_path / "scan.npz")


def test_never_unpickles(tmp_path):
    """An object array, which could run code, is refused before it is loaded."""
    np.save(tmp_path / "scan.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(ScanError, match="type 'O'"):
        read_scan(tmp_path / "scan.npy")


def test_refuses_named_fields(tmp_path):
    """A structured array is no picture."""
    np.save(tmp_path / "scan.npy", np.zeros(4, dtype=[("ä", "f4")]))

    with pytest.raises(ScanError, match=r"named fields|type 'V'"):
        read_scan(tmp_path / "scan.npy")


def test_a_header_may_not_promise_more_than_the_file_holds(tmp_path):
    """A header that claims terabytes is refused without reserving memory."""
    path = tmp_path / "bomb.npy"
    path.write_bytes(_header_of((99999, 9999, 9999)) + bytes(64))

    with pytest.raises(ScanError, match=r"truncated: .* bytes claimed, 64 held"):
        read_scan(path)


def test_a_packed_bomb_is_refused_by_its_header(tmp_path):
    """A small archive of a large array is refused by the limit, before it is unpacked."""
    np.savez_compressed(tmp_path / "scan.npz", pixels=np.zeros((50, 100, 100), np.uint8))

    with pytest.raises(ScanError, match=r"oversized: .* 50 × 100 × 100"):
        read_scan(tmp_path / "scan.npz", max_pixels=400_000)


def test_picks_frames_of_a_large_clip(tmp_path: Path):
    """With `pick`, only the frames picked count against the limit."""
    clip = np.arange(50 * 10 * 10, dtype=np.uint16).reshape(50, 10, 10)
    np.save(tmp_path / "scan.npy", clip)

    scan = read_scan(
        tmp_path / "scan.npy", pick=lambda n: np.array([0, 7, 7, n - 1]), max_pixels=400
    )

    assert np.array_equal(scan.pixels, clip[[0, 7, 7, 49]].astype(np.float32))


def _header_of(shape: tuple[int, ...]) -> bytes:
    """A valid version 1.0 header that claims a shape of uint8."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
