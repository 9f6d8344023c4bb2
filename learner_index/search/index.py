"""What a backend is asked and what it promises; the backends are exact.py and flat.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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

    @property
    def n_vectors(self) -> int:
        """Number of query vectors over all parts."""
        return sum(len(part.vectors) for part in self.parts)


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


def keep_contenders(
    task: Task, positions: NDArray[np.int64], products: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Positions whose product may, within the slack, be the best of one of the k best groups.

    Args:
        task: the query.
        positions: (m,) eligible positions.
        products: (m,) best product of each with the query's vectors.

    Returns:
        The contenders, in the order given.
    """
    groups = task.groups[positions]
    best = np.full(task.n_groups, -np.inf, np.float32)
    np.maximum.at(best, groups, products)
    floor = kth_best(best, task.k) - 2 * task.slack
    near = np.flatnonzero(products >= floor)
    own_floor = best[groups[near]].astype(np.float64) - 2 * task.slack
    return positions[near[products[near] >= own_floor]]


def kth_best(best: NDArray[np.float32], k: int) -> float:
    """The k-th largest product of a group; minus infinity when there are fewer groups."""
    if k > len(best):
        return -np.inf
    return float(np.partition(best, len(best) - k)[len(best) - k])
