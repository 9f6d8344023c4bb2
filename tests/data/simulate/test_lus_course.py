"""How simulated patients fare: the planted truth, without a pixel."""

import numpy as np
import pytest

from learner_index.data.simulate.lus_course import ARMS, draw_course

SHARES = (0.4, 0.3, 0.2, 0.1)


def courses(n=1500, *, randomised=0.7, confounder=0.0):
    """Patients with a generator each."""
    return [
        draw_course(
            np.random.default_rng([11, i]),
            visit_shares=SHARES,
            confounder=confounder,
            randomised=randomised,
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def cohort():
    """1,500 patients, 70 % of them randomised."""
    return courses()


def test_days_increase_from_zero(cohort):
    """The first visit is day 0 and every later one is 1 to 3 days on."""
    assert all(course.days[0] == 0 for course in cohort)
    assert {int(gap) for course in cohort for gap in np.diff(course.days)} == {1, 2, 3}


def test_states_stay_within_bounds(cohort):
    """e, c and s lie in 0..1 at every visit."""
    for course in cohort:
        for state in (course.e, course.c, course.s):
            assert 0 <= state.min() <= state.max() <= 1


def test_change_within_patients_is_finer_than_difference_between_them(cohort):
    """Coarse between, fine within: SD of Δs in 0.08..0.15, of s between patients about 0.185."""
    within = np.concatenate([np.diff(course.s) for course in cohort]).std()
    between = np.std([course.s[0] for course in cohort])

    assert 0.08 <= within <= 0.15
    assert between == pytest.approx(0.185, abs=0.015)


@pytest.mark.parametrize(("arm", "moved", "still"), [(ARMS[1], "e", "c"), (ARMS[2], "c", "e")])
def test_arms_move_along_different_axes(cohort, arm, moved, still):
    """De-resuscitation lowers e and leaves c, recruitment lowers c and leaves e."""
    mine = [
        course
        for course in cohort
        if course.arm == arm and course.is_responder and not course.is_deteriorating
    ]

    change = {
        name: np.mean([getattr(course, name)[1] - getattr(course, name)[0] for course in mine])
        for name in ("e", "c")
    }

    assert change[moved] < -0.07
    assert abs(change[still]) < 0.03


def test_a_fifth_do_not_respond_and_a_seventh_deteriorate(cohort):
    """Shares of non-responders and of deteriorating patients are those planted."""
    assert np.mean([not c.is_responder for c in cohort]) == pytest.approx(0.20, abs=0.03)
    assert np.mean([c.is_deteriorating for c in cohort]) == pytest.approx(0.15, abs=0.03)
    assert np.mean([c.s[-1] - c.s[0] > 0 for c in cohort if c.is_deteriorating]) > 0.95


def test_randomised_arms_do_not_depend_on_severity():
    """With everyone randomised the arms start alike; by choice the mildest get support only."""
    drawn, chosen = courses(randomised=1.0), courses(randomised=0.0)

    start = {arm: np.mean([c.s[0] for c in drawn if c.arm == arm]) for arm in ARMS}
    mild = {arm: np.mean([c.s[0] for c in chosen if c.arm == arm]) for arm in ARMS}

    assert max(start.values()) - min(start.values()) < 0.04
    assert mild["supportive"] < min(mild[arm] for arm in ARMS[1:]) - 0.1


@pytest.mark.parametrize(("confounder", "low", "high"), [(0.0, -0.06, 0.06), (0.6, 0.4, 0.7)])
def test_confounder_ties_device_to_severity(confounder, low, high):
    """Without confounder the device says nothing of severity, with one it does."""
    found = courses(confounder=confounder)
    device = [ord(course.device[-1]) for course in found]

    assert low <= np.corrcoef(device, [course.s[0] for course in found])[0, 1] <= high


def test_a_fifth_of_patients_is_scanned_again(cohort):
    """Repeats are all or none within a patient, one or two a visit."""
    repeated = [course for course in cohort if course.n_repeats.any()]

    assert len(repeated) / len(cohort) == pytest.approx(0.2, abs=0.03)
    assert all(set(course.n_repeats) <= {1, 2} for course in repeated)


def test_the_arm_does_not_change_who_the_patient_is():
    """The share randomised changes treatments, not first states or days."""
    one, other = courses(50, randomised=0.0), courses(50, randomised=1.0)

    assert [c.e[0] for c in one] == [c.e[0] for c in other]
    assert [c.days.tolist() for c in one] == [c.days.tolist() for c in other]
