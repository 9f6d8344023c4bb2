"""A linear head that knows no direction of time: swapping the two visits flips its answer exactly.

It is the multinomial head of all rows together with their swapped copies, in which what was
improvement is worsening. The copies are never made: the loss of a copy equals that of its row.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Reals
from learner_index.analysis.heads.multinomial import STRENGTHS, softmax_regression
from learner_index.data.heads import HeadKind, Lesson


@dataclass(frozen=True, slots=True, eq=False)
class Antisymmetric:
    """Logits of the worse half of the classes; those of the better half mirror them.

    A class and its mirror image have `even` plus and minus `odd` parts. The middle one of an odd
    number of classes, h, has no odd part.

    Attributes:
        odd: (c // 2, m) coefficients of features that change sign; zero for all others.
        even: (h, m) coefficients of features that do not; zero for all others. h = (c + 1) // 2.
        intercept: (h,) minus infinity where neither a class nor its mirror image has rows.
        n_classes: c.
    """

    odd: Floats
    even: Floats
    intercept: Floats
    n_classes: int

    def logits(self, features: Reals) -> Floats:
        """(t, c) logits of (t, m) features; in reverse, bit for bit, where odd ones are negated."""
        same = features @ self.even.T + self.intercept
        turning = np.zeros_like(same)
        turning[:, : len(self.odd)] = features @ self.odd.T
        logits = np.empty((len(features), self.n_classes))
        logits[:, : same.shape[1]] = same + turning
        logits[:, ::-1][:, : same.shape[1]] = same - turning
        return logits

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Both halves of the coefficients, intercepts, and the number of classes."""
        number = np.array([self.n_classes], np.int64)
        return {
            "odd": self.odd,
            "even": self.even,
            "intercept": self.intercept,
            "n_classes": number,
        }


def fit(lesson: Lesson, strength: float, seed: int) -> Antisymmetric:
    """The one solution of this convex problem; the seed has no part in it.

    A class without rows has probability if its mirror image has rows: what was seen to worsen
    would have been seen to improve the other way round.

    Args:
        lesson: classes in order, worst first.
        strength: C, as of the multinomial head.
        seed: ignored.

    Raises:
        NotEnoughDataError: fewer than two classes have rows.
    """
    coefficient, intercept = softmax_regression(lesson, strength, mirrored=True)
    half, up = lesson.n_classes // 2, (lesson.n_classes + 1) // 2
    mirrored = coefficient[::-1]
    return Antisymmetric(
        np.where(lesson.is_odd, coefficient - mirrored, 0.0)[:half] / 2,
        np.where(lesson.is_odd, 0.0, coefficient + mirrored)[:up] / 2,
        (intercept + intercept[::-1])[:up] / 2,
        lesson.n_classes,
    )


def load(arrays: Mapping[str, NDArray[np.generic]]) -> Antisymmetric:
    """The head of its arrays."""
    odd, even, intercept = (
        np.asarray(arrays[name], np.float64) for name in ("odd", "even", "intercept")
    )
    return Antisymmetric(odd, even, intercept, int(arrays["n_classes"][0]))


KIND = HeadKind(
    name="antisymmetric",
    title="linear, and exactly reversed when the visits are swapped",
    tasks=("detect",),
    needs_order=True,
    is_linear=True,
    strengths=STRENGTHS,
    fit=fit,
    load=load,
    is_antisymmetric=True,
)
