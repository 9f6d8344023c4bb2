"""What searches and trajectories are asked for."""

from dataclasses import dataclass
from typing import Literal

from learner_index.config.words import Level, Metric, Transition


@dataclass(frozen=True, slots=True)
class SimilarOptions:
    """What a similarity search is asked for.

    Attributes:
        k: number of distinct hits wanted.
        level: what must be distinct among the hits; a patient or visit is ranked by its best scan.
        metric: "centered" (cosine after subtracting the reference mean), "cosine" or "euclidean".
        where: conditions every hit fulfils, each "column op value".
        match: conditions relative to the query's patient, each "column", "column!=" or "column±N".
        as_of: on the cohort clock, rows after this day are hidden.
        until_day: the query's own scans after this day are left out.
        include_self: the query's own patient may be among the hits; a stored scan is never
            compared with itself, only with the query's other scans.
        any_view: compare scans across views and modalities.
        max_distance: leave out hits further than this.
        backend: "auto", "numpy", "faiss-cpu" or "faiss-gpu".
    """

    k: int = 10
    level: Level = "patient"
    metric: Metric = "centered"
    where: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    as_of: float | None = None
    until_day: float | None = None
    include_self: bool = False
    any_view: bool = False
    max_distance: float | None = None
    backend: Literal["auto", "numpy", "faiss-cpu", "faiss-gpu"] = "auto"


@dataclass(frozen=True, slots=True)
class ProgressionOptions:
    """What a search for patients who changed alike is asked for.

    Attributes:
        k: number of distinct hits wanted.
        level: what is distinct among the hits: "patient" (by the best transition), "transition".
        transitions: which visits of a patient are paired.
        weights: of direction, start and days: w_d, w_u and w_t.
        direction_only: rank by direction alone: w_u and w_t are 0.
        negate: look for the opposite direction.
        where: conditions every hit fulfils, each "column op value"; a column is that of the
            earlier visit, or delta_day, delta_score, later_day, later_health_score, n_views.
        match: conditions relative to the query's patient at the earlier visit, as in
            `SimilarOptions`.
        modality: the one meant, where the store has several.
        as_of: on the cohort clock, rows after this day are hidden and the reference is refitted.
        until_day: the query's own scans after this day are left out.
        include_self: the query's own patient may be among the hits, in another transition.
        min_support: patients who started from a similar state below which the answer is called
            unsupported.
        n_draws: draws of the test whether the hits have more in common than chance; 0: no test.
        seed: of these draws.
        backend: "auto", "numpy", "faiss-cpu" or "faiss-gpu".
    """

    k: int = 10
    level: Literal["patient", "transition"] = "patient"
    transitions: Transition = "consecutive"
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    direction_only: bool = False
    negate: bool = False
    where: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    modality: str | None = None
    as_of: float | None = None
    until_day: float | None = None
    include_self: bool = False
    min_support: float = 5.0
    n_draws: int = 999
    seed: int = 0
    backend: Literal["auto", "numpy", "faiss-cpu", "faiss-gpu"] = "auto"


@dataclass(frozen=True, slots=True)
class TrajectoryOptions:
    """What is asked of a patient's trajectory.

    Attributes:
        k: patients with the most similar paths; 0: none are looked for.
        alpha: a step counts as a change when repeats differ as much in fewer than this share.
        softness: of the alignment, in squared bandwidths; near 0 it matches visits one to one.
        where: conditions that the first visit of every patient found fulfils.
        match: conditions relative to the query's first visit.
        modality: the one meant, where the store has several.
        as_of: on the cohort clock, rows after this day are hidden and the reference is refitted.
        until_day: the patient's own scans after this day are left out.
    """

    k: int = 5
    alpha: float = 0.1
    softness: float = 0.1
    where: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    modality: str | None = None
    as_of: float | None = None
    until_day: float | None = None
