"""Random cohorts, and a slow search written from the definitions, for the tests of search."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from learner_index.search.reference import fit_reference
from learner_index.search.table import SearchTable


def make_cohort(
    seed, patients=8, visits=5, width=6, copies=0.2, zeros=0.1, missing=0.2, offset=3.0, views=True
):
    """Embeddings and columns with doubled rows, zero vectors and missing views and days."""
    rng = np.random.default_rng(seed)
    ids, days = [], []
    for patient in range(patients):
        for visit in range(rng.integers(1, visits + 1)):
            for _ in range(rng.integers(1, 4)):
                ids.append(f"P{patient}")
                days.append(np.nan if rng.random() < missing else float(7 * visit))
    n = len(ids)
    shuffled = rng.permutation(n)
    x = (rng.standard_normal((n, width)) + offset).astype(np.float32)
    for row in np.flatnonzero(rng.random(n) < copies):
        x[row] = x[rng.integers(n)]
    x[rng.random(n) < zeros] = 0
    obs = pd.DataFrame(
        {
            "scan_id": pd.array([f"S{i}" for i in range(n)], dtype="string"),
            "patient_id": pd.array([ids[i] for i in shuffled], dtype="string"),
            "day": np.array(days, float)[shuffled],
            "health_score": np.where(rng.random(n) < missing, np.nan, rng.random(n)),
            "site": pd.array(_gaps(rng, rng.choice(["A", "B", "C"], n), missing), dtype="string"),
            "age": np.where(rng.random(n) < missing, np.nan, rng.integers(20, 90, n)),
            "sick": pd.array(_gaps(rng, rng.random(n) < 0.5, missing), dtype="boolean"),
            "content_hash": pd.array([f"h{i}" for i in range(n)], dtype="string"),
        }
    )
    if views:
        obs["view"] = pd.array(_gaps(rng, rng.choice(["L1", "R1"], n), missing), dtype="string")
        obs["modality"] = pd.array(_gaps(rng, rng.choice(["US", "CT"], n), 0.1), dtype="string")
    return x, obs


def _gaps(rng, values, missing):
    return [None if rng.random() < missing else value for value in values.tolist()]


def make_table(x, obs, clock="cohort", **kwargs):
    """A table whose reference is fitted on all its patients."""
    reference = fit_reference(x, obs["patient_id"], obs.get("view"))
    return SearchTable(x, obs, clock=clock, reference=reference, **kwargs)


def similarity(metric, row, vector, mean):
    """Similarity of one scan to one query scan, from its definition."""
    row, vector = row.astype(np.float64), vector.astype(np.float64)
    if metric == "euclidean":
        return float(-np.sqrt(np.sum((row - vector) ** 2)))
    center = mean if metric == "centered" else np.zeros_like(mean)
    units = []
    for one in (row - center, vector - center):
        length = np.sqrt(np.sum(one * one))
        units.append(one * 0 if length <= 1e-12 * np.sqrt(np.sum(center**2)) else one / length)
    return float(min(1.0, max(-1.0, np.sum(units[0] * units[1]))))


def group_of(obs, row, level):
    """What must be distinct among the hits."""
    patient, day = obs["patient_id"][row], obs["day"][row]
    if level == "patient":
        return patient
    return row if level == "scan" or np.isnan(day) else (patient, day)


def same(a, b):
    """Whether two cells are equal, both missing counting as equal."""
    return (pd.isna(a) and pd.isna(b)) or bool(pd.notna(a) and pd.notna(b) and a == b)


def slow_search(table, query, options, eligible):
    """(scan_id, similarity) of the k best groups, by a double loop over scans and query scans."""
    obs, best = table.obs, {}
    for row in np.flatnonzero(eligible):
        for vector, view, modality, scan_id in zip(
            query.vectors, query.views, query.modalities, query.scan_ids, strict=True
        ):
            if scan_id == obs["scan_id"][row]:
                continue  # a stored scan is never compared with itself
            meets = options.any_view or all(
                column not in obs
                or same(obs[column][row], value)
                or (not query.is_stored and value is None)
                for column, value in (("view", view), ("modality", modality))
            )
            if meets:
                found = similarity(
                    options.metric, table.embeddings[row], vector, table.reference.mean
                )
                group = group_of(obs, row, options.level)
                if group not in best or found > best[group][0]:
                    best[group] = (found, row)
    ranked = sorted(best.values(), key=lambda pair: (-pair[0], pair[1]))[: options.k]
    return [(obs["scan_id"][row], found) for found, row in ranked]


@pytest.fixture(scope="session")
def lab():
    """The helpers above, for test modules."""
    return SimpleNamespace(
        cohort=make_cohort, table=make_table, similarity=similarity, slow_search=slow_search
    )


@pytest.fixture
def table(lab):
    """A small random cohort, ready for searches."""
    return lab.table(*lab.cohort(0))
