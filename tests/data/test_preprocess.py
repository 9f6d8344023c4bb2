"""From a scan to the encoder's input: frames, intensity, millimetres."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import Preprocessing
from learner_index.data.preprocess import (
    choose_pixel_mm,
    extent_mm,
    preprocess,
    segment_indices,
)
from learner_index.data.records import Scan
from learner_index.errors import EncoderError

_COUNTS = st.integers(1, 400)


def _clip(f: int = 10, h: int = 8, w: int = 8, spacing: tuple[float, float] | None = None) -> Scan:
    """Clip whose frame i is grey 10·i with a brighter first pixel."""
    pixels = np.full((f, h, w), 0, np.uint8) + (10 * np.arange(f, dtype=np.uint8))[:, None, None]
    return Scan(pixels, spacing, "clip")


def _volume() -> Scan:
    """(z, y, x) volume of 4 × 6 × 8 voxels of 5 × 3 × 2 mm, every voxel different."""
    pixels = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)
    return Scan(pixels, (5.0, 3.0, 2.0), "volume")


# frames


@given(n=_COUNTS, f=_COUNTS)
def test_segments_ascend_within_the_clip(n, f):
    """There are f indices, ascending, all of them in the clip."""
    indices = segment_indices(n, f)

    assert indices.shape == (f,)
    assert indices.dtype == np.intp
    assert np.all(np.diff(indices) >= 0)
    assert 0 <= indices[0] <= indices[-1] < n


@given(n=_COUNTS, f=_COUNTS)
def test_segments_are_the_same_backwards(n, f):
    """A clip played backwards gives the same frames; only the middle of an even n cannot."""
    indices = segment_indices(n, f)
    mirrored = n - 1 - indices[::-1]

    differs = np.flatnonzero(indices != mirrored).tolist()

    assert differs in ([], [f // 2])
    if n % 2 or f % 2 == 0:
        assert differs == []


@given(n=_COUNTS, f=_COUNTS)
def test_each_index_is_a_centre_of_its_segment(n, f):
    """No index is further than half a frame from the exact centre of its segment."""
    centers = (np.arange(f) + 0.5) * n / f - 0.5

    assert np.abs(segment_indices(n, f) - centers).max() <= 0.5 + 1e-9


@given(f=_COUNTS)
def test_sampled_clips_are_left_alone(f):
    """Taking f of f frames takes all, so frames picked at reading are not sampled again."""
    assert np.array_equal(segment_indices(f, f), np.arange(f))


@pytest.mark.parametrize(("n", "f"), [(0, 4), (4, 0), (-1, 1)])
def test_nothing_cannot_be_sampled(n, f):
    """Zero frames are an error, not an empty input."""
    with pytest.raises(EncoderError, match=f"cannot take {f} of {n} frames"):
        segment_indices(n, f)


def test_short_clips_repeat_frames():
    """A clip of 2 frames fills 4 places in order."""
    taken = preprocess(_clip(f=2, h=4, w=4), Preprocessing(size=4, frames=4))

    assert (taken[:, 0, 0] * 255).round().tolist() == [0, 0, 10, 10]


def test_one_frame_of_a_clip_is_its_middle():
    """With frames = 1 the middle frame is taken."""
    taken = preprocess(_clip(f=11), Preprocessing(size=8, frames=1))

    assert taken.shape == (1, 8, 8)
    assert taken[0, 0, 0] * 255 == pytest.approx(50)


def test_an_image_stays_one_frame():
    """Images have one frame, whatever the number of frames asked for."""
    image = Scan(np.arange(64, dtype=np.uint8).reshape(1, 8, 8), None, "image")

    assert preprocess(image, Preprocessing(size=8, frames=8)).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        ("axial", lambda v: v[[1, 2]][:, [0, -1]]),
        ("coronal", lambda v: v[:, [1, 4]].transpose(1, 0, 2)[:, [-1, 0]]),
        ("sagittal", lambda v: v[:, :, [2, 5]].transpose(2, 0, 1)[:, [-1, 0]]),
    ],
)
def test_planes_are_cut_upright(plane, expected):
    """First and last row: anterior and posterior in axial slices, superior and inferior else."""
    volume = _volume()
    h, w = {"axial": (6, 8), "coronal": (4, 8), "sagittal": (4, 6)}[plane]
    settings = Preprocessing(size=24, frames=2, plane=plane, intensity="window:0,191")

    slices = preprocess(volume, settings)

    taken = slices[:, [0, -1]][:, :, [0, -1]] * 191
    wanted = expected(volume.pixels)[:, :, [0, -1]]
    assert (slices.shape, 24 % h, 24 % w) == ((2, 24, 24), 0, 0)
    if plane == "axial":
        assert taken == pytest.approx(wanted, abs=1e-3)
    else:
        assert taken[:, 0] == pytest.approx(wanted[:, 0], abs=1e-3)
        assert taken[:, 1] == pytest.approx(wanted[:, 1], abs=1e-3)


def test_slices_come_from_the_range_asked_for():
    """A range of the upper half of a volume leaves its lower half out."""
    volume = Scan(
        np.repeat(np.arange(10.0, dtype=np.float32), 16).reshape(10, 4, 4), None, "volume"
    )
    settings = Preprocessing(size=4, frames=5, slice_range=(0.5, 1.0), intensity="window:0,10")

    assert (preprocess(volume, settings)[:, 0, 0] * 10).round().tolist() == [5, 6, 7, 8, 9]


def test_a_tiny_range_still_has_a_slice():
    """A range thinner than one slice gives the slice it lies in."""
    settings = Preprocessing(size=4, frames=2, slice_range=(0.99, 1.0), intensity="window:0,191")

    assert preprocess(_volume(), settings).min() * 191 >= 3 * 48 - 1e-3


# intensity


@given(
    values=st.lists(st.integers(0, 255), min_size=16, max_size=16),
    rule=st.sampled_from(["auto", "range", "percentile:1,99", "window:10,200"]),
)
@settings(max_examples=60, deadline=None)
def test_output_is_finite_and_in_range(values, rule):
    """Whatever the pixels and the rule, the input is float32 in 0..1."""
    pixels = np.array(values, np.uint8).reshape(1, 4, 4)

    taken = preprocess(Scan(pixels, None, "image"), Preprocessing(size=5, intensity=rule))

    assert taken.dtype == np.float32
    assert np.isfinite(taken).all()
    assert 0 <= taken.min() <= taken.max() <= 1


@pytest.mark.parametrize(
    ("rule", "pixels", "expected"),
    [
        ("auto", np.array([0, 51, 255], np.uint8), [0, 0.2, 1]),
        ("range", np.array([0, 51, 102], np.uint8), [0, 0.2, 0.4]),
        ("range", np.array([-1000, 0, 1000], np.float32), [0, 0.5, 1]),
        ("window:-1000,400", np.array([-2000, -300, 400], np.float32), [0, 0.5, 1]),
        ("window:0,100", np.array([0, 50, 200], np.uint8), [0, 0.5, 1]),
        ("percentile:0,50", np.array([0, 50, 200], np.uint8), [0, 1, 1]),
    ],
)
def test_rules_map_values_as_documented(rule, pixels, expected):
    """Each rule's black and white, worked out by hand."""
    scan = Scan(np.tile(pixels, (1, 3, 1)), None, "image")

    taken = preprocess(scan, Preprocessing(size=3, intensity=rule))

    assert taken[0, 0] == pytest.approx(expected, abs=1e-6)


def test_auto_ignores_a_few_extreme_values():
    """One metal-bright voxel does not darken a scan that is not 8-bit."""
    pixels = np.random.default_rng(0).normal(size=(1, 40, 40)).astype(np.float32)
    spoiled = pixels.copy()
    spoiled[0, 0, 0] = 1e6

    clean, dirty = (
        preprocess(Scan(p, None, "image"), Preprocessing(size=40)) for p in (pixels, spoiled)
    )

    assert np.abs(clean - dirty)[0, 1:].max() < 0.05


def test_a_volumes_limits_rest_on_all_of_it():
    """The same slice looks the same, whichever range of slices is taken with it."""
    volume, base = _volume(), Preprocessing(size=8, frames=1)

    upper = preprocess(volume, replace(base, slice_range=(0.5, 0.75)))
    all_of_it = preprocess(volume, replace(base, slice_range=(0.4, 0.8)))

    assert np.array_equal(upper, all_of_it)


def test_nearly_empty_scans_use_their_whole_range():
    """When both percentiles fall on the background, the little that is there still shows."""
    pixels = np.zeros((1, 50, 50), np.float32)
    pixels[0, 25, 25] = 7

    assert preprocess(Scan(pixels, None, "image"), Preprocessing(size=50)).max() == 1


def test_constant_frames_are_black():
    """Frames without contrast become 0, not NaN."""
    pixels = np.full((2, 4, 4), 3, np.float32)
    pixels[0] = 5

    taken = preprocess(Scan(pixels, None, "clip"), Preprocessing(size=4, frames=1))

    assert np.array_equal(taken, np.zeros((1, 4, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "size and frames"),
        ({"frames": 0}, "size and frames"),
        ({"pixel_mm": 0.0}, "pixel_mm"),
        ({"pixel_mm": float("nan")}, "pixel_mm"),
        ({"anchor": "left"}, "anchor"),
        ({"plane": "oblique"}, "plane must be one of axial"),
        ({"slice_range": (0.6, 0.4)}, "slice_range"),
        ({"slice_range": (0.0, 1.5)}, "slice_range"),
        ({"intensity": "bright"}, "not understood"),
    ],
)
def test_refuses_impossible_settings(change, message):
    """Each impossible setting is named."""
    with pytest.raises(EncoderError, match=message):
        preprocess(_clip(), replace(Preprocessing(), **change))


# millimetres


def _lung(depth_mm: float, width_mm: float = 50.0, h: int = 480, w: int = 400) -> Scan:
    """A synthetic lung seen to a depth: pleura at 15 mm, its echoes, ribs; spacing known."""
    rows = (np.arange(h) + 0.5) * depth_mm / h  # mm from the probe
    columns = (np.arange(w) + 0.5) * width_mm / w - width_mm / 2
    echoes = sum(0.8**k * np.exp(-(((rows - 15 * k) / 1.2) ** 2)) for k in range(1, 9))
    ribs = np.exp(-(((np.abs(columns) - 18) / 4) ** 2))
    scene = echoes[:, None] * (1 - 0.8 * ribs) + 0.3 * np.exp(-rows / 30)[:, None]
    pixels = (200 * scene / 1.3).astype(np.uint8)[None]
    return Scan(pixels, (depth_mm / h, width_mm / w), "image")


def test_depth_setting_does_not_look_like_change():
    """The same lung at 60 and 120 mm depth agrees with pixel_mm, and does not without."""
    shallow, deep = _lung(60.0), _lung(120.0)
    physical = Preprocessing(size=96, pixel_mm=60 / 96, anchor="top")

    with_mm = [preprocess(scan, physical) for scan in (shallow, deep)]
    without = [preprocess(scan, replace(physical, pixel_mm=None)) for scan in (shallow, deep)]

    same, different = (float(np.abs(a - b).mean()) for a, b in (with_mm, without))
    assert same < 0.005
    assert np.abs(with_mm[0] - with_mm[1]).max() < 0.05
    assert different > 20 * same


def test_shallow_scans_are_padded_below():
    """What lies deeper than the scan reaches is black; the probe stays in row 0."""
    taken = preprocess(_lung(30.0), Preprocessing(size=60, pixel_mm=1.0, anchor="top"))

    assert taken[0, 0].max() > 0
    assert taken[0, 29].max() > 0
    assert taken[0, 30:].max() == 0
    assert taken[0, :, :5].max() == 0
    assert taken[0, 14, 5:55].min() > 0


@pytest.mark.parametrize("anchor", ["top", "center"])
def test_crops_keep_the_part_asked_for(anchor):
    """Row 0 stays row 0 with "top"; the middle stays the middle with "center"."""
    pixels = np.repeat(np.arange(100, dtype=np.uint8), 100).reshape(1, 100, 100)
    scan = Scan(pixels, (1.0, 1.0), "image")

    taken = preprocess(scan, Preprocessing(size=20, pixel_mm=1.0, anchor=anchor))

    first = 0 if anchor == "top" else 40
    assert (taken[0, :, 0] * 255).round().tolist() == list(range(first, first + 20))


def test_oblong_pixels_become_square():
    """A disc in millimetres is a disc in the input, though rows and columns differ."""
    rows, columns = np.mgrid[:50, :200]
    y, x = (rows + 0.5) * 2.0 - 50, (columns + 0.5) * 0.5 - 50
    disc = (np.hypot(x, y) < 30).astype(np.uint8)[None] * np.uint8(255)

    taken = preprocess(Scan(disc, (2.0, 0.5), "image"), Preprocessing(size=100, pixel_mm=1.0))

    assert taken[0, 50].sum() == pytest.approx(60, abs=1)
    assert taken[0, :, 50].sum() == pytest.approx(60, abs=2)
    assert taken[0].sum() == pytest.approx(np.pi * 900, rel=0.01)


def test_preprocessing_is_deterministic():
    """The same scan gives the same bytes, and is itself left unchanged."""
    scan = _volume()
    before = scan.pixels.copy()
    settings = Preprocessing(size=31, frames=3, pixel_mm=0.7, plane="sagittal")

    first, second = preprocess(scan, settings), preprocess(scan, settings)

    assert first.tobytes() == second.tobytes()
    assert np.array_equal(scan.pixels, before)


# the cohort's pixel edge


@pytest.mark.parametrize(
    ("plane", "expected"),
    [("axial", (18.0, 16.0)), ("coronal", (20.0, 16.0)), ("sagittal", (20.0, 18.0))],
)
def test_extent_is_that_of_the_slices_used(plane, expected):
    """Height and width in millimetres of a volume's slices."""
    assert extent_mm(_volume(), plane) == expected


def test_extent_of_frames_is_theirs():
    """Clips have one extent, in every plane; without spacing there is none."""
    assert extent_mm(_clip(h=10, w=20, spacing=(0.5, 0.4)), "coronal") == (5.0, 8.0)
    assert extent_mm(_clip()) is None


@pytest.mark.parametrize(
    ("extents", "expected"),
    [
        ([], None),
        ([(100.0, 50.0)], 1.0),
        ([(60.0, 50.0), (120.0, 100.0), (120.0, 100.0)], 0.6),
        ([(1.0, 1.0), (120.0, 100.0), (120.0, 100.0)], 0.6),
        ([(50.0, 123.456)], 1.23),
    ],
)
def test_pixel_edge_fits_the_common_field(extents, expected):
    """The smallest field, at least half of the median, its larger side, to 3 digits."""
    assert choose_pixel_mm(extents, 100) == expected


@pytest.mark.parametrize("extents", [[(0.0, 1.0)], [(float("nan"), 1.0)], [(-1.0, 1.0)]])
def test_refuses_extents_that_are_no_lengths(extents):
    """Extents are positive millimetres."""
    with pytest.raises(EncoderError, match="extents and size must be positive"):
        choose_pixel_mm(extents, 100)
