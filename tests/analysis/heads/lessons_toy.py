"""Lessons with a planted rule, and what is done to them to check a head."""

from dataclasses import replace

import numpy as np

from learner_index.data.heads import Lesson


def planted(seed=0, rows=90, width=4, n_classes=3, noise=0.5):
    """Ordered classes cut from one odd direction plus noise; the last half of features is even."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, width))
    is_odd = np.arange(width) < (width + 1) // 2
    position = features @ (is_odd * 1.5) + noise * rng.logistic(size=rows)
    cuts = np.linspace(-2, 2, n_classes + 1)[1:-1]
    weight = rng.gamma(3, size=rows)
    weight *= rows / weight.sum()
    return Lesson(features, np.searchsorted(cuts, position), weight, n_classes, is_odd)


def only(lesson, rows):
    """The lesson of some rows."""
    return replace(
        lesson,
        features=lesson.features[rows],
        target=lesson.target[rows],
        weight=lesson.weight[rows],
    )


def swapped(lesson, features):
    """Features of the same transitions with their visits swapped."""
    return np.where(lesson.is_odd, -features, features)


def with_swapped(lesson):
    """Every row at half its weight, and once more with its visits and its class swapped."""
    return replace(
        lesson,
        features=np.concatenate([lesson.features, swapped(lesson, lesson.features)]),
        target=np.concatenate([lesson.target, lesson.n_classes - 1 - lesson.target]),
        weight=np.tile(lesson.weight / 2, 2),
    )
