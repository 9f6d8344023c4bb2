"""Cohorts whose patients get better or worse by plan, as a store's rows without a store."""

from pathlib import Path

import numpy as np
import pandas as pd

from learner_index.config import ProgressionOptions, TrajectoryOptions
from learner_index.data.progression import Progressions, Trajectory
from learner_index.pipeline.progression.progression import progression
from learner_index.pipeline.progression.question import Ask
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.pipeline.progression.source import ChangeSource
from learner_index.pipeline.progression.trajectory import trajectory
from learner_index.search.table import SearchTable
from learner_index.store.writer import open_writer

NOWHERE = Path("no_such_store.zarr")
WIDTH = 6
SICK = np.array([3.0, 4.0, 0.0, 0.0, 0.0, 0.0]) / 5  # where embeddings go as health falls
TEXTS = ("scan_id", "patient_id", "visit", "view", "modality", "treatment", "site", "response")
NUMBERS = ("day", "health_score", "age", "event_day")
FLAGS = ("rescan", "event")


def frame(rows):
    """Rows of columns with a store's types: text, numbers and flags, each may be missing."""
    obs = pd.DataFrame(rows)
    for name in obs:
        if name in NUMBERS:
            obs[name] = obs[name].astype("float64")
        else:
            obs[name] = pd.array(obs[name], dtype="boolean" if name in FLAGS else "string")
    return obs


def planted(
    seed=0, patients=12, most=4, *, first=0, views=("L1",), repeats=True, noise=0.02, scored=True
):
    """Embeddings and columns of patients who improve (odd numbers) or worsen (even ones).

    A visit `sickness` steps along SICK; the health score is 100 less ten times as much.
    """
    rng = np.random.default_rng(seed)
    rows, embeddings = [], []
    for number in range(first, first + patients):
        home, day = rng.standard_normal(WIDTH) * 0.5, float(rng.integers(0, 5))
        sickness, pace = rng.uniform(2, 5), rng.uniform(0.5, 1.0) * (-1 if number % 2 else 1)
        for visit in range(int(rng.integers(2, most + 1))):
            place = home + sickness * SICK + 0.1 * rng.standard_normal(WIDTH)
            treatment = "AB"[rng.integers(2)]
            for view in views:
                for scan in range(2 if repeats else 1):
                    rows.append(
                        {
                            "scan_id": f"s{seed}-{number}-{visit}-{view}-{scan}",
                            "patient_id": f"P{number}",
                            "day": day,
                            "view": view,
                            "health_score": 100 - 10 * sickness if scored else np.nan,
                            "treatment": treatment,
                            "site": "XY"[number % 3 == 0],
                            "age": 30.0 + number,
                            "response": "better" if number % 2 else "worse",
                            "rescan": bool(scan),
                            "event": bool(number % 2),
                            "event_day": 500.0 + number,
                        }
                    )
                    embeddings.append(place + noise * rng.standard_normal(WIDTH))
            sickness += pace
            day += float(rng.integers(3, 20))
    return np.array(embeddings, np.float32), frame(rows)


def source_of(embeddings, obs, clock="patient", patients=None):
    """What a question about change asks, with everything fitted on these rows."""
    reference = fit_whole_reference(embeddings, obs, patients)
    table = SearchTable(embeddings, obs, clock=clock, reference=reference)
    return ChangeSource(NOWHERE, 0, table, lambda: reference)


def write_store(path, embeddings, obs, clock="patient"):
    """A real store with these rows and the reference fitted on all of them."""
    kinds = {name: kind_of(obs[name]) for name in obs}
    encoder = {"space": "toy", "spec": "toy", "embedding_width": WIDTH, "projection": "none"}
    with open_writer(path) as writer:
        writer.create(embeddings.shape[1], kinds, {"clock": clock, "encoder": encoder})
        writer.append(embeddings, obs)
        writer.add_reference(fit_whole_reference(embeddings, obs))
    return path


def kind_of(column):
    """What a store calls a column."""
    return {"boolean": "flag", "float64": "number"}.get(str(column.dtype), "text")


def ask(source, patient=None, *, options=None, **asked) -> Progressions:
    """A progression query; what is no part of the question is an option."""
    about = {name: asked.pop(name) for name in Ask.__dataclass_fields__ if name in asked}
    asked = {"n_draws": 0, **asked}
    return progression(source, Ask(patient, **about), options or ProgressionOptions(**asked))


def path_of(source, patient, **asked) -> Trajectory:
    """A trajectory query."""
    return trajectory(source, patient, TrajectoryOptions(**asked))


def one_scan_visits(paths, **columns):
    """Embeddings and columns of visits of one scan each.

    Args:
        paths: patient to a list of (day, embedding, health score).
        columns: more columns, patient to value.
    """
    rows, embeddings = [], []
    for patient, visits in paths.items():
        for number, (day, embedding, score) in enumerate(visits):
            more = {name: values[patient] for name, values in columns.items()}
            own = {"scan_id": f"{patient}/{number}", "patient_id": patient, "day": day}
            rows.append({**own, "view": "L1", "health_score": score, **more})
            embeddings.append(embedding)
    return np.array(embeddings, np.float32), frame(rows)
