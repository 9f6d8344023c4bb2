"""Turning health scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learner_index.data.scores import turned

values = st.lists(st.floats(allow_infinity=False)).map(np.array)


@given(values, st.sampled_from(["higher", "lower"]))
def test_turning_twice_gives_the_scores_back(scores, direction):
    """Turning is its own inverse, and no result is a negative zero."""
    once = turned(scores, direction)

    np.testing.assert_array_equal(turned(once, direction), scores)
    assert not np.signbit(once[once == 0]).any()


@given(values)
def test_lower_reverses_the_order(scores):
    """The lowest raw score becomes the healthiest when lower is healthier."""
    known = scores[~np.isnan(scores)]

    np.testing.assert_array_equal(turned(np.sort(known), "lower"), -np.sort(known))
