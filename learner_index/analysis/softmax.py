"""Probabilities from logits, the same whichever order the classes stand in."""

import numpy as np

from learner_index.analysis.distance import Floats, Reals


def softmax(logits: Reals) -> Floats:
    """Probability of each class.

    Reversing the classes reverses the answer bit for bit: the sum is taken from the smallest to
    the largest term, whichever class that is of.

    Args:
        logits: (t, c) of which one a row is finite; minus infinity gives a probability of 0.

    Returns:
        (t, c) from 0 to 1, rows sum to 1.
    """
    rows = np.ascontiguousarray(logits, np.float64)  # a sum's rounding depends on the layout
    odds = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(odds / np.sort(odds, axis=1).sum(axis=1, keepdims=True))
