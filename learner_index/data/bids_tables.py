"""Reads the tables of a BIDS data set: participants, sessions and scans.

Dates leave this module only as days since the patient's first session.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from learner_index.data.columns import FLAG_COLUMNS, REQUIRED, cleaned
from learner_index.data.days import iso_date
from learner_index.data.privacy import identifying
from learner_index.data.problems import listed
from learner_index.data.understand import STORE_NAMES

Table = dict[str, dict[str, str]]
OWN_COLUMNS = frozenset((*REQUIRED, *STORE_NAMES, *FLAG_COLUMNS, "visit", "modality", "date"))


@dataclass(slots=True)
class BidsTables:
    """What the tables say.

    Attributes:
        participants: columns by patient.
        sessions: columns by "patient/visit".
        scans: columns by file, relative to the data set.
        dates: when a session ("patient/visit") or, without sessions, a file was acquired.
        left_out: columns not taken over, each with its reason.
        notes: what a person should know.
    """

    participants: Table = field(default_factory=dict)
    sessions: Table = field(default_factory=dict)
    scans: Table = field(default_factory=dict)
    dates: dict[str, date] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_bids_tables(folder: Path) -> BidsTables:
    """All tables of a data set; absent ones are empty, odd ones are noted."""
    tables = BidsTables()
    tables.participants = _merged(tables, folder, ["participants.tsv"], "participant_id")
    tables.sessions = _merged(tables, folder, ["sub-*/*_sessions.tsv"], "session_id")
    scans = ["sub-*/*_scans.tsv", "sub-*/ses-*/*_scans.tsv"]
    tables.scans = _merged(tables, folder, scans, "filename")
    return tables


def _merged(tables: BidsTables, folder: Path, patterns: Sequence[str], key: str) -> Table:
    """Rows of all tables of one kind by their place, without the columns that are refused."""
    rows: Table = {}
    for file in sorted(file for pattern in patterns for file in folder.glob(pattern)):
        place = file.parent.relative_to(folder).as_posix()
        prefix = "" if place == "." else f"{place}/"
        rows |= {f"{prefix}{name}": row for name, row in _rows(tables, folder, file, key).items()}
    _take_dates(tables, rows, key)
    names = dict.fromkeys(name for row in rows.values() for name in row)
    for name in names:
        reason = "has another meaning here" if name in OWN_COLUMNS else ""
        reason = reason or identifying(name, [row.get(name) or None for row in rows.values()])
        if reason:
            tables.left_out.append(f"{name} {reason}")
            for row in rows.values():
                row.pop(name, None)
    return rows


def _rows(tables: BidsTables, folder: Path, file: Path, key: str) -> Table:
    """Rows of one table by its key column; "" where a value is missing."""
    shown = file.relative_to(folder).as_posix()
    try:
        text = file.read_text(encoding="utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter="\t") if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        tables.notes.append(f"{shown} cannot be read and was left out ({type(error).__name__})")
        return {}
    header = [name.strip() for name in lines[0]] if lines else []
    whole = [line for line in lines[1:] if len(line) == len(header)]
    if key not in header or len(set(header)) < len(header):
        tables.notes.append(f"{shown} was left out: it needs {listed([key])} and distinct columns")
        return {}
    if len(whole) < len(lines) - 1:
        tables.notes.append(f"{shown}: {len(lines) - 1 - len(whole)} ragged rows were left out")
    cells = [dict(zip(header, cleaned(line), strict=True)) for line in whole]
    return {
        str(row[key]): {name: text or "" for name, text in row.items() if name != key}
        for row in cells
    }


def _take_dates(tables: BidsTables, rows: Mapping[str, dict[str, str]], key: str) -> None:
    """Moves acq_time out of the rows; a session's own date wins over its files' earliest."""
    unreadable, of_sessions = 0, set(tables.dates)
    for name, row in rows.items():
        text = row.pop("acq_time", "")
        found = iso_date(text)
        unreadable += bool(text) and found is None
        if found is None or key == "participant_id":
            continue
        if key == "session_id":
            tables.dates[name] = found
            continue
        patient, _, rest = name.partition("/")
        visit = rest.partition("/")[0]
        unit = f"{patient}/{visit}" if visit.startswith("ses-") else name
        if unit not in of_sessions:
            tables.dates[unit] = min(found, tables.dates.get(unit, found))
    if unreadable:
        tables.notes.append(f"{unreadable} values of acq_time are no ISO date and were left out")
