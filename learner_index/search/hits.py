"""Rows of a table as plain Python values, so that an answer can be printed, framed or sent."""

from collections.abc import Collection
from typing import Any

import numpy as np

from learner_index.data.records import Hit
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
    columns = {name: array for name, array in table.arrays.items() if name not in _OWN}
    return tuple(
        Hit(
            rank=number,
            patient_id=str(table.arrays["patient_id"][found.row]),
            day=_number(table, "day", found.row),
            scan_id=str(table.arrays["scan_id"][found.row]),
            similarity=found.similarity,
            distance=prepared.distance(found.similarity),
            query_scan_id=query.scan_ids[found.vector],
            health_score=_number(table, "health_score", found.row),
            columns={
                name: None if name in hidden else plain(array[found.row])
                for name, array in columns.items()
            },
        )
        for number, found in enumerate(ranked, start=1)
    )


def plain(value: Any) -> Any:
    """A cell as a Python value that JSON knows; None where missing or not finite."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    text = str(value)
    return None if text in ("<NA>", "NaT") else text


def _number(table: SearchTable, column: str, row: int) -> float | None:
    """A number cell; None where missing or when there is no such column."""
    if column not in table.arrays:
        return None
    value = plain(table.arrays[column][row])
    return None if value is None else float(value)
