"""The antisymmetric head: exact reversal, and the multinomial head of rows with their swaps."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.heads import multinomial
from learner_index.analysis.heads.antisymmetric import KIND, Antisymmetric
from learner_index.analysis.softmax import softmax
from learner_index.errors import NotEnoughDataError
from tests.analysis.heads.lessons_toy import only, planted, swapped, with_swapped

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(2, 7), st.integers(1, 40), st.sampled_from([np.float32, np.float64]))
def test_swapping_visits_reverses_the_answer_bit_for_bit(seed, n_classes, rows, kind):
    """Any head, any features: logits and probabilities are those of the original, reversed."""
    rng = np.random.default_rng(seed)
    is_odd = rng.random(6) < 0.5
    half, up = n_classes // 2, (n_classes + 1) // 2
    head = Antisymmetric(
        np.where(is_odd, rng.standard_normal((half, 6)), 0.0),
        np.where(is_odd, 0.0, rng.standard_normal((up, 6))),
        np.where(rng.random(up) < 0.2, -np.inf, rng.standard_normal(up)),
        n_classes,
    )
    features = (rng.standard_normal((rows, 6)) * 10.0 ** rng.integers(-3, 3)).astype(kind)

    found = head.logits(features)
    turned = head.logits(np.where(is_odd, -features, features))

    np.testing.assert_array_equal(turned, found[:, ::-1])
    if np.isfinite(head.intercept).any():
        np.testing.assert_array_equal(softmax(turned), softmax(found)[:, ::-1])


@pytest.mark.parametrize("n_classes", [2, 3, 4])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_fitted_head_reverses_exactly(n_classes, kind):
    """What was fitted has no trace of the order of visits left."""
    lesson = planted(1, n_classes=n_classes)
    lesson = replace(lesson, features=lesson.features.astype(kind))

    head = KIND.fit(lesson, 1.0, 0)

    found = head.logits(lesson.features)
    turned = head.logits(swapped(lesson, lesson.features))
    np.testing.assert_array_equal(turned, found[:, ::-1])
    assert np.ptp(found, axis=0).min() > 0.1


@pytest.mark.parametrize("strength", [KIND.strengths[0], 1.0, KIND.strengths[-1]])
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_it_is_the_multinomial_head_of_rows_and_their_swaps(strength, n_classes):
    """Rows far from symmetric, with features of a mean other than 0: the same probabilities."""
    lesson = planted(2, n_classes=n_classes)
    lesson = replace(lesson, features=lesson.features @ np.tri(4) + 0.4)

    found = KIND.fit(lesson, strength, 0).logits(lesson.features)

    reference = multinomial.KIND.fit(with_swapped(lesson), strength, 0).logits(lesson.features)
    np.testing.assert_allclose(softmax(found), softmax(reference), atol=5e-5)


def test_what_only_worsened_may_improve_the_other_way_round():
    """A class has probability if its mirror image has rows; the pair without rows has none."""
    lesson = planted(3, n_classes=5)
    lesson = only(lesson, np.isin(lesson.target, [0, 2]))

    found = softmax(KIND.fit(lesson, 1.0, 0).logits(lesson.features))

    assert (found[:, [0, 2, 4]] > 0).all()
    np.testing.assert_array_equal(found[:, [1, 3]], 0.0)


def test_nothing_between_two_like_visits():
    """Where odd features are zero, a class is as probable as its mirror image."""
    lesson = planted(4)

    found = KIND.fit(lesson, 10.0, 0).logits(np.where(lesson.is_odd, 0.0, lesson.features))

    np.testing.assert_array_equal(found[:, 0], found[:, 2])


def test_refuses_a_cohort_in_which_all_worsened():
    """Swapped copies do not make one outcome two."""
    lesson = planted(5)

    with pytest.raises(NotEnoughDataError, match="with 1 of 3 outcomes to learn from: add"):
        KIND.fit(only(lesson, lesson.target == 0), 1.0, 0)


def test_detects_only():
    """Before the later visit there is nothing to swap."""
    assert KIND.tasks == ("detect",)
    assert KIND.needs_order
