"""Reads a CSV, TSV or Parquet file into columns of text, remembering where each row stands.

What the text means (kinds, ids, days) is left to the modules that use the table.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.data.decimals import with_points
from learner_index.data.parquet import read_parquet
from learner_index.data.problems import listed, place
from learner_index.data.records import Problem
from learner_index.data.suggest import near_names
from learner_index.errors import ManifestError

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t"}
PARQUET = (".parquet", ".pq")
_SEPARATOR_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as text, before anything is understood.

    Attributes:
        path: the file it came from.
        names: column names in file order, without surrounding blanks.
        cells: per column (n,) texts as they stand in the file; "" where there is nothing.
        lines: (n,) 1-based line (Parquet: row) where each row starts.
        problems: rows and columns that could not be taken over.
    """

    path: Path
    names: tuple[str, ...]
    cells: dict[str, list[str]]
    lines: NDArray[np.int64]
    problems: tuple[Problem, ...] = ()


def row_word(path: Path) -> str:
    """What a row of this file is called in messages: "line", or "row" in a Parquet file."""
    return "row" if path.suffix.lower() in PARQUET else "line"


def read_table(path: Path) -> RawTable:
    """The file's columns as text; rows that do not fit the header are left out and reported.

    Raises:
        ManifestError: the file is absent, unreadable, empty, not UTF-8, of an unknown kind,
            separated by something else than its name says (semicolons in a .csv are fine), or
            names a column twice.
    """
    suffix = path.suffix.lower()
    if suffix not in SEPARATORS and suffix not in PARQUET:
        raise ManifestError(_no_table(path))
    content = _bytes_of(path)
    if suffix in PARQUET:
        columns, problems = read_parquet(path, content)
        rows = max((len(cells) for _, cells in columns), default=0)
        lines = np.arange(1, rows + 1, dtype=np.int64)
        return _table(path, columns, lines, problems)
    return _read_text(path, _decoded(path, content), SEPARATORS[suffix])


def _no_table(path: Path) -> str:
    """Why a path names no table, and what was perhaps meant."""
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        return f"{path} is a workbook: save its sheet as .csv and name that"
    if (path / "zarr.json").is_file():
        return f"{path} is a store, not a manifest: name the table it was built from"
    if path.is_dir():
        return (
            f"{path} is a folder, not a manifest{_tables_near(path)}: name a table, or write one "
            "with `learner-index manifest`"
        )
    return f"{path} is no .csv, .tsv or .parquet file{_tables_near(path)}: save the table as one"


def _tables_near(path: Path) -> str:
    """Tables that were perhaps meant: those in a folder, or those of a similar name beside."""
    suffixes = (*SEPARATORS, *PARQUET)
    inside = path if path.is_dir() else path.parent
    if not inside.is_dir():
        return ""
    tables = sorted(file for file in inside.iterdir() if file.suffix.lower() in suffixes)
    if path.is_dir():
        return f" (did you mean {str(tables[0])!r}?)" if len(tables) == 1 else ""
    near = near_names(path.stem, [file.stem for file in tables])
    found = [str(file) for file in tables if file.stem in near][:2]
    return f" (did you mean {' or '.join(map(repr, found))}?)" if found else ""


def _bytes_of(path: Path) -> bytes:
    if path.is_dir():
        raise ManifestError(_no_table(path))
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(f"no manifest {path}{_tables_near(path)}: check the path") from None
    except OSError as error:
        raise ManifestError(f"manifest {path} cannot be read: {error.strerror}") from error
    if not content.strip():
        raise ManifestError(f"manifest {path} is empty: it needs a header and one row a scan")
    return content


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestError(
            f"manifest {path} is not UTF-8 (line {line}): save it again with encoding UTF-8"
        ) from None


def _read_text(path: Path, text: str, separator: str) -> RawTable:
    if separator == "," and _has_semicolons(text):
        separator = ";"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header = _header(path, reader, separator)
    width = len(header)
    cells, lines, problems = _rows(reader, width)
    columns = [(name, cells[i::width]) for i, name in enumerate(header)]
    if separator == ";":
        columns, notes = with_points(columns)
        problems += notes
    return _table(path, columns, np.asarray(lines, dtype=np.int64), problems)


def _has_semicolons(text: str) -> bool:
    """Whether a .csv is one of the many spreadsheets write with semicolons: no comma in line 1."""
    header = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    return ";" in header and "," not in header


def _header(path: Path, reader: "Reader", separator: str) -> list[str]:
    """Names of the first row that is not blank."""
    try:
        header: list[str] = next((row for row in reader if "".join(row).strip()), [])
    except csv.Error as error:
        raise ManifestError(
            f"manifest {path}, line {reader.line_num}: the header has a stray quote ({error})"
        ) from None
    _refuse_other_separator(path, header, separator)
    return [name.strip() for name in header]


def _refuse_other_separator(path: Path, header: Sequence[str], separator: str) -> None:
    if len(header) != 1 or separator == ";":
        return
    for other, word in _SEPARATOR_NAMES.items():
        if other in header[0]:
            raise ManifestError(
                f"manifest {path} is separated by {word}, but its name says "
                f"{_SEPARATOR_NAMES[separator]}: save it again, or rename it"
                f"{' to .tsv' if other == chr(9) else ''}"
            )


def _rows(reader: "Reader", width: int) -> tuple[list[str], list[int], list[Problem]]:
    """Cells row by row, the line where each row starts, and what was left out.

    The cells stand in one long list: a list for each row would occupy the garbage collector.
    """
    cells: list[str] = []
    lines: list[int] = []
    problems: list[Problem] = []
    start, more = reader.line_num + 1, True
    while more:
        try:
            for row in reader:
                if len(row) == width and any(row):
                    cells += row
                    lines.append(start)
                elif "".join(row).strip():
                    _mend_or_report(row, width, start, (cells, lines, problems))
                start = reader.line_num + 1
            more = False
        except csv.Error as error:
            problems.append(Problem(place("line", [start]), "", _quote_message(error)))
            start = reader.line_num + 1
    return cells, lines, problems


def _quote_message(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quote opened here is never closed, so the rest was not read: close it"
    return f"a stray quote ({error}): double it, or take it away"


def _mend_or_report(
    row: list[str], width: int, line: int, out: tuple[list[str], list[int], list[Problem]]
) -> None:
    """Takes a row whose surplus cells are blank; reports any other."""
    cells, lines, problems = out
    if len(row) > width and not "".join(row[width:]).strip():
        cells += row[:width]
        lines.append(line)
        return
    message = f"{len(row)} cells where the header has {width}: quote cells that hold a separator"
    problems.append(Problem(place("line", [line]), "", message))


def _table(
    path: Path,
    columns: list[tuple[str, list[str]]],
    lines: NDArray[np.int64],
    problems: list[Problem],
) -> RawTable:
    """The table without unnamed columns; two columns of one name cannot be told apart."""
    counts = Counter(name for name, _ in columns if name)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ManifestError(
            f"manifest {path} has more than one column named {listed(twice)}: rename one"
        )
    for position, (name, cells) in enumerate(columns, start=1):
        if not name and any(cell.strip() for cell in cells):
            message = f"column {position} has values but no name: name it, or take it away"
            problems.append(Problem("", "", message))
    if not len(lines):
        first = f" ({problems[0]})" if problems else ""
        raise ManifestError(f"manifest {path} has a header but no scans{first}: add one row a scan")
    named = {name: cells for name, cells in columns if name}
    return RawTable(path, tuple(named), named, lines, tuple(problems))
