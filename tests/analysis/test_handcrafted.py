"""Handcrafted features: each on pictures drawn so that its answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.handcrafted import FEATURES, handcrafted_features

SEEDS = st.integers(0, 2**32 - 1)
PARTS = tuple(f"dark_share_part_{part}" for part in range(1, 5))
IN_TIME = ("movement", *PARTS)
AFFINE = (
    *("skewness", "column_peaks", "streak_share", "depth_repetition"),
    *("dark_share", "dark_share_center", "bright_share", *PARTS),
)


def features(frames):
    """Features by name, of frames or of one picture."""
    frames = np.asarray(frames)
    found = handcrafted_features(frames if frames.ndim == 3 else frames[None])
    return dict(zip(FEATURES, found.tolist(), strict=True))


def noise(seed=0, shape=(64, 64), level=0.2):
    """A faint background that no feature should mistake for what is drawn on it."""
    return level + 0.02 * np.random.default_rng(seed).random(shape)


def streaks(columns, width=2, top=0):
    """Bright lines along depth from a row on, one at each of some columns."""
    picture = noise()
    for column in columns:
        picture[top:, column : column + width] += 0.6
    return picture


def stripes(period, rows=64):
    """Thin bright lines across, one every period."""
    picture = noise(shape=(rows, 64))
    picture[::period] += 0.5
    return picture


def disk(radius, inside=0.05, outside=0.6):
    """A dark round in the middle of a bright square."""
    y, x = np.mgrid[:64, :64] - 31.5
    return np.where(x**2 + y**2 < radius**2, inside, outside)


def test_names_are_unique_and_fit():
    """One name for each number."""
    assert len(set(FEATURES)) == len(FEATURES) == len(handcrafted_features(noise()[None]))


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (5, 8, 8), (2, 5, 3), (1, 1, 1), (3, 1, 9), (6, 9, 1)]
)
@pytest.mark.parametrize("value", [None, 0.0, 0.1, 1.0])
def test_tiny_and_constant_scans_are_finite(shape, value):
    """Of any shape; a constant one has its grey value, and 0 for all that differs within it."""
    frames = np.random.default_rng(0).random(shape) if value is None else np.full(shape, value)

    found = features(frames.astype(np.float32))

    assert np.isfinite(list(found.values())).all()
    if value is not None:
        grey = {"mean", *(name for name in FEATURES if name.startswith(("quantile", "depth_")))}
        for name in FEATURES:
            expected = value if name in grey - {"depth_repetition"} else 0
            assert found[name] == pytest.approx(expected, abs=1e-6), name


@pytest.mark.parametrize(
    "drawn", [np.random.default_rng(0).random((64, 64)), streaks([10, 30]), stripes(12), disk(12)]
)
def test_rounding_is_no_picture(drawn):
    """Grey values that differ in their last digits alone are constant."""
    found = features(0.3 + 1e-14 * drawn)

    assert {name: found[name] for name in AFFINE} == dict.fromkeys(AFFINE, 0)


def test_brightness_is_that_of_the_pixels():
    """Mean, spread and quantiles of all frames; a bright tail has positive skewness."""
    frames = np.random.default_rng(0).random((4, 20, 30)) ** 3

    found = features(frames)

    assert found["mean"] == pytest.approx(frames.mean())
    assert found["spread"] == pytest.approx(frames.std())
    for name, share in (("quantile_0.05", 0.05), ("quantile_0.5", 0.5), ("quantile_0.95", 0.95)):
        assert np.mean(frames <= found[name]) == pytest.approx(share, abs=1e-3)
    assert found["skewness"] == pytest.approx(-features(1 - frames)["skewness"])
    assert found["skewness"] > 0.5


@pytest.mark.parametrize("rows", [64, 60, 8])
@pytest.mark.parametrize("band", [1, 4, 8])
def test_a_bright_band_is_found_at_its_depth(rows, band):
    """Of eight bands from near to deep, the brightest is the one that was drawn."""
    picture = np.zeros((rows, 10))
    picture[rows * (band - 1) // 8 : rows * band // 8] = 1

    depths = [features(picture)[f"depth_{i}"] for i in range(1, 9)]

    assert depths == [float(i == band) for i in range(1, 9)]


@pytest.mark.parametrize("columns", [[10], [10, 30], [0, 20, 40, 62]])
def test_streaks_along_depth_are_counted(columns):
    """So many B-lines, so many peaks, at the edge too; their share is that of their columns."""
    found, plain = features(streaks(columns)), features(noise())

    assert found["column_peaks"] == len(columns)
    assert found["streak_share"] == pytest.approx(2 * len(columns) / 64)
    assert plain["streak_share"] == 0
    assert found["column_spread"] > 10 * plain["column_spread"]


def test_streaks_must_reach_the_deeper_half():
    """A bright pleura that ends near the probe is no B-line."""
    picture = streaks([10, 30])
    picture[32:] = noise()[32:]

    assert features(picture)["streak_share"] == 0
    assert features(streaks([10, 30], top=32))["streak_share"] == pytest.approx(4 / 64)


def test_a_wide_streak_is_one_peak():
    """Confluent B-lines: few peaks, a large share."""
    narrow, wide = features(streaks([10])), features(streaks([10], width=12))

    assert narrow["column_peaks"] == wide["column_peaks"] == 1
    assert wide["streak_share"] == pytest.approx(6 * narrow["streak_share"])


@pytest.mark.parametrize("period", [9, 12, 16, 20])
def test_repetition_in_depth_is_seen(period):
    """A-lines, one every period, repeat; noise, a ramp and a single line do not."""
    single = noise()
    single[20] += 0.5
    ramp = noise() + np.linspace(0, 0.5, 64)[:, None]

    found = features(stripes(period))["depth_repetition"]

    assert found > 0.55
    for plain in (single, ramp, noise(), streaks([10, 30])):
        assert features(plain)["depth_repetition"] < 0.45


@pytest.mark.parametrize(("distance", "is_seen"), [(6, False), (8, True), (32, True), (36, False)])
def test_repetition_is_looked_for_up_to_half_the_depth(distance, is_seen):
    """Two lines an eighth to half of the depth apart repeat; nearer or farther ones do not."""
    picture = noise()
    picture[[14, 14 + distance]] += 0.5

    found = features(picture)["depth_repetition"]

    assert (found > 0.3) == is_seen


def test_stripes_and_streaks_have_edges_across_them():
    """Lines across raise steps down, lines along depth steps across, and not the other way."""
    plain, across, along = (features(x) for x in (noise(), stripes(8), streaks([10, 30, 50])))

    assert across["edges_down"] > 5 * plain["edges_down"]
    assert across["edges_across"] == pytest.approx(plain["edges_across"], rel=0.01)
    assert along["edges_across"] > 3 * plain["edges_across"]
    assert along["edges_down"] == pytest.approx(plain["edges_down"], rel=0.01)


def test_dark_areas_are_measured_in_the_middle_and_on_the_whole():
    """A ventricle that widens: shares of its area; a dark border is not in the middle."""
    narrow, wide = features(disk(8)), features(disk(16))
    border = np.full((64, 64), 0.6)
    border[:12] = 0.05

    assert narrow["dark_share"] == pytest.approx(np.pi * 8**2 / 64**2, rel=0.05)
    assert wide["dark_share"] == pytest.approx(np.pi * 16**2 / 64**2, rel=0.05)
    assert wide["dark_share_center"] == pytest.approx(np.pi * 16**2 / 32**2, rel=0.05)
    assert wide["bright_share"] == pytest.approx(1 - wide["dark_share"])
    assert features(border)["dark_share_center"] == 0
    assert features(border)["dark_share"] == pytest.approx(12 / 64)


@pytest.mark.parametrize("n", [4, 8, 7])
def test_dark_slices_are_found_in_their_part(n):
    """Along a volume the last quarter is dark."""
    frames = np.full((n, 16, 16), 0.7)
    frames[n * 3 // 4 :] = 0.1

    found = features(frames)

    assert [found[part] for part in PARTS] == [0, 0, 0, 1]


def test_two_frames_are_two_halves():
    """Fewer frames than parts: each frame stands for the parts it lies in."""
    frames = np.stack([np.full((16, 16), 0.7), np.full((16, 16), 0.1)])

    found = features(frames)

    assert [found[part] for part in PARTS] == [0, 0, 1, 1]


def test_movement_is_the_step_between_frames():
    """0 for one image and for a still clip; what flickers by 0.3 moves by 0.3."""
    picture = noise()
    flicker = picture + np.array([0, 0.3, 0, 0.3])[:, None, None]

    assert features(picture)["movement"] == 0
    assert features(np.stack([picture] * 5))["movement"] == 0
    assert features(flicker)["movement"] == pytest.approx(0.3)


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS, gain=st.sampled_from([0.25, 0.5, 2.0]), offset=st.sampled_from([0.0, 0.125, 0.5])
)
def test_gain_and_offset_leave_shapes(seed, gain, offset):
    """Counts, shares, repetition and skewness are of the picture, not of its exposure."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 65, (3, 24, 20)) / 256  # sums and products are exact

    found, changed = features(frames), features(gain * frames + offset)

    for name in AFFINE:
        assert changed[name] == pytest.approx(found[name], abs=1e-9), name


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_mirrored_and_shuffled_scans_measure_the_same(seed):
    """Left for right changes nothing; the order of frames, what is measured in time alone."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 65, (5, 24, 21)) / 256

    found = features(frames)
    mirrored, shuffled = features(frames[:, :, ::-1]), features(rng.permutation(frames))

    for name in FEATURES:
        assert mirrored[name] == pytest.approx(found[name], abs=1e-9), name
        if name not in IN_TIME:
            assert shuffled[name] == pytest.approx(found[name], abs=1e-9), name


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, shape=st.tuples(st.integers(1, 5), st.integers(1, 30), st.integers(1, 30)))
def test_numbers_stay_in_their_range(seed, shape):
    """All are finite and in 0..1, but for skewness, a correlation and a count."""
    found = features(np.random.default_rng(seed).random(shape).astype(np.float32))

    skewness, repetition, peaks = (
        found.pop(name) for name in ("skewness", "depth_repetition", "column_peaks")
    )
    assert np.isfinite(skewness)
    assert -1 <= repetition <= 1
    assert 0 <= peaks <= shape[2] / 2 + 1
    assert all(-1e-12 <= number <= 1 for number in found.values())
