"""What is known of each kind of health score."""

import dataclasses
import math

import numpy as np
import pytest

from learner_index.data.score_kinds import SCORE_KINDS, SF94_LIMIT, score_kind
from learner_index.data.simulate.sf_ratio import measure_oxygenation
from learner_index.errors import SettingsError

N_SIMULATED = 100_000


def two_readings():
    """Two charts of the same unchanged patients, first visits as `simulate lus` draws them."""
    rng = np.random.default_rng(0)
    e, c = rng.beta(1.2, 1.5, N_SIMULATED), rng.beta(0.8, 2.2, N_SIMULATED)
    offset = rng.normal(0.0, 0.15, N_SIMULATED)
    return [measure_oxygenation(0.65 * e + 0.35 * c, offset, rng) for _ in range(2)]


@pytest.mark.parametrize(
    ("name", "theta"), [("sf", 50.0), ("sf94", 50.0), ("mmse", 3.0), ("generic", None)]
)
def test_each_kind_has_its_threshold_of_change(name, theta):
    """θ is 50 for S/F and S/F94, 3 points for MMSE, and unknown for a generic score."""
    assert score_kind(name).change_threshold == theta


@pytest.mark.parametrize(
    ("name", "valid_range", "ceiling"),
    [
        ("sf", (20, 477), pytest.approx(447.62, abs=0.01)),
        ("sf94", (20, 448), None),
        ("mmse", (0, 30), 30),
        ("generic", (-math.inf, math.inf), None),
    ],
)
def test_each_kind_has_its_range_and_ceiling(name, valid_range, ceiling):
    """S/F and MMSE have a ceiling; S/F94 leaves it out, and of a generic score none is known."""
    kind = score_kind(name)

    assert (kind.valid_range, kind.ceiling) == (valid_range, ceiling)


@pytest.mark.parametrize("name", SCORE_KINDS)
def test_each_kind_says_where_its_numbers_come_from(name):
    """θ and reliability carry a source, and no evidence tag of a draft is printed."""
    kind = SCORE_KINDS[name]

    assert kind.name == name
    assert kind.threshold_source
    assert kind.reliability.startswith(("published", "simulated", "not known"))
    assert not any("[" in str(value) for value in dataclasses.astuple(kind))


@pytest.mark.parametrize("name", SCORE_KINDS)
def test_ceiling_lies_within_the_valid_range(name):
    """A ceiling can be reached by a valid score, and a known range has a reason."""
    kind = SCORE_KINDS[name]
    low, high = kind.valid_range

    assert low < (high if kind.ceiling is None else kind.ceiling) <= high
    assert bool(kind.range_reason) == math.isfinite(high)


def test_simulated_ratios_are_valid():
    """Every simulated S/F ratio lies in the range of its kind, as does every S/F94."""
    chart = two_readings()[0]

    for name, values in (("sf", chart.sf), ("sf94", chart.sf94[~np.isnan(chart.sf94)])):
        low, high = SCORE_KINDS[name].valid_range
        assert low <= values.min()
        assert values.max() <= high


def test_only_room_air_reaches_the_ceiling_of_s_f():
    """A simulated S/F at the ceiling means room air and a saturation of 94 % or more."""
    chart = two_readings()[0]

    at_ceiling = chart.sf >= SCORE_KINDS["sf"].ceiling

    np.testing.assert_array_equal(at_ceiling, (chart.fio2 == 0.21) & (chart.spo2 >= SF94_LIMIT))


def test_reliability_of_s_f_is_what_the_simulator_gives():
    """The SD and the share of false changes that are printed can be recomputed."""
    first, second = two_readings()

    for name, sd, percent in (("sf", 48, 30), ("sf94", 33, 17)):
        gaps = np.abs(getattr(first, name) - getattr(second, name))
        gaps = gaps[~np.isnan(gaps)]
        printed = f"an SD of {sd}, and by 50 or more in {percent} % of pairs"
        assert np.sqrt(np.mean(gaps**2)) == pytest.approx(sd, abs=1)
        assert 100 * np.mean(gaps >= 50) == pytest.approx(percent, abs=1)
        assert printed in SCORE_KINDS[name].reliability


def test_unknown_kind_is_refused_with_near_names():
    """A near miss is answered with the name that was probably meant, and with all names."""
    with pytest.raises(SettingsError, match=r"sf-94: no such kind \(did you mean 'sf94'.*generic"):
        score_kind("sf-94")


def test_kinds_cannot_be_altered():
    """The table of kinds is read-only."""
    with pytest.raises(TypeError, match="item assignment"):
        SCORE_KINDS["mine"] = SCORE_KINDS["sf"]
