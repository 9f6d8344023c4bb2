"""Volumes put slices where they are: read back and sliced, they are the very pictures."""

import gzip

import nibabel
import numpy as np
import pytest

from learner_index.config import Preprocessing
from learner_index.data.preprocess import preprocess
from learner_index.data.readers import read_scan
from learner_index.data.simulate.brain_anatomy import AXIAL_GAP_MM, CORONAL_GAP_MM
from learner_index.data.simulate.brain_volume import axial_volume, coronal_volume
from learner_index.data.simulate.write import write_volume

SIDE, EDGE_MM = 12, 2.5
VIEWS = {"coronal": (coronal_volume, CORONAL_GAP_MM), "axial": (axial_volume, AXIAL_GAP_MM)}


@pytest.fixture
def slices():
    """Four uneven pictures, black and white among their shades."""
    drawn = np.random.default_rng(0).integers(1, 255, (4, SIDE, SIDE)).astype(np.uint8)
    drawn[0, 0, :2] = 0, 255
    return drawn


@pytest.mark.parametrize("view", VIEWS)
def test_reading_and_slicing_gives_the_pictures_back(tmp_path, slices, view):
    """Through `read_scan` and `preprocess` in the view's plane, pixels are the slices' by 255."""
    place, _ = VIEWS[view]
    write_volume(tmp_path / "scan.nii.gz", *place(slices, EDGE_MM))

    scan = read_scan(tmp_path / "scan.nii.gz")
    shown = preprocess(
        scan, Preprocessing(size=SIDE, frames=4, plane=view, intensity="range", pixel_mm=EDGE_MM)
    )

    assert np.allclose(shown * 255, slices, atol=1e-3)


@pytest.mark.parametrize(
    ("view", "spacing"), [("coronal", (2.5, 6.0, 2.5)), ("axial", (7.0, 2.5, 2.5))]
)
def test_spacing_is_that_of_the_slices(tmp_path, slices, view, spacing):
    """A reader finds the gap along the view's normal and square pixels across it."""
    place, _ = VIEWS[view]
    write_volume(tmp_path / "scan.nii.gz", *place(slices, EDGE_MM))

    assert read_scan(tmp_path / "scan.nii.gz").spacing_mm == pytest.approx(spacing)


@pytest.mark.parametrize("view", VIEWS)
def test_the_middle_of_the_slices_is_the_origin(slices, view):
    """Voxel axes ascend to right, anterior and superior, about the midline."""
    place, _ = VIEWS[view]
    voxels, affine = place(slices, EDGE_MM)

    assert nibabel.aff2axcodes(affine) == ("R", "A", "S")
    middle = affine @ [*(np.array(voxels.shape) - 1) / 2, 1]
    assert middle[0] == pytest.approx(0.0)
    assert middle[2 if view == "coronal" else 1] == pytest.approx(0.0)


def test_orientation_survives_another_tool(tmp_path, slices):
    """Turned to another orientation by nibabel, the volume reads the same."""
    write_volume(tmp_path / "a.nii.gz", *coronal_volume(slices, EDGE_MM))
    image = nibabel.load(tmp_path / "a.nii.gz")
    turned = image.as_reoriented(np.array([[0, -1], [2, 1], [1, -1]]))
    nibabel.save(turned, tmp_path / "b.nii.gz")

    one, other = (read_scan(tmp_path / name).pixels for name in ("a.nii.gz", "b.nii.gz"))

    assert np.array_equal(one, other)


def test_no_clock_enters_a_volume(tmp_path, slices):
    """The packed file carries neither time nor name, and unpacks to a NIfTI-1 of bytes."""
    write_volume(tmp_path / "scan.nii.gz", *axial_volume(slices, EDGE_MM))

    packed = (tmp_path / "scan.nii.gz").read_bytes()

    assert packed[3] == 0  # no name
    assert packed[4:8] == b"\0\0\0\0"  # no time
    assert gzip.decompress(packed)[344:347] == b"n+1"
    assert nibabel.load(tmp_path / "scan.nii.gz").get_data_dtype() == np.uint8
