"""DICOM files: grey values, spacing, regions, frames."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from learner_index.data.readers import read_scan
from learner_index.errors import ScanError, UnsupportedScanError

_STORED = np.arange(80, dtype=np.uint16).reshape(8, 10)


def test_units_are_those_of_the_modality(make_dicom):
    """Slope and intercept turn stored values into Hounsfield units."""
    path = make_dicom("ct.dcm", _STORED, RescaleSlope=2, RescaleIntercept=-1024)

    scan = read_scan(path)

    assert scan.kind == "image"
    assert np.array_equal(scan.pixels[0], _STORED * 2.0 - 1024)


def test_low_is_black_also_in_monochrome1(make_dicom):
    """MONOCHROME1 is turned within the range of the bits stored."""
    grey = np.arange(80, dtype=np.uint8).reshape(8, 10)
    eight = make_dicom("a.dcm", grey, PhotometricInterpretation="MONOCHROME1")
    twelve = make_dicom(
        "b.dcm", _STORED, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11
    )
    signed = make_dicom("c.dcm", _STORED.astype("i2"), PhotometricInterpretation="MONOCHROME1")

    assert read_scan(eight).pixels.dtype == np.uint8
    assert np.array_equal(read_scan(eight).pixels[0], 255 - grey)
    assert np.array_equal(read_scan(twelve).pixels[0], 4095.0 - _STORED)
    assert np.array_equal(read_scan(signed).pixels[0], -1.0 - _STORED)


def test_unused_bits_are_left_out(make_dicom):
    """Overlays kept in the high bits do not shine through, and signs survive."""
    stored = _STORED.astype(np.int16) - 40
    dirty = ((stored.view(np.uint16) & 0x0FFF) | 0xA000).view(np.int16)
    path = make_dicom("ct.dcm", dirty, BitsStored=12, HighBit=11)

    assert np.array_equal(read_scan(path).pixels[0], stored)


def test_a_modality_table_wins_over_slope(real_dicom):
    """A modality table is applied as pydicom applies it."""
    from pydicom import dcmread
    from pydicom.pixels import apply_modality_lut

    header = dcmread(real_dicom("mlut_18.dcm"))

    expected = apply_modality_lut(header.pixel_array, header)
    assert np.array_equal(read_scan(real_dicom("mlut_18.dcm")).pixels[0], expected)


def test_refuses_an_impossible_slope(make_dicom):
    """A slope of zero would wipe the picture out."""
    path = make_dicom("ct.dcm", _STORED, RescaleSlope=0, RescaleIntercept=0)

    with pytest.raises(ScanError, match="rescale slope"):
        read_scan(path)


@pytest.mark.parametrize(
    ("packed", "plain", "tolerance"),
    [
        ("US1_J2KR.dcm", "US1_UNCR.dcm", 0),
        ("RG3_J2KR.dcm", "RG3_UNCR.dcm", 0),
        ("OBXXXX1A_rle_2frame.dcm", "OBXXXX1A_2frame.dcm", 0),
        ("OBXXXX1A_expb.dcm", "OBXXXX1A.dcm", 0),
        ("color-pl.dcm", "color-px.dcm", 0),
        ("gdcm-US-ALOKA-16_big.dcm", "gdcm-US-ALOKA-16.dcm", 0),
        ("emri_small_RLE.dcm", "emri_small.dcm", 0),
        ("emri_small_big_endian.dcm", "emri_small.dcm", 0),
        ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm", 0),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm", 0),
        ("MR_small_RLE.dcm", "MR_small.dcm", 0),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm", 0),
        ("SC_ybr_full_uncompressed.dcm", "SC_rgb.dcm", 2),
        ("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_ebcr_dcmd.dcm", 2),
    ],
)
def test_encoding_does_not_change_the_picture(real_dicom, packed, plain, tolerance):
    """Compression, byte order, planes and colour space leave the grey as it is."""
    first, second = read_scan(real_dicom(packed)), read_scan(real_dicom(plain))

    difference = np.abs(first.pixels.astype(np.float64) - second.pixels)
    assert first.pixels.dtype == second.pixels.dtype
    assert difference.max() <= tolerance


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("examples_ybr_color.dcm", (30, 209, 236), 0.5105),
        ("OBXXXX1A.dcm", (1, 459, 680), 0.2623),
        ("gdcm-US-ALOKA-16.dcm", (1, 392, 304), 0.3827),
        ("JPGLosslessP14SV1_1s_1f_8b.dcm", (1, 721, 997), 0.2548),
    ],
)
def test_ultrasound_is_cropped_to_its_region(real_dicom, name, shape, spacing):
    """The first of the largest 2-D tissue regions is kept, with its spacing in millimetres."""
    scan = read_scan(real_dicom(name))

    assert scan.pixels.shape == shape
    assert scan.spacing_mm == pytest.approx((spacing, spacing), abs=1e-4)


def _region(bounds=(2, 1, 7, 6), units=(3, 3), deltas=(0.05, -0.04), kind=(1, 1)) -> Dataset:
    """An ultrasound region with inclusive bounds left, top, right, bottom."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = kind
    item.RegionLocationMinX0, item.RegionLocationMinY0 = bounds[:2]
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = bounds[2:]
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = deltas
    return item


@pytest.mark.parametrize(
    ("regions", "shape", "spacing"),
    [
        ([_region()], (6, 6), (0.4, 0.5)),
        ([_region(units=(4, 3))], (6, 6), (3.0, 2.0)),
        ([_region(deltas=(0.0, 0.1))], (6, 6), (3.0, 2.0)),
        ([_region(kind=(4, 10)), _region((0, 0, 3, 3))], (4, 4), (0.4, 0.5)),
        ([_region((0, 0, 3, 3)), _region()], (6, 6), (0.4, 0.5)),
        ([_region((2, 1, 700, 600))], (7, 8), (0.4, 0.5)),
        ([_region((20, 20, 30, 30))], (8, 10), (3.0, 2.0)),
    ],
)
def test_regions_are_judged_before_they_are_used(make_dicom, regions, shape, spacing):
    """Regions outside the frame, of another kind or without centimetres fall back."""
    path = make_dicom(
        "us.dcm",
        _STORED.astype(np.uint8),
        Modality="US",
        PixelSpacing=[3, 2],
        SequenceOfUltrasoundRegions=Sequence(regions),
    )

    scan = read_scan(path)

    assert scan.pixels.shape[1:] == shape
    assert scan.spacing_mm == pytest.approx(spacing)


def test_a_region_without_bounds_is_passed_over(make_dicom):
    """An incomplete region does not stop the reading."""
    region = _region()
    del region.RegionLocationMaxX1
    path = make_dicom("us.dcm", _STORED, SequenceOfUltrasoundRegions=Sequence([region]))

    assert read_scan(path).pixels.shape == (1, 8, 10)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"PixelSpacing": [0.5, 0.4], "ImagerPixelSpacing": [1, 1]}, (0.5, 0.4)),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"PixelSpacing": [0, 0]}, None),
        ({}, None),
    ],
)
def test_spacing_is_the_patients_else_the_detectors(make_dicom, elements, expected):
    """PixelSpacing goes before ImagerPixelSpacing; lengths of zero are none."""
    assert read_scan(make_dicom("cr.dcm", _STORED, **elements)).spacing_mm == expected


def test_the_suffix_does_not_matter(make_dicom):
    """A DICOM file is known by its content."""
    assert read_scan(make_dicom("IM000001", _STORED)).kind == "image"


def test_burned_in_annotation_is_noted(make_dicom):
    """A header that says YES leaves a note, NO leaves none."""
    warned = read_scan(make_dicom("a.dcm", _STORED, BurnedInAnnotation="YES"))
    silent = read_scan(make_dicom("b.dcm", _STORED, BurnedInAnnotation="NO"))

    assert "burned-in annotation" in warned.notes[0]
    assert silent.notes == ()


def test_a_file_without_transfer_syntax_is_read_as_plain(real_dicom):
    """Old files without file meta information are read, and a note says how."""
    scan = read_scan(real_dicom("OT-PAL-8-face.dcm"))

    assert scan.pixels.shape == (1, 480, 640)
    assert "transfer syntax" in scan.notes[0]


def test_frames_in_time_are_a_clip(make_dicom, ramp):
    """Ultrasound frames are a clip; picking equals reading all and indexing."""
    path = make_dicom("us.dcm", ramp, Modality="US")

    scan = read_scan(path)
    picked = read_scan(path, pick=lambda n: np.array([1, 4, 4]), max_pixels=3 * 16 * 24)

    assert (scan.kind, scan.notes) == ("clip", ())
    assert np.array_equal(scan.pixels, ramp)
    assert np.array_equal(picked.pixels, ramp[[1, 4, 4]])


@pytest.mark.parametrize("name", ["examples_ybr_color.dcm", "OBXXXX1A_rle_2frame.dcm"])
def test_picking_from_real_cines_equals_indexing(real_dicom, name):
    """Compressed frames can be picked one by one."""
    path = real_dicom(name)

    picked = read_scan(path, pick=lambda n: np.array([0, n - 1]))

    assert np.array_equal(picked.pixels, read_scan(path).pixels[[0, -1]])


def test_frames_without_positions_say_so(real_dicom):
    """MR frames that name no place are a clip with a note."""
    scan = read_scan(real_dicom("emri_small.dcm"))

    assert scan.kind == "clip"
    assert "10 frames without positions" in scan.notes[0]


def _enhanced(heights, slopes=None, directions=(1, 0, 0, 0, 1, 0)) -> dict[str, Sequence]:
    """Functional groups of an enhanced CT whose frames lie at these z."""
    shared, frames = Dataset(), []
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.4]
    plane.ImageOrientationPatient = list(directions)
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    for number, height in enumerate(heights):
        frame, place, line = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, height]
        line.RescaleSlope, line.RescaleIntercept = 1 if slopes is None else slopes[number], 0
        frame.PlanePositionSequence = Sequence([place])
        frame.PixelValueTransformationSequence = Sequence([line])
        frames.append(frame)
    return {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(frames),
    }


def test_frames_in_space_are_a_volume_in_order(make_dicom):
    """Enhanced CT frames are sorted by place, scaled each by its own slope, turned to RAS."""
    frames = np.stack([_STORED + 100 * k for k in range(3)]).astype(np.uint16)
    path = make_dicom("ct.dcm", frames, **_enhanced([20, 0, 10], slopes=[1, 2, 3]))

    scan = read_scan(path)

    assert (scan.kind, scan.spacing_mm) == ("volume", (10.0, 0.5, 0.4))
    expected = np.stack([2.0 * frames[1], 3.0 * frames[2], 1.0 * frames[0]])
    assert np.array_equal(scan.pixels, expected[:, :, ::-1])  # LPS x descends towards the right


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (_enhanced([0, 10, 10]), "1 of 3 slices lie where another does"),
        (_enhanced([0, 10, 40]), "uneven gaps of 10 to 30 mm"),
        (_enhanced([0, 10, 20], directions=(1, 0, 0, 1, 0, 0)), "no valid directions"),
    ],
)
def test_frames_that_make_no_volume_are_refused(make_dicom, groups, message):
    """Doubled places, gaps and impossible directions are named."""
    frames = np.stack([_STORED] * 3)

    with pytest.raises(ScanError, match=message):
        read_scan(make_dicom("ct.dcm", frames, **groups))


def test_frames_of_several_orientations_are_refused(make_dicom):
    """A rotating projection is no volume."""
    groups = _enhanced([0, 10, 20])
    turned = Dataset()
    turned.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    groups["PerFrameFunctionalGroupsSequence"][1].PlaneOrientationSequence = Sequence([turned])

    with pytest.raises(ScanError, match="several orientations"):
        read_scan(make_dicom("ct.dcm", np.stack([_STORED] * 3), **groups))


def test_a_real_enhanced_ct_is_a_volume(real_dicom):
    """Two frames 10 mm apart become a volume in Hounsfield units."""
    scan = read_scan(real_dicom("eCT_Supplemental.dcm"))

    assert scan.kind == "volume"
    assert scan.spacing_mm == pytest.approx((10.0, 0.388672, 0.388672))
    assert scan.pixels.min() == -1024


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rtplan.dcm", "modality RTPLAN"),
        ("liver.dcm", "modality SEG"),
        ("rtdose.dcm", "modality RTDOSE"),
        ("test-SR.dcm", "modality SR"),
        ("no_meta.dcm", "without pixels"),
        ("dicomdirtests/DICOMDIR", "without pixels"),
    ],
)
def test_what_is_no_acquisition_is_named(real_dicom, name, message):
    """Plans, doses, masks and reports are unsupported, not broken."""
    with pytest.raises(UnsupportedScanError, match=message):
        read_scan(real_dicom(name))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MR_truncated.dcm", "truncated"),
        ("SC_rgb_jpeg.dcm", "damaged"),
        ("JPEG-lossy.dcm", "damaged"),
    ],
)
def test_real_broken_files_are_refused(real_dicom, name, message):
    """Pydicom's deliberately broken files give one line."""
    with pytest.raises(ScanError, match=message):
        read_scan(real_dicom(name))


def test_a_header_may_not_promise_more_than_the_file_holds(make_dicom):
    """Claimed frames that are not there are refused without reserving memory."""
    path = make_dicom("us.dcm", np.stack([_STORED] * 2), NumberOfFrames=100_000, Modality="US")

    with pytest.raises(ScanError, match="truncated: 16000000 bytes claimed"):
        read_scan(path)


def test_a_huge_header_is_refused_before_decoding(make_dicom):
    """Rows and columns alone are enough to refuse."""
    with pytest.raises(ScanError, match=r"oversized: .* 1 × 60000 × 60000"):
        read_scan(make_dicom("cr.dcm", _STORED, Rows=60000, Columns=60000))


def test_float_pixels_are_read(make_dicom):
    """Parametric maps keep their float values."""
    values = _STORED.astype(np.float32) / 7
    path = make_dicom(
        "map.dcm",
        values,
        PixelData=None,
        FloatPixelData=values.tobytes(),
        PixelRepresentation=None,
        BitsStored=None,
        HighBit=None,
    )

    assert np.array_equal(read_scan(path).pixels[0], values)


def test_one_bit_pictures_use_the_whole_range(make_dicom):
    """Black and white is 0 and 255."""
    bits = np.zeros((8, 8), np.uint8)
    bits[:, 4:] = 1
    path = make_dicom(
        "sc.dcm",
        bits,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelData=np.packbits(bits, bitorder="little").tobytes(),
        Modality="OT",
    )

    assert np.array_equal(read_scan(path).pixels[0], bits * 255)
