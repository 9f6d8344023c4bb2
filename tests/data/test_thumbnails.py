"""Small pictures of scans."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from learner_index.data.content import content_hash
from learner_index.data.records import Scan
from learner_index.data.thumbnails import (
    BROKEN,
    GONE,
    OTHER,
    middle_picture,
    picture_files,
    read_stored,
    thumbnail,
)
from learner_index.errors import ManifestError


def shown(pixels, spacing_mm=None, side=16, kind="clip"):
    """The thumbnail as an array."""
    picture = Image.open(BytesIO(thumbnail(Scan(pixels, spacing_mm, kind), side)))
    return np.asarray(picture)


def test_the_middle_frame_is_shown_small():
    """Of three frames, the second; the longer side has the size asked for."""
    frames = np.zeros((3, 32, 64), np.uint8)
    frames[1, :, 32:] = 200

    picture = shown(frames)

    assert picture.shape == (8, 16)
    assert picture[:, :6].max() == 0
    assert picture[:, 10:].min() == 255


def test_pixels_that_are_not_square_are_stretched():
    """A pixel twice as high as wide makes the picture twice as high."""
    assert shown(np.eye(20)[None], (2.0, 1.0)).shape == (16, 8)


def test_a_flat_scan_is_black_and_no_error():
    """Nothing is divided by zero, and what is not finite is black."""
    flat = np.full((1, 8, 8), 3, np.float32)
    flat[0, 0, 0] = np.nan

    assert shown(flat).max() == 0


def test_a_slab_is_cut_across_its_thin_side():
    """A thumbnail shows the plane of acquisition, as a contact sheet does, in millimetres."""
    volume = np.zeros((32, 3, 16), np.float32)
    volume[:16, 1] = 1.0  # the lower half of the middle coronal slice

    picture = shown(volume, (1.0, 5.0, 1.0), side=32, kind="volume")

    assert picture.shape == (32, 16)
    assert picture[:15].max() == 0
    assert picture[17:].min() == 255


@pytest.mark.parametrize(
    ("shape", "cut"),
    [
        ((9, 8, 7), lambda v: v[4]),
        ((3, 8, 7), lambda v: v[1]),
        ((8, 3, 7), lambda v: v[::-1, 1]),
        ((8, 7, 3), lambda v: v[::-1, :, 1]),
    ],
    ids=["cube", "axial slab", "coronal slab", "sagittal slab"],
)
def test_volumes_are_cut_as_they_were_acquired(shape, cut):
    """A slab across its thin side, upright; its pixels keep their millimetres."""
    volume = np.random.default_rng(0).random(shape, np.float32)
    spacing = {"z": 5.0, "y": 2.0, "x": 1.0}

    pixels, aspect = middle_picture(Scan(volume, tuple(spacing.values()), "volume"))

    np.testing.assert_array_equal(pixels, cut(volume))
    sides = {(9, 8, 7): "yx", (3, 8, 7): "yx", (8, 3, 7): "zx", (8, 7, 3): "zy"}[shape]
    assert aspect == spacing[sides[0]] / spacing[sides[1]]


def test_only_ids_and_paths_of_a_manifest_are_read(tmp_path):
    """Columns that only an option allows are no obstacle, nor is a path out of the folder."""
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "scan_id,patient_id,path,day,odd\ns,p,../s.npy,today,x\nt,,/data/t.npy,,\n,p,u.npy,,\n"
    )

    assert picture_files(manifest) == {
        "s": tmp_path / "../s.npy",
        "t": Path("/data/t.npy"),
    }


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("scan_id,file\ns,s.npy\n", "has no column path.*pictures need scan_id and path"),
        ("scan_id,path\ns,s.npy\ns,t.npy\n", "lists scan 's' twice"),
    ],
    ids=["no path", "twice"],
)
def test_a_manifest_that_cannot_tell_where_scans_lie_is_refused(tmp_path, text, match):
    """One line that names what is wrong."""
    (tmp_path / "m.csv").write_text(text)

    with pytest.raises(ManifestError, match=match):
        picture_files(tmp_path / "m.csv")


def test_only_the_stored_bytes_are_shown(tmp_path):
    """Another file under the name, a broken one or none has no picture, and why is told."""
    mine, other, broken = (tmp_path / name for name in ("a.npy", "b.npy", "c.npy"))
    np.save(mine, np.eye(8, dtype=np.uint8))
    np.save(other, np.ones((8, 8), np.uint8))
    broken.write_bytes(b"nothing")

    assert isinstance(read_stored(mine, content_hash(mine)), Scan)
    assert read_stored(other, content_hash(mine)) == OTHER
    assert read_stored(broken, content_hash(broken)) == BROKEN
    assert read_stored(tmp_path / "d.npy", content_hash(mine)) == GONE
