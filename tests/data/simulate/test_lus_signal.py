"""Pictures carry the planted state: hand-made features find it across patients."""

import dataclasses

import numpy as np
import pytest

from learner_index.data.simulate.lus_anatomy import (
    DEVICES,
    draw_anatomy,
    draw_nuisance,
    draw_zone,
)
from learner_index.data.simulate.lus_image import render_clip

SIZE, FRAMES, SCANS = 64, 4, 3


def features(pixels):
    """(8,) what a reader would note of a clip, beneath the brightest line of each column."""
    mean = pixels.astype(float).mean(axis=0)
    h = len(mean)
    search = mean[h // 12 : h * 6 // 10]
    # the pleura: the steepest fall of brightness, smoothed over rows and columns
    fall = np.diff(np.array([np.convolve(c, np.ones(3) / 3, "same") for c in search.T]).T, axis=0)
    pleura = int(np.median(fall.argmin(axis=0))) + h // 12
    lung = mean[min(pleura + 3, h - 20) :]
    columns = lung[len(lung) // 3 :].mean(axis=0)
    rows = lung.mean(axis=1)
    under = mean[pleura + 2 : pleura + 2 + max(h // 10, 4)]
    detail = rows - np.convolve(np.pad(rows, 4, mode="edge"), np.ones(9) / 9, "valid")
    return np.array(
        [
            lung.mean() - mean[: pleura + 1].mean(),
            columns.std(),
            detail.std(),
            np.percentile(columns, 90) - mean.mean(),
            np.percentile(columns, 10) - mean.mean(),
            under.mean() - lung.mean(),
            under.std(),
            np.abs(np.diff(pixels.astype(float), axis=0)).mean() / (lung.std() + 1),
        ]
    )


def draw_clips(n_patients, states):
    """Features and states of SCANS clips of each patient, each in a new state."""
    found, planted, owner = [], [], []
    for number in range(n_patients):
        rng = np.random.default_rng([7, number])
        anatomy = draw_anatomy(rng)
        zone = draw_zone(rng, anatomy, SIZE, SIZE)
        device = DEVICES[int(rng.integers(3))]
        for _ in range(SCANS):
            e, c = states(rng)
            pixels = render_clip(
                anatomy, zone, draw_nuisance(rng), e=e, c=c, device=device, frames=FRAMES
            )
            found.append(features(pixels))
            planted.append((e, c, 0.65 * e + 0.35 * c))
            owner.append(number)
    return np.array(found), np.array(planted), np.array(owner)


def ridge(train, target, test, strength=1.0):
    """Ridge regression on standardized features and their squares."""
    mean, sd = train.mean(axis=0), train.std(axis=0)

    def expand(x):
        z = (x - mean) / sd
        return np.hstack([np.ones((len(z), 1)), z, z**2])

    a = expand(train)
    weights = np.linalg.solve(a.T @ a + strength * np.eye(a.shape[1]), a.T @ target)
    return expand(test) @ weights


@pytest.fixture(scope="module")
def recovered():
    """Correlation of held-out patients' states with their ridge estimates: e, c, s."""
    found, planted, owner = draw_clips(
        120, lambda rng: (float(rng.beta(1.2, 1.5)), float(rng.beta(0.8, 2.2)))
    )
    guess = np.empty_like(planted)
    for fold in range(5):
        held = owner % 5 == fold
        guess[held] = ridge(found[~held], planted[~held], found[held])
    return {name: np.corrcoef(guess[:, i], planted[:, i])[0, 1] for i, name in enumerate("ecs")}


@pytest.mark.parametrize(("state", "least"), [("e", 0.6), ("c", 0.35), ("s", 0.6)])
def test_hand_made_features_find_the_state_in_new_patients(recovered, state, least):
    """Eight features and ridge recover e, c and s across patients."""
    assert recovered[state] > least


def test_the_state_is_not_given_away(recovered):
    """Nuisance leaves room: no state is recovered as if it were written in a corner."""
    assert max(recovered.values()) < 0.97


def test_repeats_differ_less_than_severities():
    """Features of two clips of one state are closer than those of dry and white lung."""
    rng = np.random.default_rng(11)
    same, other = [], []
    for _ in range(30):
        anatomy = draw_anatomy(rng)
        zone = draw_zone(rng, anatomy, SIZE, SIZE)
        first, again, severe = (
            features(render_clip(anatomy, zone, draw_nuisance(rng), e=e, c=0.1, frames=FRAMES))
            for e in (0.2, 0.2, 0.85)
        )
        same.append(again - first)
        other.append(severe - first)
    scale = np.std(np.array(other + same), axis=0)

    within, across = (
        np.linalg.norm(d / scale, axis=1).mean() for d in map(np.array, (same, other))
    )

    assert within < 0.7 * across


def test_anatomy_and_gain_dominate_brightness():
    """Mean grey varies more between patients of one state than between their own repeats."""
    rng = np.random.default_rng(13)
    grey = []
    for _ in range(40):
        anatomy = draw_anatomy(rng)
        zone = draw_zone(rng, anatomy, SIZE, SIZE)
        clips = (
            render_clip(anatomy, zone, draw_nuisance(rng), e=0.3, c=0.1, frames=2) for _ in range(3)
        )
        grey.append([pixels.mean() / 255 for pixels in clips])

    assert np.var(np.mean(grey, axis=1)) > np.mean(np.var(grey, axis=1))


def test_depth_setting_moves_the_lung_not_the_anatomy():
    """Resampled to millimetres, two depth settings show the pleura at the same depth."""
    rng = np.random.default_rng(17)
    drawn = dataclasses.replace(draw_anatomy(rng), tilt=0.0, curvature_per_mm=0.0, wall_mm=18.0)
    nuisance = dataclasses.replace(draw_nuisance(rng), wall_shift_mm=0.0)
    found = []
    for depth in (60.0, 120.0):
        anatomy = dataclasses.replace(drawn, depth_mm=depth)
        zone = draw_zone(np.random.default_rng(1), anatomy, 96, 96)
        profile = render_clip(anatomy, zone, nuisance, e=0.0, c=0.0).mean(axis=(0, 2))
        mm = (np.arange(96) + 0.5) * depth / 96
        near = (mm > 16.5) & (mm < 24)
        found.append(mm[near][profile[near].argmax()])

    assert found[0] == pytest.approx(found[1], abs=2.0)
