"""The MMSE follows disease age, is whole, and its noise grows as cognition declines."""

import numpy as np
import pytest

from learner_index.data.simulate.mmse import measure_mmse, true_mmse

N_VISITS = 20_000


def test_the_curve_is_the_published_formula():
    """29.3 - 16 sigma(psi / 4) + 0.6 reserve, by hand at three ages."""
    assert true_mmse([-400.0, 0.0, 400.0]) == pytest.approx([29.3, 21.3, 13.3])
    assert true_mmse(0.0, 1.0) == pytest.approx(21.9)


def test_a_lead_delays_the_decline():
    """With lead c, cognition at disease age psi + c is what it was at psi."""
    psi = np.linspace(-10, 10, 7)

    assert true_mmse(psi + 5.0, lead=5.0) == pytest.approx(true_mmse(psi))


def test_nobody_scores_more_than_thirty():
    """Great reserve and noise end at 30 points, bad luck at 0."""
    rng = np.random.default_rng(0)

    healthy = measure_mmse(np.full(N_VISITS, -30.0), 3.0, rng)
    sick = measure_mmse(np.full(N_VISITS, 30.0), 0.0, rng, noise=8.0)

    assert true_mmse(-30.0, 5.0) == 30.0
    assert (healthy.max(), sick.min()) == (30, 0)
    assert healthy.dtype == np.int64


@pytest.mark.parametrize(("psi", "sd"), [(-6.0, 1.33), (0.0, 1.9), (12.0, 2.71)])
def test_noise_grows_with_decline(psi, sd):
    """The error's SD is 1.0 + 1.8 sigma(psi / 4) points."""
    noted = measure_mmse(np.full(N_VISITS, psi), -3.0, np.random.default_rng(1))

    assert noted.std() == pytest.approx(np.hypot(sd, 12**-0.5), rel=0.04)


def test_without_noise_the_score_is_the_rounded_truth():
    """Noise 0 only rounds."""
    psi = np.linspace(-15, 15, 99)

    noted = measure_mmse(psi, 0.3, np.random.default_rng(2), noise=0.0)

    assert np.array_equal(noted, np.rint(true_mmse(psi, 0.3)))


def test_draws_do_not_depend_on_noise():
    """The generator stands at the same place after any noise."""
    after = []
    for noise in (0.0, 2.0):
        rng = np.random.default_rng(3)
        measure_mmse(np.zeros(5), 0.0, rng, noise=noise)
        after.append(rng.uniform())

    assert after[0] == after[1]
