"""A map made by hand: four patients on a square, three of whom came back."""

import numpy as np
import pandas as pd

from learner_index.data.maps import CohortMap

PATIENTS = ("p0", "p1", "p2", "p3")


def toy_map(method="umap", **changes):
    """Eight scans of four patients; p3 came once, and one score and one site are missing.

    Args:
        method: "pca" or "umap".
        **changes: fields of the record, in place of the toy's.
    """
    days = [0, 2, 0, 2, 0, 2, 5, 0]
    owners = ["p0", "p0", "p1", "p1", "p2", "p2", "p2", "p3"]
    scans = pd.DataFrame(
        {
            "scan_id": [f"s{number}" for number in range(8)],
            "patient_id": pd.array(owners, "string"),
            "day": np.array(days, float),
            "view": pd.array(["L1", "L2"] * 4, "string"),
            "health_score": [310.0, 250, 180, 300, 90, np.nan, 200, 260],
            "site": pd.array(["A", "A", "B", "B", "C", "C", None, "A"], "string"),
            "icu": [0.0, 0, 1, 0, 1, 1, 1, 0],
            "rescan": pd.array([True, False] * 4, "boolean"),
            "age": [61.0, 61, 48, 48, 77, 77, 77, 55],
            "x": [0.0, 4, 0, 1, 5, 6, 7, 3],
            "y": [0.0, 1, 3, 4, 3, 3, 1, 2],
            "is_fitted": [True] * 6 + [False] * 2,
        }
    )
    arrows = pd.DataFrame(
        {
            "patient_id": ["p0", "p1", "p2", "p2"],
            "from_day": [0.0, 0, 0, 2],
            "to_day": [2.0, 2, 2, 5],
            "x": [0.0, 0, 5, 6],
            "y": [0.0, 3, 3, 3],
            "end_x": [4.0, 1, 6, 7],
            "end_y": [1.0, 4, 3, 1],
            "dx": [2.0, 1, 0.5, 1],
            "dy": [0.5, 1, 0, -1],
            "share": [0.9, 0.5, 0.7, 0.8],
            "delta_score": [-60.0, 120, np.nan, np.nan],
        }
    )
    axes = {"umap": ("UMAP 1 (no unit)", "UMAP 2 (no unit)")}.get(
        method, ("PC 1 (61 % of variance)", "PC 2 (20 % of variance)")
    )
    fields = {
        "scans": scans,
        "arrows": arrows,
        "method": method,
        "seed": 0,
        "axes": axes,
        "space": "toy",
        "modality": "",
        "n_fitted": 6,
        "n_fitted_patients": 3,
        "quality": {"n_nearest": 3, "n_kept": 1.5, "n_kept_by_chance": 1.2},
        "is_simulated": False,
        "notes": ("2 scans were placed on the map, which was not fitted on them",),
    }
    return CohortMap(**{**fields, **changes})
