"""The records that answer questions about change: progressions and trajectories."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from learner_index.data.show import Shown
from learner_index.data.show_change import progressions_card, trajectory_card

if TYPE_CHECKING:
    import pandas as pd

_SPEEDS = ("speed", "axis_speed", "score_speed")
Verdict = Literal[
    "improving", "steady", "worsening", "uncertain", "no noise floor", "no severity axis"
]
"""`uncertain`: beyond noise, but draws of the axis disagree which way the change went."""


@dataclass(frozen=True, slots=True)
class Change:
    """What lies between two visits of one patient.

    Attributes:
        patient_id: whose.
        from_day, to_day: of the earlier and the later visit.
        delta_day: days between them, above 0.
        from_scans, to_scans: the scans of both visits.
        views: the views both visits have; differences are taken over these alone.
        length: ‖d‖, in the units of the space; it has no sign.
        length_p: share of repeats that lie as far apart, chance included; None without repeats.
        on_axis: change along the severity axis; positive is worse. In standard deviations of one
            repeat scan, or of visits where there are no repeats: `axis["unit"]` tells. None
            without an axis.
        off_share: share of d, squared, that is not along the axis, 0..1.
        verdict: what the change along the axis means beside the noise floor.
        health_score, later_health_score: of both visits, higher is healthier; None where unknown.
        delta_score: later minus earlier; positive is improvement.
        treatment: in force at the earlier visit; "mixed" when it changes before the later one.
    """

    patient_id: str
    from_day: float
    to_day: float
    delta_day: float
    from_scans: tuple[str, ...]
    to_scans: tuple[str, ...]
    views: str
    length: float
    length_p: float | None
    on_axis: float | None
    off_share: float | None
    verdict: Verdict
    health_score: float | None
    later_health_score: float | None
    delta_score: float | None
    treatment: str | None


@dataclass(frozen=True, slots=True)
class ProgressionHit:
    """One patient who changed like the query.

    Attributes:
        rank: 1 is the most alike.
        similarity: S = direction + start + days; larger is more alike.
        direction, start, days: its parts: w_d cos(d, d'), -w_u ‖u₀ - u₀'‖²/h_u² and
            -w_t log²(Δday/Δday')/h_t².
        cosine: cos(d, d'), -1..1; 1 is the same direction.
        change: what lies between the hit's two visits: its outcome with it.
        cosine_p: how often a repeat's difference points as closely along the query; None without
            repeats.
        length_q, cosine_q: the p-values adjusted for the number of hits (Benjamini-Hochberg).
        columns: the earlier visit's other columns; None where missing, or where its scans differ.
    """

    rank: int
    similarity: float
    direction: float
    start: float
    days: float
    cosine: float
    change: Change
    cosine_p: float | None
    length_q: float | None
    cosine_q: float | None
    columns: Mapping[str, Any]

    @property
    def patient_id(self) -> str:
        """The patient found."""
        return self.change.patient_id

    def to_dict(self) -> dict[str, Any]:
        """One flat mapping; the hit's own fields win over columns of the same name."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del own["change"], own["columns"]
        own |= _listed(asdict(self.change))
        return own | {name: value for name, value in self.columns.items() if name not in own}


HIT_FIELDS = (
    *(name for name in ProgressionHit.__dataclass_fields__ if name not in ("change", "columns")),
    *Change.__dataclass_fields__,
)
"""Names of what every hit has, its change with it, in the order of `ProgressionHit.to_dict`."""


@dataclass(frozen=True, slots=True)
class Support:
    """Whether enough patients started from a similar state to say anything.

    Attributes:
        n_similar: eligible patients, each counted by exp(-‖u₀ - u₀'‖²/(2 h_u²)) of their nearest
            start; without a start state, all eligible patients.
        minimum: below which the answer is unsupported.
    """

    n_similar: float
    minimum: float

    @property
    def is_supported(self) -> bool:
        """Whether there are enough."""
        return self.n_similar >= self.minimum


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the hits between their two visits.

    Attributes:
        n_hits, n_scored: hits, and those with a health score at both visits.
        median_delta_score, low_delta_score, high_delta_score: median and quartiles of these;
            None where fewer than three have one.
        n_improving, n_steady, n_worsening, n_uncertain: hits by verdict; None where none can be
            given: no axis, or no noise floor that can tell a change.
    """

    n_hits: int
    n_scored: int
    median_delta_score: float | None
    low_delta_score: float | None
    high_delta_score: float | None
    n_improving: int | None
    n_steady: int | None
    n_worsening: int | None
    n_uncertain: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Progressions(Shown, Sequence[ProgressionHit]):
    """The answer to a progression query, best first.

    Attributes:
        query: what was asked, JSON-ready.
        change: the query's own change; None for a direction that nobody has.
        hits: fewer than k only when fewer are eligible.
        exact: True when no eligible transition could have been overlooked.
        backend: what computed the products.
        reference: fingerprint of the reference; with --as-of, of the one refitted.
        weights: of direction, start and days, as used.
        bandwidths: h_u in units of the space and h_t in log days, from the reference.
        n_eligible: transitions that passed every filter.
        n_eligible_patients: patients they belong to.
        n_scanned: transitions whose similarity was computed.
        support: whether enough patients started alike; when not, `outcome` and `chance` are None.
        chance: whether the hits have more in common with the query than chance gives: statistic,
            p_value, n_draws, seed, null_mean, null_high and method. None: not tested.
        outcome: what became of the hits; None when unsupported, or nobody was found.
        effective_rank: directions that the reference's transitions spread in: with few, high
            cosines are common.
        noise: repeats the floor rests on: n_repeats, n_patients, is_independent. None: no floor.
        axis: the severity axis in figures; None where there is none.
        elapsed_ms: time it took, and
        search_ms: the search alone; the fields that differ between equal answers.
        notes: what a reader should know.
        is_simulated: whether the store's scans were computed; figures then say SIMULATED.
    """

    query: Mapping[str, Any]
    change: Change | None
    hits: tuple[ProgressionHit, ...]
    exact: bool
    backend: str
    reference: str
    weights: tuple[float, float, float]
    bandwidths: tuple[float, float]
    n_eligible: int
    n_eligible_patients: int
    n_scanned: int
    support: Support
    chance: Mapping[str, Any] | None
    outcome: Outcome | None
    effective_rank: float
    noise: Mapping[str, Any] | None
    axis: Mapping[str, Any] | None
    elapsed_ms: float
    search_ms: float
    notes: tuple[str, ...] = ()
    is_simulated: bool = False

    _card = progressions_card

    def __len__(self) -> int:
        """Number of hits."""
        return len(self.hits)

    def __getitem__(self, index: Any) -> Any:
        """The hit (or tuple of hits) at a position, best first."""
        return self.hits[index]

    def __iter__(self) -> Iterator[ProgressionHit]:
        """Hits, best first."""
        return iter(self.hits)

    def to_dict(self) -> dict[str, Any]:
        """The whole answer as JSON-ready values."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found["support"] = {**asdict(self.support), "is_supported": self.support.is_supported}
        for name in ("change", "outcome"):
            found[name] = None if found[name] is None else _listed(asdict(found[name]))
        return {**_listed(found), "hits": [_listed(hit.to_dict()) for hit in self.hits]}

    def to_json(self) -> str:
        """The whole answer as a JSON text, missing values as null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def to_frame(self) -> "pd.DataFrame":
        """One row a hit, with its parts, its change and its columns."""
        import pandas as pd

        rows = [hit.to_dict() for hit in self.hits]
        return pd.DataFrame(rows, columns=None if rows else HIT_FIELDS)


@dataclass(frozen=True, slots=True)
class Stop:
    """One visit on a trajectory.

    Attributes:
        day: None where unknown; such visits come last and in no step.
        scan_ids: the visit's scans.
        health_score: higher is healthier; None where unknown.
        position: along the severity axis, rises as health falls; None without an axis.
        low, high: 95 % interval of the position over patient-bootstrap draws of the axis.
        noise: standard deviation of the position that scanning the visit again would give; None
            without repeats.
    """

    day: float | None
    scan_ids: tuple[str, ...]
    health_score: float | None
    position: float | None
    low: float | None
    high: float | None
    noise: float | None


@dataclass(frozen=True, slots=True)
class Likeness:
    """A patient whose trajectory is like the query's.

    Attributes:
        rank: 1 is the most alike.
        patient_id: whose.
        distance: soft-DTW divergence a visit, in units of h_u²; 0 is the same path.
        day_shift: days by which this patient is in the same state later; days counted from the
            first visit on the cohort clock, as given on the patient clock.
        shift_spread: standard deviation of that over matched visits; 0 is a pure shift.
        n_visits: on the path.
        from_day, to_day: its first and last day.
        delta_score: last known health score minus the first; None with fewer than two.
        columns: the first visit's other columns.
    """

    rank: int
    patient_id: str
    distance: float
    day_shift: float
    shift_spread: float
    n_visits: int
    from_day: float
    to_day: float
    delta_score: float | None
    columns: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """One flat mapping; the record's own fields win over columns of the same name."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del own["columns"]
        return own | {name: value for name, value in self.columns.items() if name not in own}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trajectory(Shown):
    """One patient's visits in order, what changed between them, and who took the same path.

    Attributes:
        query: what was asked, JSON-ready.
        patient_id: whose.
        stops: the visits, by day.
        steps: the changes between consecutive visits that share a view.
        likes: patients with the most similar paths, best first.
        path: (v, e) visit embeddings less the reference's center, in the order of `stops`; not
            in the JSON.
        alpha: a step counts as a change when its p-value is at most this.
        reference: fingerprint of the reference.
        n_eligible_patients: patients with two visits or more whose paths were compared.
        n_single: eligible patients with one visit, which is no path.
        noise, axis, is_simulated: as in `Progressions`.
        elapsed_ms: time it took.
        notes: what a reader should know.
    """

    query: Mapping[str, Any]
    patient_id: str
    stops: tuple[Stop, ...]
    steps: tuple[Change, ...]
    likes: tuple[Likeness, ...]
    path: NDArray[np.float64]
    alpha: float
    reference: str
    n_eligible_patients: int
    n_single: int
    noise: Mapping[str, Any] | None
    axis: Mapping[str, Any] | None
    elapsed_ms: float
    notes: tuple[str, ...] = ()
    is_simulated: bool = False

    _card = trajectory_card

    def to_dict(self) -> dict[str, Any]:
        """The whole answer but the path, as JSON-ready values; steps have their speeds."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "path"}
        found["stops"] = [asdict(stop) for stop in self.stops]
        found["steps"] = [asdict(step) | speeds(step) for step in self.steps]
        found["likes"] = [like.to_dict() for like in self.likes]
        return dict(_listed(found))

    def to_json(self) -> str:
        """The same as a JSON text, missing values as null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def to_frame(self) -> "pd.DataFrame":
        """One row a visit: day, health score, position with its interval, noise."""
        import pandas as pd

        return pd.DataFrame([asdict(stop) for stop in self.stops])

    def steps_frame(self) -> "pd.DataFrame":
        """One row a step, with its speeds."""
        import pandas as pd

        rows = [asdict(step) | speeds(step) for step in self.steps]
        names = [*Change.__dataclass_fields__, *_SPEEDS]
        return pd.DataFrame(rows, columns=None if rows else names)

    def likes_frame(self) -> "pd.DataFrame":
        """One row a patient with a similar path, best first, with their first visit's columns."""
        import pandas as pd

        rows = [like.to_dict() for like in self.likes]
        names = [name for name in Likeness.__dataclass_fields__ if name != "columns"]
        return pd.DataFrame(rows, columns=None if rows else names)


def speeds(step: Change) -> dict[str, float | None]:
    """Change per day: of the embedding's length, along the axis, and of the health score."""
    values = (step.length, step.on_axis, step.delta_score)
    per_day = zip(_SPEEDS, values, strict=True)
    return {name: None if v is None else v / step.delta_day for name, v in per_day}


def _listed(value: Any) -> Any:
    """Nested values as JSON knows them: tuples become lists, mappings dictionaries."""
    if isinstance(value, Mapping):
        return {str(k): _listed(v) for k, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, list | tuple) else value
