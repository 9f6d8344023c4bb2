"""Memory-clinic cohorts whose true decline is known: simulated, a linear encoder, no pixels.

A scan's embedding is a random turn of the true states of hippocampus, ventricles and cortex into 24
dimensions, plus the patient's offset and noise of its own. The health score is the observed MMSE.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from learner_index.data.simulate.brain_course import Course, draw_course
from learner_index.data.simulate.mmse import measure_mmse
from tests.pipeline.progression.planted import Planted

WIDTH = 24
STATES = ("hippocampus", "ventricle", "cortex")


@dataclass(frozen=True)
class BrainPlan:
    """What is planted.

    Attributes:
        noise: standard deviation, in each dimension, of what is new in every scan.
        offset: likewise, of what a patient's scans share.
        score_noise: of the MMSE; 1 is as in a clinic.
        reversible: share of patients whose disease runs backwards, a stress test.
    """

    noise: float = 0.01
    offset: float = 0.05
    score_noise: float = 1.0
    reversible: float = 0.0


def plant_brain(
    n_patients: int, seed: int, plan: BrainPlan | None = None, *, turn: int = 0
) -> Planted:
    """A cohort of patients 0 to n - 1; a fifth have independent repeats.

    Args:
        n_patients: p.
        seed: of the patients.
        plan: what is planted.
        turn: seed of the encoder, shared by cohorts of one encoder.
    """
    plan = plan or BrainPlan()
    encoder = np.random.default_rng([turn, 5])
    directions = np.linalg.qr(encoder.standard_normal((WIDTH, 3)))[0].T
    rows: list[dict[str, Any]] = []
    rooms = np.random.default_rng([seed, 6]).permutation(n_patients) / n_patients
    for number in range(n_patients):
        rng = np.random.default_rng([seed, 7, number])
        room = (float(rng.uniform()), float(rng.uniform()), float(rooms[number]))
        course = draw_course(rng, room, reversible=plan.reversible)
        rows += _scans(course, number, plan, rng)
    table = pd.DataFrame(rows)
    seen = table[[*STATES]].to_numpy(float) @ directions + np.stack(table["nuisance"].to_list())
    obs = table[[*_KNOWN]].astype(dict.fromkeys(_TEXTS, "string"))
    truth = table.drop(columns=["nuisance", "health_score"])
    return Planted(seen.astype(np.float32), obs, truth, directions)


_TEXTS = ("scan_id", "patient_id", "view", "treatment")
_KNOWN = ("scan_id", "patient_id", "day", "view", "rescan", "health_score", "treatment")


def _scans(
    course: Course, number: int, plan: BrainPlan, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Rows of one patient's scans, repeats after the scan they repeat."""
    offset = plan.offset * rng.standard_normal(WIDTH)
    health = measure_mmse(course.psi, course.reserve, rng, noise=plan.score_noise)
    return [
        {
            "scan_id": f"sim-brain-{number:04d}_d{day:04d}_{take}",
            "patient_id": f"sim-brain-{number:04d}",
            "day": float(day),
            "view": "brain",
            "rescan": take > 0,
            "health_score": float(health[visit]),
            "treatment": course.arm,
            **{name: float(getattr(course, name)[visit]) for name in STATES},
            "psi": float(course.psi[visit]),
            "pace": course.pace,
            "arm": course.arm,
            "nuisance": offset + plan.noise * rng.standard_normal(WIDTH),
        }
        for visit, day in enumerate(course.days)
        for take in range(1 + int(course.n_repeats[visit]))
    ]
