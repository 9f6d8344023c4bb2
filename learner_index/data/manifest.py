"""Reads a cohort's manifest: one row a scan, typed columns, absolute paths, all problems at once.

Files are not opened here; `data.check` looks at them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Clock, ManifestOptions
from learner_index.data.columns import REQUIRED, UNDERSTOOD, Kind, Texts, cleaned
from learner_index.data.ids import (
    check_dates_in_ids,
    check_ids,
    check_patient_variants,
    check_splits,
    check_unique,
)
from learner_index.data.paths import (
    Resolver,
    ScanPaths,
    absolute_paths,
    check_inside,
    check_listed_once,
)
from learner_index.data.problems import ProblemList, by_line
from learner_index.data.records import Problem, ScoreRule
from learner_index.data.scores import check_visit_days, check_visit_scores
from learner_index.data.suggest import close_names, some_of
from learner_index.data.table import RawTable, read_table, row_word
from learner_index.data.understand import Columns, check_column_options, understood
from learner_index.errors import ManifestError

DEFAULT_OPTIONS = ManifestOptions()


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """All scans of a cohort, as its manifest lists them.

    Attributes:
        path: the manifest's file.
        folder: the absolute folder that the manifest lies in; scans' paths are relative to it.
        table: one row a scan in file order: scan_id, patient_id, then every understood and kept
            column except path. Text is "string" (missing: pd.NA), numbers are float64 (NaN),
            flags "boolean" (pd.NA). health_score is turned: higher is healthier.
        kinds: the kind of each column of the table.
        lines: (n,) 1-based line (Parquet: row) where each scan stands in the file.
        paths: (n,) absolute path of each scan.
        clock: whether days of two patients can be compared.
        score: where health scores come from; None without any.
        problems: what is wrong or worth knowing, in the order of lines.
        options: what the manifest was read with.
        has_dates: days were counted from dates, from the earliest one on.
    """

    path: Path
    folder: Path
    table: pd.DataFrame
    kinds: dict[str, Kind]
    lines: NDArray[np.int64]
    paths: ScanPaths
    clock: Clock
    score: ScoreRule | None
    problems: tuple[Problem, ...]
    options: ManifestOptions = DEFAULT_OPTIONS
    has_dates: bool = False

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that must be mended before the manifest can be used."""
        return tuple(problem for problem in self.problems if problem.is_error)

    @property
    def n_scans(self) -> int:
        """Number of rows."""
        return len(self.table)

    @property
    def n_patients(self) -> int:
        """Number of distinct patients."""
        return int(self.table["patient_id"].nunique())

    @property
    def row_word(self) -> str:
        """What a row of the file is called in messages: "line", or "row" in a Parquet file."""
        return row_word(self.path)

    def only(self, rows: NDArray[np.intp]) -> "Manifest":
        """Some of the scans, in the same order; what was noticed of the others is kept."""
        texts, stamps = self.paths.texts, self.paths.stamps
        return replace(
            self,
            table=self.table.iloc[rows].reset_index(drop=True),
            lines=self.lines[rows],
            paths=ScanPaths([texts[row] for row in rows], [stamps[row] for row in rows]),
        )

    def texts(self, name: str) -> list[str | None]:
        """A text column as plain strings, None where missing; empty when there is no such one."""
        if name not in self.table:
            return []
        return [None if text is pd.NA else text for text in self.table[name].array]


def read_manifest(path: Path, options: ManifestOptions = DEFAULT_OPTIONS) -> Manifest:
    """The manifest with everything that is wrong with it; only a hopeless file raises.

    Args:
        path: a .csv, .tsv (.txt, .tab) or .parquet file.
        options: which columns hold what, and which to keep or drop.

    Raises:
        ManifestError: the file is absent, unreadable or empty, or lacks a column that is
            required or was asked for.
    """
    raw = read_table(Path(path))
    texts = {name: cleaned(raw.cells[name]) for name in raw.names}
    _require_columns(raw, options)
    problems = ProblemList(row_word(raw.path), raw.lines, texts["scan_id"], list(raw.problems))
    check_column_options(raw.names, options, problems)
    for name in ("scan_id", "patient_id"):
        check_ids(name, raw.cells[name], texts[name], problems)
    kept = {name: texts[name] for name in raw.names if name not in options.drop_columns}
    _check_score_column(kept, options, problems)
    columns = understood(kept, options, problems)
    return _manifest(raw, columns, kept, options, problems)


def _manifest(
    raw: RawTable,
    columns: Columns,
    texts: dict[str, list[str | None]],
    options: ManifestOptions,
    problems: ProblemList,
) -> Manifest:
    """Puts the parts together, after the checks that look at several columns."""
    folder = raw.path.parent.absolute()
    table = columns.table()
    score = _score_rule(columns, options)
    check_unique(texts["scan_id"], problems)
    for name in ("scan_id", "patient_id", "visit"):
        check_dates_in_ids(name, texts.get(name, []), problems)
    check_patient_variants(texts["patient_id"], problems)
    check_splits(texts["patient_id"], texts.get("split", [None] * len(table)), problems)
    paths = _checked_paths(folder, texts, options, problems)
    check_visit_days(table, problems)
    if score is not None and score.per == "visit":
        check_visit_scores(table, problems)
    has_dates = "date" in texts and "day" not in texts
    clock: Clock = options.clock or ("cohort" if has_dates else "patient")
    found = by_line(problems.found)
    kinds = {str(name): columns.kinds[str(name)] for name in table.columns}
    return Manifest(
        raw.path, folder, table, kinds, raw.lines, paths, clock, score, found, options, has_dates
    )


def _checked_paths(
    folder: Path,
    texts: dict[str, list[str | None]],
    options: ManifestOptions,
    problems: ProblemList,
) -> ScanPaths:
    paths = absolute_paths(folder, texts["path"], problems)
    resolver = Resolver()
    real, stamps = [], []
    for path in paths:
        where, stamp = resolver.look(path)
        real.append(where)
        stamps.append(stamp)
    if not options.allow_outside:
        check_inside(folder, real, texts["path"], problems)
    owners: tuple[Texts, Texts] = (texts["patient_id"], texts.get("split", []))
    check_listed_once(real, texts["path"], owners, problems)
    return ScanPaths(paths, stamps)


def require_valid(manifest: Manifest) -> None:
    """Lets a manifest without errors pass.

    Raises:
        ManifestError: it has errors; one line with their number, the first and the next step.
    """
    errors = manifest.errors
    if errors:
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        raise ManifestError(
            f"manifest {manifest.path} has {count}, first {errors[0]}; "
            f"see all with `learner-index check {manifest.path}`"
        )


def _require_columns(raw: RawTable, options: ManifestOptions) -> None:
    missing = [name for name in REQUIRED if name not in raw.names]
    if missing:
        hints = [f"{name}{close_names(name, raw.names)}" for name in missing]
        raise ManifestError(
            f"manifest {raw.path} has no column {', '.join(hints)}: "
            f"every row needs scan_id, patient_id and path, so rename or add what is missing; "
            f"there are {some_of(raw.names)}"
        )
    dropped = [name for name in REQUIRED if name in options.drop_columns]
    if dropped:
        raise ManifestError(f"--drop-column {dropped[0]}: this column is required")


def _check_score_column(
    texts: dict[str, list[str | None]], options: ManifestOptions, problems: ProblemList
) -> None:
    name = options.score_column
    if name == "health_score":
        return
    if name in UNDERSTOOD:
        raise ManifestError(f"--score-column {name}: this column has another meaning")
    if name not in texts:
        raise ManifestError(
            f"--score-column {name}: no such column{close_names(name, texts)}; "
            f"there are {some_of(texts)}"
        )
    if "health_score" in texts:
        problems.error(
            [],
            f"the score column is {name!r}, but there is a column 'health_score' too: "
            "--drop-column health_score, or leave --score-column out",
        )
        del texts["health_score"]


def _score_rule(columns: Columns, options: ManifestOptions) -> ScoreRule | None:
    if "health_score" not in columns.arrays:
        return None
    return ScoreRule(options.score_column, options.score_direction, options.score_per)
