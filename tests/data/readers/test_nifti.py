"""NIfTI volumes, their orientation above all."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from learner_index.data.readers import read_scan
from learner_index.errors import ScanError, UnsupportedScanError


def _marked() -> np.ndarray:
    """(x, y, z) RAS volume with value 1 right, 2 anterior, 3 superior, from a grey centre."""
    volume = np.full((5, 7, 9), 10.0, np.float32)
    volume[4, 3, 4], volume[2, 6, 4], volume[2, 3, 8] = 1, 2, 3
    return volume


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SLA", "AIL"])
def test_every_orientation_reads_the_same(tmp_path, codes):
    """Slices ascend to superior, anterior is the first row, columns ascend to the right."""
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    image = nibabel.Nifti1Image(_marked(), np.diag([2.0, 3.0, 4.0, 1.0]))
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    nibabel.save(image.as_reoriented(turn), tmp_path / "scan.nii.gz")

    scan = read_scan(tmp_path / "scan.nii.gz")

    assert scan.kind == "volume"
    assert scan.spacing_mm == pytest.approx((4.0, 3.0, 2.0))
    assert scan.pixels.shape == (9, 7, 5)
    assert (scan.pixels[4, 3, 4], scan.pixels[4, 0, 2], scan.pixels[8, 3, 2]) == (1, 2, 3)


def test_four_dimensions_become_their_mean(tmp_path):
    """A series in time is read as its mean, and a note says of how many volumes."""
    series = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)
    nibabel.save(nibabel.Nifti1Image(series, np.eye(4)), tmp_path / "scan.nii.gz")

    scan = read_scan(tmp_path / "scan.nii.gz")

    expected = series.mean(axis=3).transpose(2, 1, 0)[:, ::-1]
    assert np.allclose(scan.pixels, expected)
    assert scan.notes == ("mean of 6 volumes in time",)


def test_bytes_stay_bytes_unless_scaled(tmp_path):
    """uint8 without slope stays uint8; with a slope it is float32 in the scan's units."""
    values = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    image = nibabel.Nifti1Image(values, np.eye(4))
    nibabel.save(image, tmp_path / "plain.nii")
    image.header.set_slope_inter(2.0, -1000.0)
    nibabel.save(image, tmp_path / "scaled.nii")

    plain, scaled = read_scan(tmp_path / "plain.nii"), read_scan(tmp_path / "scaled.nii")

    assert plain.pixels.dtype == np.uint8
    assert scaled.pixels.dtype == np.float32


@pytest.mark.parametrize("unit", [("meter", 1e-3), ("mm", 1.0), ("micron", 1e3)])
def test_spacing_is_in_millimetres_whatever_the_unit(tmp_path, unit):
    """Metres and micrometres in the header are converted."""
    name, factor = unit
    image = nibabel.Nifti1Image(_marked(), np.diag([2 * factor, 3 * factor, 4 * factor, 1.0]))
    image.header.set_xyzt_units(name)
    nibabel.save(image, tmp_path / "scan.nii")

    assert read_scan(tmp_path / "scan.nii").spacing_mm == pytest.approx((4.0, 3.0, 2.0))


@pytest.mark.parametrize(
    ("axis", "spacing", "shape"), [(0, (4, 3), (9, 7)), (1, (4, 2), (9, 5)), (2, (3, 2), (7, 5))]
)
def test_a_single_slice_is_an_upright_image(tmp_path, axis, spacing, shape):
    """One slice of any plane becomes an image with superior, or anterior, on top."""
    ramp = np.add.outer(np.add.outer(np.zeros(5), np.arange(7)), 10 * np.arange(9))
    one = np.take(ramp, [2], axis=axis).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(one, np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "scan.nii")

    scan = read_scan(tmp_path / "scan.nii")

    assert (scan.kind, scan.spacing_mm, scan.pixels.shape) == ("image", spacing, (1, *shape))
    assert scan.pixels[0, 0].mean() > scan.pixels[0, -1].mean()


def test_notes_a_header_without_orientation(tmp_path):
    """When neither form is set, the order assumed is noted."""
    image = nibabel.Nifti1Image(_marked(), None)
    nibabel.save(image, tmp_path / "scan.nii")

    assert "names no orientation" in read_scan(tmp_path / "scan.nii").notes[0]


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.diag([1.0, 1.0, 0.0, 1.0]), "mend its affine"),
        (np.full((4, 4), np.nan), "mend its affine"),
        (np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "mend its affine"),
    ],
)
def test_refuses_an_affine_without_directions(tmp_path, affine, message):
    """A degenerate affine is refused, not guessed around."""
    image = nibabel.Nifti1Image(_marked(), np.eye(4))
    image.header.set_sform(affine, 1)
    image.header["qform_code"] = 0
    image.to_filename(tmp_path / "scan.nii")
    raw = bytearray((tmp_path / "scan.nii").read_bytes())
    raw[280:328] = affine[:3].astype("<f4").tobytes()
    raw[254:256] = (1).to_bytes(2, "little")
    (tmp_path / "scan.nii").write_bytes(raw)

    with pytest.raises(ScanError, match=message):
        read_scan(tmp_path / "scan.nii")


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((3, 4, 5), np.complex64),
        np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]),
        np.zeros((3, 4, 5, 1, 3), np.float32),
    ],
)
def test_refuses_colours_vectors_and_complex_values(tmp_path, values):
    """Volumes that are not one real number a voxel are named unsupported."""
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "scan.nii")

    with pytest.raises(UnsupportedScanError, match=r"real numbers|3-D volume"):
        read_scan(tmp_path / "scan.nii")


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("anatomical.nii", (25, 41, 33), (2, 2, 2)),
        ("functional.nii", (3, 21, 17), (8, 4, 4)),
        ("example4d.nii.gz", (24, 96, 128), (2.2, 2, 2)),
        ("example_nifti2.nii.gz", (12, 20, 32), (2.2, 2, 2)),
        ("standard.nii.gz", (7, 5, 4), (2, 3, 1)),
    ],
)
def test_reads_nibabels_volumes(nibabel_data, name, shape, spacing):
    """Nibabel's example volumes come out as (z, y, x) with their spacing."""
    scan = read_scan(nibabel_data / name)

    assert scan.pixels.shape == shape
    assert scan.spacing_mm == pytest.approx(spacing, abs=1e-3)


def test_agrees_with_nibabel_on_a_real_volume(nibabel_data):
    """Values are those of nibabel's own canonical image."""
    image = nibabel.as_closest_canonical(nibabel.load(nibabel_data / "anatomical.nii"))

    scan = read_scan(nibabel_data / "anatomical.nii")

    assert np.array_equal(scan.pixels, np.float32(image.get_fdata().transpose(2, 1, 0)[:, ::-1]))


def test_the_eyes_of_a_real_brain_are_on_top():
    """On the MNI template the frontal pole is in the first rows and the vertex the last slice."""
    nilearn = pytest.importorskip("nilearn", reason="nilearn brings the MNI template")
    name = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    path = Path(nilearn.__file__).parent / name

    scan = read_scan(path)

    assert scan.pixels.dtype == np.uint8
    image = nibabel.as_closest_canonical(nibabel.load(path))
    vertex = np.argwhere(np.asarray(image.dataobj) > 0).max(axis=0)[2]
    assert np.argwhere(scan.pixels > 0).max(axis=0)[0] == vertex
    assert np.array_equal(scan.pixels[90, 0], np.asarray(image.dataobj)[:, -1, 90])
