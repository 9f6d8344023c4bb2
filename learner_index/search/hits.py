"""Rows of a table as plain Python values, so that an answer can be printed, framed or sent."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.records import Hit, QueryScan
from learner_index.search.metrics import Prepared
from learner_index.search.query import Query
from learner_index.search.rank import Ranked
from learner_index.search.table import SearchTable

_OWN = ("scan_id", "patient_id", "day", "health_score", "content_hash")


def make_hits(
    table: SearchTable,
    prepared: Prepared,
    query: Query,
    ranked: list[Ranked],
    hidden: Collection[str] = (),
) -> tuple[Hit, ...]:
    """The hits that ranked rows make.

    Args:
        table: what was searched.
        prepared: turns similarities into distances.
        query: what was asked.
        ranked: the rows, most alike first.
        hidden: columns whose values must not be told; None stands in their place.
    """
    rows = np.array([found.row for found in ranked], np.int64)
    cells = {
        name: [None] * len(rows) if name in hidden else _cells(array, rows)
        for name, array in table.arrays.items()
    }
    own = {name: cells.pop(name, [None] * len(rows)) for name in _OWN}
    return tuple(
        Hit(
            rank=place + 1,
            patient_id=str(own["patient_id"][place]),
            day=_number(own["day"][place]),
            scan_id=str(own["scan_id"][place]),
            similarity=found.similarity,
            distance=prepared.distance(found.similarity),
            query_scan_id=query.scan_ids[found.vector],
            health_score=_number(own["health_score"][place]),
            columns={name: values[place] for name, values in cells.items()},
            content_hash=str(own["content_hash"][place] or ""),
        )
        for place, found in enumerate(ranked)
    )


def query_scans(
    table: SearchTable, query: Query, hits: Sequence[Hit], hidden: Collection[str] = ()
) -> tuple[QueryScan, ...]:
    """The stored scans asked about that hits are like, in the query's order.

    Args:
        table: what was searched.
        query: what was asked.
        hits: what was found.
        hidden: columns whose values must not be told; None stands in their place.
    """
    if not query.is_stored:
        return ()
    liked = {hit.query_scan_id for hit in hits}
    rows = query.rows[[name in liked for name in query.scan_ids]]
    cells = {
        name: _cells(table.arrays[name], rows)
        if name in table.arrays and name not in hidden
        else [None] * len(rows)
        for name in _OWN
    }
    return tuple(
        QueryScan(
            scan_id=str(cells["scan_id"][place]),
            patient_id=str(cells["patient_id"][place]),
            day=_number(cells["day"][place]),
            health_score=_number(cells["health_score"][place]),
            content_hash=str(cells["content_hash"][place] or ""),
        )
        for place in range(len(rows))
    )


def plain(value: Any) -> Any:
    """A cell as a Python value that JSON knows; None where missing or not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return None if pd.isna(value) else str(value)


def _cells(array: Any, rows: NDArray[np.int64]) -> list[Any]:
    """A column's cells at some rows."""
    return [plain(value) for value in array.take(rows).tolist()]


def _number(value: Any) -> float | None:
    """A number cell as a float."""
    return None if value is None else float(value)
