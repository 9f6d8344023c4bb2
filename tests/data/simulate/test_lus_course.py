"""Simulated patients fare as METHOD 7.3 says, and arms pull along different axes."""

import numpy as np
import pytest

from learner_index.data.simulate.lus_anatomy import DEVICES
from learner_index.data.simulate.lus_course import ARMS, ZONES, draw_course

N_PATIENTS = 1500


def draw(**settings):
    rng = np.random.default_rng(0)
    plans = rng.uniform(size=(N_PATIENTS, 2))
    return [
        draw_course(np.random.default_rng([1, k]), tuple(plan), **settings)
        for k, plan in enumerate(plans)
    ]


@pytest.fixture(scope="module")
def patients():
    return draw()


def changes(patients, arm, *, responders=True):
    """(t, 2) change of (e, c) between visits of patients who do not deteriorate."""
    chosen = [
        p
        for p in patients
        if p.arm == arm and p.is_responder == responders and not p.is_deteriorating
    ]
    return np.concatenate([np.column_stack([np.diff(p.e), np.diff(p.c)]) for p in chosen])


def test_days_rise_from_zero(patients):
    """Every patient starts at day 0, and each visit is 1 to 3 days after the one before."""
    assert all(p.days[0] == 0 for p in patients)
    assert all(set(np.diff(p.days)) <= {1, 2, 3} for p in patients)


def test_states_stay_within_bounds(patients):
    """e, c and the state of every zone never leave 0..1."""
    zones = [p.zone_state(v, z) for p in patients for v in range(len(p.days)) for z in range(4)]

    for values in (*(p.e for p in patients), *(p.c for p in patients), np.array(zones)):
        assert values.min() >= 0
        assert values.max() <= 1


def test_severity_weighs_e_and_c(patients):
    """Severity is 0.65 e + 0.35 c."""
    assert np.allclose(patients[0].s, 0.65 * patients[0].e + 0.35 * patients[0].c)


def test_visits_have_the_planned_mean(patients):
    """Two to five visits, 2.92 on average: the paper tier's 718 clips rest on it."""
    visits = [len(p.days) for p in patients]

    assert set(visits) == {2, 3, 4, 5}
    assert np.mean(visits) == pytest.approx(2.92, abs=0.08)


def test_a_fifth_has_repeats_at_every_visit(patients):
    """Repeats come as 1 or 2 per visit, for 20 % of the patients."""
    repeated = [p for p in patients if p.n_repeats.any()]

    assert len(repeated) / N_PATIENTS == pytest.approx(0.2, abs=0.03)
    assert all(set(p.n_repeats) <= {1, 2} for p in repeated)


def test_spread_is_coarse_between_and_fine_within(patients):
    """SD of s is 0.185 between patients, and 0.08 to 0.15 for changes within."""
    between = np.std([p.s[0] for p in patients])
    within = np.std(np.concatenate([np.diff(p.s) for p in patients]))

    assert between == pytest.approx(0.185, abs=0.012)
    assert 0.08 <= within <= 0.15


@pytest.mark.parametrize(("arm", "axis"), [("de-resuscitation", 0), ("recruitment", 1)])
def test_each_arm_moves_its_own_axis(patients, arm, axis):
    """De-resuscitation lowers e alone and recruitment c alone."""
    mean = changes(patients, arm).mean(axis=0)

    assert mean[axis] < -0.07
    assert abs(mean[1 - axis]) < 0.03


def test_supportive_care_moves_nothing(patients):
    """Without treatment the states drift by 0.05, to neither side."""
    change = changes(patients, "supportive")

    assert np.abs(change.mean(axis=0)).max() < 0.02
    assert change.std(axis=0) == pytest.approx([0.05, 0.05], abs=0.012)


@pytest.mark.parametrize("arm", ARMS[1:])
def test_non_responders_do_not_move(patients, arm):
    """A fifth of the patients does not respond, whatever the arm."""
    assert np.abs(changes(patients, arm, responders=False).mean(axis=0)).max() < 0.03


def test_deterioration_raises_both(patients):
    """15 % of the patients get worse on both axes."""
    worse = [p for p in patients if p.is_deteriorating and p.arm == "supportive"]

    assert np.mean([p.is_deteriorating for p in patients]) == pytest.approx(0.15, abs=0.03)
    assert np.mean([np.diff(p.e).mean() for p in worse]) > 0.1
    assert np.mean([np.diff(p.c).mean() for p in worse]) > 0.1


def test_arms_are_partly_chosen_by_severity(patients):
    """70 % are drawn; among the others supportive care goes to the mildly ill."""
    chosen = [p for p in patients if not p.is_randomized]

    assert len(chosen) / N_PATIENTS == pytest.approx(0.3, abs=0.04)
    assert max(p.s[0] for p in chosen if p.arm == "supportive") < 0.25
    assert min(p.s[0] for p in chosen if p.arm != "supportive") >= 0.25


def test_a_trial_draws_every_arm():
    """With everybody randomized, severity at the first visit is the same in all arms."""
    patients = draw(randomized=1.0)

    means = [np.mean([p.s[0] for p in patients if p.arm == arm]) for arm in ARMS]

    assert all(p.is_randomized for p in patients)
    assert max(means) - min(means) < 0.04


@pytest.mark.parametrize(("confounder", "least", "most"), [(0, -0.07, 0.07), (0.6, 0.45, 0.65)])
def test_device_follows_severity_as_asked(confounder, least, most):
    """The dial sets how closely device and severity at the first visit go together."""
    patients = draw(confounder=confounder)

    r = np.corrcoef([DEVICES.index(p.device) for p in patients], [p.s[0] for p in patients])[0, 1]

    assert least < r < most


def test_full_confounding_sorts_devices_by_severity():
    """At 1 each device sees its own third of severities."""
    patients = draw(confounder=1.0)

    by_device = [[p.s[0] for p in patients if p.device == device] for device in DEVICES]

    assert max(by_device[0]) <= min(by_device[1])
    assert max(by_device[1]) <= min(by_device[2])


def test_no_effect_leaves_drift_alone():
    """With effect 0 arms do nothing, and everybody starts as with effect 1."""
    still, moved = draw(effect=0.0), draw(effect=1.0)

    assert np.abs(changes(still, "de-resuscitation").mean(axis=0)).max() < 0.02
    assert [p.e[0] for p in still] == [p.e[0] for p in moved]
    assert [p.arm for p in still] == [p.arm for p in moved]


def test_zones_are_all_four_in_an_order_of_their_own(patients):
    """Each patient has the four zones; which is first differs between patients."""
    assert all(sorted(p.zones) == sorted(ZONES) for p in patients)
    assert {p.zones[0] for p in patients} == set(ZONES)


def test_zone_effects_have_their_spread(patients):
    """Zones differ from the whole lung by N(0, 0.1), on both axes."""
    assert np.std([p.zone_e for p in patients]) == pytest.approx(0.1, abs=0.005)
    assert np.std([p.zone_c for p in patients]) == pytest.approx(0.1, abs=0.005)
