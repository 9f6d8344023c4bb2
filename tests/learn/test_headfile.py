"""Arrays of a head as one file that cannot run: round trip, and damage in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from learner_index.errors import HeadFormatError
from learner_index.learn.headfile import read_arrays, write_arrays

NUMBERS = st.sampled_from([np.dtype(name) for name in ("f4", "f8", "i8", "u1")])
VALUES = NUMBERS.flatmap(
    lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=1, min_side=0, max_side=4))
)


@given(st.dictionaries(st.text("abc._", min_size=1), VALUES, max_size=4))
def test_arrays_come_back_as_they_were(tmp_path_factory, found):
    """Names, shapes, types and every bit, also of NaN and infinity."""
    path = tmp_path_factory.mktemp("head") / "head.safetensors"

    write_arrays(found, path)

    read = read_arrays(path)
    assert read.keys() == found.keys()
    for name, values in found.items():
        assert read[name].dtype == values.dtype
        assert read[name].shape == values.shape
        assert read[name].tobytes() == values.tobytes()


def test_views_of_other_arrays_are_written_as_they_look(tmp_path):
    """A transposed, a strided and a column-major array."""
    base = np.arange(12.0).reshape(3, 4)
    shown = {"turned": base.T, "every": base[:, ::2], "columns": np.asfortranarray(base)}

    write_arrays(shown, tmp_path / "a")

    for name, values in read_arrays(tmp_path / "a").items():
        np.testing.assert_array_equal(values, shown[name])


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 20, 60, -1])
def test_a_file_cut_short_is_damaged(tmp_path, kept):
    """Wherever it is cut: one line with file, folder and next step."""
    path = tmp_path / "head.safetensors"
    write_arrays({"a": np.ones(5), "b": np.zeros((2, 3))}, path)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(HeadFormatError, match="cannot be read: restore it, or fit") as caught:
        read_arrays(path)

    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("head.safetensors of the head in ")


@pytest.mark.parametrize("content", [b"garbage", b"\xff" * 99, b"\x80\x04\x95.", b"{}" * 20])
def test_what_is_no_such_file_is_refused(tmp_path, content):
    """Text, bytes and a pickle."""
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(HeadFormatError, match="x of the head in"):
        read_arrays(tmp_path / "x")


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    """Likewise."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(HeadFormatError, match="cannot be read"):
            read_arrays(path)


def test_a_number_type_numpy_does_not_know_is_refused(tmp_path):
    """Such as bfloat16, which others may write."""
    header = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")

    with pytest.raises(HeadFormatError, match="cannot be read"):
        read_arrays(tmp_path / "x")
