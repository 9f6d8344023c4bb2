"""Conditions on columns, read from text without running any of it.

A missing value fulfils no condition but `is missing`; `!=` and `not in` do not find it either.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from learner_index.data.suggest import close_names, near_or_all, some_of
from learner_index.errors import QueryError
from learner_index.search.table import SearchTable

ColumnKind = Literal["text", "number", "flag"]
Value = str | float | bool

_OPERATOR = re.compile(r"(==|!=|<=|>=|<|>|\bnot\s+in\b|\bin\b|\bis\b|=)\s*(.*)$", re.DOTALL)
_ITEM = re.compile(r"""\s*("[^"]*"|'[^']*'|[^,"']*)\s*(?:,|$)""")
_FLAGS = {"true": True, "false": False}
_COMPARE: Mapping[str, Any] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing every hit fulfils.

    Attributes:
        column: the column it speaks of.
        op: "==", "!=", "<", "<=", ">", ">=", "in", "not in", "within", "missing" or "present".
        values: what the column is compared with; for "within" the least and the largest value.
        text: the condition as a person reads it.
    """

    column: str
    op: str
    values: tuple[Value, ...]
    text: str


def column_kinds(obs: pd.DataFrame) -> dict[str, ColumnKind]:
    """Whether each column holds text, numbers or flags."""
    return {str(name): _kind(obs[name]) for name in obs.columns}


def parse_where(text: str, columns: Mapping[str, ColumnKind]) -> Condition:
    """A condition such as "site == A", "age >= 60", "view in (L1, L2)" or "day is missing".

    Values may stand in quotes. Numbers are compared as numbers and flags as true or false; text
    is compared for equality only. A missing value fulfils no condition but "is missing".

    Args:
        text: column, operator and value.
        columns: the known columns with what they hold.

    Raises:
        QueryError: unknown column or operator, or a value that does not fit the column.
    """
    column, rest = split_column(text, columns)
    match = _OPERATOR.match(rest)
    if match is None:
        raise QueryError(
            f"no comparison in {text!r}: write 'column op value', op one of == != < <= > >=, "
            "in, not in, is missing, is present"
        )
    op, value = " ".join(match[1].split()), match[2].strip()
    if op == "=":
        raise QueryError(f"'=' in {text!r} compares nothing: write ==")
    if op == "is":
        return _presence(column, value, text)
    values = _items(value, text) if op in ("in", "not in") else (_unquoted(value),)
    typed = tuple(_typed(item, column, columns[column], text) for item in values)
    if op in _COMPARE and columns[column] != "number":
        raise QueryError(
            f"column {column!r} holds {columns[column]}, which has no order, in {text!r}: "
            "compare it with ==, != or in"
        )
    return Condition(column, op, typed, text.strip())


def fulfils(table: SearchTable, condition: Condition) -> NDArray[np.bool_]:
    """(n,) True for the rows that fulfil a condition."""
    if condition.op in ("missing", "present"):
        missing = table.obs[condition.column].isna().to_numpy(bool)
        return missing if condition.op == "missing" else ~missing
    if _kind(table.obs[condition.column]) == "text":
        codes = table.codes(condition.column)
        return _chosen(codes.of_row, [codes.number(str(v)) for v in condition.values], condition)
    numbers = table.numbers(condition.column)
    if condition.op == "within":
        low, high = map(float, condition.values)
        within: NDArray[np.bool_] = (numbers >= low) & (numbers <= high)
        return within
    if condition.op in _COMPARE:
        compared: NDArray[np.bool_] = _COMPARE[condition.op](numbers, condition.values[0])
        return compared
    return _chosen(numbers, [float(v) for v in condition.values], condition)


def fulfils_all(table: SearchTable, conditions: Sequence[str]) -> NDArray[np.bool_]:
    """(n,) True for the rows that fulfil every condition; without any, all do.

    Args:
        table: the rows.
        conditions: each "column op value", as in `parse_where`.

    Raises:
        QueryError: a condition is not understood.
    """
    kinds, kept = column_kinds(table.obs), np.ones(len(table), dtype=bool)
    for text in conditions:
        kept &= fulfils(table, parse_where(text, kinds))
    return kept


def unmet_hint(table: SearchTable, conditions: Sequence[str]) -> str:
    """Why a condition is met by no row at all: what its column holds; "" where each is met.

    Args:
        table: the rows.
        conditions: each "column op value", already understood once.

    Returns:
        A phrase to append, such as "; view has no 'l1' (did you mean 'L1'?)".
    """
    kinds, found = column_kinds(table.obs), []
    for text in conditions:
        condition = parse_where(text, kinds)
        if not fulfils(table, condition).any():
            found.append(_unmet(condition, kinds[condition.column], table.obs[condition.column]))
    return "".join(f"; {words}" for words in dict.fromkeys(filter(None, found)))


def _unmet(condition: Condition, kind: ColumnKind, column: "pd.Series[Any]") -> str:
    """What a column holds in place of what is asked of it."""
    present = column.dropna()
    if condition.op in ("missing", "present"):
        return ""
    if present.empty:
        return f"{condition.column} is empty"
    if kind == "number":
        low, high = f"{present.min():g}", f"{present.max():g}"
        return f"{condition.column} is {low if low == high else f'{low} to {high}'}"
    if condition.op not in ("==", "in") or kind != "text":
        return ""
    known = sorted(str(value) for value in pd.unique(present))
    wanted = str(condition.values[0])
    return f"{condition.column} has no {wanted!r}{near_or_all(wanted, known)}"


def _chosen(column: NDArray[Any], values: list[Any], condition: Condition) -> NDArray[np.bool_]:
    """Rows with one of the values, or, negated, with another one; a missing row has neither."""
    chosen = np.zeros(len(column), bool)
    for value in values:
        chosen |= column == value
    if condition.op in ("==", "in"):
        return chosen
    present = column >= 0 if column.dtype == np.int64 else ~np.isnan(column)
    return present & ~chosen


def _kind(column: "pd.Series[Any]") -> ColumnKind:
    if is_bool_dtype(column.dtype):
        return "flag"
    return "number" if is_numeric_dtype(column.dtype) else "text"


def split_column(text: str, columns: Mapping[str, ColumnKind]) -> tuple[str, str]:
    """The column a condition begins with, and the rest; the longest known name wins."""
    stripped = text.strip()
    for name in sorted(columns, key=len, reverse=True):
        for written in (name, f"'{name}'", f'"{name}"'):
            rest = stripped[len(written) :]
            if stripped.startswith(written) and re.match(r"\s*$|\s|[=!<>±+]", rest):
                return name, rest.strip()
    wanted = _unquoted(re.split(r"\s*[=!<>±+]|\s(?:not\s+in|in|is)\b", stripped, maxsplit=1)[0])
    raise QueryError(
        f"no column {wanted!r} in {text!r}{close_names(wanted, columns)}: "
        f"there are {some_of(columns)}"
    )


def _presence(column: str, value: str, text: str) -> Condition:
    if value not in ("missing", "present"):
        raise QueryError(f"'is {value}' in {text!r} is unknown: write is missing or is present")
    return Condition(column, value, (), text.strip())


def _items(value: str, text: str) -> tuple[str, ...]:
    """The values of a list in parentheses or brackets."""
    if value[:1] + value[-1:] not in ("()", "[]"):
        raise QueryError(f"no list in {text!r}: write values in parentheses, as in (A, B)")
    inside, items, start = value[1:-1].strip(), [], 0
    while start < len(inside):
        match = _ITEM.match(inside, start)
        if match is None:
            raise QueryError(f"a quote stays open in {text!r}: close it")
        items.append(_unquoted(match[1]))
        start = match.end()
    if not items:
        raise QueryError(f"the list in {text!r} is empty: name at least one value")
    return tuple(items)


def _unquoted(value: str) -> str:
    value = value.strip()
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value


def _typed(value: str, column: str, kind: ColumnKind, text: str) -> Value:
    """A value as the column holds it."""
    if kind == "text":
        if not value:
            raise QueryError(f"no value in {text!r}: for missing values write 'is missing'")
        return value
    if kind == "flag":
        if value.lower() not in _FLAGS:
            raise QueryError(f"column {column!r} is true or false, not {value!r}, in {text!r}")
        return _FLAGS[value.lower()]
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if np.isnan(number):
        raise QueryError(f"column {column!r} holds numbers, and {value!r} is none, in {text!r}")
    return number
