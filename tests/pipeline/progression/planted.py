"""Cohorts whose true changes are known: simulated courses seen by a linear encoder, no pixels.

A scan's embedding is a random turn of its zone's true (e, c) into 24 dimensions, plus the patient's
offset, the view's offset and noise of its own. A zone's state is not held within 0..1 here, so that
the encoder is linear; the whole lung's is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import ProgressionOptions
from learner_index.data.progression import Progressions
from learner_index.data.reference import Reference
from learner_index.data.simulate.lus_course import ZONES, Course, draw_course, severity
from learner_index.data.simulate.sf_ratio import measure_oxygenation
from learner_index.pipeline.progression.progression import progression
from learner_index.pipeline.progression.question import Ask
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.pipeline.progression.source import ChangeSource
from learner_index.search.table import SearchTable

Floats = NDArray[np.float64]

WIDTH = 24
STEEPEST = np.array([0.65, 0.35]) / np.hypot(0.65, 0.35)
"""Direction of (e, c) in which severity rises fastest: what a severity axis has to find."""


@dataclass(frozen=True)
class Plan:
    """What is planted.

    Attributes:
        effect: multiplies what treatment and deterioration do from visit to visit.
        noise: standard deviation, in each dimension, of what is new in every scan.
        offset: likewise, of what a patient's scans share.
        view_offset: likewise, of what a view's scans share.
        is_constant: nobody's state ever changes.
        drift: (p,) length of each patient's step along `STEEPEST` from visit to visit, on top.
        views: views of a visit by its parity; None: the patient's first zone.
        score_noise: of the S/F ratio; 1 is as on a ward.
        score_offset: spread of the patients' own log-scale offset of the S/F ratio.
    """

    effect: float = 1.0
    noise: float = 0.015
    offset: float = 0.05
    view_offset: float = 0.05
    is_constant: bool = False
    drift: Floats | None = None
    views: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    score_noise: float = 1.0
    score_offset: float = 0.15


@dataclass(frozen=True)
class Planted:
    """A cohort with its truth.

    Attributes:
        embeddings: (n, e) float32.
        obs: (n,) what a hospital would know.
        truth: (n,) what nobody could: e, c and s of the whole lung, arm, response and so on.
        directions: (2, e) orthonormal, what e and c move.
    """

    embeddings: NDArray[np.float32]
    obs: pd.DataFrame
    truth: pd.DataFrame
    directions: Floats

    def source(self, reference: Reference | None = None) -> ChangeSource:
        """The cohort as a store would show it, under its own reference or another."""
        return as_source(self.embeddings, self.obs, reference)


def as_source(
    embeddings: NDArray[np.float32], obs: pd.DataFrame, reference: Reference | None = None
) -> ChangeSource:
    """Embeddings and columns as a store would show them."""
    known = reference or fit_whole_reference(embeddings, obs)
    table = SearchTable(embeddings, obs, clock="patient", reference=known)
    return ChangeSource(Path("no-such-folder") / "planted.zarr", 0, table, lambda: known)


def plant(n_patients: int, seed: int, plan: Plan | None = None, *, turn: int = 0) -> Planted:
    """A cohort of patients 0 to n - 1; a fifth have independent repeats.

    Args:
        n_patients: p.
        seed: of the patients.
        plan: what is planted.
        turn: seed of the encoder: directions and view offsets, shared by cohorts of one encoder.
    """
    plan = plan or Plan()
    encoder = np.random.default_rng([turn, 1])
    directions = np.linalg.qr(encoder.standard_normal((WIDTH, 2)))[0].T
    of_view = dict(zip(ZONES, encoder.standard_normal((4, WIDTH)), strict=True))
    rows: list[dict[str, Any]] = []
    rooms = np.random.default_rng([seed, 2]).permutation(n_patients) / n_patients
    for number in range(n_patients):
        rng = np.random.default_rng([seed, 3, number])
        room = (float(rng.uniform()), float(rooms[number]))
        course = draw_course(rng, room, randomized=1.0, effect=plan.effect)
        rows += _scans(course, number, plan, rng)
    table = pd.DataFrame(rows)
    seen = np.array(table[["zone_e", "zone_c"]], float) @ directions
    seen += plan.view_offset * np.array([of_view[view] for view in table["view"]])
    seen += np.stack(table["nuisance"].to_list())
    obs = table[[*_KNOWN]].astype(dict.fromkeys(_TEXTS, "string"))
    truth = table.drop(columns=["nuisance", "health_score"])
    return Planted(seen.astype(np.float32), obs, truth, directions)


_TEXTS = ("scan_id", "patient_id", "view", "treatment")
_KNOWN = ("scan_id", "patient_id", "day", "view", "rescan", "health_score", "treatment")


def _scans(
    course: Course, number: int, plan: Plan, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Rows of one patient's scans, repeats after the scan they repeat."""
    state = _states(course, number, plan)
    s = np.clip(severity(*state.T), 0.0, 1.0)
    offset = plan.offset * rng.standard_normal(WIDTH)
    breath = plan.score_offset * rng.standard_normal()
    health = measure_oxygenation(s, breath, rng, noise=plan.score_noise).sf
    rows = []
    for visit, day in enumerate(course.days):
        views = plan.views[visit % 2] if plan.views else course.zones[:1]
        for place, view in enumerate(views):
            zone = course.zones.index(view)
            for take in range(1 + (course.n_repeats[visit] if place == 0 else 0)):
                own = {
                    "scan_id": f"sim-{number:04d}_d{day:02d}_{view}_{take}",
                    "patient_id": f"sim-{number:04d}",
                    "day": float(day),
                    "view": view,
                    "rescan": take > 0,
                    "health_score": health[visit],
                    "treatment": course.arm,
                    "e": state[visit, 0],
                    "c": state[visit, 1],
                    "s": severity(*state[visit]),
                    "zone_e": state[visit, 0] + course.zone_e[zone],
                    "zone_c": state[visit, 1] + course.zone_c[zone],
                    "nuisance": offset + plan.noise * rng.standard_normal(WIDTH),
                    "arm": course.arm,
                    "is_responder": course.is_responder and not course.is_deteriorating,
                }
                rows.append(own)
    return rows


def _states(course: Course, number: int, plan: Plan) -> Floats:
    """(v, 2) true e and c of the whole lung at each visit."""
    state = np.column_stack([course.e, course.c])
    if plan.is_constant:
        state[:] = state[0]
    if plan.drift is not None:
        state += np.arange(len(state))[:, None] * plan.drift[number] * STEEPEST
    return state


def true_changes(planted: Planted, source: ChangeSource, mode: Any = "consecutive") -> pd.DataFrame:
    """(t,) rows: the truth of each transition of the source, in its order.

    `helped`: a responder of an arm that treats, and not deteriorating.
    """
    followed = source.followed(mode)
    first = planted.truth.drop_duplicates(["patient_id", "day"]).set_index(["patient_id", "day"])
    columns = followed.of_transitions
    before = first.loc[list(zip(columns["patient_id"], columns["day"], strict=True))]
    after = first.loc[list(zip(columns["patient_id"], columns["later_day"], strict=True))]
    return pd.DataFrame(
        {
            "patient_id": columns["patient_id"].to_numpy(object),
            "day": columns["day"].to_numpy(float),
            "later_day": columns["later_day"].to_numpy(float),
            "e": before["e"].to_numpy(),
            "c": before["c"].to_numpy(),
            "delta_e": after["e"].to_numpy() - before["e"].to_numpy(),
            "delta_c": after["c"].to_numpy() - before["c"].to_numpy(),
            "delta_s": after["s"].to_numpy() - before["s"].to_numpy(),
            "delta_score": followed.visits.delta_score,
            "arm": before["arm"].to_numpy(object),
            "helped": (before["is_responder"] & (before["arm"] != "supportive")).to_numpy(bool),
        }
    )


def ask_row(
    source: ChangeSource, changes: pd.DataFrame, row: int, options: ProgressionOptions
) -> Progressions:
    """Who changed as one transition did."""
    own = changes.iloc[row]
    ask = Ask(patient=own["patient_id"], from_day=own["day"], to_day=own["later_day"])
    return progression(source, ask, options)


def rows_of(changes: pd.DataFrame, answer: Progressions) -> NDArray[np.int64]:
    """(k,) which transitions the hits are."""
    keys = changes[["patient_id", "day", "later_day"]].itertuples(index=False, name=None)
    place = {key: row for row, key in enumerate(keys)}
    found = [(hit.patient_id, hit.change.from_day, hit.change.to_day) for hit in answer]
    return np.array([place[key] for key in found], np.int64)
