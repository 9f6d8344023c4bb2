"""Laws that hold for each head there is, also for one added tomorrow."""

from dataclasses import replace

import numpy as np
import pytest

from learner_index.analysis.softmax import softmax
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response.kinds import head_kind, kind_names
from tests.analysis.heads.lessons_toy import only, planted

every_head = pytest.mark.parametrize("kind", kind_names(), ids=str, indirect=True)


@pytest.fixture
def kind(request):
    """A head by its name."""
    return head_kind(request.param)


@every_head
def test_the_same_arguments_give_the_same_head(kind):
    """Every array is equal bit for bit, and the lesson is as it was."""
    lesson, untouched = planted(1), planted(1)

    first, second = (kind.fit(lesson, kind.strengths[-1], 3).arrays() for _ in range(2))

    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    for name in ("features", "target", "weight", "is_odd"):
        np.testing.assert_array_equal(getattr(lesson, name), getattr(untouched, name))


@every_head
def test_a_loaded_head_answers_like_the_one_saved(kind):
    """Arrays are numbers that any format can hold, and they are all a head knows."""
    lesson = planted(2)
    head = kind.fit(lesson, 1.0, 0)

    arrays = {name: array.copy() for name, array in head.arrays().items()}

    assert {array.dtype.kind for array in arrays.values()} <= {"f", "i"}
    np.testing.assert_array_equal(
        kind.load(arrays).logits(lesson.features), head.logits(lesson.features)
    )


@every_head
@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_logits_are_float64_and_finite(kind, number):
    """(t, c), in either precision of the features, also for no rows at all."""
    lesson = planted(3, n_classes=4)
    lesson = replace(lesson, features=lesson.features.astype(number))

    head = kind.fit(lesson, kind.strengths[0], 0)

    found = head.logits(lesson.features)
    assert (found.dtype, found.shape) == (np.float64, (90, 4))
    assert np.isfinite(found).all()
    assert head.logits(lesson.features[:0]).shape == (0, 4)


@every_head
def test_a_class_without_rows_has_no_probability(kind):
    """The middle of three is never seen: exactly 0, and nothing is NaN."""
    lesson = planted(4)
    lesson = only(lesson, lesson.target != 1)

    found = kind.fit(lesson, 1.0, 0).logits(3 * lesson.features)

    chances = softmax(found)
    np.testing.assert_array_equal(chances[:, 1], 0.0)
    assert (chances[:, [0, 2]] > 0).all()
    assert not np.isnan(found).any()


@every_head
def test_a_weight_is_a_repetition(kind):
    """A row of weight 3 counts like three of weight 1, within what solvers leave open."""
    lesson = planted(5, rows=60)
    times = np.random.default_rng(0).integers(1, 4, 60)
    repeated = only(lesson, np.repeat(np.arange(60), times))

    weighted = kind.fit(replace(lesson, weight=times.astype(float)), 1.0, 0)

    plain = kind.fit(replace(repeated, weight=np.ones(times.sum())), 1.0, 0)
    found, wanted = (softmax(head.logits(lesson.features)) for head in (weighted, plain))
    np.testing.assert_allclose(found, wanted, atol=1e-4 if kind.name != "mlp" else 1e-2)
    ignored = kind.fit(replace(lesson, weight=np.ones(60)), 1.0, 0).logits(lesson.features)
    assert np.abs(softmax(ignored) - wanted).max() > 0.02


@every_head
def test_learns_a_planted_rule(kind):
    """Nine of ten outcomes on new rows, where the classes are divided without noise."""
    head = kind.fit(planted(6, rows=400, noise=0.0), kind.strengths[-1], 0)

    new = planted(7, rows=400, noise=0.0)
    assert np.mean(head.logits(new.features).argmax(axis=1) == new.target) > 0.9


@every_head
def test_strengths_go_from_the_most_to_the_least_regularized(kind):
    """They rise, and the head of the last one answers further from the shares."""
    lesson = planted(8)

    first, last = (
        softmax(kind.fit(lesson, strength, 0).logits(lesson.features)).std(axis=0).max()
        for strength in (kind.strengths[0], kind.strengths[-1])
    )

    assert list(kind.strengths) == sorted(set(kind.strengths))
    assert first < last


@every_head
def test_constant_features_are_harmless(kind):
    """Zeros and copies among the features leave probabilities finite, and the rule learned."""
    lesson = planted(9, noise=0.0, rows=200)
    features, is_odd = lesson.features, lesson.is_odd
    wide = replace(
        lesson,
        features=np.column_stack([features, np.zeros((200, 2)), features]),
        is_odd=np.concatenate([is_odd, [True, False], is_odd]),
    )

    found = kind.fit(wide, kind.strengths[-1], 0).logits(wide.features)

    assert np.isfinite(found).all()
    assert np.mean(found.argmax(axis=1) == lesson.target) > 0.9


@every_head
def test_two_classes_and_a_single_feature_are_enough(kind):
    """The smallest lesson there is: one feature, one row of either class."""
    lesson = planted(10, rows=2, width=1, n_classes=2)
    lesson = replace(lesson, features=np.array([[-1.0], [1.0]]), target=np.array([0, 1]))

    found = softmax(kind.fit(lesson, 1.0, 0).logits(lesson.features))

    assert found[0, 0] > found[0, 1]
    assert found[1, 1] > found[1, 0]


@every_head
@pytest.mark.parametrize("rows", [0, 7])
def test_refuses_fewer_than_two_outcomes(kind, rows):
    """In one line with what was found."""
    lesson = planted(11)
    lesson = only(lesson, np.flatnonzero(lesson.target == 1)[:rows])

    with pytest.raises(NotEnoughDataError, match=rf"^{rows} transitions with [01] of 3 .*: add"):
        kind.fit(lesson, 1.0, 0)


@every_head
def test_linear_heads_are_linear(kind):
    """A head that calls itself linear has logits halfway for features halfway; others do not."""
    lesson = planted(12)
    head = kind.fit(lesson, kind.strengths[-1], 0)
    one, other = lesson.features[:40], lesson.features[40:80]

    halfway = head.logits((one + other) / 2)

    gap = np.abs(halfway - (head.logits(one) + head.logits(other)) / 2).max()
    assert (gap < 1e-9) == kind.is_linear
