"""What is looked for: a scan, a visit, a patient, a file or a vector, as embeddings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from learner_index.errors import QueryError
from learner_index.search.known import (
    check_known,
    check_patient,
    has_values,
    owners_of,
    rows_known,
)
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
        named: the patient it was asked for or is stored under; None when nobody is named.
        content_hash: of the file's bytes; None when there is none. Stored scans have their rows'.
        owners: patients with a stored scan of the same bytes, in the order of rows.
        rows: the table's rows that say what the query's patient is like (for `match`); for
            scans, visits and patients they are the rows of the vectors, in the same order.
        description: what was asked, JSON-ready.
    """

    kind: QueryKind
    vectors: NDArray[np.float32]
    scan_ids: tuple[str, ...]
    views: tuple[str | None, ...]
    modalities: tuple[str | None, ...]
    named: str | None
    content_hash: str | None
    owners: tuple[str, ...]
    rows: NDArray[np.int64]
    description: Mapping[str, Any]

    @property
    def patient_ids(self) -> tuple[str, ...]:
        """Everyone it may belong to, who is left out of the hits; nobody when unknown."""
        return tuple(dict.fromkeys((*(() if self.named is None else (self.named,)), *self.owners)))

    @property
    def patient_id(self) -> str | None:
        """The patient it belongs to: the one named, else the first owner of its bytes."""
        return next(iter(self.patient_ids), None)

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
    rows, day = table.rows_of(patient_id), finite("--day", day)
    if day is not None:
        chosen, column = rows[table.days[rows] == day], "day"
    else:
        codes = table.codes("visit")
        chosen, column = rows[codes.of_row[rows] == codes.number(str(visit))], "visit"
    if len(chosen) == 0:
        wanted = f"on day {day:g}" if day is not None else f"{visit!r}"
        known = _values(table, rows, column)
        if column == "visit" and not has_values(table, "visit"):
            known = "not named in the store, so ask with --day"
        raise QueryError(f"patient {patient_id!r} has no visit {wanted}: {column}s are {known}")
    named: dict[str, Any] = {"day": day} if day is not None else {"visit": str(visit)}
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
    count = len(checked)
    query = Query(
        kind,
        checked,
        ("",) * count,
        (view,) * count,
        (modality,) * count,
        patient_id,
        content_hash,
        (),
        np.empty(0, np.int64),
        {"patient_id": patient_id, "view": view, "modality": modality},
    )
    return settle(table, query)


def settle(table: SearchTable, query: Query, as_of: float | None = None) -> Query:
    """The query with what the rows say of it: whose it is and what that patient is like.

    Args:
        table: what is searched.
        query: the query.
        as_of: only rows until this day are asked; None: all are.

    Raises:
        QueryError: a patient, view or modality that these rows lack.
    """
    owners = owners_of(table, _hashes(table, query), as_of)
    if query.is_stored:
        return replace(query, owners=owners)
    for column, values in (("view", query.views), ("modality", query.modalities)):
        check_known(table, column, values[0], as_of)
    if query.named is not None:
        check_patient(table, query.named, as_of)
    asked = owners if query.named is None else (query.named,)
    rows = rows_known(table, asked, as_of)
    settled = replace(query, owners=owners, rows=rows)
    return replace(settled, description={**query.description, "patient_id": settled.patient_id})


def cut(table: SearchTable, query: Query, until_day: float) -> Query:
    """The query without its scans after a day; scans without a day are left out too.

    Raises:
        QueryError: the query is a file or vector, or nothing is left of it.
    """
    if not query.is_stored:
        raise QueryError(f"a {query.kind} has no day to cut at: leave --until-day out")
    kept = settle(table, query.keep(table.days[query.rows] <= until_day))
    if len(kept.vectors) == 0:
        known = _values(table, query.rows, "day")
        raise QueryError(
            f"the {query.kind} asked for has no scan until day {until_day:g}: its days are {known}"
        )
    return kept


def finite(name: str, value: Any) -> float | None:
    """An option's number as a plain float; None stays None.

    Raises:
        QueryError: it is no number, or not finite.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise QueryError(f"{name} is {value!r}: give a finite number, or leave it out")
    return float(value)


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
    query = Query(
        kind, vectors, scan_ids, views, modalities, patient_id, None, (), rows, description
    )
    return settle(table, query)


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


def _hashes(table: SearchTable, query: Query) -> NDArray[np.int64]:
    """Numbers of the content hashes of a query, none where it has no bytes."""
    codes = table.codes("content_hash")
    if query.is_stored:
        return codes.of_row[query.rows]
    return np.array([-1 if query.content_hash is None else codes.number(query.content_hash)])


def _values(table: SearchTable, rows: NDArray[np.int64], column: str, most: int = 8) -> str:
    """The first few different values of a column among some rows, for a message."""
    if column not in table.obs:
        return "missing"
    values: list[Any] = list(pd.unique(table.obs[column].iloc[rows].dropna()))
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values[:most]]
    return (", ".join(shown) or "missing") + (", …" if len(values) > most else "")
