"""Folders of DICOM slices as volumes."""

from pathlib import Path

import numpy as np
import pytest

from learner_index.data.readers import read_scan
from learner_index.errors import ScanError, UnsupportedScanError

_AXIAL = (1, 0, 0, 0, 1, 0)
_CORONAL = (1, 0, 0, 0, 0, -1)
_SAGITTAL = (0, 1, 0, 0, 0, -1)


def _phantom() -> np.ndarray:
    """(z, y, x) volume in the order of `Scan`, every voxel different."""
    return np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)


def _write_series(make_dicom, orientation, names=None, **elements):
    """Write the phantom as slices of an orientation; voxels are 2 × 3 × 4 mm in x, y, z."""
    lps = _phantom()[:, :, ::-1]  # (z, y, x): in DICOM's axes x ascends to the left
    sizes = np.array([2.0, 3.0, 4.0])
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(along_row, along_column)
    n, h, w = (lps.shape[2 - np.flatnonzero(d)[0]] for d in (normal, along_column, along_row))
    corner = np.where(along_row + along_column + normal < 0, np.array(lps.shape[::-1]) - 1, 0)
    for k in range(n):
        start = corner + k * normal
        places = (
            start
            + np.arange(h)[:, None, None] * along_column
            + np.arange(w)[None, :, None] * along_row
        )
        x, y, z = places[..., 0], places[..., 1], places[..., 2]
        make_dicom(
            f"series/{names[k] if names else f'{(7 * k) % n}.dcm'}",
            np.ascontiguousarray(lps[z, y, x]),
            ImagePositionPatient=(start * sizes).tolist(),
            ImageOrientationPatient=list(orientation),
            PixelSpacing=[float(abs(along_column) @ sizes), float(abs(along_row) @ sizes)],
            **elements,
        )


@pytest.mark.parametrize("orientation", [_AXIAL, _CORONAL, _SAGITTAL, (-1, 0, 0, 0, -1, 0)])
def test_every_orientation_reads_the_same(make_dicom, tmp_path, orientation):
    """Axial, coronal and sagittal series of one body are one and the same volume."""
    _write_series(make_dicom, orientation)

    scan = read_scan(tmp_path / "series")

    assert (scan.kind, scan.spacing_mm) == ("volume", pytest.approx((4.0, 3.0, 2.0)))
    assert np.array_equal(scan.pixels, _phantom())


def test_files_need_no_suffix_and_others_are_passed_over(make_dicom, tmp_path):
    """Slices are known by content; an index, a plan and a text beside them do not disturb."""
    _write_series(make_dicom, _AXIAL, names=["IM3", "IM1", "IM0", "IM2"])
    make_dicom("series/plan.dcm", _phantom()[0], Modality="RTPLAN", SeriesInstanceUID="9.9")
    (tmp_path / "series/DICOMDIR").write_bytes(b"index")
    (tmp_path / "series/readme.txt").write_text("text")

    assert np.array_equal(read_scan(tmp_path / "series").pixels, _phantom())


def test_a_real_series_is_in_order():
    """Pydicom's five CT slices ascend from the lowest position, 2.5 mm apart."""
    import pydicom

    folder = Path(pydicom.__file__).parent / "data/test_files/dicomdirtests/98892001/CT5N"

    scan = read_scan(folder)

    lowest = pydicom.dcmread(folder / "3353")
    assert scan.spacing_mm == pytest.approx((2.5, 0.488281, 0.488281))
    assert np.array_equal(scan.pixels[0], lowest.pixel_array[:, ::-1] - 1024.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("77654033/CT2", "4 slices with uneven gaps of 1.25 to 202 mm"),
        ("98892001/CT2N", "2 slices of several orientations"),
        ("98892003/MR1", "3 series in one folder"),
        ("98892003/MR700", "several orientations"),
    ],
)
def test_real_folders_that_are_no_volume_say_why(real_dicom, name, message):
    """Pydicom's example exam has folders of every kind of trouble."""
    with pytest.raises(ScanError, match=message):
        read_scan(real_dicom("dicomdirtests") / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SeriesInstanceUID": "1.2.4"}, "2 series in one folder"),
        ({"ImagePositionPatient": [0, 0, 12]}, "1 of 5 slices lie where another does"),
        ({"ImagePositionPatient": [0, 0, 40]}, "5 slices with uneven gaps of 4 to 28 mm"),
        ({"ImagePositionPatient": None}, "without ImagePositionPatient"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "several orientations"),
        ({"Rows": 3, "Columns": 10}, "slices of several sizes"),
        ({"NumberOfFrames": 2, "Rows": 3, "Columns": 5}, "several frames"),
    ],
)
def test_a_foreign_slice_is_refused(make_dicom, tmp_path, changes, message):
    """Whatever a fifth file brings that does not belong is named with its count."""
    _write_series(make_dicom, _AXIAL)
    elements = {
        "ImagePositionPatient": [0, 0, 16],
        "ImageOrientationPatient": list(_AXIAL),
        "PixelSpacing": [3, 2],
    } | changes
    elements = {key: value for key, value in elements.items() if value is not None}
    make_dicom("series/x.dcm", _phantom()[0], **elements)

    with pytest.raises(ScanError, match=message):
        read_scan(tmp_path / "series")


def test_slices_without_spacing_are_refused(make_dicom, tmp_path):
    """Without pixel spacing the slices cannot be placed."""
    for k in range(2):
        make_dicom(
            f"series/{k}.dcm",
            _phantom()[k],
            ImagePositionPatient=[0, 0, k],
            ImageOrientationPatient=list(_AXIAL),
        )

    with pytest.raises(ScanError, match="without pixel spacing"):
        read_scan(tmp_path / "series")


def test_a_tilted_gantry_is_noted(make_dicom, tmp_path):
    """Slices that drift sideways are read, and a note says so."""
    for k in range(3):
        make_dicom(
            f"series/{k}.dcm",
            _phantom()[k],
            ImagePositionPatient=[0, 1.5 * k, 5 * k],
            ImageOrientationPatient=list(_AXIAL),
            PixelSpacing=[1, 1],
        )

    assert read_scan(tmp_path / "series").notes == ("slices are sheared (tilted gantry)",)


def test_bytes_stay_bytes(make_dicom, tmp_path):
    """A series of 8-bit slices is an 8-bit volume."""
    for k in range(3):
        make_dicom(
            f"series/{k}.dcm",
            _phantom()[k].astype(np.uint8),
            PixelSpacing=[1, 1],
            ImagePositionPatient=[0, 0, k],
            ImageOrientationPatient=list(_AXIAL),
        )

    assert read_scan(tmp_path / "series").pixels.dtype == np.uint8


def test_oversized_series_are_refused_before_decoding(make_dicom, tmp_path):
    """The number of files counts towards the limit."""
    _write_series(make_dicom, _AXIAL)

    with pytest.raises(ScanError, match=r"oversized: .* 4 × 5 × 6"):
        read_scan(tmp_path / "series", max_pixels=100)


def test_a_folder_of_reports_is_no_scan(real_dicom, tmp_path):
    """DICOM files without pixels do not make a series."""
    (tmp_path / "a.dcm").write_bytes(real_dicom("test-SR.dcm").read_bytes())

    with pytest.raises(UnsupportedScanError, match="1 DICOM files without pixels"):
        read_scan(tmp_path)
