"""Writes a manifest from a BIDS data set: one row for each NIfTI file of sub-*/[ses-*/]*/."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from learner_index.data.bids_tables import BidsTables, read_bids_tables
from learner_index.data.privacy import identifying_header
from learner_index.data.problems import listed
from learner_index.data.suggest import close_names
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
_NAME = re.compile(r"(?P<entities>sub-[^_]+(?:_[A-Za-z0-9]+-[^_]+)*)_(?P<suffix>[A-Za-z0-9]+)")


def write_manifest_from_bids(
    folder: Path,
    output: Path,
    *,
    suffixes: Sequence[str] | None = None,
    overwrite: bool = False,
) -> FolderResult:
    """Writes a manifest of a BIDS data set, with the columns of its tables.

    `sub-01` becomes patient_id, `ses-02` visit, the suffix (T1w, bold) modality; other entities
    (acq, run, task) and the columns of participants, sessions and scans become columns of their
    own names. acq_time becomes `day`, counted from the patient's first session; no date is
    written.

    Args:
        folder: the data set's top folder.
        output: the .csv or .tsv to write; paths in it are relative to its folder.
        suffixes: only files with these suffixes, such as ("T1w",); None: all.
        overwrite: replace an existing output.

    Raises:
        ManifestError: the folder holds no such file, or the output exists.
    """
    folder, output = Path(folder), Path(output)
    refuse_existing(output, overwrite=overwrite)
    if not folder.is_dir():
        raise ManifestError(f"no folder {folder}: check the path")
    files, unmatched = _scan_files(folder)
    chosen = [
        (file, entities)
        for file, entities in files
        if suffixes is None or entities["modality"] in suffixes
    ]
    if not chosen:
        raise ManifestError(
            _nothing_found(folder, [found["modality"] for _, found in files], suffixes)
        )
    tables = read_bids_tables(folder)
    if not (folder / "dataset_description.json").is_file():
        tables.notes.append("there is no dataset_description.json: is this a BIDS data set?")
    rows = _rows(chosen, tables, relative_to_output(folder, output))
    columns = _columns(rows)
    write_rows(output, columns, rows)
    return FolderResult(
        output,
        n_scans=len(rows),
        n_patients=len({row["patient_id"] for row in rows}),
        columns=columns,
        n_unmatched=len(unmatched),
        unmatched=tuple(unmatched[:EXAMPLES]),
        left_out=tuple(dict.fromkeys(tables.left_out)),
        notes=(*tables.notes, *outside_note(folder, output)),
    )


def _scan_files(folder: Path) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    """Relative paths of the NIfTI files with their entities, and those whose names say nothing."""
    files, unmatched = [], []
    for relative in sorted(_nifti(folder), key=natural_key):
        entities = _entities(relative)
        if entities is None:
            unmatched.append(relative)
        else:
            files.append((relative, entities))
    return files, unmatched


def _nifti(folder: Path) -> Iterator[str]:
    for pattern in ("sub-*/*/*", "sub-*/ses-*/*/*"):
        for file in folder.glob(pattern):
            if file.name.endswith((".nii", ".nii.gz")) and not file.name.startswith("."):
                yield file.relative_to(folder).as_posix()


def _entities(relative: str) -> dict[str, str] | None:
    """Columns that a file's name gives; None when name and folders do not fit together."""
    *folders, name = relative.split("/")
    match = _NAME.fullmatch(name.removesuffix(".gz").removesuffix(".nii"))
    if match is None:
        return None
    pairs = dict(text.split("-", 1) for text in match["entities"].split("_"))
    patient, session = f"sub-{pairs.pop('sub')}", pairs.pop("ses", "")
    visit = f"ses-{session}" if session else ""
    if folders[:-1] != [patient, *([visit] if visit else [])]:
        return None
    named = {key: value for key, value in pairs.items() if not identifying_header(key)}
    return {**named, "patient_id": patient, "visit": visit, "modality": match["suffix"]}


def _rows(
    files: Sequence[tuple[str, dict[str, str]]], tables: BidsTables, prefix: str
) -> list[dict[str, str]]:
    days = _days(tables)
    rows = []
    for relative, entities in files:
        patient, visit = entities["patient_id"], entities["visit"]
        unit = f"{patient}/{visit}" if visit else relative
        row = dict(tables.participants.get(patient, {}))
        for more in (tables.sessions.get(unit, {}), tables.scans.get(relative, {})):
            row |= {name: text for name, text in more.items() if text or name not in row}
        name = relative.rpartition("/")[2]
        own = {"scan_id": name.removesuffix(".gz").removesuffix(".nii"), "path": prefix + relative}
        day = {"day": days[unit]} if unit in days else {}
        rows.append(row | entities | day | own)
    return rows


def _days(tables: BidsTables) -> dict[str, str]:
    """Days of sessions and files since the patient's first."""
    first: dict[str, int] = {}
    for unit, found in tables.dates.items():
        patient = unit.partition("/")[0]
        first[patient] = min(first.get(patient, found.toordinal()), found.toordinal())
    return {
        unit: str(found.toordinal() - first[unit.partition("/")[0]])
        for unit, found in tables.dates.items()
    }


def _columns(rows: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """Columns that any row has a value for; ids first, the path last."""
    filled = dict.fromkeys(name for row in rows for name, text in row.items() if text)
    first = [
        name for name in ("scan_id", "patient_id", "visit", "day", "modality") if name in filled
    ]
    others = [name for name in filled if name not in first and name != "path"]
    return (*first, *others, "path")


def _nothing_found(folder: Path, known: Sequence[str], suffixes: Sequence[str] | None) -> str:
    if known and suffixes:
        hint = close_names(suffixes[0], known)
        have = listed(sorted(set(known)))
        return f"no scan in {folder} has the suffix {listed(suffixes)}{hint}: there are {have}"
    return f"no sub-*/[ses-*/]*/*.nii.gz in {folder}: is it the top of a BIDS data set?"
