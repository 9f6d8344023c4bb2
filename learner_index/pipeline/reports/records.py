"""What a report tells, before anybody writes it as a page: answers of the store, as they are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from learner_index.analysis.confounders import Shared

if TYPE_CHECKING:
    from learner_index.analysis.plots.drawing import Drawing
    from learner_index.analysis.within import Agreement
    from learner_index.data.progression import Progressions, Trajectory
    from learner_index.data.records import Hits
    from learner_index.data.response import Predictions
    from learner_index.pipeline.gain import Gain
    from learner_index.pipeline.info import StoreInfo

_TIMES = ("elapsed_ms", "search_ms", "path", "n_bytes")
"""What differs between equal reports, or names a place on this machine."""


@dataclass(frozen=True, slots=True)
class Base:
    """What every report rests on.

    Attributes:
        name: of the store, without its folder.
        info: the store in figures and words.
        is_simulated: whether its scans were computed.
        fingerprint: of the ids, embeddings and columns: equal for equal content.
        reference: fingerprint of the reference.
        version: of this program.
    """

    name: str
    info: "StoreInfo"
    is_simulated: bool
    fingerprint: str
    reference: str
    version: str

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-ready values."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**own, "info": timeless(self.info.to_dict())}


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of the patient, as the columns tell.

    Attributes:
        day: None where unknown.
        views: of its scans.
        n_scans: how many.
        health_score: mean over its scans; higher is healthier.
        treatment: written at this visit; None where none is.
    """

    day: float | None
    views: str
    n_scans: int
    health_score: float | None
    treatment: str | None


@dataclass(frozen=True, slots=True, eq=False)
class PatientReport:
    """What a report tells of one patient.

    Attributes:
        base: the store.
        patient_id: whose.
        is_seen: the encoder was trained or tuned on the patient.
        visits: by day.
        columns: other columns and their values: one where all scans agree.
        similar, trajectory, progression, predictions: the answers; None where there is none.
        sheet: the scans found, as small pictures; None unless asked for.
        missing: part -> why there is no answer.
        k: patients asked for.
    """

    base: Base
    patient_id: str
    is_seen: bool
    visits: tuple[Visit, ...]
    columns: Mapping[str, tuple[str, ...]]
    similar: "Hits | None"
    trajectory: "Trajectory | None"
    progression: "Progressions | None"
    predictions: "Predictions | None"
    sheet: "Drawing | None"
    missing: Mapping[str, str]
    k: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: every answer as its own `to_dict`; pictures are left out."""
        answers = {
            name: None if getattr(self, name) is None else timeless(getattr(self, name).to_dict())
            for name in ("similar", "trajectory", "progression", "predictions")
        }
        if answers["predictions"] is not None:
            answers["predictions"]["query"] = _unplaced(answers["predictions"]["query"])
        return {
            "kind": "patient",
            "store": self.base.to_dict(),
            "patient_id": self.patient_id,
            "is_seen": self.is_seen,
            "visits": [asdict(visit) for visit in self.visits],
            "columns": {name: list(values) for name, values in self.columns.items()},
            **answers,
            "missing": dict(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Quality:
    """What the columns of a store hold, and what they lack.

    Attributes:
        n_single: patients with one visit, who are in no transition.
        n_undated: scans without a day.
        days_between: least, median and most days between a patient's visits; None without any.
        visits: least, median and most visits a patient.
        modalities: name -> scans.
        n_repeats: scans beyond the first of their patient, visit, view and modality.
        n_independent: repeats that are marked `rescan`.
        n_shared: scans with the same bytes as an earlier one.
        missing: column -> scans without a value, and patients without any.
        score: least, quartiles and most of the health score; None without any.
        histogram: ends of a bin and scans in it.
    """

    n_single: int
    n_undated: int
    days_between: tuple[float, float, float] | None
    visits: tuple[float, float, float]
    modalities: Mapping[str, int]
    n_repeats: int
    n_independent: int
    n_shared: int
    missing: Mapping[str, tuple[int, int]]
    score: tuple[float, float, float, float, float] | None
    histogram: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class SpaceQuality:
    """What the embeddings are worth for these patients.

    Attributes:
        effective_rank: directions they spread in; None where that cannot be told.
        width: values of an embedding.
        within, across: Spearman correlation of distance and score change, of scans of one patient
            and of scans of two; None where there are too few.
        gain: how much closer in health score the nearest patients are; None where there is none.
        identity: how often a scan's nearest scan of other visits shows the same patient, with its
            95 % interval and chance; None where nobody can be asked.
        missing: measure -> why there is none.
        n_seen: patients measured that the encoder was trained or tuned on; the gain rests on the
            others alone where it says it has none of them.
    """

    effective_rank: float | None
    width: int
    within: "Agreement | None"
    across: "Agreement | None"
    gain: "Gain | None"
    identity: tuple[float, float, float, float] | None
    missing: Mapping[str, str]
    n_seen: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Confounders:
    """What nearest patients share besides health.

    Attributes:
        shared: a record a column.
        refused: column -> why it was left out.
        k: nearest patients of a scan.
        n_draws: shuffles, at most.
        n_patients: patients used.
        alpha: level of the adjusted p-values.
    """

    shared: tuple[Shared, ...]
    refused: Mapping[str, str]
    k: int
    n_draws: int
    n_patients: int
    alpha: float = 0.05

    @property
    def flagged(self) -> tuple[Shared, ...]:
        """Columns that nearest patients share more than chance gives."""
        return tuple(one for one in self.shared if one.p_holm <= self.alpha)


@dataclass(frozen=True, slots=True, eq=False)
class CohortReport:
    """What a report tells of a cohort.

    Attributes:
        base: the store.
        quality: of its columns.
        space: of its embeddings.
        confounders: what neighbours share.
        n_left_out: patients that space and confounders were not measured on, as the store is large.
        measured: the patients they were measured on.
        evaluation: what `evaluation.json` says; None where none was named.
        head: the card of a response head; None where none was named.
    """

    base: Base
    quality: Quality
    space: SpaceQuality
    confounders: Confounders
    n_left_out: int
    measured: tuple[str, ...]
    evaluation: Mapping[str, Any] | None
    head: Mapping[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-ready values; of a head, all but the marks of its patients."""
        space = {name: getattr(self.space, name) for name in self.space.__dataclass_fields__}
        for name in ("within", "across", "gain"):
            space[name] = None if space[name] is None else asdict(space[name])
        audit = self.confounders
        head = self.head
        return {
            "kind": "cohort",
            "store": self.base.to_dict(),
            "quality": _finite(asdict(self.quality)),
            "space": _finite(space),
            "confounders": {
                **{name: getattr(audit, name) for name in ("refused", "k", "n_draws", "alpha")},
                "n_patients": audit.n_patients,
                "columns": [_finite(asdict(one)) for one in audit.shared],
                "flagged": [one.column for one in audit.flagged],
            },
            "n_left_out": self.n_left_out,
            "evaluation": self.evaluation,
            "head": head and {name: head[name] for name in head if name != "patients"},
        }


def timeless(value: Any) -> Any:
    """An answer without the times it took and without places on this machine."""
    if isinstance(value, Mapping):
        return {k: timeless(v) for k, v in value.items() if k not in _TIMES}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def _unplaced(query: Mapping[str, Any]) -> dict[str, Any]:
    """A question to a head, with names in the place of paths."""
    return {**query, "head": str(query["head"]).rstrip("/\\").replace("\\", "/").split("/")[-1]}


def _finite(value: Any) -> Any:
    """A record with None in the place of NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
