"""Turns a raw table's texts into typed columns, reporting each value that cannot be taken."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from learner_index.config import ManifestOptions
from learner_index.data.columns import (
    REQUIRED,
    UNDERSTOOD,
    Kind,
    Texts,
    as_array,
    typed,
)
from learner_index.data.days import days_since_first, masked
from learner_index.data.privacy import identifying_header, identifying_values
from learner_index.data.problems import ProblemList, listed, words
from learner_index.data.scores import turned
from learner_index.data.suggest import close_names, squashed

STORE_NAMES = words(
    "content_hash encoder_role index _index rank similarity distance query_scan_id columns"
)


@dataclass(slots=True)
class Columns:
    """Typed columns in file order, with their kinds."""

    arrays: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)

    def add(self, name: str, values: Any, kind: Kind) -> None:
        """Appends a column; `values` are turned into the type of its kind."""
        self.arrays[name] = as_array(values, kind)
        self.kinds[name] = kind

    def table(self) -> pd.DataFrame:
        """One row a scan: scan_id, patient_id, then the others in order."""
        first = [name for name in REQUIRED if name in self.arrays]
        names = first + [name for name in self.arrays if name not in first]
        return pd.DataFrame({name: self.arrays[name] for name in names})


def understood(
    texts: Mapping[str, Texts], options: ManifestOptions, problems: ProblemList
) -> Columns:
    """Columns that the manifest's table will have; refused ones are reported and left out.

    Args:
        texts: per column (n,) texts, None where missing; dropped columns are not among them.
        options: how the columns are to be understood.
        problems: where to report.
    """
    columns = Columns()
    for name, values in texts.items():
        if name == "path" or (name == "date" and "day" in texts):
            continue
        if name == "date":
            _add_days(columns, values, problems)
        elif _is_allowed(name, values, options, problems):
            _add(columns, name, values, options, problems)
    if "date" in texts and "day" in texts:
        problems.error([], "both day and date are given: leave one out with --drop-column")
    return columns


def _add_days(columns: Columns, texts: Texts, problems: ProblemList) -> None:
    days, bad = days_since_first(texts)
    for row in bad:
        problems.error(
            [row], f"date {masked(texts[row] or '')!r} is ambiguous: write it as YYYY-MM-DD"
        )
    columns.add("day", days, "number")


def _add(
    columns: Columns, name: str, texts: Texts, options: ManifestOptions, problems: ProblemList
) -> None:
    is_score = name == options.score_column
    kind, values, bad = typed(name, texts, is_number=is_score)
    for row in bad:
        problems.error([row], f"{name} {_unreadable(kind, texts[row] or '')}")
    if not is_score or name != "health_score":
        columns.add(name, values, kind)
    if is_score:
        columns.add("health_score", turned(values, options.score_direction), "number")


def _unreadable(kind: Kind, text: str) -> str:
    if kind == "flag":
        return f"{text!r} is neither true nor false"
    with suppress(ValueError):
        if not math.isfinite(float(text)):
            return f"{text!r} is not a finite number: leave it empty if it is unknown"
    return f"{text!r} is no number: write digits with a point, or leave it empty"


def _is_allowed(name: str, texts: Texts, options: ManifestOptions, problems: ProblemList) -> bool:
    """Whether a column may be taken over; reports why not."""
    if name in STORE_NAMES or name.startswith(("__", ".")) or "/" in name:
        problems.error(
            [], f"column name {name!r} is used by the store: rename it, or --drop-column {name}"
        )
        return False
    reason = "" if name in UNDERSTOOD else identifying_header(name)
    reason = reason or identifying_values(texts)
    if reason and name not in options.keep_columns:
        drop = "replace it by pseudonyms" if name in REQUIRED else f"--drop-column {name}"
        problems.error([], f"column {name!r} {reason}: {drop}, or --keep-column {name}")
        return name in REQUIRED
    return True


def check_column_options(
    names: tuple[str, ...], options: ManifestOptions, problems: ProblemList
) -> None:
    """Reports columns to keep or drop that do not exist, and near misses of understood names."""
    for option, wanted in (("keep", options.keep_columns), ("drop", options.drop_columns)):
        for name in wanted:
            if name not in names:
                near = close_names(name, names)
                problems.error([], f"--{option}-column {name}: there is no such column{near}")
    both = sorted(set(options.keep_columns) & set(options.drop_columns))
    if both:
        problems.error([], f"{listed(both)} cannot be both kept and dropped: choose one")
    if "date" in options.keep_columns and "date" in names:
        problems.note([], "date is never kept: it becomes day")
    known = {squashed(name): name for name in UNDERSTOOD}
    for name in names:
        meant = known.get(squashed(name))
        if meant is not None and meant not in names and name != options.score_column:
            problems.note([], f"column {name!r} is not understood as {meant!r}: rename it if it is")
