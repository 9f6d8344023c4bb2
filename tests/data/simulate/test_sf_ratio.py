"""The health score follows severity through gas exchange, with the noise of a ward."""

import math

import numpy as np
import pytest

from learner_index.data.simulate.sf_ratio import (
    FIO2_STEPS,
    measure_oxygenation,
    oxygen_step,
    pf_ratio,
    saturation,
)

N_VISITS = 20_000


def ranks(values):
    return np.argsort(np.argsort(values))


@pytest.fixture(scope="module")
def ward():
    """Severities spread as METHOD 7.4 was calibrated, charted twice in the same state."""
    rng = np.random.default_rng(0)
    s, offset = rng.beta(1.2, 1.5, N_VISITS), rng.normal(0.0, 0.15, N_VISITS)
    return s, measure_oxygenation(s, offset, rng), measure_oxygenation(s, offset, rng)


def test_mean_and_spread_are_those_of_a_ward(ward):
    """S/F ratios have mean 281 and SD 120, within 10."""
    _, charted, _ = ward

    assert charted.sf.mean() == pytest.approx(281, abs=10)
    assert charted.sf.std() == pytest.approx(120, abs=10)


def test_room_air_is_a_ceiling_for_about_a_seventh(ward):
    """About 14 % of visits need no oxygen and pile up at the top."""
    _, charted, _ = ward

    assert np.mean(charted.fio2 == 0.21) == pytest.approx(0.14, abs=0.04)


def test_ranks_follow_severity(ward):
    """Rank correlation with severity is -0.92."""
    s, charted, _ = ward

    rho = np.corrcoef(ranks(s), ranks(charted.sf))[0, 1]

    assert rho == pytest.approx(-0.92, abs=0.02)


def test_same_state_charted_twice_agrees_as_on_a_ward(ward):
    """Retest correlation is 0.93 and the SD of the difference 44."""
    _, first, second = ward

    assert np.corrcoef(first.sf, second.sf)[0, 1] == pytest.approx(0.93, abs=0.02)
    assert (first.sf - second.sf).std() == pytest.approx(44, abs=3)


@pytest.mark.parametrize(("theta", "share"), [(20, 0.57), (30, 0.45), (50, 0.25), (75, 0.08)])
def test_false_changes_are_as_common_as_published(ward, theta, share):
    """Without any change, a threshold is passed as often as METHOD 7.4 says."""
    _, first, second = ward

    assert np.mean(np.abs(first.sf - second.sf) > theta) == pytest.approx(share, abs=0.03)


def test_saturation_agrees_with_the_published_curve():
    """PaO2 26.86 mmHg saturates half, 60 mmHg about 91 %."""
    slow = [100 / (23400 / (p**3 + 150 * p) + 1) for p in (26.86, 60.0, 100.0)]

    assert saturation([26.86, 60.0, 100.0]) == pytest.approx(slow)
    assert slow[0] == pytest.approx(50, abs=0.5)
    assert slow[1] == pytest.approx(90.6, abs=0.5)


def test_sicker_lungs_exchange_less_gas():
    """PaO2/FiO2 falls strictly with severity, from 485 to 55 mmHg."""
    pf = pf_ratio(np.linspace(0, 1, 21))

    assert np.all(np.diff(pf) < 0)
    assert (pf[0], pf[-1]) == pytest.approx((485, 55))


def test_offset_cancels_in_a_ratio_of_visits():
    """The patient's offset scales every visit alike."""
    s = np.array([0.2, 0.7])

    lucky, plain = pf_ratio(s, 0.3), pf_ratio(s, 0.0)

    assert lucky / plain == pytest.approx([math.exp(0.3)] * 2)


def test_the_least_oxygen_that_reaches_the_target_is_chosen():
    """The chosen step reaches the target and the step below does not."""
    pf = np.linspace(72, 500, 200)

    step = oxygen_step(pf, np.full(200, 94.0))

    assert np.all(saturation(pf * FIO2_STEPS[step]) >= 94)
    below = np.maximum(step - 1, 0)
    assert np.all((step == 0) | (saturation(pf * FIO2_STEPS[below]) < 94))


def test_all_oxygen_is_given_where_none_suffices():
    """A lung that cannot reach the target gets pure oxygen."""
    assert FIO2_STEPS[oxygen_step(30.0, 94.0)] == 1.0


def test_no_noise_charts_the_truth():
    """With the dial at 0 the observed ratio is the true one."""
    s = np.linspace(0, 1, 50)

    charted = measure_oxygenation(s, 0.1, np.random.default_rng(1), noise=0.0)

    assert np.array_equal(charted.sf, charted.true_sf)


def test_more_noise_disagrees_more():
    """Error about the truth grows from dial 1 to dial 2, and the truth stays."""
    s = np.random.default_rng(2).beta(1.2, 1.5, 4000)

    one, two = (
        measure_oxygenation(s, 0.0, np.random.default_rng(3), noise=noise) for noise in (1.0, 2.0)
    )

    assert np.array_equal(one.true_sf, two.true_sf)
    assert np.std(two.sf - two.true_sf) > 1.2 * np.std(one.sf - one.true_sf)


def test_probe_reads_whole_percent_up_to_100(ward):
    """A finger probe shows integers and never above 100 %."""
    _, charted, _ = ward

    assert np.array_equal(charted.spo2, np.rint(charted.spo2))
    assert charted.spo2.max() <= 100


def test_sf94_is_missing_above_94_percent(ward):
    """S/F94 keeps exactly the visits that are off the ceiling."""
    _, charted, _ = ward

    assert np.array_equal(np.isnan(charted.sf94), charted.spo2 > 94)
    assert np.nanmax(np.abs(charted.sf94 - charted.sf)) == 0
