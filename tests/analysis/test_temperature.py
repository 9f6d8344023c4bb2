"""The temperature: where the loss is least, patients weighing the same, honest at its ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.temperature import HIGHEST, LOWEST, Temperature, fit_temperature
from learner_index.errors import QueryError

QUICK = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def softmax(logits):
    """(t, c) probabilities, by the definition."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def rows(seed, t=300, truth=2.0, classes=3):
    """Logits, targets drawn from softmax(logits / truth), and patients with 1 to many rows."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(t, classes))
    chance = softmax(logits / truth).cumsum(axis=1)
    target = (rng.random((t, 1)) > chance[:, :-1]).sum(axis=1)
    patient = np.sort(rng.integers(0, t // 4, t))
    return logits, target, patient


def slow_loss(logits, target, patient, temperature):
    """Mean over patients of the mean log loss of each one's rows."""
    own = {}
    for row, k, name in zip(logits, target, patient, strict=True):
        powers = np.exp(row / temperature - np.max(row / temperature))
        own.setdefault(name, []).append(-np.log(powers[k] / powers.sum()))
    return np.mean([np.mean(losses) for losses in own.values()])


@pytest.mark.parametrize("seed", range(4))
def test_is_the_best_of_a_grid(seed):
    """No temperature on a grid has a smaller loss, and the best of the grid is its neighbor."""
    logits, target, patient = rows(seed, t=80)
    grid = np.geomspace(0.2, 20, 231)  # steps of 2 %

    found = fit_temperature(logits, target, patient)

    losses = [slow_loss(logits, target, patient, each) for each in grid]
    assert slow_loss(logits, target, patient, found.value) <= min(losses)
    assert found.value == pytest.approx(grid[np.argmin(losses)], rel=0.025)


@pytest.mark.parametrize("truth", [0.3, 1.0, 5.0])
def test_finds_a_planted_temperature(truth):
    """Outcomes drawn at one temperature: it is found again from 20,000 rows."""
    found = fit_temperature(*rows(1, t=20_000, truth=truth))

    assert found.value == pytest.approx(truth, rel=0.05)
    assert found.note == ""


@QUICK
@given(SEEDS, st.floats(0.3, 4))
def test_scales_with_the_logits(seed, scale):
    """Logits s times as large need s times the temperature."""
    logits, target, patient = rows(seed)

    plain, scaled = (fit_temperature(each, target, patient) for each in (logits, scale * logits))

    assert scaled.value == pytest.approx(scale * plain.value, rel=1e-9)


@QUICK
@given(SEEDS)
def test_a_constant_added_to_a_row_changes_nothing(seed):
    """Probabilities do not see it, nor does the temperature."""
    logits, target, patient = rows(seed)
    moved = logits + np.random.default_rng(seed).normal(size=(len(logits), 1)) * 50

    plain, shifted = (fit_temperature(each, target, patient) for each in (logits, moved))

    assert shifted.value == pytest.approx(plain.value, rel=1e-9)
    np.testing.assert_allclose(shifted.apply(moved), plain.apply(logits), atol=1e-12)


def test_patients_weigh_the_same():
    """A patient's rows thirty times over change nothing."""
    logits, target, patient = rows(2)
    copies = np.where(patient == patient[0], 30, 1)

    plain = fit_temperature(logits, target, patient)
    more = fit_temperature(*(np.repeat(each, copies, axis=0) for each in (logits, target, patient)))

    assert more.value == pytest.approx(plain.value, rel=1e-9)
    assert more.n_patients == plain.n_patients == len(set(patient))


@QUICK
@given(SEEDS, st.floats(LOWEST, HIGHEST))
def test_never_changes_which_class_is_likelier(seed, value):
    """The order of classes stays, and rows sum to 1."""
    logits = np.random.default_rng(seed).normal(size=(20, 4)).round(2)  # differences that survive

    probability = Temperature(value).apply(logits)

    np.testing.assert_allclose(probability, softmax(logits / value), rtol=1e-12)
    is_likelier = logits[:, :, None] > logits[:, None, :]
    assert (probability[:, :, None] >= probability[:, None, :])[is_likelier].all()
    assert (probability.argmax(axis=1) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_hotter_is_less_sure():
    """The likeliest class loses probability as T rises."""
    logits = np.array([[2.0, 0.0, -1.0]])

    cold, plain, hot = (Temperature(each).apply(logits)[0, 0] for each in (0.5, 1.0, 2.0))

    assert cold > plain > hot > 1 / 3


def test_a_class_unknown_to_the_head_does_not_matter():
    """A column of minus infinity: the same temperature, and probability 0."""
    logits, target, patient = rows(3)
    wider = np.column_stack([logits, np.full(len(logits), -np.inf)])

    plain, found = (fit_temperature(each, target, patient) for each in (logits, wider))

    assert found == plain
    assert (found.apply(wider)[:, -1] == 0).all()


def test_outcomes_unknown_to_the_head_are_left_out():
    """Nothing can be learned of T where the loss is infinite whatever T is; it is told."""
    logits, target, patient = rows(4)
    logits[:7, 0], target[:7] = -np.inf, 0

    found = fit_temperature(logits, target, patient)

    rest = fit_temperature(logits[7:], target[7:], patient[7:])
    assert found.value == rest.value
    assert found.n_patients == rest.n_patients
    assert found.note == "7 rows of classes unknown to the head left out"


def test_few_patients_make_no_temperature():
    """Four patients with many rows: T stays 1, and the note says why; five are enough."""
    logits, target, _ = rows(5)
    four, five = np.arange(len(target)) % 4, np.arange(len(target)) % 5

    assert fit_temperature(logits, target, four) == Temperature(
        1.0, 4, "temperature 1, not fitted: 4 patients, 5 needed"
    )
    assert fit_temperature(logits, target, five).note == ""
    assert fit_temperature(logits[:0], target[:0], []).n_patients == 0


@pytest.mark.parametrize("size", [1.0, 1e5])
def test_stops_at_the_ends(size):
    """Outcomes that are always, or never, the likeliest class ask for 0 or infinity."""
    logits, patient = size * np.tile(np.eye(3), (4, 1)), np.arange(12)
    right = np.tile(np.arange(3), 4)
    wrong = (right + 1) % 3

    cold, hot = (fit_temperature(logits, each, patient) for each in (right, wrong))

    if size == 1:
        assert (cold.value, cold.note[:28]) == (LOWEST, "temperature at its lower end")
    else:  # sure at every temperature
        assert cold.note == "temperature 1, not fitted: none gives other probabilities"
    assert (hot.value, hot.note[:28]) == (HIGHEST, "temperature at its upper end")


def test_equal_logits_leave_the_temperature_alone():
    """A head that says nothing: T changes nothing, so it stays 1."""
    found = fit_temperature(np.full((9, 3), 0.7), np.arange(9) % 3, np.arange(9))

    assert found.value == 1
    assert "none gives other probabilities" in found.note


def test_refuses_logits_and_targets_that_are_none():
    """NaN, plus infinity, a row without a finite logit, a class that is not there."""
    logits, target, patient = rows(6)

    for wrong in (np.nan, np.inf):
        with pytest.raises(QueryError, match="a logit is NaN or plus infinity"):
            fit_temperature(np.where(np.arange(3) == 1, wrong, logits), target, patient)
    with pytest.raises(QueryError, match="row 1 has no finite logit"):
        Temperature().apply(np.array([[0.0, -np.inf], [-np.inf, -np.inf]]))
    with pytest.raises(QueryError, match="target 3 is no class"):
        fit_temperature(logits, target + 3 * (target == 0), patient)
    with pytest.raises(QueryError, match="300 rows, 300 targets, 299 patients"):
        fit_temperature(logits, target, patient[1:])
