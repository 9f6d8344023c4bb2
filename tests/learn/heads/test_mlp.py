"""The small network: learns what no linear head can, and leaves torch's own chance alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import learner_index.learn.heads.mlp as mlp
from learner_index.analysis.softmax import softmax
from learner_index.errors import NotEnoughDataError
from tests.analysis.heads.lessons_toy import planted


def crossed(seed, rows=300):
    """Two classes by the sign of a product: no line divides them."""
    lesson = planted(seed, rows=rows, width=3, n_classes=2)
    return replace(lesson, target=(lesson.features[:, 0] * lesson.features[:, 1] > 0).astype(int))


def share_right(head, lesson):
    """How many of a lesson's outcomes are the likeliest."""
    return np.mean(head.logits(lesson.features).argmax(axis=1) == lesson.target)


def test_learns_what_no_line_divides():
    """A product of two features, on rows it has not seen."""
    head = mlp.KIND.fit(crossed(0), 1.0, 0)

    assert share_right(head, crossed(1)) > 0.9


def test_strength_regularizes():
    """The smallest strength knows little but the shares; the logits of the largest spread."""
    lesson = crossed(2)

    spread = [np.ptp(mlp.KIND.fit(lesson, s, 0).logits(lesson.features)) for s in (1e-4, 1.0)]

    assert spread[0] < 0.2
    assert spread[1] > 3
    shares = softmax(mlp.KIND.fit(lesson, 1e-4, 0).logits(lesson.features)).mean(axis=0)
    wanted = np.bincount(lesson.target, lesson.weight) / lesson.weight.sum()
    np.testing.assert_allclose(shares, wanted, atol=0.02)


def test_torchs_own_generator_is_left_alone():
    """What others draw does not depend on whether a head was fitted."""
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)

    mlp.KIND.fit(crossed(3, rows=20), 1.0, 0)

    assert torch.equal(torch.rand(3), wanted)


def test_the_seed_is_what_differs():
    """Another seed is another head, however near."""
    lesson = crossed(4, rows=30)

    found = [mlp.KIND.fit(lesson, 1.0, seed).logits(lesson.features) for seed in (0, 1)]

    assert not np.array_equal(*found)


def test_many_rows_are_drawn_a_few_at_a_time(monkeypatch):
    """Steps on some of the rows learn the same rule, and the same head each time."""
    monkeypatch.setattr(mlp, "_BATCH", 64)
    lesson = crossed(5, rows=500)

    heads = [mlp.KIND.fit(lesson, 1.0, 0) for _ in range(2)]

    assert share_right(heads[0], crossed(6)) > 0.85
    np.testing.assert_array_equal(*[head.logits(lesson.features) for head in heads])


def test_fits_where_gradients_are_switched_off():
    """A caller who only predicts elsewhere may fit inside torch.no_grad."""
    lesson = crossed(7, rows=30)

    with torch.no_grad():
        inside = mlp.KIND.fit(lesson, 1.0, 0)

    wanted = mlp.KIND.fit(lesson, 1.0, 0).logits(lesson.features)
    np.testing.assert_array_equal(inside.logits(lesson.features), wanted)


def test_the_strength_is_of_a_sum():
    """Twice the weight at half the strength is the same head, but for rounding."""
    lesson = crossed(8, rows=40)
    doubled = replace(lesson, weight=2 * lesson.weight)

    found = mlp.KIND.fit(doubled, 0.5, 0).logits(lesson.features)

    wanted = mlp.KIND.fit(lesson, 1.0, 0).logits(lesson.features)
    np.testing.assert_allclose(softmax(found), softmax(wanted), atol=0.01)


def test_computes_in_single_precision():
    """Weights are float32, logits float64."""
    head = mlp.KIND.fit(crossed(9, rows=20), 1.0, 0)

    assert {array.dtype for array in head.arrays().values()} == {np.dtype(np.float32)}
    assert head.logits(np.zeros((1, 3))).dtype == np.float64


def test_refuses_one_outcome():
    """Nothing can be told apart."""
    lesson = replace(planted(), target=np.zeros(90, int))

    with pytest.raises(NotEnoughDataError, match="90 transitions with 1 of 3 outcomes"):
        mlp.KIND.fit(lesson, 1.0, 0)
