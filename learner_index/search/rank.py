"""The last step of a search: exact similarities of the contenders, best scan of each group."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.search.metrics import Prepared
from learner_index.search.query import Query
from learner_index.search.table import SearchTable

_BLOCK = 1024  # contenders compared at a time


@dataclass(frozen=True, slots=True)
class Ranked:
    """One group's best scan.

    Attributes:
        row: the scan's row.
        similarity: larger is closer.
        vector: number of the query vector it is most like.
    """

    row: int
    similarity: float
    vector: int


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Query vectors and the rows they are compared with.

    Attributes:
        vectors: (q,) numbers of the query's vectors.
        spans: position ranges [start, stop).
    """

    vectors: NDArray[np.int64]
    spans: tuple[tuple[int, int], ...]


def rank(
    table: SearchTable,
    prepared: Prepared,
    query: Query,
    meetings: tuple[Meeting, ...],
    positions: NDArray[np.int64],
    groups: NDArray[np.int64],
    k: int,
) -> list[Ranked]:
    """The best scan of each of the k nearest groups, most alike first, ties by row.

    Args:
        table: what is searched.
        prepared: gives the exact similarities.
        query: its raw vectors.
        meetings: which vectors are compared with which rows.
        positions: (m,) contenders.
        groups: (n,) group of each row.
        k: number of groups wanted.
    """
    similarities = np.full(len(positions), -np.inf)
    vectors = np.zeros(len(positions), np.int64)
    for start in range(0, len(positions), _BLOCK):
        block = slice(start, start + _BLOCK)
        similarities[block], vectors[block] = _compare(
            table, prepared, query, meetings, positions[block]
        )
    rows = table.layout.order[positions]
    best_first = np.lexsort((rows, -similarities))
    firsts = np.unique(groups[rows[best_first]], return_index=True)[1]
    chosen = best_first[np.sort(firsts)[:k]]
    return [Ranked(int(rows[i]), float(similarities[i]), int(vectors[i])) for i in chosen]


def _compare(
    table: SearchTable,
    prepared: Prepared,
    query: Query,
    meetings: tuple[Meeting, ...],
    positions: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Per contender its best similarity and the first query vector that has it."""
    rows = table.layout.order[positions]
    raw = np.asarray(table.embeddings[rows], np.float32)
    found = np.full((len(positions), len(query.vectors)), -np.inf)
    for meeting in meetings:
        inside = np.flatnonzero(in_spans(positions, meeting.spans))
        compared = prepared.similarities(raw[inside], query.vectors[meeting.vectors])
        found[np.ix_(inside, meeting.vectors)] = compared
    if query.is_stored:  # a stored scan is never compared with itself
        found[rows[:, None] == query.rows] = -np.inf
    return found.max(axis=1), found.argmax(axis=1)


def in_spans(positions: NDArray[np.int64], spans: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    """(m,) True for the positions that lie in one of the ranges."""
    inside = np.zeros(len(positions), bool)
    for start, stop in spans:
        inside |= (positions >= start) & (positions < stop)
    return inside
