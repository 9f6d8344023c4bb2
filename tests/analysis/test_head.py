"""Heads on embeddings against minimized definitions, planted answers and the laws they keep."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from learner_index.analysis.change import IMPROVED, STABLE, WORSENED
from learner_index.analysis.head import (
    CLASSES,
    PENALTIES,
    STRENGTHS,
    ChangeHead,
    Part,
    change_probabilities,
    fit_change_head,
    fit_score_head,
)
from learner_index.errors import NotEnoughDataError, QueryError, SplitError

SEEDS = st.integers(0, 2**32 - 1)
MIDDLE_STRENGTH, MIDDLE_PENALTY = STRENGTHS[3], PENALTIES[3]


def moved(seed, patients=40, first=0, width=4, noise=0.5, classes=(-1, 0, 1)):
    """Differences whose first axis is the health change, plus noise; 1 to 4 a patient."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(first + np.arange(patients), rng.integers(1, 5, patients))
    change = rng.choice(np.array(classes, np.int8), len(patient))
    features = noise * rng.standard_normal((len(patient), width)) * 2.0 ** np.arange(width)
    features[:, 0] += change
    return Part(features, change, patient)


def scored(seed, patients=40, first=0, width=4, noise=0.5):
    """Embeddings whose axes add up to the health score, far from 0."""
    part = moved(seed, patients, first, width)
    rng = np.random.default_rng([seed, 1])
    features = 30 + rng.standard_normal((len(part.target), width)) * 2.0 ** np.arange(width)
    score = features.sum(axis=1) + noise * rng.standard_normal(len(features))
    return Part(features, score, part.patient)


NOBODY = moved(0, patients=0)


def slow_weights(patient):
    """Rows over the rows of one's patient, times patients to rows."""
    own = [1 / patient.tolist().count(name) for name in patient.tolist()]
    return np.array(own) * len(patient) / len(set(patient.tolist()))


def softmax(logits):
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def slow_change_head(part, strength):
    """The minimum of the penalized log loss, written out for three classes."""
    weights = slow_weights(part.patient)
    total = weights.sum()
    scale = np.sqrt(weights @ part.features**2 / total)
    x, width = part.features / scale, part.features.shape[1]
    observed = (part.target[:, None] == CLASSES).astype(float)

    def loss(packed):
        matrix, intercept = packed[: 3 * width].reshape(3, width), packed[3 * width :]
        chances = softmax(x @ matrix.T + intercept)
        value = -weights @ np.log((chances * observed).sum(axis=1)) * strength
        slope = (weights[:, None] * (chances - observed)).T * strength
        gradient = np.r_[(slope @ x + matrix).ravel(), slope.sum(axis=1)]
        return value + 0.5 * (matrix**2).sum(), gradient

    start = np.zeros(3 * width + 3)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", tol=1e-14).x
    matrix, intercept = found[: 3 * width].reshape(3, width), found[3 * width :]
    return lambda features: softmax(features / scale @ matrix.T + intercept)


def slow_score_head(part, penalty):
    """Normal equations of ridge regression, the mean left free."""
    weights = slow_weights(part.patient)
    mean = weights @ part.features / weights.sum()
    scale = np.sqrt(weights @ (part.features - mean) ** 2 / weights.sum())
    x = (part.features - mean) / scale
    level = weights @ part.target / weights.sum()
    normal = x.T @ (weights[:, None] * x) + penalty * np.eye(x.shape[1])
    coefficient = np.linalg.solve(normal, x.T @ (weights * (part.target - level)))
    return lambda features: (features - mean) / scale @ coefficient + level


def mean_by_patient(values, patient):
    return np.mean([values[patient == name].mean() for name in np.unique(patient)])


def log_loss(predict, part):
    chances = predict(part.features)[np.arange(len(part.target)), part.target + 1]
    return mean_by_patient(-np.log(chances), part.patient)


@pytest.mark.parametrize("seed", range(3))
def test_changes_equal_the_minimum_of_the_loss(seed):
    """Softmax of scaled, uncentred differences; patients weigh the same."""
    part, other = moved(seed), moved(seed + 10).features

    head = fit_change_head(part, NOBODY)

    assert head.strength == MIDDLE_STRENGTH
    expected = slow_change_head(part, MIDDLE_STRENGTH)(other)
    np.testing.assert_allclose(head.probabilities(other), expected, atol=2e-5)
    share = [mean_by_patient(part.target == code, part.patient) for code in CLASSES]
    np.testing.assert_allclose(head.share, share)


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_the_normal_equations(seed):
    """Ridge on standardized embeddings with a free level; patients weigh the same."""
    part, other = scored(seed), scored(seed + 10).features

    head = fit_score_head(part, NOBODY)

    assert head.penalty == MIDDLE_PENALTY
    np.testing.assert_allclose(head.scores(other), slow_score_head(part, MIDDLE_PENALTY)(other))


@pytest.mark.parametrize("noise", [0.2, 1.0, 30.0])
def test_the_tuning_patients_choose_the_strength(noise):
    """The strength whose fit on train loses least on tune; both are then fitted on."""
    train, tune = moved(1, noise=noise), moved(2, first=100, noise=noise)

    head = fit_change_head(train, tune)

    losses = [log_loss(slow_change_head(train, strength), tune) for strength in STRENGTHS]
    assert head.strength == STRENGTHS[int(np.argmin(losses))]
    both = slow_change_head(train + tune, head.strength)
    other = moved(3).features
    np.testing.assert_allclose(head.probabilities(other), both(other), atol=2e-3)


@pytest.mark.parametrize("noise", [0.05, 20.0, 1000.0])
def test_the_tuning_patients_choose_the_penalty(noise):
    """The penalty whose fit on train errs least on tune; both are then fitted on."""
    train, tune = scored(1, noise=noise), scored(2, first=100, noise=noise)

    head = fit_score_head(train, tune)

    predictions = [slow_score_head(train, penalty)(tune.features) for penalty in PENALTIES]
    errors = [mean_by_patient((found - tune.target) ** 2, tune.patient) for found in predictions]
    assert head.penalty == PENALTIES[int(np.argmin(errors))]
    both = slow_score_head(train + tune, head.penalty)
    np.testing.assert_allclose(head.scores(tune.features), both(tune.features))


def test_tuning_on_noise_regularizes_more():
    """What helps on clear differences hurts where there is nothing to learn."""
    clear, none = (
        fit_change_head(moved(1, noise=noise), moved(2, first=100, noise=noise)).strength
        for noise in (0.05, 50.0)
    )

    assert clear > none


@pytest.mark.parametrize(
    ("fit", "make", "chosen", "weakest"),
    [
        (fit_change_head, moved, "strength", STRENGTHS[0]),
        (fit_score_head, scored, "penalty", PENALTIES[-1]),
    ],
)
def test_one_patient_with_many_rows_does_not_choose_alone(fit, make, chosen, weakest):
    """Rows of a patient to whom all is turned round outnumber the others; patients do not."""
    odd, rest = make(1, patients=60, first=100), make(2, patients=20, first=200)
    target = (2 * odd.target.mean().round() - odd.target).astype(odd.target.dtype)
    tune = Part(odd.features, target, np.full(len(target), 100)) + rest
    by_rows = Part(tune.features, tune.target, 1000 + np.arange(len(tune.target)))

    found = getattr(fit(make(0), tune), chosen)

    assert found != weakest
    assert getattr(fit(make(0), by_rows), chosen) == weakest


def test_a_patients_rows_share_its_weight():
    """Rows told twice weigh half, so shares and scales stay; weights add up to the rows."""
    part = moved(0)
    last = np.flatnonzero(part.patient == 39)
    rows = np.concatenate([np.arange(len(part.target)), last])
    again = Part(part.features[rows], part.target[rows], part.patient[rows])

    one, other = (fit_change_head(each, NOBODY) for each in (part, again))

    np.testing.assert_allclose(again.weights, slow_weights(again.patient))
    assert again.weights.sum() == pytest.approx(len(rows))
    np.testing.assert_allclose(one.share, other.share)
    np.testing.assert_allclose(one.scale, other.scale)
    assert NOBODY.weights.shape == (0,)


@pytest.mark.parametrize("classes", [(-1, 0), (0, 1), (-1, 1)])
def test_a_change_not_trained_on_has_almost_no_probability(classes):
    """Two classes are told apart; the third is never answered, yet costs no infinite loss."""
    part, tune = moved(0, classes=classes, noise=0.2), moved(1, first=100)
    absent = ({-1, 0, 1} - set(classes)).pop() + 1

    head = fit_change_head(part, NOBODY)

    chances = head.probabilities(tune.features)
    labels = head.labels(chances)
    assert (chances > 0).all()
    assert chances[:, absent].max() < 2e-6
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert set(labels.tolist()) == set(classes)
    is_known = np.isin(tune.target, classes)
    assert (labels == tune.target)[is_known].mean() > 0.7
    assert math.isfinite(log_loss(head.probabilities, tune))


def test_two_changes_are_a_plain_logistic_regression():
    """The odds of the second are the exponential of one linear score."""
    part = moved(0, classes=(-1, 1))
    weights = slow_weights(part.patient)
    scale = np.sqrt(weights @ part.features**2 / weights.sum())

    head = fit_change_head(part, NOBODY)

    def loss(packed):
        margin = np.where(part.target == 1, 1, -1) * (part.features / scale @ packed[:-1])
        margin += np.where(part.target == 1, 1, -1) * packed[-1]
        return (
            MIDDLE_STRENGTH * weights @ np.logaddexp(0, -margin) + 0.5 * packed[:-1] @ packed[:-1]
        )

    best = minimize(loss, np.zeros(5), tol=1e-12).x
    odds = np.exp(part.features / scale @ best[:-1] + best[-1])
    np.testing.assert_allclose(
        head.probabilities(part.features)[:, 2], odds / (1 + odds), atol=1e-4
    )


def head_of(share):
    return ChangeHead(np.ones(1), np.zeros((3, 1)), np.zeros(3), np.array(share), 1.0)


@pytest.mark.parametrize(
    ("share", "chances", "expected"),
    [
        ([0.1, 0.8, 0.1], [0.15, 0.75, 0.1], WORSENED),  # 1.5 times as likely as usual
        ([0.1, 0.8, 0.1], [0.05, 0.9, 0.05], STABLE),
        ([0.3, 0.4, 0.3], [0.2, 0.41, 0.39], IMPROVED),
        ([0.1, 0.8, 0.1], [0.1, 0.8, 0.1], STABLE),  # nothing is told: the commonest
        ([0.5, 0.2, 0.3], [0.5, 0.2, 0.3], WORSENED),
        ([0.0, 0.4, 0.6], [0.9, 0.05, 0.05], STABLE),  # what was never seen is never answered
    ],
)
def test_the_answer_is_likelier_than_usual(share, chances, expected):
    """Probability over share in training decides; ties go to the commonest."""
    assert head_of(share).labels(np.array([chances])).tolist() == [expected]


def test_differences_that_tell_nothing_give_the_shares():
    """A collapsed encoder: probabilities are shares, and the answer is the commonest change."""
    part = moved(0, classes=(-1, 0, 0, 0, 1))
    constant = Part(np.zeros_like(part.features), part.target, part.patient)

    head = fit_change_head(constant, NOBODY)
    chances = head.probabilities(constant.features)

    np.testing.assert_allclose(chances, np.tile(head.share, (len(chances), 1)), atol=1e-5)
    assert set(head.labels(chances).tolist()) == {STABLE}


@pytest.mark.parametrize("n_constant", [1, 4])
def test_features_that_do_not_vary_are_harmless(n_constant):
    """A constant one adds nothing to the score, whatever its value; all constant: the mean."""
    part = scored(0)
    features = part.features.copy()
    features[:, :n_constant] = [0.1, 1e6, 0, -3][:n_constant]

    head = fit_score_head(Part(features, part.target, part.patient), NOBODY)

    predicted = head.scores(features)
    assert (head.scale[:n_constant] == 1).all()
    if n_constant == 4:
        np.testing.assert_allclose(predicted, mean_by_patient(part.target, part.patient))
    else:
        nobody = Part(NOBODY.features[:, 1:], NOBODY.target, NOBODY.patient)
        without = fit_score_head(Part(features[:, 1:], part.target, part.patient), nobody)
        np.testing.assert_allclose(predicted, without.scores(features[:, 1:]))


def test_more_features_than_rows():
    """512 axes and 30 patients: no warning, and a change planted on 20 of them is found."""

    def widened(part):
        features = np.random.default_rng(part.patient).normal(size=(len(part.target), 512))
        features[:, :20] += 2 * part.target[:, None]
        return Part(features, part.target, part.patient)

    train, tune, unseen = (widened(moved(seed, patients=30, first=100 * seed)) for seed in range(3))

    head, score_head = fit_change_head(train, tune), fit_score_head(train, tune)

    labels = head.labels(head.probabilities(unseen.features))
    assert np.mean(labels == unseen.target) > 0.8
    assert np.corrcoef(score_head.scores(unseen.features), unseen.target)[0, 1] > 0.8


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, power=st.integers(-30, 30))
def test_the_unit_of_a_feature_does_not_matter(seed, power):
    """Features multiplied, each by its own number, give the same answers."""
    rng = np.random.default_rng(seed)
    factors = 2.0 ** (power + rng.integers(-9, 9, 4))
    change, score = moved(seed), scored(seed)

    for part, fit, answers in (
        (change, fit_change_head, lambda head, x: head.probabilities(x)),
        (score, fit_score_head, lambda head, x: head.scores(x)),
    ):
        times = Part(part.features * factors, part.target, part.patient)
        one, other = fit(part, NOBODY), fit(times, NOBODY)
        np.testing.assert_allclose(
            answers(one, part.features), answers(other, times.features), rtol=1e-9
        )


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_scores_move_with_what_they_are_fitted_on(seed):
    """Another origin of the space changes nothing; another unit of the score, only the unit."""
    part = scored(seed)
    shifted = Part(part.features - 17, part.target, part.patient)
    scaled = Part(part.features, 5 * part.target - 3, part.patient)

    plain = fit_score_head(part, NOBODY).scores(part.features)

    np.testing.assert_allclose(fit_score_head(shifted, NOBODY).scores(shifted.features), plain)
    np.testing.assert_allclose(fit_score_head(scaled, NOBODY).scores(part.features), 5 * plain - 3)


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_turning_every_transition_round_turns_the_answers_round(seed):
    """Negated differences with swapped changes swap the probabilities, up to the solver."""
    part = moved(seed)
    turned = Part(-part.features, -part.target, part.patient)

    one, other = (fit_change_head(p, NOBODY).probabilities(p.features) for p in (part, turned))

    np.testing.assert_allclose(one[:, ::-1], other, atol=1e-4)


def test_swapped_visits_are_not_swapped_exactly():
    """One head, trained where most worsen, says so of no difference at all, both ways round."""
    part = moved(0, classes=(-1, -1, -1, 0, 1))
    head = fit_change_head(part, NOBODY)

    there, back = (head.probabilities(np.zeros((1, 4)) * sign) for sign in (1, -1))

    np.testing.assert_array_equal(there, back)
    assert there[0, 0] > there[0, 2] + 0.1


@pytest.mark.parametrize(("is_shuffled", "low", "high"), [(False, 0.9, 1.0), (True, 0.15, 0.5)])
def test_unseen_patients_show_what_was_learnt(is_shuffled, low, high):
    """A planted direction is found again; of shuffled changes nothing is, so a third is right."""
    train, tune, unseen = (moved(seed, 80, 100 * seed, noise=0.1) for seed in range(3))
    if is_shuffled:
        rng = np.random.default_rng(0)
        train, tune = (
            Part(part.features, rng.permutation(part.target), part.patient)
            for part in (train, tune)
        )

    head = fit_change_head(train, tune)
    labels = head.labels(head.probabilities(unseen.features))

    recalls = [np.mean(labels[unseen.target == code] == code) for code in CLASSES]
    assert low < np.mean(recalls) <= high


def test_scores_of_unseen_patients_are_found_again():
    """A planted sum of axes, far from 0, with the error of its noise."""
    train, tune, unseen = (scored(seed, 80, 100 * seed, noise=0.5) for seed in range(3))

    errors = fit_score_head(train, tune).scores(unseen.features) - unseen.target

    assert np.sqrt(np.mean(errors**2)) < 0.7


def test_far_differences_have_finite_probabilities():
    """However far out, chances are above 0 and sum to 1, without overflow."""
    head = fit_change_head(moved(0), NOBODY)

    chances = head.probabilities(np.array([[1e6, 0, 0, 0], [-1e6, 0, 0, 0]]))

    assert (chances > 0).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert head.labels(chances).tolist() == [IMPROVED, WORSENED]


@pytest.mark.parametrize("delta", [-400.0, -3.0, 0.0, 0.5, 40.0])
@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_chances_are_areas_under_the_normal_curve(delta, spread):
    """Below minus θ, between, above θ: integrated numerically."""
    found = change_probabilities(np.array([delta]), np.array([spread]), threshold=1.5)[0]

    def area(low, high):
        ends = np.clip([low, high], delta - 40 * spread, delta + 40 * spread)
        return quad(norm(delta, spread).pdf, *ends, points=[delta], limit=200)[0]

    expected = [area(-np.inf, -1.5), area(-1.5, 1.5), area(1.5, np.inf)]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.sum() == pytest.approx(1, abs=1e-15)


def test_without_two_rows_nothing_is_tuned():
    """A train part of one row or of one class leaves the middle, fitted on all."""
    one, rest = scored(0, patients=1), scored(1, first=9)
    alike, other = moved(0, classes=(0,)), moved(1, first=99)

    scores = fit_score_head(Part(one.features[:1], one.target[:1], one.patient[:1]), rest)
    changes = fit_change_head(alike, other)

    assert scores.penalty == MIDDLE_PENALTY
    assert changes.strength == MIDDLE_STRENGTH
    assert (changes.share > 0).all()


@pytest.mark.parametrize(
    ("classes", "words"), [((1,), "improved"), ((0,), "stable"), ((-1,), "worsened")]
)
def test_refuses_changes_that_are_all_the_same(classes, words):
    """The message counts them, names the change and the way out."""
    part = moved(0, classes=classes)

    with pytest.raises(
        NotEnoughDataError,
        match=f"all {len(part.target)} transitions to learn from are {words}: lower --threshold",
    ):
        fit_change_head(part, NOBODY)


def test_refuses_to_learn_from_nothing():
    """No transition, and fewer than two scores."""
    none, one = scored(0, patients=0), scored(0, patients=1)

    with pytest.raises(NotEnoughDataError, match="no transitions to learn from: add patients"):
        fit_change_head(NOBODY, NOBODY)
    with pytest.raises(NotEnoughDataError, match="1 health scores to learn from: add scored"):
        fit_score_head(none, Part(one.features[:1], one.target[:1], one.patient[:1]))


@pytest.mark.parametrize(("fit", "make"), [(fit_change_head, moved), (fit_score_head, scored)])
def test_refuses_a_patient_in_both_parts(fit, make):
    """Who chooses must not have been fitted on."""
    with pytest.raises(SplitError, match="3 patients both fit a head and choose"):
        fit(make(0, patients=10), make(1, first=7))


@pytest.mark.parametrize(("fit", "make"), [(fit_change_head, moved), (fit_score_head, scored)])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_refuses_what_a_diverged_encoder_gives(fit, make, wrong):
    """NaN and infinity are no embeddings."""
    train, tune = make(0), make(1, first=100)
    tune.features[3, 1] = wrong

    with pytest.raises(QueryError, match="holds NaN or infinity: look for a diverged encoder"):
        fit(train, tune)


def test_nearly_collapsed_embeddings_converge():
    """One direction and a thousandth of noise: the solver ends, without a warning."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 1)) * np.ones((1, 40)) + 1e-3 * rng.standard_normal((200, 40))
    change = rng.choice(np.array([-1, 0, 1], np.int8), 200)

    head = fit_change_head(
        Part(rows[:150], change[:150], np.arange(150)),
        Part(rows[150:], change[150:], np.arange(150, 200)),
    )

    assert np.isfinite(head.coefficient).all()
