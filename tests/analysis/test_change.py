"""Health changes by a threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.change import IMPROVED, STABLE, WORSENED, health_changes
from learner_index.errors import QueryError, SettingsError


def slow_change(delta, threshold):
    """The class rule, written out."""
    if delta >= threshold:
        return 1
    return -1 if delta <= -threshold else 0


def test_a_change_beyond_the_threshold_counts():
    """θ or more up is improved, θ or more down is worsened; less is stable."""
    found = health_changes(np.array([50, 49, 0, -49, -50.0]), 50)

    assert found.tolist() == [IMPROVED, STABLE, STABLE, STABLE, WORSENED]
    assert found.dtype == np.int8


@given(st.lists(st.floats(-1e6, 1e6)), st.floats(1e-6, 1e6))
def test_changes_equal_the_definition(deltas, threshold):
    """Every class is what the rule says, and swapping the visits flips it."""
    found = health_changes(np.array(deltas, float), threshold)

    assert found.tolist() == [slow_change(delta, threshold) for delta in deltas]
    assert (health_changes(-np.array(deltas, float), threshold) == -found).all()


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, np.inf])
def test_refuses_a_threshold_that_is_no_size(threshold):
    """A negative or endless θ has no meaning."""
    with pytest.raises(SettingsError, match=f"threshold {threshold} is no size"):
        health_changes(np.zeros(2), threshold)


def test_refuses_missing_changes():
    """NaN is no class, and the message counts them."""
    with pytest.raises(QueryError, match="1 of 3 score changes are missing"):
        health_changes(np.array([0, np.nan, 1]), 1)
