"""Simulated pictures show what a sonographer looks for, where the anatomy puts it."""

import dataclasses

import numpy as np
import pytest

from learner_index.data.simulate.lus_anatomy import (
    APERTURE_MM,
    DEVICES,
    Nuisance,
    draw_anatomy,
    draw_nuisance,
    draw_zone,
)
from learner_index.data.simulate.lus_image import (
    b_line_count,
    render_clip,
    spacing_mm,
    wedge_count,
)

SIZE = 96
LEVELS = np.linspace(0, 1, 101)


def plain_anatomy(seed=0, **changes):
    """A flat pleura at 20 mm, 100 mm deep, without gain: distances can be read off."""
    usual = {
        "wall_mm": 20.0,
        "depth_mm": 100.0,
        "dynamic_range_db": 60.0,
        "gain_db": 0.0,
        "tilt": 0.0,
        "curvature_per_mm": 0.0,
        "a_line_ratio": 0.7,
    }
    drawn = draw_anatomy(np.random.default_rng(seed))
    return dataclasses.replace(drawn, **(usual | changes))


def plain_nuisance(**changes):
    return Nuisance(0.0, 50.0, 0.0, 0.0, 1) if not changes else Nuisance(**changes)


def scene(seed=0, **changes):
    anatomy = plain_anatomy(seed, **changes)
    return anatomy, draw_zone(np.random.default_rng(seed), anatomy, SIZE, SIZE)


def clip(anatomy, zone, nuisance=None, **state):
    return render_clip(anatomy, zone, nuisance or plain_nuisance(), **({"e": 0, "c": 0} | state))


def depth_profile(pixels):
    """(h,) mean grey over frames and columns."""
    return pixels.mean(axis=(0, 2))


def row_at(anatomy, depth_mm):
    return int(depth_mm / spacing_mm(anatomy, SIZE, SIZE)[0])


def test_a_clip_is_eight_bit_frames():
    """A clip is (f, h, w) uint8 of the size of its zone."""
    pixels = clip(*scene(), frames=5)

    assert pixels.shape == (5, SIZE, SIZE)
    assert pixels.dtype == np.uint8


def test_same_arguments_give_the_same_bytes():
    """Chance enters through the arguments alone."""
    anatomy, zone = scene()

    assert np.array_equal(clip(anatomy, zone, e=0.4, c=0.4), clip(anatomy, zone, e=0.4, c=0.4))


def test_rows_and_columns_have_their_own_size():
    """The aperture is fixed, so only the row spacing follows the depth setting."""
    near, far = plain_anatomy(depth_mm=60.0), plain_anatomy(depth_mm=120.0)

    assert spacing_mm(near, 96, 48) == (60 / 96, APERTURE_MM / 48)
    assert spacing_mm(far, 96, 48) == (120 / 96, APERTURE_MM / 48)


@pytest.mark.parametrize("wall_mm", [14.0, 20.0, 27.0])
@pytest.mark.parametrize("depth_mm", [80.0, 120.0])
def test_pleura_lies_at_the_depth_of_the_wall(wall_mm, depth_mm):
    """The brightest rows below the fascia are at the pleura, whatever the depth setting."""
    anatomy, zone = scene(wall_mm=wall_mm, depth_mm=depth_mm)

    profile = depth_profile(clip(anatomy, zone))

    start = row_at(anatomy, wall_mm * 0.93)
    brightest = start + profile[start : row_at(anatomy, wall_mm * 1.6)].argmax()
    found_mm = (brightest + 0.5) * depth_mm / SIZE
    assert found_mm == pytest.approx(wall_mm, abs=1.5 * depth_mm / SIZE)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_dry_lung_repeats_the_pleura_at_multiples_of_its_depth(k):
    """A-lines stand out at 2, 3 and 4 times the pleural depth, and not in between."""
    anatomy, zone = scene()

    profile = depth_profile(clip(anatomy, zone)).astype(float)

    on = profile[row_at(anatomy, 20 * k) - 1 : row_at(anatomy, 20 * k) + 2].max()
    between = profile[row_at(anatomy, 20 * k - 10)]
    assert on > between + 20


def test_wet_lung_wipes_the_a_lines():
    """At e = 0.9 the first A-line has lost more than half of its contrast."""
    anatomy, zone = scene()

    def contrast(e):
        profile = depth_profile(clip(anatomy, zone, e=e)).astype(float)
        return profile[row_at(anatomy, 40)] - profile[row_at(anatomy, 50)]

    assert contrast(0.9) < 0.5 * contrast(0.0)


def test_b_lines_reach_the_bottom():
    """Columns of active sites are brighter than the rest down to the last rows."""
    anatomy, zone = scene()
    site = zone.b_sites_mm[0]
    over = dataclasses.replace(plain_nuisance(), offset_mm=float(np.clip(site - 32, 0, 200)))

    lit = clip(anatomy, zone, over, e=0.1).astype(float)[:, -12:].mean(axis=(0, 1))
    dark = clip(anatomy, zone, over, e=0.0).astype(float)[:, -12:].mean(axis=(0, 1))

    assert (lit - dark).max() > 40
    assert np.median(lit - dark) < 15


def test_a_single_b_line_stands_where_its_site_is():
    """The brightest new column is at the site, within the amplitude of breathing."""
    anatomy, zone = scene()
    offset = float(np.clip(zone.b_sites_mm[0] - 32, 0, 200))
    over = dataclasses.replace(plain_nuisance(), offset_mm=offset)
    one = next(e for e in LEVELS if b_line_count(e) == 1)

    gain = clip(anatomy, zone, over, e=one).astype(float) - clip(anatomy, zone, over)

    column = gain[:, 50:].mean(axis=(0, 1)).argmax()
    found_mm = offset + 8 + (column + 0.5) * APERTURE_MM / SIZE
    assert found_mm == pytest.approx(zone.b_sites_mm[0], abs=3.5)


def test_lesion_counts_follow_their_formulas():
    """round(45 e^1.3) B-lines and round(10 c) wedges, from none to all."""
    assert [b_line_count(e) for e in (0, 0.3, 0.6, 1)] == [0, 9, 23, 45]
    assert [wedge_count(c) for c in (0, 0.4, 0.8, 1)] == [0, 4, 8, 10]


@pytest.mark.parametrize("count", [b_line_count, wedge_count])
def test_more_disease_never_means_fewer_lesions(count):
    """Sites light up in a fixed order, so what is lit stays lit."""
    assert np.all(np.diff([count(level) for level in LEVELS]) >= 0)


@pytest.mark.parametrize("axis", ["e", "c"])
def test_sites_lit_in_mild_disease_are_lit_in_severe_disease(axis):
    """A picture of more disease is bright wherever one of less disease became brighter."""
    anatomy, zone = scene(3)
    first = {"e": zone.b_sites_mm, "c": zone.wedge_sites_mm}[axis][0]
    over = dataclasses.replace(plain_nuisance(), offset_mm=float(np.clip(first - 32, 0, 200)))
    healthy, mild, severe = (
        clip(anatomy, zone, over, **{axis: level}).astype(float).mean(axis=0)
        for level in (0, 0.3, 0.6)
    )

    lower = slice(row_at(anatomy, 50), None)
    lit = (mild - healthy)[lower] > 20

    assert lit.sum() > 20
    assert np.mean((severe - healthy)[lower][lit] > 10) > 0.85


def test_white_lung_is_brighter_than_dry_lung_everywhere_below():
    """Mean grey beneath the pleura rises with e at each of ten steps."""
    anatomy, zone = scene(1)

    grey = [
        clip(anatomy, zone, e=e)[:, row_at(anatomy, 25) :].mean() for e in np.linspace(0, 1, 11)
    ]

    assert np.all(np.diff(grey) > -1)
    assert grey[-1] > grey[0] + 60


def test_wedges_are_dark_with_a_bright_edge():
    """Inside a wedge it is dark; its deep border is much brighter."""
    anatomy, zone = scene()
    site = zone.wedge_sites_mm[0]
    offset = float(np.clip(site - 32, 0, 200))
    over = dataclasses.replace(plain_nuisance(), offset_mm=offset)
    column = int((site - offset - 8) / APERTURE_MM * SIZE)

    mean = clip(anatomy, zone, over, e=0.6, c=0.6).astype(float).mean(axis=0)
    strip = mean[:, column - 1 : column + 2].mean(axis=1)

    inside = strip[row_at(anatomy, 24) : row_at(anatomy, 27)].mean()
    edge = strip[row_at(anatomy, 28) : row_at(anatomy, 45)].max()
    assert edge > inside + 60


def test_no_consolidation_leaves_no_wedge():
    """At c = 0 nothing is drawn for wedges: below c = 0.05 the count is 0."""
    assert wedge_count(0.04) == 0


def test_lung_slides_and_the_wall_does_not():
    """Between frames the lung's speckle changes much more than the wall's."""
    anatomy, zone = scene()

    pixels = clip(anatomy, zone, e=0.8).astype(float)

    change = np.abs(np.diff(pixels, axis=0)).mean(axis=(0, 2))
    wall = change[row_at(anatomy, 5) : row_at(anatomy, 15)].mean()
    lung = change[row_at(anatomy, 40) : row_at(anatomy, 60)].mean()
    assert lung > 1.3 * wall


@pytest.mark.parametrize("device", DEVICES)
def test_devices_have_their_own_grey_curve(device):
    """The same echoes look different on each of the three machines."""
    anatomy, zone = scene()
    others = [name for name in DEVICES if name != device]

    own = clip(anatomy, zone, device=device).mean()

    assert all(abs(own - clip(anatomy, zone, device=name).mean()) > 3 for name in others)


def test_gain_brightens():
    """Three decibels more make every pixel at least as bright."""
    anatomy, zone = scene()
    louder = dataclasses.replace(plain_nuisance(), gain_db=3.0)

    assert np.all(clip(anatomy, zone, louder) >= clip(anatomy, zone))


def test_repeats_of_a_state_are_not_copies():
    """New nuisance changes most pixels of the same state."""
    anatomy, zone = scene()
    rng = np.random.default_rng(5)

    first, second = (clip(anatomy, zone, draw_nuisance(rng), e=0.4) for _ in range(2))

    assert np.mean(first != second) > 0.8
