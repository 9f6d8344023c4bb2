"""Checks of who is who: scan ids, patient ids, and patients that appear in two splits."""

import re
from collections.abc import Sequence
from itertools import islice

from learner_index.data.columns import Texts
from learner_index.data.problems import ProblemList, groups_of, listed

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]")
_DATED = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])(?![0-9])"
)
_SAMPLE = 2000


def check_ids(name: str, cells: Sequence[str], texts: Texts, problems: ProblemList) -> None:
    """Reports ids that are missing, hold control characters, or had blanks around them."""
    if None not in texts and list(texts) == cells and not rows_with_control_characters(texts):
        return
    for row in (row for row, text in enumerate(texts) if text is None):
        problems.error([row], f"no {name}: fill it in")
    for row in rows_with_control_characters(texts):
        problems.error([row], f"{name} {texts[row]!r} has a control character: take it out")
    for row, (cell, text) in enumerate(zip(cells, texts, strict=True)):
        if text is not None and len(text) != len(cell):
            problems.note([row], f"blanks around {name} {text!r} were left out")


def rows_with_control_characters(texts: Texts) -> list[int]:
    """Positions of texts with characters that no terminal shows."""
    whole = "".join(filter(None, texts))
    if whole.isprintable() or not _CONTROL.search(whole):
        return []
    return [row for row, text in enumerate(texts) if text is not None and _CONTROL.search(text)]


def check_unique(scan_ids: Texts, problems: ProblemList) -> None:
    """Reports each scan id that more than one row has."""
    if len(set(scan_ids)) == len(scan_ids):
        return
    for scan_id, rows in groups_of(scan_ids).items():
        if len(rows) > 1:
            problems.error(rows, f"scan_id {scan_id!r} is given to {len(rows)} rows: rename one")


def check_patient_variants(patient_ids: Texts, problems: ProblemList) -> None:
    """Reports patient ids that differ only in case or blanks, since they may be one person."""
    ids = {text for text in patient_ids if text is not None}
    if len({_alike(text) for text in ids}) == len(ids):
        return
    for rows in groups_of(
        [None if text is None else _alike(text) for text in patient_ids]
    ).values():
        first = {patient_ids[row]: row for row in reversed(rows)}
        if len(first) > 1:
            problems.note(
                sorted(first.values()),
                f"patient ids {listed(sorted(map(str, first)))} differ only in case or blanks: "
                "write them alike if they are one patient",
            )


def _alike(text: str) -> str:
    return "".join(text.casefold().split())


def check_splits(patient_ids: Texts, splits: Texts, problems: ProblemList) -> None:
    """Reports patients whose scans are in more than one split."""
    first: dict[str, dict[str, int]] = {}
    for row, (patient, split) in enumerate(zip(patient_ids, splits, strict=True)):
        if patient is not None and split is not None:
            first.setdefault(patient, {}).setdefault(split, row)
    for patient, rows in first.items():
        if len(rows) > 1:
            problems.error(
                list(rows.values()),
                f"patient {patient!r} is in splits {listed(rows)}: "
                "put all scans of a patient into one",
            )


def check_dates_in_ids(name: str, texts: Texts, problems: ProblemList) -> None:
    """Reports ids most of which seem to carry a calendar date, which a store would keep."""
    ids = [text for text in islice(dict.fromkeys(texts), _SAMPLE) if text is not None]
    if ids and 2 * sum(_DATED.search(text) is not None for text in ids) > len(ids):
        problems.note([], f"{name} seems to carry calendar dates, which stores keep: rename them")
