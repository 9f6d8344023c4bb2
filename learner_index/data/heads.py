"""What a response head is: one interface that every kind of head fulfils.

A kind lives in one file, in `analysis/heads` or, where it needs torch, in `learn/heads`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from learner_index.config.response import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Rows a head learns from.

    Attributes:
        features: (t, m) float32 or float64, standardized, finite.
        target: (t,) number of the class that came about, 0 to n_classes - 1.
        weight: (t,) above 0, adding up to t; each patient weighs the same.
        n_classes: c; a class may be without rows.
        is_odd: (m,) True for features that change sign when the two visits are swapped; all
            others stay as they are.
    """

    features: NDArray[np.floating]
    target: NDArray[np.int64]
    weight: Floats
    n_classes: int
    is_odd: NDArray[np.bool_]


class Head(Protocol):
    """A fitted head."""

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """(t, c) float64 logits of (t, m) standardized features; softmax gives probabilities.

        A class without rows in the lesson may have minus infinity.
        """

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """All it knows, as arrays from which its kind's `load` makes the same head again."""


@dataclass(frozen=True, slots=True)
class HeadKind:
    """One kind of head.

    Attributes:
        name: as typed, and the name of its file.
        title: what it is, in a few words.
        tasks: what it can do.
        needs_order: the classes must be ordinal.
        is_linear: its logits are linear in the features.
        strengths: to choose from, from the most to the least regularized.
        fit: lesson, strength and seed to a fitted head. The same arguments give the same head.
        load: `Head.arrays` to the head.
        is_antisymmetric: swapping the visits reverses its answer; the classes must be health
            changes.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    needs_order: bool
    is_linear: bool
    strengths: tuple[float, ...]
    fit: Callable[[Lesson, float, int], Head]
    load: Callable[[Mapping[str, NDArray[np.generic]]], Head]
    is_antisymmetric: bool = False
