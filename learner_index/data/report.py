"""The cohort in numbers: what `learner-index check` prints, as a record."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Clock
from learner_index.data.columns import Kind
from learner_index.data.manifest import Manifest
from learner_index.data.records import Problem
from learner_index.data.visits import visit_codes


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, middle and greatest of some numbers; None when there are none."""

    minimum: float | None
    median: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """The health scores as they stand in the manifest, not turned.

    Attributes:
        column: where they come from.
        direction: whether "higher" or "lower" is healthier.
        per: whether a score belongs to a "scan" or a "visit".
        n_present: scans with a score.
        n_patients: patients with at least one.
        n_patients_repeated: patients with a score at two visits or more.
        values: their spread, in the score's unit.
    """

    column: str
    direction: str
    per: str
    n_present: int
    n_patients: int
    n_patients_repeated: int
    values: Spread


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """A column of the table: its kind and how many values are missing."""

    kind: Kind
    n_missing: int


@dataclass(frozen=True, slots=True)
class Report:
    """A cohort in numbers and all problems of its manifest.

    Attributes:
        manifest: file name of the manifest.
        n_scans: rows.
        n_patients: distinct patients.
        n_visits: visits (same patient and `visit`, or same `day` where no visit is given).
        n_without_visit: scans with neither visit nor day.
        n_patients_followed: patients with two visits or more.
        visits_per_patient: spread over patients.
        days_between_visits: spread over consecutive visits of a patient.
        views: scans of each view, and likewise the other four; empty without the column.
        modalities: scans of each modality.
        sites: scans of each site.
        splits: scans of each split.
        treatments: scans under each treatment.
        score: the health scores; None without any.
        columns: each column's kind and number of missing values.
        clock: whether days of two patients can be compared.
        problems: in the order of lines; those of the whole table first.
    """

    manifest: str
    n_scans: int
    n_patients: int
    n_visits: int
    n_without_visit: int
    n_patients_followed: int
    visits_per_patient: Spread
    days_between_visits: Spread
    views: Mapping[str, int]
    modalities: Mapping[str, int]
    sites: Mapping[str, int]
    splits: Mapping[str, int]
    treatments: Mapping[str, int]
    score: ScoreSummary | None
    columns: Mapping[str, ColumnSummary]
    clock: Clock
    problems: tuple[Problem, ...]

    @property
    def has_errors(self) -> bool:
        """Whether anything must be mended before the manifest can be used."""
        return any(problem.is_error for problem in self.problems)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return asdict(self) | {"has_errors": self.has_errors}

    def to_json(self) -> str:
        """The report as a JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)


def report_of(manifest: Manifest, problems: tuple[Problem, ...]) -> Report:
    """The report on a manifest's table, carrying the problems given."""
    table, codes = manifest.table, visit_codes(manifest.table)
    visits = table.assign(_code=codes)[codes >= 0].drop_duplicates("_code")
    per_patient = visits.groupby("patient_id", sort=False).size().to_numpy()
    counts = {name: _counts(table, name) for name in ("view", "modality", "site", "split")}
    return Report(
        manifest=manifest.path.name,
        n_scans=manifest.n_scans,
        n_patients=manifest.n_patients,
        n_visits=len(visits),
        n_without_visit=int(np.sum(codes < 0)),
        n_patients_followed=int(np.sum(per_patient >= 2)),
        visits_per_patient=_spread(per_patient),
        days_between_visits=_spread(_gaps(table, codes)),
        views=counts["view"],
        modalities=counts["modality"],
        sites=counts["site"],
        splits=counts["split"],
        treatments=_counts(table, "treatment"),
        score=_score(manifest, codes),
        columns={
            name: ColumnSummary(kind, int(table[name].isna().sum()))
            for name, kind in manifest.kinds.items()
        },
        clock=manifest.clock,
        problems=problems,
    )


def _counts(table: pd.DataFrame, name: str) -> dict[str, int]:
    """How many rows have each value, by value."""
    if name not in table:
        return {}
    return {
        str(value): int(count) for value, count in table[name].value_counts().sort_index().items()
    }


def _spread(values: NDArray[Any]) -> Spread:
    if not len(values):
        return Spread(None, None, None)
    return Spread(float(values.min()), float(np.median(values)), float(values.max()))


def _gaps(table: pd.DataFrame, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(g,) days between consecutive visits of one patient; a visit's day is its first."""
    if "day" not in table:
        return np.zeros(0)
    known = table.assign(_code=codes)[(codes >= 0) & table["day"].notna().to_numpy()]
    days = known.groupby(["patient_id", "_code"], sort=False)["day"].min().reset_index()
    ordered = days.sort_values(["patient_id", "day"], kind="stable")
    gaps: NDArray[np.float64] = ordered.groupby("patient_id")["day"].diff().to_numpy()
    return gaps[~np.isnan(gaps)]


def _score(manifest: Manifest, codes: NDArray[np.int64]) -> ScoreSummary | None:
    rule = manifest.score
    if rule is None:
        return None
    table = manifest.table.assign(_code=codes)[manifest.table["health_score"].notna().to_numpy()]
    values = table["health_score"].to_numpy(dtype=np.float64)
    raw = 0.0 - values if rule.direction == "lower" else values
    visits = table[table["_code"] >= 0].groupby("patient_id")["_code"].nunique()
    return ScoreSummary(
        column=rule.column,
        direction=rule.direction,
        per=rule.per,
        n_present=len(values),
        n_patients=int(table["patient_id"].nunique()),
        n_patients_repeated=int((visits >= 2).sum()),
        values=_spread(raw),
    )
