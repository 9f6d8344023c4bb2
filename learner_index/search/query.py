"""What is looked for: a scan, a visit, a patient, a file or a vector, as embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from learner_index.data.suggest import close_names
from learner_index.errors import QueryError
from learner_index.search.table import SearchTable

QueryKind = Literal["scan", "visit", "patient", "file", "vector"]


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One or more embeddings to find the like of, and whom to leave out.

    Attributes:
        kind: what was asked for.
        vectors: (q, e) float32 raw embeddings.
        scan_ids: per vector the scan it comes from, "" for files and vectors.
        views: per vector its view; None: missing, or for files and vectors unknown.
        modalities: per vector its modality, likewise.
        patient_id: the patient it belongs to, left out of the hits; None when unknown.
        rows: the table's rows that say what the query's patient is like (for `match`); for
            scans, visits and patients they are the rows of the vectors, in the same order.
        description: what was asked, JSON-ready.
    """

    kind: QueryKind
    vectors: NDArray[np.float32]
    scan_ids: tuple[str, ...]
    views: tuple[str | None, ...]
    modalities: tuple[str | None, ...]
    patient_id: str | None
    rows: NDArray[np.int64]
    description: Mapping[str, Any]

    @property
    def is_stored(self) -> bool:
        """Whether the vectors are rows of the table."""
        return self.kind in ("scan", "visit", "patient")

    def keep(self, chosen: NDArray[np.bool_]) -> "Query":
        """The query cut to some of its rows; vectors go with them when they are rows."""
        if not self.is_stored:
            return replace(self, rows=self.rows[chosen])
        picked = np.flatnonzero(chosen)
        return replace(
            self,
            rows=self.rows[picked],
            vectors=self.vectors[picked],
            scan_ids=tuple(self.scan_ids[i] for i in picked),
            views=tuple(self.views[i] for i in picked),
            modalities=tuple(self.modalities[i] for i in picked),
        )


def scan_query(table: SearchTable, scan_id: str) -> Query:
    """The query for patients who look like one stored scan.

    Raises:
        QueryError: no scan has this id.
    """
    row = table.row_of(scan_id)
    patient_id = str(table.obs["patient_id"].iloc[row])
    return _stored(table, "scan", np.array([row]), patient_id, {"scan_id": scan_id})


def visit_query(
    table: SearchTable, patient_id: str, *, day: float | None = None, visit: str | None = None
) -> Query:
    """The query for patients who look like one visit: all its scans.

    Args:
        table: what is searched.
        patient_id: whose visit.
        day: the visit's day; or
        visit: the visit's id. Exactly one of the two.

    Raises:
        QueryError: unknown patient or visit, or not exactly one of day and visit is given.
    """
    if (day is None) == (visit is None):
        raise QueryError("a visit is named by its day or by its visit id: give exactly one")
    rows = table.rows_of(patient_id)
    if day is not None:
        chosen, column = rows[table.days[rows] == day], "day"
    else:
        codes = table.codes("visit")
        chosen, column = rows[codes.of_row[rows] == codes.number(str(visit))], "visit"
    if len(chosen) == 0:
        wanted = f"on day {day:g}" if day is not None else f"{visit!r}"
        known = _values(table, rows, column)
        raise QueryError(f"patient {patient_id!r} has no visit {wanted}: {column}s are {known}")
    named: dict[str, Any] = {"day": float(day)} if day is not None else {"visit": str(visit)}
    return _stored(table, "visit", chosen, patient_id, {"patient_id": patient_id} | named)


def patient_query(table: SearchTable, patient_id: str, until_day: float | None = None) -> Query:
    """The query for patients who look like this one: all the patient's scans.

    Args:
        table: what is searched.
        patient_id: the patient.
        until_day: scans after this day, and scans without a day, are left out.

    Raises:
        QueryError: unknown patient, or no scan until that day.
    """
    rows = table.rows_of(patient_id)
    query = _stored(table, "patient", rows, patient_id, {"patient_id": patient_id})
    return query if until_day is None else cut(table, query, until_day)


def vector_query(
    table: SearchTable,
    vectors: ArrayLike,
    *,
    kind: Literal["file", "vector"] = "vector",
    patient_id: str | None = None,
    view: str | None = None,
    modality: str | None = None,
    content_hash: str | None = None,
) -> Query:
    """The query for patients who look like embeddings that are not, or need not be, in the store.

    Args:
        table: what is searched.
        vectors: (e,) or (q, e) embeddings from the store's own space.
        kind: "file" when the vectors were embedded from a file.
        patient_id: a patient of the store they belong to, to be left out of the hits.
        view: their view; None: unknown, compared with every view.
        modality: their modality; None: unknown, compared with every modality.
        content_hash: hash of the file; a row with the same bytes tells the patient.

    Raises:
        QueryError: wrong width, values that are not finite, or a patient, view or modality that
            the store lacks.
    """
    checked = _checked(table, vectors)
    _check_known(table, "view", view)
    _check_known(table, "modality", modality)
    owner = patient_id if patient_id is not None else _owner(table, content_hash)
    rows = np.empty(0, np.int64) if owner is None else table.rows_of(owner)
    count = len(checked)
    description = {"patient_id": owner, "view": view, "modality": modality}
    return Query(
        kind, checked, ("",) * count, (view,) * count, (modality,) * count, owner, rows, description
    )


def cut(table: SearchTable, query: Query, until_day: float) -> Query:
    """The query without its scans after a day; scans without a day are left out too.

    Raises:
        QueryError: the query is a file or vector, or nothing is left of it.
    """
    if not query.is_stored:
        raise QueryError(f"a {query.kind} has no day to cut at: leave --until-day out")
    kept = query.keep(table.days[query.rows] <= until_day)
    if len(kept.vectors) == 0:
        known = _values(table, query.rows, "day")
        raise QueryError(
            f"the {query.kind} asked for has no scan until day {until_day:g}: its days are {known}"
        )
    return kept


def _stored(
    table: SearchTable,
    kind: QueryKind,
    rows: NDArray[np.int64],
    patient_id: str,
    description: dict[str, Any],
) -> Query:
    scan_ids = tuple(str(scan_id) for scan_id in table.obs["scan_id"].iloc[rows])
    views, modalities = (_texts(table, rows, column) for column in ("view", "modality"))
    vectors = np.ascontiguousarray(table.embeddings[rows], np.float32)
    return Query(kind, vectors, scan_ids, views, modalities, patient_id, rows, description)


def _texts(table: SearchTable, rows: NDArray[np.int64], column: str) -> tuple[str | None, ...]:
    codes = table.codes(column)
    return tuple(None if code < 0 else str(codes.values[code]) for code in codes.of_row[rows])


def _checked(table: SearchTable, vectors: ArrayLike) -> NDArray[np.float32]:
    try:
        raw = np.atleast_2d(np.asarray(vectors, np.float64))
    except (TypeError, ValueError):
        raise QueryError("a vector query needs numbers: give (e,) or (q, e) values") from None
    if raw.ndim != 2 or raw.shape[1] != table.width or len(raw) == 0:
        raise QueryError(
            f"vectors of shape {np.shape(vectors)} do not fit embeddings of width {table.width}: "
            "embed the scan with the store's own encoder"
        )
    if not np.all(np.abs(raw) <= np.finfo(np.float32).max):
        raise QueryError("the query vector holds NaN or infinity: embed the scan again")
    return raw.astype(np.float32)


def _check_known(table: SearchTable, column: str, value: str | None) -> None:
    """Refuse a view or modality that no row has."""
    values = table.codes(column).values
    if value is not None and value not in values:
        known = ", ".join(map(str, values[:8])) or "none"
        guess = close_names(value, values)
        raise QueryError(f"no {column} {value!r} in the store{guess}: it has {known}")


def _owner(table: SearchTable, content_hash: str | None) -> str | None:
    """The patient of the first row with these bytes; None when there is none."""
    codes = table.codes("content_hash")
    number = codes.number(content_hash) if content_hash is not None else -2
    if number < 0:
        return None
    row = int(np.flatnonzero(codes.of_row == number)[0])
    return str(table.obs["patient_id"].iloc[row])


def _values(table: SearchTable, rows: NDArray[np.int64], column: str, most: int = 8) -> str:
    """The first few different values of a column among some rows, for a message."""
    if column not in table.obs:
        return "missing"
    values: list[Any] = list(pd.unique(table.obs[column].iloc[rows].dropna()))
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values[:most]]
    return (", ".join(shown) or "missing") + (", …" if len(values) > most else "")
