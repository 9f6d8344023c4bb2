"""Multinomial logistic regression: the default head, linear in its features, any classes.

Strength is that of a sum, not of a mean: what is minimized is the sum of weighted log losses plus
the sum of squared coefficients / (2 strength). So strength is the variance expected of a
coefficient before any row is seen. It stays right when rows are added, which is why one chosen on
a part of the patients holds for all of them, and one short list serves small and large cohorts;
that of a mean would have to shrink as t grows. Intercepts are not penalized.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Reals
from learner_index.analysis.heads.descent import Axes, axes_of, lowest, weight_by_class
from learner_index.data.heads import HeadKind, Lesson

STRENGTHS = tuple(10.0**power for power in range(-4, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Multinomial:
    """One linear logit a class.

    Attributes:
        coefficient: (c, m) of standardized features; columns sum to 0.
        intercept: (c,) minus infinity for a class without rows.
    """

    coefficient: Floats
    intercept: Floats

    def logits(self, features: Reals) -> Floats:
        """(t, c) logits of (t, m) features."""
        return np.asarray(features @ self.coefficient.T + self.intercept, np.float64)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Coefficients and intercepts."""
        return {"coefficient": self.coefficient, "intercept": self.intercept}


def fit(lesson: Lesson, strength: float, seed: int) -> Multinomial:
    """The one solution of this convex problem; the seed has no part in it.

    Raises:
        NotEnoughDataError: fewer than two classes have rows.
    """
    return Multinomial(*softmax_regression(lesson, strength))


def load(arrays: Mapping[str, NDArray[np.generic]]) -> Multinomial:
    """The head of its arrays."""
    return Multinomial(
        np.asarray(arrays["coefficient"], np.float64), np.asarray(arrays["intercept"], np.float64)
    )


def softmax_regression(
    lesson: Lesson, strength: float, *, mirrored: bool = False
) -> tuple[Floats, Floats]:
    """Coefficients and intercepts of a penalized multinomial logistic regression.

    Args:
        lesson: rows to learn from.
        strength: C; larger is less penalized.
        mirrored: as if every row were there twice at half its weight, the second time with its
            visits swapped: odd features negated, and the classes in reverse.

    Returns:
        (c, m) coefficients and (c,) intercepts, those of a class without rows zero and minus
        infinity.

    Raises:
        NotEnoughDataError: fewer than two classes have rows.

    Source:
        Start and curvature there: Böhning 1992, Annals of the Institute of Statistical
        Mathematics 44, at the classes' shares rather than at equal ones.
    """
    found = weight_by_class(lesson)
    if mirrored:
        found = (found + found[::-1]) / 2
    is_there = found > 0
    objective = SoftmaxLoss.of(lesson, strength, found[is_there], mirrored=mirrored)
    size = objective.step.size + objective.shift.size
    solved, constant = objective.place(lowest(objective, size, lesson))
    coefficient = np.zeros((lesson.n_classes, lesson.features.shape[1]))
    intercept = np.full(lesson.n_classes, -np.inf)
    coefficient[is_there] = solved
    intercept[is_there] = constant - solved @ objective.axes.center
    return coefficient, intercept


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxLoss:
    """Penalized loss of k classes that have rows, in coordinates of curvature one at the start.

    Attributes:
        features: (t, m).
        weight: (t,) of the features' precision.
        hit: (k, t) a row's weight at its class, else 0.
        axes: of the features.
        start: (k,) intercepts of a head that knows the classes' shares only.
        turn: (k, k) principal axes of the classes.
        step: (k, m) length of a unit along each pair of axes.
        shift: (k,) likewise of the intercepts; 0 where all of them move together.
        strength: C.
        sign: (m,) minus one for odd features, else one; None where rows are not mirrored.
    """

    features: Reals
    weight: Reals
    hit: Reals
    axes: Axes
    start: Floats
    turn: Floats
    step: Floats
    shift: Floats
    strength: float
    sign: Floats | None

    @classmethod
    def of(cls, lesson: Lesson, strength: float, found: Floats, *, mirrored: bool) -> "SoftmaxLoss":
        """The objective of a lesson whose classes with rows weigh so much."""
        share = found / found.sum()
        spread, turn = np.linalg.eigh(np.diag(share) - np.outer(share, share))
        spread[0] = 0.0  # along this axis all logits move together, and nothing changes
        axes = axes_of(lesson, mirrored=mirrored)
        step = (spread[:, None] * axes.scatter + 1 / strength) ** -0.5
        shift = np.concatenate([[0.0], (spread[1:] * found.sum()) ** -0.5])
        weight = lesson.weight.astype(lesson.features.dtype)
        sign = np.where(lesson.is_odd, -1.0, 1.0) if mirrored else None
        start = np.log(share)
        hit = _hits(lesson, weight, mirrored=mirrored)
        return cls(lesson.features, weight, hit, axes, start, turn, step, shift, strength, sign)

    def place(self, point: Floats) -> tuple[Floats, Floats]:
        """(k, m) coefficients of centered features, and (k,) intercepts, at a point."""
        along = point.reshape(len(self.start), -1)
        coefficient = self.turn @ (along[:, 1:] * self.step) @ self.axes.rotation.T
        return coefficient, self.start + self.turn @ (along[:, 0] * self.shift)

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        """Loss and gradient."""
        coefficient, intercept = self.place(point)
        loss, by_logit = self._loss(coefficient, intercept)
        by_intercept = by_logit.sum(axis=1, dtype=np.float64)
        slope = np.asarray(by_logit @ self.features, np.float64)
        slope += coefficient / self.strength - np.outer(by_intercept, self.axes.center)
        if self.sign is not None:
            slope = (slope + slope[::-1] * self.sign) / 2
            by_intercept = (by_intercept + by_intercept[::-1]) / 2
        along = (self.turn.T @ slope @ self.axes.rotation) * self.step
        moved = self.turn.T @ by_intercept * self.shift
        penalty = float(np.sum(coefficient**2)) / (2 * self.strength)
        return loss + penalty, np.column_stack([moved, along]).ravel()

    def _loss(self, coefficient: Floats, intercept: Floats) -> tuple[float, Reals]:
        """Sum of the rows' losses, and its (k, t) derivative by their logits."""
        kind = self.features.dtype
        logits = coefficient.astype(kind) @ self.features.T
        logits += (intercept - coefficient @ self.axes.center).astype(kind)[:, None]
        logits -= logits.max(axis=0)
        reached = float(np.sum(self.hit * logits, dtype=np.float64))
        odds = np.exp(logits, out=logits)
        total = odds.sum(axis=0)
        odds *= self.weight / total
        odds -= self.hit
        return float(np.sum(self.weight * np.log(total), dtype=np.float64)) - reached, odds


def _hits(lesson: Lesson, weight: Reals, *, mirrored: bool) -> Reals:
    """(k, t) each row's weight at its class, for classes that have rows."""
    rows = np.zeros((lesson.n_classes, len(weight)), weight.dtype)
    rows[lesson.target, np.arange(len(weight))] = weight
    is_there = np.isin(np.arange(lesson.n_classes), lesson.target)
    return rows[is_there | is_there[::-1]] if mirrored else rows[is_there]


KIND = HeadKind(
    name="multinomial",
    title="regularized multinomial logistic regression",
    tasks=("detect", "predict"),
    needs_order=False,
    is_linear=True,
    strengths=STRENGTHS,
    fit=fit,
    load=load,
)
