"""Stores to draw maps of: a dozen patients, two visits each, four values an embedding."""

import numpy as np

import learner_index as li
from tests.toy import ToySource, write_manifest, write_scan


def make_store(folder, n_patients=12, name="cohort", source=None, extra=None):
    """A store whose patients all brighten in the second quarter from visit to visit.

    Args:
        folder: to be filled.
        n_patients: each with days 0 and 3.
        name: of manifest and store.
        source: of the encoder; None: the toy.
        extra: more columns, one value for all scans.
    """
    rows = []
    for p in range(n_patients):
        chance = np.random.default_rng(p)
        base = chance.uniform(0.1, 0.5, 4)
        for day in (0, 3):
            scan_id = f"p{p:02d}d{day}"
            moved = base + np.array([0, 0.15 * day / 3, 0, 0]) + chance.normal(0, 0.005, 4)
            write_scan(folder / "scans" / f"{scan_id}.npy", tuple(np.clip(moved, 0, 0.99)))
            rows.append(
                {
                    "scan_id": scan_id,
                    "patient_id": f"p{p:02d}",
                    "path": f"scans/{scan_id}.npy",
                    "day": day,
                    "view": "L1" if p % 2 else "L2",
                    "health_score": 100 - 5 * p - day,
                    "site": "A" if p < 5 else "B",
                    **(extra or {}),
                }
            )
    write_manifest(folder / f"{name}.csv", rows)
    store = folder / f"{name}.zarr"
    li.build(folder / f"{name}.csv", store, source or ToySource())
    return store
