"""Writes manifests: checked rows, natural order, through a temporary file that is renamed."""

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from learner_index.data.columns import MISSING
from learner_index.data.ids import rows_with_control_characters
from learner_index.data.problems import groups_of
from learner_index.errors import ManifestError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What became of a folder of scans.

    Attributes:
        output: the manifest written.
        n_scans: rows in it.
        n_patients: distinct patients.
        columns: its columns, in order.
        n_unmatched: files (or folders) that are not in it.
        unmatched: the first few of them, relative to the folder.
        left_out: columns that were not taken over, each with its reason.
        notes: what a person should know.
    """

    output: Path
    n_scans: int
    n_patients: int
    columns: tuple[str, ...]
    n_unmatched: int = 0
    unmatched: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts "P2" before "P10": runs of digits count as numbers."""
    parts = re.split(r"([0-9]+)", text)
    numbered = ((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)
    return tuple(numbered)


def refuse_existing(output: Path, *, overwrite: bool) -> None:
    """Lets an output pass that may be written.

    Raises:
        ManifestError: it exists and is not to be replaced, is neither .csv nor .tsv, or its
            folder does not exist.
    """
    if output.suffix.lower() not in SEPARATORS:
        raise ManifestError(f"{output}: a manifest is written as .csv or .tsv, name it so")
    if not output.parent.is_dir():
        what = "is no folder" if output.parent.exists() else "is not there"
        raise ManifestError(
            f"{output.parent} {what}, so no manifest can be written in it: check the path, or "
            "make it"
        )
    if output.exists() and not overwrite:
        raise ManifestError(f"{output} exists: choose another name, or pass --overwrite")


def outside_note(folder: Path, output: Path) -> tuple[str, ...]:
    """A note when the scans do not lie below the manifest's folder."""
    top, real = output.parent.resolve(), folder.resolve()
    if real.is_relative_to(top):
        return ()
    return ("the scans lie outside the manifest's folder: read it with --allow-outside",)


def relative_to_output(folder: Path, output: Path) -> str:
    """What to put before a path inside `folder` so that it is relative to the manifest."""
    prefix = os.path.relpath(folder.resolve(), output.parent.resolve())
    return "" if prefix == "." else f"{prefix}/"


def write_rows(output: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Writes a manifest whole or not at all.

    Raises:
        ManifestError: two rows have one scan_id, a value could not be read back as it is, or
            the disk refused.
    """
    _refuse_duplicates(rows)
    for row in rows:
        _refuse_unreadable(row)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(
                file, delimiter=SEPARATORS[output.suffix.lower()], lineterminator="\n"
            )
            writer.writerow(columns)
            writer.writerows([row.get(name, "") for name in columns] for row in rows)
        temporary.replace(output)
    except OSError as error:
        raise ManifestError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_duplicates(rows: Sequence[Row]) -> None:
    for scan_id, found in groups_of([row["scan_id"] for row in rows]).items():
        if len(found) > 1:
            one, other = (rows[position]["path"] for position in found[:2])
            raise ManifestError(
                f"{one!r} and {other!r} would both be scan {scan_id!r}: "
                "put {scan_id} into the pattern, or rename one"
            )


def _refuse_unreadable(row: Row) -> None:
    """Refuses values that a manifest's reader would take for something else."""
    for name, text in row.items():
        is_needed = name in ("scan_id", "patient_id", "path")
        if text in MISSING and (is_needed or text):
            raise ManifestError(
                f"{row['path']!r}: {name} {text!r} reads as a missing value, rename it"
            )
        is_odd = text != text.strip() or rows_with_control_characters([text])
        if is_odd or text.encode("utf-8", "replace").decode() != text:
            raise ManifestError(
                f"{row['path']!r}: {name} {text!r} has blanks at its ends or characters "
                "that cannot be written, rename it"
            )
