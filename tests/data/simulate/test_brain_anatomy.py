"""Heads and scanners differ as METHOD 7.5 says, and stay plausible."""

import numpy as np
import pytest

from learner_index.data.simulate.brain_anatomy import (
    N_SLICES,
    SCANNERS,
    draw_anatomy,
    draw_nuisance,
)
from learner_index.data.simulate.brain_course import SITES


@pytest.fixture(scope="module")
def heads():
    rng = np.random.default_rng(0)
    return [draw_anatomy(rng) for _ in range(400)]


def test_ventricles_differ_most(heads):
    """Ventricular area before disease has a log-SD of about 0.28, far above the hippocampus's."""
    spread = [
        np.std(np.log([getattr(h, name) for h in heads])) for name in ("ventricle", "hippocampus")
    ]

    assert spread == pytest.approx([0.28, 0.07], rel=0.1)


def test_heads_stay_within_the_picture(heads):
    """No head is larger than the field or smaller than 0.93 of the usual one."""
    sizes = np.array([(h.scale, h.scale * h.aspect) for h in heads])

    assert sizes[:, 0].min() >= 0.93
    assert 2 * 93.0 * sizes[:, 0].max() < 200
    assert 2 * 78.0 * sizes[:, 1].max() < 200


def test_every_slice_has_sulci_of_its_own(heads):
    """Folds differ between slices and patients, and ascend around the brain."""
    folds = heads[0].folds

    assert len(folds) == N_SLICES
    for fold in folds:
        assert np.all(np.diff(fold.angle) > 0)
        assert 0 <= fold.angle[0] <= fold.angle[-1] < 2 * np.pi
    assert not np.array_equal(folds[0].angle, folds[1].angle)
    assert not np.array_equal(folds[0].angle, heads[1].folds[0].angle)


def test_a_scan_lies_within_two_and_a_half_degrees_and_a_pixel():
    """Turns stay within 2.5 degrees and shifts within 2 mm, in either view on its own."""
    rng = np.random.default_rng(1)
    drawn = [draw_nuisance(rng) for _ in range(300)]
    turns = np.array([n.rotation_deg for n in drawn])

    assert np.abs(turns).max() <= 2.5
    assert np.abs([n.shift_mm for n in drawn]).max() <= 2.0
    assert abs(np.corrcoef(turns.T)[0, 1]) < 0.15
    assert np.std([n.gain for n in drawn]) == pytest.approx(0.06, rel=0.15)


def test_every_site_has_a_scanner():
    """Four sites, each with its noise between 0.025 and 0.045."""
    assert tuple(SCANNERS) == SITES
    noise = [scanner.noise for scanner in SCANNERS.values()]
    assert (min(noise), max(noise)) == (0.025, 0.045)
