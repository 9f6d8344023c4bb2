"""The multinomial head against scikit-learn's Newton solver, and the classes without rows."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from learner_index.analysis.heads.descent import axes_of
from learner_index.analysis.heads.multinomial import KIND, SoftmaxLoss
from learner_index.analysis.softmax import softmax
from tests.analysis.heads.lessons_toy import only, planted


def newton(lesson, strength):
    """The same penalized problem by another solver, to its last digits."""
    model = LogisticRegression(C=strength, solver="newton-cg", tol=1e-10, max_iter=1000)
    return model.fit(lesson.features, lesson.target, sample_weight=lesson.weight)


@pytest.mark.parametrize("strength", [KIND.strengths[0], 1.0, KIND.strengths[-1]])
def test_matches_another_solver(strength):
    """Coefficients and probabilities of four correlated classes at each end of the strengths."""
    lesson = planted(1, n_classes=4, width=5)
    mixed = lesson.features @ np.random.default_rng(2).standard_normal((5, 5)) + 0.3
    lesson = replace(lesson, features=mixed)

    found = KIND.fit(lesson, strength, 0)

    reference = newton(lesson, strength)
    np.testing.assert_allclose(found.arrays()["coefficient"], reference.coef_, atol=2e-4)
    chances = softmax(found.logits(mixed))
    np.testing.assert_allclose(chances, reference.predict_proba(mixed), atol=2e-5)


def test_two_classes_are_two_logits_that_mirror_each_other():
    """One logit's squares count double, so the library's strength is twice ours."""
    lesson = planted(3, n_classes=2)

    found = KIND.fit(lesson, 0.5, 0)

    chances = softmax(found.logits(lesson.features))
    reference = newton(lesson, 1.0).predict_proba(lesson.features)
    np.testing.assert_allclose(chances, reference, atol=2e-5)
    first, second = found.arrays()["coefficient"]
    np.testing.assert_allclose(first, -second, atol=1e-12)


def test_a_class_without_rows_changes_nothing_for_the_others():
    """Five classes of which two have no rows are as good as the three that have."""
    lesson = planted(4)
    wide = replace(lesson, target=np.array([0, 2, 3])[lesson.target], n_classes=5)

    found = KIND.fit(wide, 1.0, 0).logits(lesson.features)

    np.testing.assert_array_equal(found[:, [1, 4]], -np.inf)
    np.testing.assert_array_equal(
        found[:, [0, 2, 3]], KIND.fit(lesson, 1.0, 0).logits(lesson.features)
    )


def test_without_any_effect_it_knows_the_shares():
    """The most penalized head answers how much each class weighs, whoever asks."""
    lesson = planted(5)

    found = softmax(KIND.fit(lesson, 1e-9, 0).logits(lesson.features))

    share = np.bincount(lesson.target, lesson.weight) / lesson.weight.sum()
    np.testing.assert_allclose(found, np.tile(share, (len(found), 1)), atol=1e-5)


def test_single_precision_is_exact_to_a_thousandth():
    """Float32 features give the probabilities of float64 ones within 0.001, correlated too."""
    lesson = planted(6, rows=600, width=30)
    mixed = lesson.features @ np.random.default_rng(7).standard_normal((30, 30))
    lesson = replace(lesson, features=mixed / mixed.std(axis=0))
    narrow = replace(lesson, features=lesson.features.astype(np.float32))

    found = [softmax(KIND.fit(one, 1.0, 0).logits(lesson.features)) for one in (lesson, narrow)]

    np.testing.assert_allclose(found[1], found[0], atol=1e-3)


def test_a_strength_stays_right_when_rows_are_added():
    """The penalty is of a sum: twice the weight at half the strength is the same head."""
    lesson = planted(8)
    doubled = replace(lesson, weight=2 * lesson.weight)

    found = KIND.fit(doubled, 0.5, 0).logits(lesson.features)

    np.testing.assert_allclose(found, KIND.fit(lesson, 1.0, 0).logits(lesson.features), atol=1e-4)


def slow_loss(lesson, strength, coefficient, intercept):
    """The definition, one row and class at a time."""
    total = sum(value**2 for value in coefficient.ravel().tolist()) / (2 * strength)
    for row, target, weight in zip(lesson.features, lesson.target, lesson.weight, strict=True):
        logits = [float(a @ row + b) for a, b in zip(coefficient, intercept, strict=True)]
        total += weight * (math.log(sum(map(math.exp, logits))) - logits[target])
    return total


def test_loss_and_gradient_match_their_definition():
    """The loss is a slow loop's, and its gradient that of finite differences."""
    lesson = only(planted(9), np.arange(25))
    objective = SoftmaxLoss.of(
        lesson, 0.7, np.bincount(lesson.target, lesson.weight), mirrored=False
    )
    point = np.random.default_rng(10).standard_normal(objective.step.size + 3)

    coefficient, intercept = objective.place(point)

    start = intercept - coefficient @ axes_of(lesson).center
    wanted = slow_loss(lesson, 0.7, coefficient, start)
    assert objective(point)[0] == pytest.approx(wanted, rel=1e-12)
    assert check_grad(lambda x: objective(x)[0], lambda x: objective(x)[1], point) < 1e-4


def test_curvature_at_the_start_is_one():
    """A step of Newton's method is the gradient itself; moving all intercepts has no effect."""
    lesson = planted(11)
    found = np.bincount(lesson.target, lesson.weight)
    objective = SoftmaxLoss.of(lesson, 2.0, found, mirrored=False)
    size = objective.step.size + objective.shift.size

    columns = [
        (objective(1e-4 * unit)[1] - objective(-1e-4 * unit)[1]) / 2e-4 for unit in np.eye(size)
    ]

    np.testing.assert_allclose(columns, np.diag([0.0] + [1.0] * (size - 1)), atol=1e-5)
