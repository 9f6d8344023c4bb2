"""What the rows know, on the whole or as of a day: patients, values, and who owns which bytes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.suggest import close_names
from learner_index.errors import QueryError
from learner_index.search.table import SearchTable


def owners_of(
    table: SearchTable, hashes: NDArray[np.int64], as_of: float | None = None
) -> tuple[str, ...]:
    """Patients with a row of one of these content hashes, in the order of rows.

    Args:
        table: what is searched.
        hashes: numbers of content hashes; negative ones, and that of "", are nobody's.
        as_of: only rows until this day count; None: all do.
    """
    empty = table.codes("content_hash").number("")
    asked = np.unique(hashes[(hashes >= 0) & (hashes != empty)])
    rows = _until(table, table.rows_with("content_hash", asked), as_of)
    patients = table.patients.values[pd.unique(table.patients.of_row[rows])]
    return tuple(str(patient) for patient in patients)


def rows_known(
    table: SearchTable, patients: Sequence[str], as_of: float | None = None
) -> NDArray[np.int64]:
    """Rows of some patients, each patient's in order."""
    rows = [_until(table, table.rows_of(patient), as_of) for patient in patients]
    return np.concatenate([np.empty(0, np.int64), *rows])


def check_known(
    table: SearchTable, column: str, value: str | None, as_of: float | None = None
) -> None:
    """Refuse a view or modality that no row has.

    Raises:
        QueryError: no row until the day has this value.
    """
    values = _values(table, column, as_of)
    if value is not None and value not in values:
        known = ", ".join(map(str, values[:8])) or f"none, so leave --{column} out"
        guess = close_names(value, values)
        raise QueryError(f"no {column} {value!r} in the store{guess}: it has {known}")


def check_patient(table: SearchTable, patient: str, as_of: float | None = None) -> None:
    """Refuse to leave out a patient whom no row has.

    Raises:
        QueryError: no row until the day is this patient's.
    """
    patients = _values(table, "patient_id", as_of)
    if patient not in patients:
        when = "" if as_of is None else f" until day {as_of:g}"
        raise QueryError(
            f"no patient {patient!r} among {len(patients)}{when}{close_names(patient, patients)}: "
            "leave --patient out if the patient is not in the store"
        )


def has_values(table: SearchTable, column: str, as_of: float | None = None) -> bool:
    """Whether a text column says anything."""
    return len(_values(table, column, as_of)) > 0


def _values(table: SearchTable, column: str, as_of: float | None) -> "pd.Index[str]":
    """The values of a text column, in the order of rows."""
    codes = table.codes(column)
    if as_of is None:
        return codes.values
    return table.once(("values", column, as_of), lambda: _seen(table, column, as_of))


def _seen(table: SearchTable, column: str, as_of: float) -> "pd.Index[str]":
    """The values that rows until a day have."""
    codes = table.codes(column)
    numbers = pd.unique(codes.of_row[table.days <= as_of])
    return codes.values[numbers[numbers >= 0]]


def _until(table: SearchTable, rows: NDArray[np.int64], as_of: float | None) -> NDArray[np.int64]:
    """The rows until a day."""
    return rows if as_of is None else rows[table.days[rows] <= as_of]
