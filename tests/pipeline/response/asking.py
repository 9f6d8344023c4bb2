"""Stores and heads of a few patients, fitted in a fraction of a second, and questions to them."""

from dataclasses import asdict, replace
from unittest.mock import patch

import numpy as np

from learner_index.config.response import ResponseOptions
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.response.cohort import read_response_cohort
from learner_index.pipeline.response.headfolder import (
    Axis,
    SavedHead,
    card_of,
    patient_mark,
    write_head,
)
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.procedure import fit_head
from learner_index.store.writer import open_writer
from tests.pipeline.progression.store_of import kind_of, planted, write_store
from tests.toy import ToySource, write_manifest, write_scan

THRESHOLD = 7


def rows_of(patients=40, **planned):
    """Embeddings and columns of patients who improve or worsen, each scan with its own bytes."""
    embeddings, obs = planted(3, patients, 4, **{"repeats": False, "noise": 0.2, **planned})
    obs["content_hash"] = obs["scan_id"] + "-bytes"
    return embeddings, obs


def store_at(folder, embeddings, obs, *, has_axis=False):
    """A store of these rows; what is fitted on them, the severity axis with it, takes long."""
    if has_axis:
        return write_store(folder / "c.zarr", embeddings, obs)
    encoder = {"space": "toy", "spec": "toy", "embedding_width": 6, "projection": "none"}
    with open_writer(folder / "c.zarr") as writer:
        kinds = {name: kind_of(obs[name]) for name in obs}
        writer.create(embeddings.shape[1], kinds, {"clock": "patient", "encoder": encoder})
        writer.append(embeddings, obs)
    return folder / "c.zarr"


def quick_kind(name, task=None):
    """A kind of head with one strength, so that none is chosen."""
    return replace(head_kind(name, task), strengths=(10.0,))


def quickly():
    """Heads fitted while this holds are fitted in a few milliseconds."""
    return patch.multiple("learner_index.pipeline.response.procedure", head_kind=quick_kind)


def head_at(folder, store, **options):
    """A head fitted on a store, without the figures that `fit_response` takes.

    Its card holds what a question needs, and no more.
    """
    asked = ResponseOptions(**{"threshold": THRESHOLD, **options})
    cohort = open_store(store)
    found = read_response_cohort(cohort, asked)
    pool = found.pool
    with quickly():
        fitted = fit_head(pool, np.unique(pool.patient), asked, 0)
    space = cohort.settings["encoder"]["space"]
    owners = np.unique(pool.patient)
    reference = cohort.reference
    known = None if reference is None else reference.changes.get(pool.material.modality)
    card = {
        "task": asked.task,
        "target": {"name": found.targets.name, "classes": list(pool.classes)},
        "options": asdict(asked),
        "space": space,
        "width": pool.material.embeddings.shape[1],
        "data": {},
        "limits": [],
        "modality": pool.material.modality,
        "seen_by_encoder": {"n_patients": int(found.is_seen[owners].sum())},
        "patients": [patient_mark(pool.material.patients[code], space) for code in owners.tolist()],
        "notes": [],
        **card_of(fitted),
    }
    write_head(folder, SavedHead(fitted, Axis.of(known), card))
    return folder


def scan_row(folder, patient, day, health, **columns):
    """A scan, written, whose first quarter is darker the better the health; its manifest row."""
    rng = np.random.default_rng([int(patient[1:]), day])
    quarters = (1 - health / 100, *rng.uniform(0.45, 0.55, 3))
    write_scan(folder / "scans" / f"{patient}d{day}.npy", quarters)
    return {
        "scan_id": f"{patient}d{day}",
        "patient_id": patient,
        "path": f"scans/{patient}d{day}.npy",
        "day": day,
        "view": "L1",
        "health_score": health,
        **columns,
    }


def scanned_cohort(folder, patients=24, **built):
    """A store of real scans, each patient with three: they improve, stay or worsen by 20."""
    rows = [
        scan_row(folder, f"p{p}", day, 50 + (p % 3 - 1) * 20 * day, age=40 + p)
        for p in range(patients)
        for day in range(3)
    ]
    manifest = write_manifest(folder / "cohort.csv", rows)
    build(manifest, folder / "c.zarr", ToySource(**built))
    return folder / "c.zarr"
