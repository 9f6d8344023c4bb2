"""The scale of labels, fitted on training scores."""

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.learn.objectives.record import LabelScale


def test_width_is_half_the_median_difference():
    """Over all pairs once, unknown scores left out."""
    scores = [3.0, 1.0, 4.5, np.nan, 9.0, np.inf]
    known = [3.0, 1.0, 4.5, 9.0]
    wanted = statistics.median(abs(a - b) for a, b in itertools.combinations(known, 2)) / 2

    found = LabelScale.fit(np.array(scores))

    assert found.kernel_width == wanted
    assert found.range == 8.0  # few scores: their 5th and 95th percentiles are the ends


def test_range_leaves_out_the_extremes():
    """From the 5th to the 95th percentile of many scores: two outliers do not widen it."""
    scores = np.r_[-1e6, np.linspace(0, 100, 99), 1e6]

    assert LabelScale.fit(scores).range == pytest.approx(90, abs=2)


def test_range_is_a_difference_of_observed_scores():
    """A percentile that falls between two classes is no third class."""
    scores = np.r_[np.zeros(95), np.ones(5)]

    assert LabelScale.fit(scores).range == 1.0


def test_range_of_mostly_equal_scores_spans_them_all():
    """Where the percentiles coincide, the lowest and highest score set the range."""
    assert LabelScale.fit(np.r_[np.zeros(99), 7.0]).range == 7.0


def test_width_of_coarse_classes_looks_at_real_differences():
    """Most pairs are equal: half the mean of the differences that are not 0."""
    scores = np.array([0.0] * 8 + [2.0, 6.0])
    apart = [abs(a - b) for a, b in itertools.combinations(scores, 2)]

    found = LabelScale.fit(scores)

    assert statistics.median(apart) == 0
    assert found.kernel_width == statistics.mean(d for d in apart if d > 0) / 2


@given(st.lists(st.integers(-50, 50), min_size=2).filter(lambda xs: len(set(xs)) > 1))
def test_scale_follows_the_unit(scores):
    """Scores eight times as large have a scale eight times as large, whatever their origin."""
    once, again = LabelScale.fit(np.array(scores)), LabelScale.fit(8.0 * np.array(scores) - 16)

    assert again == LabelScale(8 * once.range, 8 * once.kernel_width)


def test_many_scores_are_thinned_out_evenly():
    """Fifty thousand scores have the width of their distribution: |a − b| of a uniform one."""
    scores = np.random.default_rng(0).random(50_000)

    found = LabelScale.fit(scores)

    assert found.kernel_width == pytest.approx((1 - np.sqrt(0.5)) / 2, rel=0.02)


def test_a_rare_class_survives_thinning():
    """One different score among thousands is enough for a scale."""
    scores = np.r_[np.zeros(4000), 1.0]

    assert LabelScale.fit(scores) == LabelScale(1.0, 0.5)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "0 known health scores have 0 distinct values"),
        ([np.nan, np.nan], "0 known health scores have 0 distinct values"),
        ([2.0, np.nan, 2.0], "2 known health scores have 1 distinct values: training needs"),
    ],
)
def test_refuses_scores_that_do_not_differ(scores, message):
    """Nothing to learn from one value, and the message counts what was found."""
    with pytest.raises(NotEnoughDataError, match=message):
        LabelScale.fit(np.array(scores, float))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0, 1.0), "the range of the labels is 0.0, not a number above 0"),
        ((1.0, -1.0), "the kernel_width of the labels is -1.0"),
        ((float("nan"), 1.0), "the range of the labels is nan"),
        ((1.0, float("inf")), "the kernel_width of the labels is inf"),
    ],
)
def test_refuses_a_scale_nothing_can_be_divided_by(values, message):
    """A scale made by hand has numbers above 0."""
    with pytest.raises(SettingsError, match=message):
        LabelScale(*values)
