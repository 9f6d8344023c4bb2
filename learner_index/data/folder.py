"""Writes a manifest from a tree of scans whose paths say what they are."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from learner_index.data.columns import numbers_of
from learner_index.data.days import iso_date
from learner_index.data.pattern import PathPattern, parse_pattern
from learner_index.data.writing import (
    FolderResult,
    natural_key,
    outside_note,
    refuse_existing,
    relative_to_output,
    write_rows,
)
from learner_index.errors import ManifestError

EXAMPLES = 5
_DOUBLE_SUFFIXES = (".nii.gz", ".ome.tif", ".ome.tiff")


def write_manifest_from_folder(
    folder: Path, pattern: str, output: Path, *, overwrite: bool = False
) -> FolderResult:
    """Writes one row for each file (or folder) whose path fits the pattern.

    Args:
        folder: top of the tree.
        pattern: path below the folder, with {column} for values and * for anything; a trailing
            '/' makes folders the scans.
        output: the .csv or .tsv to write; paths in it are relative to its folder.
        overwrite: replace an existing output.

    Raises:
        ManifestError: the pattern is not understood, nothing fits it, a path fits in two ways,
            a day is no number, two scans get one id, or the output exists.

    Example:
        >>> write_manifest_from_folder(
        ...     Path("scans"), "{patient_id}/{day}_{view}.mp4", Path("scans/cohort.csv")
        ... ).n_scans
        42
    """
    folder, output = Path(folder), Path(output)
    parsed = parse_pattern(pattern)
    refuse_existing(output, overwrite=overwrite)
    if not folder.is_dir():
        raise ManifestError(f"no folder {folder}: check the path")
    rows, unmatched = _rows(folder, parsed, output)
    if not rows:
        raise ManifestError(_nothing_fits(folder, pattern, unmatched))
    names = [name for name in parsed.names if name not in ("scan_id", "patient_id")]
    columns = ("scan_id", "patient_id", *names, "path")
    write_rows(output, columns, rows)
    return FolderResult(
        output,
        n_scans=len(rows),
        n_patients=len({row["patient_id"] for row in rows}),
        columns=columns,
        n_unmatched=len(unmatched),
        unmatched=tuple(unmatched[:EXAMPLES]),
        notes=outside_note(folder, output),
    )


def _rows(
    folder: Path, pattern: PathPattern, output: Path
) -> tuple[list[dict[str, str]], list[str]]:
    """Rows in natural order of their paths, and the paths that do not fit."""
    prefix, own = relative_to_output(folder, output), output.absolute()
    found, unmatched = [], []
    for relative in sorted(_candidates(folder, pattern), key=natural_key):
        values = pattern.match(relative)
        if values is not None:
            found.append((relative, values))
        elif (folder / relative).absolute() != own:
            unmatched.append(relative)
    dates = {
        text: _date(text, relative) for relative, values in found if (text := values.get("date"))
    }
    return [_row(relative, values, dates, prefix) for relative, values in found], unmatched


def _row(
    relative: str, values: dict[str, str], dates: dict[str, date], prefix: str
) -> dict[str, str]:
    if "day" in values and numbers_of([values["day"]])[1]:
        raise ManifestError(
            f"day {values['day']!r} in {relative!r} is no number: use {{visit}} for labels"
        )
    scan_id = values.get("scan_id") or _without_suffix(relative).replace("/", "_")
    row = values | {"scan_id": scan_id, "path": prefix + relative}
    text = values.get("date")
    if text:
        row["date"] = dates[text].isoformat()
        if "scan_id" not in values:  # stores keep ids, and no dates
            day = (dates[text] - min(dates.values())).days
            row["scan_id"] = scan_id.replace(text, f"day{day}")
    return row


def _date(text: str, relative: str) -> date:
    """The date of YYYY-MM-DD or YYYYMMDD."""
    iso = f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text
    found = iso_date(iso)
    if found is None:
        raise ManifestError(f"the date in {relative!r} is neither YYYY-MM-DD nor YYYYMMDD")
    return found


def _without_suffix(relative: str) -> str:
    lowered = relative.lower()
    for suffix in _DOUBLE_SUFFIXES:
        if lowered.endswith(suffix):
            return relative[: -len(suffix)]
    return os.path.splitext(relative)[0]  # noqa: PTH122 - keeps the folders


def _candidates(folder: Path, pattern: PathPattern) -> Iterator[str]:
    """Relative paths of all files, or of all folders as deep as the pattern."""
    for relative, is_folder in _tree(os.fspath(folder)):
        if pattern.is_folder == is_folder and (
            not is_folder or relative.count("/") + 1 == pattern.depth
        ):
            yield relative


def _tree(folder: str) -> Iterator[tuple[str, bool]]:
    """Each entry below a folder and whether it is a folder; hidden entries are left out.

    A linked folder is entered unless it was entered before, so loops end.
    """
    visited = {os.path.realpath(folder)}
    waiting = [("", folder)]
    while waiting:
        prefix, current = waiting.pop()
        with os.scandir(current) as entries:
            ordered = sorted(entries, key=lambda entry: natural_key(entry.name))
        for entry in ordered:
            if entry.name.startswith("."):
                continue
            relative = prefix + entry.name
            is_folder = entry.is_dir()
            yield relative, is_folder
            if is_folder:
                real = os.path.realpath(entry.path)
                if not (entry.is_symlink() and real in visited):
                    waiting.append((f"{relative}/", entry.path))
                visited.add(real)


def _nothing_fits(folder: Path, pattern: str, unmatched: list[str]) -> str:
    kind = "folder" if pattern.endswith("/") else "file"
    if not unmatched:
        return f"there is no {kind} to fit {pattern!r} in {folder}: check the path"
    shown = " and ".join(repr(path) for path in unmatched[:2])
    return f"no {kind} in {folder} fits {pattern!r}: there is {shown}, for example"
