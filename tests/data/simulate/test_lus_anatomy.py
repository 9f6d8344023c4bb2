"""Anatomy is drawn within the ranges of METHOD 7.2 and shared by every picture of a patient."""

import numpy as np
import pytest

from learner_index.data.simulate.lus_anatomy import (
    APERTURE_MM,
    DEPTHS_MM,
    N_B_SITES,
    N_WEDGE_SITES,
    OFFSET_MM,
    draw_anatomy,
    draw_nuisance,
    draw_zone,
    field_position_mm,
)


@pytest.fixture(scope="module")
def patients():
    return [draw_anatomy(np.random.default_rng(seed)) for seed in range(400)]


@pytest.fixture(scope="module")
def zone(patients):
    return draw_zone(np.random.default_rng(0), patients[0], 96, 96)


def test_walls_stay_within_bounds(patients):
    """Pleural depth is 11 to 34 mm with mean about 20."""
    walls = np.array([one.wall_mm for one in patients])

    assert walls.min() >= 11
    assert walls.max() <= 34
    assert walls.mean() == pytest.approx(20, abs=0.8)


def test_all_depth_settings_occur(patients):
    """Patients are scanned at 60, 80, 100 or 120 mm, each about as often."""
    depths = [one.depth_mm for one in patients]

    assert set(depths) == set(DEPTHS_MM)
    assert all(0.17 < depths.count(depth) / 400 < 0.33 for depth in DEPTHS_MM)


def test_fascia_lies_within_the_wall(patients):
    """Two to four layers, from the surface downward, none at the pleura."""
    assert {len(one.fascia) for one in patients} == {2, 3, 4}
    assert all(np.all(np.diff(one.fascia[:, 0]) >= 0) for one in patients)
    assert all(one.fascia[:, 0].max() < 0.9 for one in patients)


def test_speckle_has_unit_power(zone):
    """Amplitudes are comparable between point spreads because the mean power is 1."""
    assert np.mean(np.abs(zone.lung_speckle) ** 2) == pytest.approx(1, abs=1e-3)
    assert np.mean(zone.wall_speckle**2) == pytest.approx(1, abs=1e-3)


def test_speckle_amplitude_is_rayleigh(zone):
    """Mean over root mean square of fully developed speckle is 0.886."""
    amplitude = np.abs(zone.lung_speckle)

    assert amplitude.mean() == pytest.approx(np.sqrt(np.pi) / 2, abs=0.02)


def test_lesion_sites_do_not_depend_on_the_picture(patients, zone):
    """A smaller picture of the same zone has the same sites in the same order."""
    small = draw_zone(np.random.default_rng(0), patients[0], 64, 64)

    assert np.array_equal(small.b_sites_mm, zone.b_sites_mm)
    assert np.array_equal(small.wedge_sites_mm, zone.wedge_sites_mm)
    assert np.array_equal(small.rough, zone.rough)


def test_there_are_sites_for_the_worst_disease(zone):
    """60 candidate B-line sites and 10 wedge sites, none twice."""
    assert len(set(zone.b_sites_mm)) == N_B_SITES == 60
    assert len(set(zone.wedge_sites_mm)) == N_WEDGE_SITES == 10


def test_roughness_is_standardized(zone):
    """Roughness has mean 0 and SD 1, so that METHOD's amplitudes are in millimetres."""
    assert zone.rough.mean() == pytest.approx(0, abs=1e-9)
    assert zone.rough.std() == pytest.approx(1)


def test_the_probe_never_leaves_the_field(zone):
    """The widest slide at both ends of the pleura stays within the speckle field."""
    rng, across = np.random.default_rng(0), np.array([-APERTURE_MM / 2, APERTURE_MM / 2])
    spacing = APERTURE_MM / 96
    width = zone.lung_speckle.shape[1]

    offsets = [draw_nuisance(rng) for _ in range(300)]
    reach = np.array([field_position_mm(n, across, np.array([-3.0, 3.0])) for n in offsets])

    assert max(n.offset_mm for n in offsets) <= OFFSET_MM
    assert reach.min() / spacing >= 0
    assert reach.max() / spacing < width - 1


def test_roughness_between_grid_points_is_between_its_neighbours(zone):
    """Half-way between two points the roughness is their mean."""
    between = zone.roughness(np.array([10.125]))

    assert between[0] == pytest.approx((zone.rough[40] + zone.rough[41]) / 2)
