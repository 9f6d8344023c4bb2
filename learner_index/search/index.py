"""What a backend is asked and what it promises; the backends are exact.py and flat.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_STRETCH = 128  # neighbouring positions of which the best stands for all in a first look
_HEAD = 8  # stretches looked at first, for each group wanted
_LEAST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Query vectors that are compared with the same rows.

    Attributes:
        vectors: (q, w) float32, prepared by the metric.
        spans: position ranges [start, stop) of the rows they are compared with.
    """

    vectors: NDArray[np.float32]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One query, ready for a backend.

    Attributes:
        parts: the query's vectors; a row's product is the best over the vectors it meets.
        eligible: (n,) by position; True where every filter is fulfilled.
        groups: (n,) by position; equal numbers belong to one patient, visit or scan.
        n_groups: one more than the largest group number.
        k: number of distinct groups wanted.
        slack: bound on the error of one product in float32.
    """

    parts: tuple[Part, ...]
    eligible: NDArray[np.bool_]
    groups: NDArray[np.int64]
    n_groups: int
    k: int
    slack: float


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a backend found for one task.

    Attributes:
        positions: everything that can be the best row of one of the k nearest groups, whatever
            the rounding of float32; some may be superfluous. All are eligible and in a span.
        backend: what computed the products; another one where the index could not answer.
    """

    positions: NDArray[np.int64]
    backend: str


class Index(Protocol):
    """Prepared rows of one table that find everything which may be among the nearest."""

    @property
    def name(self) -> str:
        """What computes the products: "numpy", "faiss-cpu" or "faiss-gpu"."""

    def candidates(self, tasks: Sequence[Task]) -> list[Found]:
        """Per task the positions among which the answer is, none of it overlooked."""


def contenders(task: Task, products: NDArray[np.float32]) -> NDArray[np.int64]:
    """Positions that may, within the slack, be the best of one of the k best groups.

    Args:
        task: the query.
        products: (n,) by position, best product with the query's vectors; minus infinity where
            a row is not eligible or meets no vector.
    """
    start = _high_start(products, _HEAD * task.k)
    head = np.flatnonzero(products >= start)
    floor = kth_group(task, head, products[head]) - 2 * task.slack
    if floor == -np.inf:  # fewer than k groups in the head: look at everything
        head = np.flatnonzero(products > -np.inf)
        floor = kth_group(task, head, products[head]) - 2 * task.slack
    near = head if floor >= start else np.flatnonzero(products >= max(floor, _LEAST))
    return keep_contenders(task, near, products[near])


def keep_contenders(
    task: Task, positions: NDArray[np.int64], products: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The same for some eligible positions, among which all of the k best groups' best must be.

    Args:
        task: the query.
        positions: (m,) positions, in any order.
        products: (m,) best product of each with the query's vectors.
    """
    best, group = _group_best(task, positions, products)
    floors = np.maximum(best[group], kth_best(best, task.k)).astype(np.float64)
    return positions[products >= floors - 2 * task.slack]


def kth_group(task: Task, positions: NDArray[np.int64], products: NDArray[np.float32]) -> float:
    """Product of the k-th best group; minus infinity when there are fewer groups."""
    return kth_best(_group_best(task, positions, products)[0], task.k)


def kth_best(values: NDArray[np.float32], k: int) -> float:
    """The k-th largest value; minus infinity when there are fewer."""
    if k > len(values):
        return -np.inf
    return float(np.partition(values, len(values) - k)[len(values) - k])


def _group_best(
    task: Task, positions: NDArray[np.int64], products: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Best product of each group, and per position where its group's stands."""
    groups, count = task.groups[positions], task.n_groups
    if len(positions) * 8 < count:  # few positions: number only the groups they have
        names, groups = np.unique(groups, return_inverse=True)
        count = len(names)
    best = np.full(count, -np.inf, np.float32)
    np.maximum.at(best, groups, products)
    return best, groups


def _high_start(products: NDArray[np.float32], wanted: int) -> float:
    """A value that at least `wanted` products reach, found without sorting them.

    The maxima of stretches of positions stand for all; minus infinity would be too low a start,
    so the least finite number is the lowest.
    """
    n_stretches = len(products) // _STRETCH
    if n_stretches <= wanted:
        return _LEAST
    maxima = products[: n_stretches * _STRETCH].reshape(n_stretches, _STRETCH).max(axis=1)
    return max(kth_best(maxima, wanted), _LEAST)
