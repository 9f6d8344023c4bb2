"""The ordinal head against statsmodels, a slow loop, and the multinomial head of two classes."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad
from statsmodels.miscmodels.ordinal_model import OrderedModel

from learner_index.analysis.heads import multinomial
from learner_index.analysis.heads.ordinal import KIND, Ordinal, OrdinalLoss
from learner_index.analysis.softmax import softmax
from tests.analysis.heads.lessons_toy import only, planted


def test_matches_statsmodels_without_a_penalty():
    """Slopes and thresholds of five simulated classes at a strength of a million."""
    lesson = planted(1, rows=400, n_classes=5, noise=1.0)
    lesson = replace(lesson, weight=np.ones(400))

    found = KIND.fit(lesson, 1e6, 0)

    model = OrderedModel(lesson.target, lesson.features, distr="logit")
    reference = model.fit(method="bfgs", disp=False, gtol=1e-8)
    np.testing.assert_allclose(found.slope, reference.params[:4], atol=1e-4)
    thresholds = model.transform_threshold_params(reference.params)[1:-1]
    np.testing.assert_allclose(found.threshold, thresholds, atol=1e-4)
    chances = softmax(found.logits(lesson.features))
    np.testing.assert_allclose(chances, reference.predict(), atol=1e-4)


def slow_loss(lesson, strength, slope, threshold):
    """The definition, one row at a time: a difference of two logistic functions."""
    edges = [-math.inf, *threshold.tolist(), math.inf]
    total = sum(value**2 for value in slope.tolist()) / (2 * strength)
    for row, target, weight in zip(lesson.features, lesson.target, lesson.weight, strict=True):
        place = float(row @ slope)
        upper, lower = (1 / (1 + math.exp(place - edges[target + i])) for i in (1, 0))
        total -= weight * math.log(upper - lower)
    return total


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_loss_and_gradient_match_their_definition(n_classes):
    """The loss is a slow loop's, and its gradient that of finite differences."""
    lesson = planted(2, rows=60, n_classes=n_classes)
    loss = OrdinalLoss.of(lesson, 0.7, np.bincount(lesson.target, lesson.weight))
    point = np.random.default_rng(3).standard_normal(len(loss.start) + len(loss.step))

    slope, threshold, _ = loss.place(point)

    wanted = slow_loss(lesson, 0.7, slope, threshold + slope @ loss.axes.center)
    assert loss(point)[0] == pytest.approx(wanted, rel=1e-12)
    assert check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], point) < 2e-5


def test_curvature_at_the_start_is_one():
    """The coordinates whiten thresholds and slopes alike, so that few steps are needed."""
    lesson = planted(4, rows=4000, noise=20.0)
    loss = OrdinalLoss.of(lesson, 2.0, np.bincount(lesson.target, lesson.weight))
    size = len(loss.start) + len(loss.step)

    columns = [(loss(1e-4 * unit)[1] - loss(-1e-4 * unit)[1]) / 2e-4 for unit in np.eye(size)]

    np.testing.assert_allclose(np.array(columns), np.eye(size), atol=0.1)


def test_two_classes_are_logistic_regression():
    """The multinomial head of half the strength: it has two logits that share the slope."""
    lesson = planted(5, n_classes=2)

    found = softmax(KIND.fit(lesson, 1.0, 0).logits(lesson.features))

    reference = multinomial.KIND.fit(lesson, 0.5, 0).logits(lesson.features)
    np.testing.assert_allclose(found, softmax(reference), atol=2e-5)


def test_logits_are_log_probabilities():
    """Their exponentials add up to 1 without being scaled."""
    lesson = planted(6, n_classes=4)

    found = KIND.fit(lesson, 100.0, 0).logits(lesson.features)

    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, rtol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_far_from_all_thresholds_nothing_is_lost(seed):
    """Differences of numbers that both round to 1 still have their logarithm."""
    threshold = np.cumsum(np.random.default_rng(seed).exponential(size=3))
    head = Ordinal(np.ones(1), threshold, np.ones(4, np.int64))

    found = head.logits(np.array([[-300.0], [300.0]]))

    assert np.isfinite(found).all()
    below, above = np.diff(np.exp(-threshold[:2]))[0], np.diff(np.exp(threshold[1:]))[0]
    wanted = [-300 + math.log(-below), -300 + math.log(above)]
    np.testing.assert_allclose([found[0, 1], found[1, 2]], wanted, rtol=1e-9)


@pytest.mark.parametrize("absent", [0, 1, 3])
def test_a_class_without_rows_changes_nothing_for_the_others(absent):
    """At either end or between, it has no probability and the rest are as without it."""
    lesson = planted(7)
    others = np.array([number for number in range(4) if number != absent])
    wide = replace(lesson, target=others[lesson.target], n_classes=4)

    found = KIND.fit(wide, 1.0, 0).logits(lesson.features)

    np.testing.assert_array_equal(found[:, absent], -np.inf)
    reference = KIND.fit(lesson, 1.0, 0).logits(lesson.features)
    np.testing.assert_array_equal(found[:, others], reference)


def test_thresholds_rise_where_a_class_is_rare():
    """One row among hundreds still has a class of some width."""
    lesson = planted(8, rows=300, n_classes=2)
    target = 2 * lesson.target
    target[np.argmin(np.abs(lesson.features.sum(axis=1)))] = 1
    lesson = replace(lesson, target=target, n_classes=3)

    found = KIND.fit(lesson, 100.0, 0)

    assert np.diff(found.threshold)[0] > 0
    assert (softmax(found.logits(lesson.features))[:, 1] > 0).all()


def test_it_needs_fewer_rows_than_it_has_features():
    """Twelve rows of twenty features, each twice: finite, and copies share their slope."""
    lesson = only(planted(9, rows=40, width=10), np.arange(12))
    lesson = replace(lesson, features=np.repeat(lesson.features, 2, axis=1))

    found = KIND.fit(lesson, 1.0, 0)

    assert np.isfinite(found.slope).all()
    np.testing.assert_allclose(found.slope[::2], found.slope[1::2], atol=1e-5)
