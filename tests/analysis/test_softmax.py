"""Probabilities against their definition, at the ends of the number range, and in any order."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from learner_index.analysis.softmax import softmax

LOGITS = st.integers(2, 7).flatmap(
    lambda c: arrays(np.float64, (5, c), elements=st.floats(-800, 800, allow_subnormal=False))
)


def test_matches_the_definition():
    """Exponentials over their sum, one row and class at a time."""
    logits = np.random.default_rng(0).standard_normal((6, 4)) * 3

    found = softmax(logits)

    slow = [[math.exp(x) / sum(math.exp(y) for y in row) for x in row] for row in logits.tolist()]
    np.testing.assert_allclose(found, slow, rtol=1e-13)


def test_minus_infinity_is_no_chance_and_nothing_overflows():
    """A class that cannot be gets exactly 0; logits of thousands are as good as small ones."""
    found = softmax(np.array([[-np.inf, 5000.0, 5000.0], [0.0, -np.inf, -5000.0]]))

    np.testing.assert_array_equal(found, [[0, 0.5, 0.5], [1, 0, 0]])


@given(LOGITS)
def test_rows_are_probabilities(logits):
    """None below 0, and rows add up to 1."""
    found = softmax(logits)

    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)


@given(LOGITS, st.randoms(use_true_random=False))
def test_the_order_of_classes_does_not_matter(logits, random):
    """Classes in another order have the same probabilities, bit for bit."""
    order = list(range(logits.shape[1]))
    random.shuffle(order)

    np.testing.assert_array_equal(softmax(logits[:, order]), softmax(logits)[:, order])


def test_the_layout_in_memory_does_not_matter():
    """Logits by column, as some products leave them, give the same bits as logits by row."""
    logits = np.random.default_rng(1).standard_normal((50, 20))

    np.testing.assert_array_equal(softmax(np.asfortranarray(logits)), softmax(logits))


def test_single_precision_is_widened():
    """Float32 logits give float64 probabilities."""
    assert softmax(np.zeros((1, 3), np.float32)).dtype == np.float64
