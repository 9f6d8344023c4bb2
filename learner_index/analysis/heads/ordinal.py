"""Proportional odds: one direction along which ordered classes follow each other.

Strength means what it means for the multinomial head: the variance expected of a slope.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Integers, Reals
from learner_index.analysis.heads.descent import Axes, axes_of, lowest, weight_by_class
from learner_index.analysis.heads.multinomial import STRENGTHS
from learner_index.data.heads import HeadKind, Lesson


@dataclass(frozen=True, slots=True, eq=False)
class Ordinal:
    """A slope common to all classes that have rows, and what divides them.

    Attributes:
        slope: (m,) of standardized features; rises towards the later, better classes.
        threshold: (k - 1,) rising, on the scale of the slope's products.
        has_rows: (c,) 1 for each of the k classes that has rows, else 0.
    """

    slope: Floats
    threshold: Floats
    has_rows: Integers

    def logits(self, features: Reals) -> Floats:
        """(t, c) log probabilities of (t, m) features."""
        position = np.asarray(features @ self.slope, np.float64)[:, None]
        edges = np.concatenate([[-np.inf], self.threshold, [np.inf]])
        found = np.full((len(features), len(self.has_rows)), -np.inf)
        found[:, self.has_rows > 0] = _log_chance(position - edges[:-1], edges[1:] - position)
        found[:, self.has_rows > 0] += _log_width(np.diff(edges))
        return found

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Slope, thresholds, and which classes they divide."""
        return {"slope": self.slope, "threshold": self.threshold, "has_rows": self.has_rows}


def fit(lesson: Lesson, strength: float, seed: int) -> Ordinal:
    """Slope and thresholds of the smallest penalized loss; the seed has no part in it.

    Args:
        lesson: classes in order, worst first.
        strength: C; larger is less penalized. Thresholds are not penalized.
        seed: ignored.

    Raises:
        NotEnoughDataError: fewer than two classes have rows.

    Source:
        McCullagh 1980, Journal of the Royal Statistical Society B 42, equation 2.1.
    """
    found = weight_by_class(lesson)
    has_rows = found > 0
    loss = OrdinalLoss.of(lesson, strength, found[has_rows])
    point = lowest(loss, len(loss.step) + len(loss.start), lesson)
    slope, threshold, _ = loss.place(point)
    threshold += slope @ loss.axes.center
    return Ordinal(slope, threshold, has_rows.astype(np.int64))


def load(arrays: Mapping[str, NDArray[np.generic]]) -> Ordinal:
    """The head of its arrays."""
    return Ordinal(
        np.asarray(arrays["slope"], np.float64),
        np.asarray(arrays["threshold"], np.float64),
        np.asarray(arrays["has_rows"], np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalLoss:
    """Penalized loss of k classes with rows, in coordinates of curvature one at the start.

    The first threshold is free, and each later one adds a softplus, so that none ever cross.

    Attributes:
        features: (t, m).
        target: (t,) number among the k.
        weight: (t,) of the rows.
        axes: of the features.
        start: (k - 1,) first threshold, then what the softplus is taken of, knowing shares only.
        turn: (k - 1, k - 1) their change for a unit of the first coordinates.
        step: (m,) length of a unit along each axis.
        strength: C.
    """

    features: Reals
    target: Integers
    weight: Floats
    axes: Axes
    start: Floats
    turn: Floats
    step: Floats
    strength: float

    @classmethod
    def of(cls, lesson: Lesson, strength: float, found: Floats) -> "OrdinalLoss":
        """The loss of a lesson whose classes with rows weigh so much."""
        share = found / found.sum()
        below = np.cumsum(share)[:-1]
        threshold = np.log(below / (1 - below))
        gap = np.diff(threshold)
        start = np.concatenate([threshold[:1], np.log(np.expm1(gap))])
        density = below * (1 - below)
        by_threshold = np.diff(np.diag(density), axis=0, prepend=0.0, append=0.0) * -1.0
        by_start = by_threshold @ _threshold_change(start)
        known = by_start.T @ (by_start * (found.sum() / share)[:, None])
        turn = np.linalg.inv(np.linalg.cholesky(known)).T
        curvature = float(np.sum(by_threshold.sum(axis=1) ** 2 / share))
        axes = axes_of(lesson)
        step = (curvature * axes.scatter + 1 / strength) ** -0.5
        target = np.searchsorted(np.unique(lesson.target), lesson.target)
        return cls(lesson.features, target, lesson.weight, axes, start, turn, step, strength)

    def place(self, point: Floats) -> tuple[Floats, Floats, Floats]:
        """(m,) slope, (k - 1,) thresholds at the center, and what they are made of, at a point."""
        cut = len(self.start)
        free = self.start + self.turn @ point[:cut]
        threshold = np.cumsum(np.concatenate([free[:1], np.logaddexp(0.0, free[1:])]))
        return self.axes.rotation @ (point[cut:] * self.step), threshold, free

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        """Loss and gradient."""
        slope, threshold, free = self.place(point)
        loss, by_position, by_threshold = self._loss(slope, threshold)
        by_slope = by_position.astype(self.features.dtype) @ self.features
        by_slope = by_slope - by_position.sum() * self.axes.center + slope / self.strength
        along = self.axes.rotation.T @ by_slope * self.step
        moved = self.turn.T @ (_threshold_change(free).T @ by_threshold)
        loss += float(slope @ slope) / (2 * self.strength)
        return loss, np.concatenate([moved, along])

    def _loss(self, slope: Floats, threshold: Floats) -> tuple[float, Floats, Floats]:
        """Sum of the rows' losses; its derivatives by their positions and by the thresholds."""
        from scipy.special import expit

        position = np.asarray(self.features @ slope.astype(self.features.dtype), np.float64)
        position -= slope @ self.axes.center
        edges = np.concatenate([[-np.inf], threshold, [np.inf]])
        gap = np.diff(edges)
        after, before = position - edges[self.target], edges[self.target + 1] - position
        loss = -float(self.weight @ (_log_chance(after, before) + _log_width(gap)[self.target]))
        low, high = self.weight * expit(-after), self.weight * expit(-before)
        narrow = np.bincount(self.target, self.weight) * np.exp(-gap) / -np.expm1(-gap)
        by_low = np.bincount(self.target, low) + narrow
        by_high = np.bincount(self.target, high) + narrow
        return loss, high - low, by_low[1:] - by_high[:-1]


def _log_chance(after: Floats, before: Floats) -> Floats:
    """Log probability of a class but for its width, of a place so far after and before its ends.

    A difference of two logistic functions of u > l is the product of that of u, that of minus l,
    and 1 - exp(l - u), which holds no difference of near numbers.
    """
    return np.asarray(-np.logaddexp(0.0, -after) - np.logaddexp(0.0, -before))


def _log_width(gap: Floats) -> Floats:
    """Logarithm of 1 - exp(-gap), for gaps between the ends of classes."""
    return np.asarray(np.log(-np.expm1(-gap)))


def _threshold_change(free: Floats) -> Floats:
    """(k - 1, k - 1) derivative of the thresholds (rows) by what they are made of."""
    from scipy.special import expit

    return np.asarray(np.tril(np.ones((len(free), len(free)))) * np.append(1.0, expit(free[1:])))


KIND = HeadKind(
    name="ordinal",
    title="proportional odds of ordered classes",
    tasks=("detect", "predict"),
    needs_order=True,
    is_linear=False,
    strengths=STRENGTHS,
    fit=fit,
    load=load,
)
