"""How heads that are linear in their features are fitted fast: minimizing in whitened coordinates.

Features of an encoder are strongly correlated, and a plain descent takes hundreds of passes over
them. In coordinates in which the curvature at the start is the identity it takes about ten. This
module is no kind of head; it knows neither classes nor losses.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from learner_index.analysis.distance import Floats
from learner_index.data.heads import Lesson
from learner_index.errors import NotEnoughDataError

Values = Callable[[Floats], tuple[float, Floats]]  # parameters to the loss and its gradient
_CHUNK = 8192  # rows whose weighted copy is in memory at once
_GRADIENT = {4: 3e-5, 8: 1e-6}  # per root of t, by bytes a number: probabilities to 1e-3 and 1e-5
_SMALLEST_STEP = 1e-12  # relative change of the loss at which there is nothing left to gain
_ITERATIONS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Where features lie: their center and principal axes.

    Attributes:
        center: (m,) weighted mean.
        rotation: (m, m) orthogonal; columns are the axes.
        scatter: (m,) weighted sum of squares along each axis, at least 0.
    """

    center: Floats
    rotation: Floats
    scatter: Floats


def axes_of(lesson: Lesson, *, mirrored: bool = False) -> Axes:
    """Center and axes of a lesson's features.

    Args:
        lesson: what is learned from.
        mirrored: as if every row were there with its visits swapped, too: odd features have a
            mean of 0 then, and are uncorrelated with all others.
    """
    total = lesson.weight.sum()
    features, weight = lesson.features, lesson.weight.astype(lesson.features.dtype)
    center = np.asarray(weight @ features, np.float64) / total
    scatter = np.zeros((features.shape[1], features.shape[1]))
    for start in range(0, len(features), _CHUNK):
        rows = features[start : start + _CHUNK]
        rows = rows * np.sqrt(weight[start : start + _CHUNK])[:, None]
        scatter += rows.T @ rows
    if mirrored:
        center[lesson.is_odd] = 0.0
        scatter[lesson.is_odd[:, None] != lesson.is_odd] = 0.0
    scatter -= total * np.outer(center, center)
    along, rotation = np.linalg.eigh(scatter)
    return Axes(center, rotation, np.maximum(along, 0.0))


def lowest(values: Values, size: int, lesson: Lesson) -> Floats:
    """(size,) parameters of the smallest loss, by L-BFGS from zero.

    Args:
        values: convex or nearly so, its curvature at zero about the identity.
        size: of the parameters.
        lesson: the loss is a sum over its rows; float32 features are answered less exactly.
    """
    from scipy.optimize import minimize

    first = values(np.zeros(size))[1]
    unit = float(np.linalg.norm(first)) or 1.0  # the first step of L-BFGS has length 1 in units

    def scaled(point: Floats) -> tuple[float, Floats]:
        loss, gradient = values(point * unit)
        return loss, gradient * unit

    least = _GRADIENT[lesson.features.itemsize] * float(np.sqrt(lesson.weight.sum()))
    options = {
        "gtol": least * unit,
        "ftol": _SMALLEST_STEP,
        "maxiter": _ITERATIONS,
        "maxfun": 2 * _ITERATIONS,
    }
    found = minimize(scaled, np.zeros(size), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x * unit, np.float64)


def weight_by_class(lesson: Lesson) -> Floats:
    """(c,) weight of each class in a lesson.

    Raises:
        NotEnoughDataError: fewer than two classes have rows.
    """
    found = np.bincount(lesson.target, lesson.weight, lesson.n_classes)
    n_found = np.count_nonzero(found)
    if n_found < 2:
        raise NotEnoughDataError(
            f"{len(lesson.target)} transitions with {n_found} of {lesson.n_classes} outcomes to "
            "learn from: add patients until two outcomes are seen"
        )
    return np.asarray(found, np.float64)
