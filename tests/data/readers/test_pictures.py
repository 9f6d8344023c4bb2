"""Pictures and folders of frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from learner_index.data.readers import read_scan
from learner_index.data.readers.pictures import natural_key
from learner_index.errors import ScanError

_GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)


@settings(max_examples=30, deadline=None)
@given(values=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(2, 9))))
def test_grey_png_is_lossless(tmp_path_factory, values):
    """8-bit grey pixels come back exactly."""
    values[0, 0] = values[0, 1] ^ 255
    path = tmp_path_factory.mktemp("png") / "scan.png"
    Image.fromarray(values).save(path)

    scan = read_scan(path)

    assert (scan.kind, scan.spacing_mm) == ("image", None)
    assert np.array_equal(scan.pixels[0], values)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "jpg"])
def test_equal_channels_are_their_own_grey(tmp_path, suffix):
    """A grey picture stored as RGB reads as the grey picture."""
    flat = np.full((16, 16), 90, np.uint8)
    flat[:, 8:] = 200
    Image.fromarray(np.stack([flat] * 3, axis=-1)).save(tmp_path / f"scan.{suffix}")

    assert np.abs(read_scan(tmp_path / f"scan.{suffix}").pixels[0].astype(int) - flat).max() <= 1


def test_colours_become_luma_as_pillow_has_it(tmp_path):
    """Colours are weighed as the eye does, to the same byte as Pillow's own grey."""
    colours = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "scan.png")

    expected = np.asarray(Image.fromarray(colours).convert("L"))
    assert np.array_equal(read_scan(tmp_path / "scan.png").pixels[0], expected)


def test_16_bits_are_kept(tmp_path):
    """16-bit grey keeps all its values, as float32."""
    values = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1365
    Image.fromarray(values).save(tmp_path / "scan.png")
    Image.fromarray(values).save(tmp_path / "scan.tif")

    for name in ("scan.png", "scan.tif"):
        scan = read_scan(tmp_path / name)
        assert scan.pixels.dtype == np.float32
        assert np.array_equal(scan.pixels[0], values)


def test_a_16_bit_tiff_whose_zero_is_white_is_turned(tmp_path):
    """Photometric interpretation 0 is turned at 16 bits, as Pillow does at 8."""
    values = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1365
    Image.fromarray(values).save(tmp_path / "scan.tif", tiffinfo={262: 0})

    assert np.array_equal(read_scan(tmp_path / "scan.tif").pixels[0], 65535.0 - values)


def test_transparency_lies_on_black(tmp_path):
    """Alpha 0 is black, alpha 255 leaves the value alone, half alpha halves it."""
    colours = np.full((2, 6, 4), 200, np.uint8)
    colours[:, :2, 3], colours[:, 2:4, 3], colours[:, 4:, 3] = 0, 255, 128
    Image.fromarray(colours).save(tmp_path / "scan.png")

    assert read_scan(tmp_path / "scan.png").pixels[0, 0].tolist() == [0, 0, 200, 200, 100, 100]


@pytest.mark.parametrize("mode", ["P", "1", "LA", "CMYK", "F", "I"])
def test_every_mode_becomes_grey(tmp_path, mode):
    """Palettes, bits, alpha, print colours and wide numbers all read as the picture they show."""
    values = np.where(_GREY > 20, 255, 0).astype(np.uint8)
    Image.fromarray(values).convert(mode).save(tmp_path / "scan.tif")

    assert np.array_equal(read_scan(tmp_path / "scan.tif").pixels[0], values)


def test_pages_are_a_clip(tmp_path, ramp):
    """A TIFF of several pages is a clip; picking equals reading all and indexing."""
    pages = [Image.fromarray(frame) for frame in ramp]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])

    scan = read_scan(tmp_path / "scan.tif")
    picked = read_scan(tmp_path / "scan.tif", pick=lambda n: np.array([1, 1, n - 1]))

    assert scan.kind == "clip"
    assert np.array_equal(scan.pixels, ramp)
    assert np.array_equal(picked.pixels, ramp[[1, 1, 5]])


def test_pages_of_different_sizes_are_refused(tmp_path):
    """A pyramid or a mixture is no clip."""
    pages = [Image.fromarray(_GREY), Image.fromarray(_GREY[:3])]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])

    with pytest.raises(ScanError, match="pages of different sizes"):
        read_scan(tmp_path / "scan.tif")


def test_a_folder_of_frames_is_in_natural_order(tmp_path, ramp):
    """frame2 comes before frame10, and files that are no pictures are passed over."""
    for number, frame in zip((1, 2, 3, 10, 11, 100), ramp, strict=True):
        Image.fromarray(frame).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("none")

    scan = read_scan(tmp_path)
    picked = read_scan(tmp_path, pick=lambda _: np.array([0, 3]))

    assert np.array_equal(scan.pixels, ramp)
    assert np.array_equal(picked.pixels, ramp[[0, 3]])


@given(numbers=st.lists(st.integers(0, 10**6), min_size=2, unique=True))
def test_natural_order_is_numeric_order(numbers):
    """Names that differ in one number sort by that number."""
    names = [f"f{number}.png" for number in numbers]

    assert sorted(names, key=natural_key) == [f"f{number}.png" for number in sorted(numbers)]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Image.fromarray(_GREY[:3]), "2 sizes"),
        (Image.fromarray(_GREY.astype(np.uint16) * 300), "8 and of 16 bits"),
    ],
)
def test_frames_that_do_not_match_are_refused(tmp_path, other, message):
    """All frames of a folder share size and depth."""
    Image.fromarray(_GREY).save(tmp_path / "a.png")
    other.save(tmp_path / "b.png")

    with pytest.raises(ScanError, match=message):
        read_scan(tmp_path)


def test_a_frame_with_pages_is_refused(tmp_path):
    """A multi-page file among the frames would hide its other pages."""
    pages = [Image.fromarray(_GREY), Image.fromarray(_GREY + 1)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "b.tif")

    with pytest.raises(ScanError, match="several pages"):
        read_scan(tmp_path)


def test_pillows_own_bomb_guard_is_one_of_ours(tmp_path, monkeypatch):
    """What Pillow calls a decompression bomb is reported as oversized."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(_GREY).save(tmp_path / "scan.png")

    with pytest.raises(ScanError, match="oversized"):
        read_scan(tmp_path / "scan.png")
