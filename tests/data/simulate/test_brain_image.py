"""Pictures show atrophy and nothing that they should not: fluid where tissue was, no aliasing."""

import dataclasses

import numpy as np
import pytest

from learner_index.data.simulate.brain_anatomy import SCANNERS, draw_anatomy, draw_nuisance
from learner_index.data.simulate.brain_course import hippocampal_area, ventricular_area
from learner_index.data.simulate.brain_image import pixel_mm, render_scan
from learner_index.data.simulate.brain_shapes import Plane
from learner_index.data.simulate.brain_tissue import Atrophy, axial_slice, coronal_slice

SIDE = 96
HEALTHY = Atrophy(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def anatomy():
    return draw_anatomy(np.random.default_rng(3))


def plane(side=SIDE):
    edge = pixel_mm(side)
    along = ((np.arange(side) + 0.5) * edge - 100.0).astype(np.float32)
    return Plane(np.tile(along, (side, 1)), np.tile(-along[:, None], (1, side)), edge)


def shades(draw, anatomy, atrophy, position=1, side=SIDE):
    return draw(plane(side), anatomy, atrophy, position)


def darkness(anatomy, draw, state, box, side=SIDE):
    """Square millimetres of fluid that a state has put in the place of tissue, in a box."""
    before, after = (shades(draw, anatomy, a, 1, side) for a in (HEALTHY, state))
    left, right, low, high = box
    where = plane(side)
    inside = (np.abs(where.x) > left) & (np.abs(where.x) < right)
    inside &= (where.y > low) & (where.y < high)
    return float((before - after)[inside].sum()) * pixel_mm(side) ** 2


MEDIAL_TEMPORAL, CENTRAL, OUTER = (14, 42, -42, -12), (0, 40, -55, 50), (0, 80, 52, 99)


def test_a_scan_is_eight_slices_in_bytes(anatomy):
    """(8, side, side) uint8, the same for the same nuisance, another for another."""
    rng = np.random.default_rng(1)
    nuisance, other = draw_nuisance(rng), draw_nuisance(rng)

    one, again, new = (
        render_scan(anatomy, n, HEALTHY, site="site-A", side=64)
        for n in (nuisance, nuisance, other)
    )

    assert (one.shape, one.dtype) == ((8, 64, 64), np.uint8)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, new)


def test_tissues_have_their_shades(anatomy):
    """Air, bone, fluid, grey and white matter all fill a share of an axial slice."""
    levels = shades(axial_slice, anatomy, HEALTHY)
    shares = np.histogram(levels, [-0.01, 0.03, 0.2, 0.5, 0.7, 0.88, 1.0])[0] / levels.size

    assert np.all(shares > [0.2, 0.04, 0.02, 0.04, 0.2, 0.01])


@pytest.mark.parametrize(
    ("name", "draw", "box"),
    [
        ("hippocampus", coronal_slice, MEDIAL_TEMPORAL),
        ("ventricle", axial_slice, CENTRAL),
        ("cortex", axial_slice, OUTER),
    ],
)
def test_each_atrophy_darkens_its_place_step_by_step(anatomy, name, draw, box):
    """Every step of a state puts more fluid in the place of tissue, down to the smallest."""
    steps = [
        darkness(anatomy, draw, dataclasses.replace(HEALTHY, **{name: state}), box)
        for state in (0.0, 0.01, 0.1, 0.3, 0.6, 1.0)
    ]

    assert np.all(np.diff(steps) > 0)


@pytest.mark.parametrize(
    ("name", "draw"), [("hippocampus", axial_slice), ("ventricle", coronal_slice)]
)
def test_states_stay_in_their_place(anatomy, name, draw):
    """Hippocampal loss shows in no axial slice; ventricles leave the temporal lobes alone."""
    state = dataclasses.replace(HEALTHY, **{name: 1.0})

    assert darkness(anatomy, draw, state, MEDIAL_TEMPORAL) == pytest.approx(0.0, abs=0.1)


def test_ventricles_grow_as_the_truth_says(anatomy):
    """Fluid gained by the high axial slice is the ventricular area's gain, within 6 %."""
    contrast = 0.84 - 0.13
    gains = [
        darkness(anatomy, axial_slice, Atrophy(0.0, v, 0.0), CENTRAL, side)
        for v in (0.25, 1.0)
        for side in (96,)
    ]

    ratio = (ventricular_area(1.0) - 1) / (ventricular_area(0.25) - 1)
    assert gains[1] / gains[0] == pytest.approx(ratio, rel=0.06)
    assert gains[1] / contrast > 150


@pytest.mark.parametrize("state", [Atrophy(1.0, 0, 0), Atrophy(0, 1.0, 0), Atrophy(0.2, 0, 0)])
def test_pictures_do_not_alias(anatomy, state):
    """Fluid gained is the same at 96 pixels and at four times as many, within 6 %."""
    draw, box = (coronal_slice, MEDIAL_TEMPORAL) if state.hippocampus else (axial_slice, CENTRAL)

    coarse, fine = (darkness(anatomy, draw, state, box, side) for side in (96, 384))

    assert coarse == pytest.approx(fine, rel=0.06)


def test_the_temporal_horn_opens_as_the_hippocampus_shrinks(anatomy):
    """Fluid gained beside the hippocampus is at least the area that it lost."""
    a, b = 8.8, 5.4  # mm
    lost = 2 * np.pi * a * b * anatomy.hippocampus * (1 - float(hippocampal_area(1.0)))

    gained = darkness(anatomy, coronal_slice, Atrophy(1.0, 0, 0), MEDIAL_TEMPORAL) / (0.56 - 0.13)

    assert gained > lost


def test_noisier_sites_are_noisier(anatomy):
    """Outside the head, a scan's level is that of its site's Rician noise."""
    nuisance = draw_nuisance(np.random.default_rng(5))
    corner = [
        render_scan(anatomy, nuisance, HEALTHY, site=site, side=SIDE)[4:, :8, :8].mean()
        for site in ("site-A", "site-D")
    ]

    assert corner[1] > 1.3 * corner[0]
    assert [s.noise for s in SCANNERS.values()] == sorted(s.noise for s in SCANNERS.values())


def readings(pixels):
    """(3,) soft darkness of the medial temporal lobes, of the ventricles, and of the brain."""
    white = np.percentile(pixels, 85, axis=(1, 2), keepdims=True)
    dark, where = np.clip(1 - pixels / white, 0, 1), plane()
    temporal = (np.abs(where.x) > 17) & (np.abs(where.x) < 40) & (np.abs(where.y + 25) < 12)
    central = (np.abs(where.x) < 30) & (where.y > -45) & (where.y < 40)
    brain = (np.abs(where.x) < 62) & (np.abs(where.y) < 78)
    masks = (dark[:4, temporal], dark[4:, central], dark[4:, brain])
    return np.array([values.mean() for values in masks])


@pytest.fixture(scope="module")
def recovered():
    """Of hippocampus, ventricle and cortex: r of state and reading, in patients and in changes.

    Half of 60 patients with two scans each, on four sites, teach a least-squares reading of the
    states; the other half judge it, by their first scans and by what changed.
    """
    rng = np.random.default_rng(7)
    states, seen = rng.uniform(size=(60, 2, 3)), np.zeros((60, 2, 3))
    for k, visits in enumerate(states):
        head, site = draw_anatomy(rng), list(SCANNERS)[int(rng.integers(4))]
        for v, state in enumerate(visits):
            atrophy = Atrophy(*map(float, state))
            pixels = render_scan(head, draw_nuisance(rng), atrophy, site=site, side=SIDE)
            seen[k, v] = readings(pixels)
    found = []
    for truth, reading in (
        (states[:, 0], seen[:, 0]),
        (np.diff(states, axis=1)[:, 0], np.diff(seen, axis=1)[:, 0]),
    ):
        known = np.column_stack([reading, np.ones(60)])
        guess = known[30:] @ np.linalg.lstsq(known[:30], truth[:30], rcond=None)[0]
        found.append([np.corrcoef(guess[:, k], truth[30:, k])[0, 1] for k in range(3)])
    return found


@pytest.mark.parametrize("state", range(3))
def test_anatomy_hides_much_of_a_state_between_patients(recovered, state):
    """Across patients a hand-made reading finds the state, but not as if it were written there."""
    assert 0.2 < recovered[0][state] < 0.95


@pytest.mark.parametrize("state", range(3))
def test_changes_within_a_patient_show(recovered, state):
    """Within a patient, where the head is its own reference, changes are read off the pixels."""
    assert recovered[1][state] > 0.65
