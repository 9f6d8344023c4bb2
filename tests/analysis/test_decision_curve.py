"""What acting on a probability is worth: against a loop over transitions, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.decision_curve import THRESHOLDS, TREAT_NONE, net_benefit, treat_all
from learner_index.analysis.resample import draw_weights
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

SEEDS = st.integers(0, 2**32 - 1)
RIGHT = {
    "probability": np.array([0.1, 0.5, 0.9]),
    "is_event": np.array([False, False, True]),
    "patient": np.array([1, 0, 1]),
    "thresholds": [0.2],
    "weights": np.ones((1, 2)),
}


def cohort(seed, p=7):
    """Probabilities on and between thresholds, events, patients and weights of six draws."""
    rng = np.random.default_rng(seed)
    patient = rng.permutation(np.r_[np.arange(p), rng.integers(0, p, 20)])
    probability = np.where(rng.random(27) < 0.5, rng.integers(0, 11, 27) / 10, rng.random(27))
    weights = np.concatenate([np.ones((1, p)), draw_weights(p, 5, seed)])
    return probability, rng.random(27) < rng.random(), patient, weights


def prevalence(is_event, patient, weights):
    """(draws,) mean over patients, copies counted, of their own shares of events."""
    own = np.array([is_event[patient == one].mean() for one in range(weights.shape[1])])
    return np.array([np.average(own, weights=row) for row in weights])


def by_loops(probability, is_event, patient, threshold, weights):
    """Net benefit of one draw at one threshold, one transition after another."""
    hits = needless = total = 0.0
    for sure, came, owner in zip(probability, is_event, patient, strict=True):
        each = weights[owner] / np.count_nonzero(patient == owner)
        total += each
        if sure >= threshold:
            hits += each * came
            needless += each * (not came)
    return hits / total - needless / total * threshold / (1 - threshold)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_net_benefit_equals_its_definition(seed):
    """Every draw and threshold, in any order of thresholds, also where probabilities lie on one."""
    probability, is_event, patient, weights = cohort(seed)
    thresholds = np.random.default_rng(seed).permutation(np.arange(10) / 10)

    found = net_benefit(probability, is_event, patient, thresholds, weights)

    expected = [
        [by_loops(probability, is_event, patient, cut, row) for cut in thresholds]
        for row in weights
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_acting_on_everybody_follows_from_the_share_of_events(seed):
    """Share - (1 - share) x / (1 - x): the share at threshold 0, and 0 where x is the share."""
    _, is_event, patient, weights = cohort(seed)
    cuts, share = np.array(THRESHOLDS), prevalence(is_event, patient, weights)[:, None]

    found = treat_all(is_event, patient, THRESHOLDS, weights)

    np.testing.assert_allclose(found, share - (1 - share) * cuts / (1 - cuts), atol=1e-12)
    np.testing.assert_allclose(found[:, :1], share)
    if share[0, 0] < 1:
        at_share = treat_all(is_event, patient, share[0], weights[:1])
        np.testing.assert_allclose(at_share, TREAT_NONE, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_knowing_the_future_is_worth_every_event(seed):
    """A perfect predictor gains the share of events at every threshold, and nothing gains more."""
    probability, is_event, patient, weights = cohort(seed)
    share = prevalence(is_event, patient, weights)[:, None]

    perfect = net_benefit(is_event.astype(float), is_event, patient, THRESHOLDS, weights)
    found = net_benefit(probability, is_event, patient, THRESHOLDS, weights)

    np.testing.assert_allclose(perfect, np.broadcast_to(share, perfect.shape), atol=1e-12)
    assert (found <= share + 1e-12).all()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_who_acts_on_nobody_gains_nothing(seed):
    """Probabilities below every threshold are worth 0; knowing all wrong costs."""
    _, is_event, patient, weights = cohort(seed)
    nobody, wrong = np.zeros(27), (~is_event).astype(float)

    assert (net_benefit(nobody, is_event, patient, [0.1, 0.9], weights) == TREAT_NONE).all()
    assert (net_benefit(wrong, is_event, patient, [0.1, 0.9], weights) <= TREAT_NONE).all()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_a_patient_drawn_twice_is_two_patients(seed):
    """Weight 2 equals a copy of the patient under a new number; scale does not matter."""
    probability, is_event, patient, _ = cohort(seed)
    rows = np.r_[np.arange(27), np.flatnonzero(patient == 0)]
    copy = np.r_[patient, np.full(len(rows) - 27, 7)]
    weights = np.array([[2.0, 1, 1, 1, 1, 1, 1]])

    found = net_benefit(probability, is_event, patient, THRESHOLDS, 3 * weights)

    twice = net_benefit(probability[rows], is_event[rows], copy, THRESHOLDS, np.ones((1, 8)))
    np.testing.assert_allclose(found, twice, atol=1e-12)


def test_numbers_worked_out_by_hand():
    """One event found and one false alarm, of a patient each: at .2 a false alarm costs 1/4."""
    probability, is_event = np.array([0.2, 0.9, 0.1]), np.array([False, True, False])

    found = net_benefit(probability, is_event, np.array([0, 1, 1]), [0.2, 0.5], np.ones((1, 2)))

    np.testing.assert_allclose(found, [[0.25 - 0.5 * 0.25, 0.25]])


def test_a_calibrated_model_is_never_worse_than_both_simple_ways():
    """On many transitions from its own probabilities, it beats acting on all and on none."""
    rng = np.random.default_rng(0)
    probability = rng.beta(1, 2, 40_000)
    is_event, patient = rng.random(40_000) < probability, np.arange(40_000)
    cuts, weights = np.arange(1, 9) / 10, np.ones((1, 40_000))

    found = net_benefit(probability, is_event, patient, cuts, weights)

    assert (found > np.maximum(treat_all(is_event, patient, cuts, weights), TREAT_NONE)).all()


def test_a_draw_of_nobody_is_worth_nan():
    """Weights that are all 0 leave nothing to share."""
    assert np.isnan(net_benefit(**RIGHT | {"weights": np.zeros((1, 2))})).all()


def test_float32_may_round_beyond_one():
    """What a network calls certain counts as certain."""
    certain = np.array([0, 0, 1 + 1e-6], np.float32)

    assert net_benefit(**RIGHT | {"probability": certain}).tolist() == [[0.25]]


def test_default_thresholds_have_a_price():
    """Every hundredth from 0 to .99."""
    assert (len(THRESHOLDS), THRESHOLDS[0], THRESHOLDS[35], THRESHOLDS[-1]) == (100, 0, 0.35, 0.99)


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("probability", np.ones(2), r"shapes \(2,\), \(3,\) and \(3,\): give one of each"),
        ("patient", np.zeros((3, 1), int), r"shapes \(3,\), \(3,\) and \(3, 1\)"),
        ("probability", np.array([0.1, np.nan, 1]), "probability of row 1 is nan"),
        ("probability", np.array([0.1, 0.2, 1.1]), "probability of row 2 is 1.1"),
        ("probability", np.array([-0.1, 0.2, 1]), "probability of row 0 is -0.1"),
        ("is_event", np.array([0, 1, 1]), "events are int64: give true or false"),
        ("patient", np.array([0, 2, 2]), "patient 1 of 3 has no transition"),
        ("weights", np.ones((1, 3)), "do not fit 2 patients"),
        ("weights", np.array([[1.0, -1]]), "a weight is negative"),
    ],
)
def test_refuses_columns_that_do_not_fit(column, value, match):
    """What is wrong is named."""
    with pytest.raises(QueryError, match=match):
        net_benefit(**RIGHT | {column: value})


@pytest.mark.parametrize("wrong", [-0.1, 1.0, np.nan])
def test_refuses_thresholds_without_a_price(wrong):
    """Who acts only when certain puts no finite price on a needless action."""
    with pytest.raises(SettingsError, match=f"threshold {wrong} is none to act at"):
        net_benefit(**RIGHT | {"thresholds": [0.5, wrong]})


def test_refuses_no_transitions():
    """There is nobody to act on."""
    none = np.zeros(0, int)

    with pytest.raises(NotEnoughDataError, match="no transitions to act on"):
        treat_all(none.astype(bool), none, [0.5], np.ones((1, 0)))
