"""The test of a set of hits, tried on repeats: right where noise is not shared, else telling."""

import numpy as np
import pytest

from learner_index.analysis.chance import common_direction_test
from learner_index.analysis.placebo import try_placebo

PATIENTS, WIDTH = 120, 6


def repeats(seed, *, shared, n_patients=PATIENTS):
    """Starts and differences of one pair a patient; the first scan's noise is in both if shared."""
    rng = np.random.default_rng(seed)
    state = 0.5 * rng.normal(size=(n_patients, WIDTH))
    first, second, other = rng.normal(size=(3, n_patients, WIDTH))
    starts = state + (first if shared else other)
    return starts, second - first, np.arange(n_patients)


def share_of(seed, *, shared):
    starts, differences, owners = repeats(seed, shared=shared)
    return try_placebo(starts, differences, owners, bandwidth=2.0).share


def test_noise_that_starts_do_not_share_is_chance():
    """With starts of another scan, about one patient of twenty has p at most 0.05."""
    shares = [share_of(seed, shared=False) for seed in range(4)]

    assert np.mean(shares) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / (4 * PATIENTS))


def test_noise_that_starts_share_is_found():
    """Where the first scan is both start and part of the change, the test finds what is not."""
    assert share_of(0, shared=True) > 0.3


def test_is_the_share_of_small_p_over_patients():
    """Each patient's first pair is asked about among the first pairs of all others."""
    starts, differences, owners = repeats(1, shared=True, n_patients=25)
    units = differences / np.linalg.norm(differences, axis=1, keepdims=True)
    small = []
    for one in range(25):
        rest = [i for i in range(25) if i != one]
        gaps = [np.sum((starts[one] - starts[i]) ** 2) / 4.0 for i in rest]
        test = common_direction_test(
            np.array([units[one] @ units[i] for i in rest]),
            np.array(rest),
            5,
            rest=-np.array(gaps),
            n_draws=99,
            seed=3,
        )
        small.append(test.p_value <= 0.05)
    again = np.arange(25)[::-1]  # a second pair of each patient, which is not used

    found = try_placebo(
        np.concatenate([starts, 9 * starts[again]]),
        np.concatenate([differences, -differences[again]]),
        np.concatenate([owners, owners[again]]),
        bandwidth=2.0,
        seed=3,
    )

    assert found.share == np.mean(small)
    assert found.n_patients == 25


def test_many_patients_are_drawn_from():
    """No more than 200 are tried, the same for the same seed."""
    starts, differences, owners = repeats(2, shared=True, n_patients=230)

    found = [try_placebo(starts, differences, owners, bandwidth=2.0, seed=s) for s in (1, 1)]

    assert found[0].n_patients == 200
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("n_patients", "bandwidth", "size"), [(19, 2.0, 1.0), (30, 0.0, 1.0), (30, 2.0, 0.0)]
)
def test_nothing_is_said_without_repeats_to_try(n_patients, bandwidth, size):
    """Few patients, no bandwidth, or repeats that are equal: None, not a share."""
    starts, differences, owners = repeats(0, shared=True, n_patients=n_patients)

    assert try_placebo(starts, size * differences, owners, bandwidth) is None
