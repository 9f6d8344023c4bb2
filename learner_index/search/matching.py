"""Conditions relative to the query's patient: the same sex, another site, an age within five."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.errors import QueryError
from learner_index.search.filters import ColumnKind, Condition, Value, split_column
from learner_index.search.table import SearchTable

_WITHIN = re.compile(r"(?:±|\+-|\+/-)\s*(\S+)$")


@dataclass(frozen=True, slots=True)
class Match:
    """One likeness to the query's patient that every hit has.

    Attributes:
        column: the column it speaks of.
        op: "==", "!=" or "within".
        tolerance: for "within", the largest difference.
        text: as it was written.
    """

    column: str
    op: str
    tolerance: float
    text: str


def parse_match(text: str, columns: Mapping[str, ColumnKind]) -> Match:
    """A likeness such as "sex" (equal), "site!=" (different) or "age±5" (within 5; also "age+-5").

    Args:
        text: the column and how the hit's value relates to the query's.
        columns: the known columns with what they hold.

    Raises:
        QueryError: unknown column or relation, or a tolerance on a column without numbers.
    """
    column, rest = split_column(text, columns)
    if rest in ("", "==", "!="):
        return Match(column, rest or "==", 0.0, text.strip())
    within = _WITHIN.match(rest)
    if within is None:
        raise QueryError(f"{text!r} is no likeness: write column, column!= or column±N")
    if columns[column] != "number":
        raise QueryError(
            f"column {column!r} holds {columns[column]}, so ± means nothing in {text!r}: "
            f"match {column!r} or '{column}!='"
        )
    return Match(column, "within", _tolerance(within[1], text), text.strip())


def relate(table: SearchTable, match: Match, rows: NDArray[np.int64]) -> Condition:
    """The condition that a likeness means for the query with these rows.

    Raises:
        QueryError: the query has no rows, no value, or several different ones.
    """
    if len(rows) == 0:
        raise QueryError(
            f"nothing to match {match.text!r} with: the query's patient is not in the store, "
            "so use --where with a value, or name the patient"
        )
    return relate_to(match, table.obs[match.column].iloc[rows])


def relate_to(match: Match, values: "pd.Series[Any]") -> Condition:
    """The condition that a likeness means for a query that has these values in its column.

    Raises:
        QueryError: no value is known, or there are several different ones.
    """
    value = _only_value(match, values)
    if match.op == "within":
        low, high = float(value) - match.tolerance, float(value) + match.tolerance
        return Condition(
            match.column, "within", (low, high), f"{match.column} within {low:g}..{high:g}"
        )
    return Condition(match.column, match.op, (value,), f"{match.column} {match.op} {_show(value)}")


def _only_value(match: Match, column: "pd.Series[Any]") -> Value:
    """The one value the query has."""
    values: list[Any] = list(pd.unique(column.dropna()))
    if not values:
        raise QueryError(
            f"nothing to match {match.text!r} with: the query has no {match.column}, "
            "so leave the condition out or use --where"
        )
    if len(values) > 1:
        shown = ", ".join(_show(value) for value in values[:8])
        raise QueryError(
            f"{match.text!r} is ambiguous, the query's scans have {match.column} {shown}: "
            "ask for one visit, cut with --until-day, or use --where"
        )
    value = values[0].item() if isinstance(values[0], np.generic) else values[0]
    return value if isinstance(value, bool | str) else float(value)


def _tolerance(value: str, text: str) -> float:
    try:
        tolerance = float(value)
    except ValueError:
        tolerance = -1.0
    if not 0 <= tolerance < np.inf:
        raise QueryError(f"{value!r} in {text!r} is no tolerance: write a number from 0, as in ±5")
    return tolerance


def _show(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
