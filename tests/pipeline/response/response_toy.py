"""Tiny cohorts for response heads, written scan by scan, and what a reader would make of them."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd

from learner_index.config.response import ResponseOptions
from learner_index.pipeline.response.examples import find_examples
from learner_index.pipeline.response.material import Material
from learner_index.pipeline.response.models import Pool
from learner_index.pipeline.response.targets import find_targets
from learner_index.search.table import SearchTable

NUMBERS = ("day", "health_score", "age", "event_day", "last_seen_day")
VIEWS = ("L1", "L2", "R1")


def scan(patient, day, *embedding, view="L1", **columns):
    """One scan; without an embedding, the day is its only value."""
    shown = embedding or (day or 0.0,)
    return {"patient_id": patient, "day": day, "view": view, "embedding": shown, **columns}


def table_of(rows):
    """(n, e) embeddings and columns of scans, of a store's types."""
    obs = pd.DataFrame([{k: v for k, v in row.items() if k != "embedding"} for row in rows])
    obs.insert(0, "scan_id", [f"s{number}" for number in range(len(rows))])
    for name in obs:
        known = {type(value) for value in obs[name] if not pd.isna(value)}
        is_number = name in NUMBERS or bool(known & {int, float})
        kind = "float64" if is_number else "boolean" if bool in known else "string"
        obs[name] = obs[name].astype(kind) if is_number else pd.array(obs[name], dtype=kind)
    return np.array([row["embedding"] for row in rows], np.float32), obs


def material_of(rows, **asked):
    """The visits of some scans."""
    return Material.of(*table_of(rows), **asked)


def store_of(rows):
    """What a cohort reads of a store, without a store."""
    return SimpleNamespace(table=SearchTable(*table_of(rows)))


def examples_of(rows, **options):
    """A cohort, its examples and what came about of them."""
    options = ResponseOptions(**options)
    material = material_of(rows)
    examples = find_examples(material, options)
    return material, examples, find_targets(material, examples, options)


def pool_of(rows, **options):
    """Examples with known outcomes."""
    material, examples, found = examples_of(rows, **options)
    known, kept = examples.only(found.is_known), found.only(found.is_known)
    return Pool(material, known, kept.code, kept.before, kept.classes, kept.is_ordinal)


def mixed_rows(seed, patients=5, most=5, width=3):
    """Scans in shuffled rows: repeats, missing views, two visits a day, no day, gaps in columns."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        day = float(rng.integers(0, 3))
        for visit in range(int(rng.integers(1, most + 1))):
            day += float(rng.integers(0, 4))
            visit_columns = {
                "visit": f"v{visit}",
                "health_score": float(rng.integers(0, 9)) if rng.random() < 0.8 else math.nan,
                "treatment": [None, "A", "B"][rng.integers(3)],
                "age": float(rng.integers(20, 90)),
                "ward": ["icu", "home", None][rng.integers(3)],
            }
            known = day if rng.random() < 0.85 else math.nan
            shown = rng.choice(VIEWS, rng.integers(1, 4), replace=False)
            for view in np.repeat(shown, rng.integers(1, 3)):
                embedding = rng.standard_normal(width).astype(np.float32)
                rows.append(scan(f"p{number}", known, *embedding, view=str(view), **visit_columns))
    return [rows[place] for place in rng.permutation(len(rows))]


def trial_rows(patients=12, width=3, seed=0, visits=3, **columns):
    """Patients with a visit every day; each third improves, is stable or worsens by 10 a day.

    Further columns are functions of a patient's number.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        own = {name: of(number) for name, of in columns.items()}
        for day in range(visits):
            score = 50.0 + 10.0 * day * (number % 3 - 1)
            embedding = rng.standard_normal(width) - score / 10
            rows.append(
                scan(f"P{number:03d}", float(day), *embedding, **{"health_score": score, **own})
            )
    return rows


def slow_visits(rows):
    """Patient to visits in order: dated by day, then by first row; those without a day last."""
    found = {}
    for place, row in enumerate(rows):
        one = found.setdefault((row["patient_id"], row["visit"]), {"first": place, "scans": []})
        one["scans"].append(row)
    by_patient = {}
    for (patient, name), visit in found.items():
        days = [one["day"] for one in visit["scans"] if not math.isnan(one["day"])]
        visit |= {"name": name, "day": min(days, default=math.nan)}
        by_patient.setdefault(patient, []).append(visit)
    for visits in by_patient.values():
        visits.sort(key=lambda one: (math.isnan(one["day"]), one["day"], one["first"]))
        in_force = None
        for visit in visits:
            written = {one["treatment"] for one in visit["scans"]} - {None}
            in_force = min(written) if written else in_force
            visit["treatment"] = in_force
    return by_patient


def slow_group(visit, view):
    """Mean embedding of a visit's scans of one view."""
    return np.mean([one["embedding"] for one in visit["scans"] if one["view"] == view], axis=0)


def slow_delta(earlier, later):
    """Later minus earlier embedding over shared views."""
    shared = slow_views(earlier) & slow_views(later)
    parts = [slow_group(later, view) - slow_group(earlier, view) for view in sorted(shared)]
    return np.mean(parts, axis=0)


def slow_views(visit):
    return {one["view"] for one in visit["scans"]}
