"""What a manifest says against what a store holds: which rows, columns and order must change."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.records import Problem

ALWAYS: Mapping[str, str] = {
    "scan_id": "text",
    "patient_id": "text",
    "day": "number",
    "view": "text",
    "health_score": "number",
    "treatment": "text",
    "response": "text",
    "site": "text",
    "content_hash": "text",
    "encoder_role": "text",
}
"""Columns every store has, whatever the manifest brings."""
_DTYPES = {"text": "string", "number": "float64", "flag": "boolean"}
OWN = ("content_hash", "encoder_role")
"""Columns the build writes; a manifest cannot."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What syncing changed or would change in a store's columns.

    Attributes:
        corrected: column -> number of stored rows whose value the manifest corrects.
        added: columns the store did not have.
        retyped: columns whose kind changes, as "name: old -> new".
        absent: stored columns the manifest no longer has; they are kept.
        dropped: stored columns taken out because the manifest's options say so.
    """

    corrected: Mapping[str, int]
    added: tuple[str, ...]
    retyped: tuple[str, ...]
    absent: tuple[str, ...]
    dropped: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the store's columns say what the manifest says."""
        return not (self.corrected or self.added or self.retyped or self.dropped)


def wanted_kinds(
    manifest_kinds: Mapping[str, str], stored_kinds: Mapping[str, str], *, has_unlisted: bool
) -> dict[str, str]:
    """Column -> kind of a store in step with the manifest: stored order first, then new columns.

    Args:
        manifest_kinds: what the manifest's columns hold now.
        stored_kinds: what the store's columns hold; empty for a new store.
        has_unlisted: some stored rows are not in the manifest; a column whose kind changed then
            becomes text, so that none of their values is lost.
    """
    fresh = {
        name: manifest_kinds.get(name, stored_kinds.get(name, kind))
        for name, kind in ALWAYS.items()
    }
    fresh |= {name: kind for name, kind in manifest_kinds.items() if name not in fresh}
    kept = {name: fresh.get(name, kind) for name, kind in stored_kinds.items()}
    if has_unlisted:
        kept = {n: kind if kind == stored_kinds[n] else "text" for n, kind in kept.items()}
    return kept | {name: kind for name, kind in fresh.items() if name not in kept}


def without_dropped(kinds: Mapping[str, str], dropped: Collection[str]) -> dict[str, str]:
    """Columns without those to be left out; what every store has stays, empty."""
    return {name: kind for name, kind in kinds.items() if name in ALWAYS or name not in dropped}


def shared_between_patients(obs: pd.DataFrame) -> list[Problem]:
    """A note for each content that is stored under two patients or more: one is mislabeled."""
    owners = obs[["content_hash", "patient_id"]].drop_duplicates()
    doubled = owners["content_hash"][owners["content_hash"].duplicated()].unique()
    notes = []
    for content_hash in doubled:
        ids = obs.loc[obs["content_hash"] == content_hash, "scan_id"]
        message = "the same bytes under two patients: one is mislabeled, searches leave both out"
        notes.append(Problem("", ", ".join(ids), message, is_error=False))
    return notes


def as_kind(values: "pd.Series[Any]", kind: str) -> "pd.Series[Any]":
    """A column turned into its kind, itself if it is; what cannot be turned becomes missing."""
    if values.dtype == _DTYPES[kind]:
        return values
    if kind == "text":
        return _as_text(values)
    if kind == "flag":
        truth = {"true": True, "1": True, "false": False, "0": False}
        flags = [truth.get(text) for text in _as_text(values).str.lower().fillna("")]
        return pd.Series(pd.array(flags, dtype="boolean"), index=values.index)
    if isinstance(values.dtype, pd.BooleanDtype):
        values = values.astype("Float64")
    return pd.to_numeric(values, errors="coerce").astype("float64")


def _as_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text as typed: whole numbers lose the point that float64 gave them."""
    if pd.api.types.is_float_dtype(values.dtype):
        text = [pd.NA if np.isnan(v) else f"{v:.15g}" for v in values.to_numpy(dtype=float)]
        return pd.Series(pd.array(text, dtype="string"), index=values.index)
    if isinstance(values.dtype, pd.BooleanDtype):
        return values.astype("string").str.lower()
    return values.astype("string")


def rows_from_manifest(
    table: pd.DataFrame, rows: NDArray[np.intp], kinds: Mapping[str, str]
) -> pd.DataFrame:
    """Manifest rows with exactly the store's columns; what the manifest lacks is missing.

    `content_hash` and `encoder_role` are empty text, for the build to fill in.
    """
    is_all = np.array_equal(rows, np.arange(len(table)))
    taken = (table if is_all else table.iloc[rows]).reset_index(drop=True)
    columns = {}
    for name, kind in kinds.items():
        if name in OWN:
            columns[name] = pd.Series(pd.array([""] * len(taken), dtype="string"))
        elif name in taken:
            columns[name] = as_kind(taken[name], kind)
        else:
            columns[name] = _missing(len(taken), kind)
    return pd.DataFrame(columns, index=taken.index)


def _missing(n: int, kind: str) -> "pd.Series[Any]":
    """A column of nothing but missing values."""
    if kind == "number":
        return pd.Series(np.full(n, np.nan))
    return pd.Series(pd.array([pd.NA] * n, dtype="string" if kind == "text" else "boolean"))


def synced_rows(
    stored: pd.DataFrame,
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    dropped: Collection[str] = (),
) -> tuple[pd.DataFrame, Difference]:
    """Stored rows brought into step with the manifest.

    Args:
        stored: the store's columns, in row order.
        table: the manifest's table.
        kinds: columns and kinds wanted.
        dropped: columns whose values are taken out, also of rows the manifest does not list.

    Returns:
        The rows in the same order with the columns of `kinds`, and what differs from `stored`.
        Rows the manifest does not list keep their values.
    """
    where = _places(stored["scan_id"], table["scan_id"])
    listed = np.flatnonzero(where >= 0)
    is_all = len(listed) == len(stored)
    fresh = rows_from_manifest(table, where[listed], kinds)
    columns, corrected = {}, {}
    for name, kind in kinds.items():
        known = name in stored and name not in dropped
        values = as_kind(stored[name], kind) if known else _missing(len(stored), kind)
        if name not in OWN and name in table:
            changed = np.flatnonzero(
                _differs(values if is_all else values.iloc[listed], fresh[name])
            )
            if len(changed):
                values = values.copy()
                values.iloc[listed[changed]] = fresh[name].array[changed]
                if known:
                    corrected[name] = len(changed)
        columns[name] = values
    gone = tuple(n for n in dropped if n in stored and bool(stored[n].notna().any()))
    found = _difference(stored, table, kinds, corrected)
    kept = tuple(name for name in found.absent if name not in gone)
    return pd.DataFrame(columns), replace(found, absent=kept, dropped=gone)


def _places(ids: "pd.Series[str]", table_ids: "pd.Series[str]") -> NDArray[np.intp]:
    """(n,) row of the manifest's table that each stored row belongs to; -1 where it lists none."""
    stored, listed = plain_list(ids), plain_list(table_ids)
    if stored == listed:
        return np.arange(len(stored), dtype=np.intp)
    place = {scan_id: row for row, scan_id in enumerate(listed)}
    return np.array([place.get(scan_id, -1) for scan_id in stored], dtype=np.intp)


def _differs(one: "pd.Series[Any]", other: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Where two columns of one kind differ; missing equals missing."""
    if pd.api.types.is_float_dtype(one.dtype):
        a, b = one.to_numpy(), other.to_numpy()
        return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)))
    before, after = plain_list(one), plain_list(other)
    with suppress(TypeError):  # NA, one object, equals itself here, but against a text it raises
        if before == after:
            return np.zeros(len(one), dtype=bool)
    missing = one.isna().to_numpy(dtype=bool), other.isna().to_numpy(dtype=bool)
    found: NDArray[np.bool_] = missing[0] != missing[1]
    for row in np.flatnonzero(~(missing[0] | missing[1])).tolist():
        found[row] = before[row] != after[row]
    return found


def plain_list(values: "pd.Series[Any]") -> list[Any]:
    """The cells of a column; several times faster than its own `tolist`."""
    cells: list[Any] = np.asarray(values.array, dtype=object).tolist()
    return cells


def _difference(
    stored: pd.DataFrame,
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    corrected: Mapping[str, int],
) -> Difference:
    """What changes between the stored columns and the wanted ones."""
    retyped = [
        f"{name}: {kind_of_series(stored[name])} -> {kind}"
        for name, kind in kinds.items()
        if name in stored and kind_of_series(stored[name]) != kind
    ]
    return Difference(
        corrected=dict(corrected),
        added=tuple(name for name in kinds if name not in stored),
        retyped=tuple(retyped),
        absent=tuple(str(name) for name in stored if _is_absent(stored, table, str(name))),
    )


def _is_absent(stored: pd.DataFrame, table: pd.DataFrame, name: str) -> bool:
    """Whether a stored column with values is one the manifest no longer has."""
    if name in table or name in OWN:
        return False
    return name not in ALWAYS or bool(stored[name].notna().any())


def kind_of_series(values: "pd.Series[Any]") -> str:
    """The kind a stored column was read as."""
    if isinstance(values.dtype, pd.BooleanDtype):
        return "flag"
    return "number" if pd.api.types.is_float_dtype(values.dtype) else "text"


def manifest_order(stored_ids: Iterable[str], manifest_ids: Iterable[str]) -> NDArray[np.intp]:
    """Row order that follows the manifest; rows it does not list come last, as they stood.

    Rows that already stand in the manifest's order are left where they are, whatever unlisted
    rows stand between them, so that a kept row alone never makes the store be rewritten.
    """
    stored, wanted = list(stored_ids), list(manifest_ids)
    if stored == wanted:
        return np.arange(len(stored), dtype=np.intp)
    place = {scan_id: i for i, scan_id in enumerate(wanted)}
    places = np.array([place.get(scan_id, -1) for scan_id in stored], dtype=np.intp)
    listed = places[places >= 0]
    if bool(np.all(np.diff(listed) > 0)):
        return np.arange(len(places), dtype=np.intp)
    keys = np.where(places < 0, len(place), places)
    return np.argsort(keys, kind="stable").astype(np.intp)
