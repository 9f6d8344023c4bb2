"""A toy cohort whose every value says which row and generation it belongs to."""

import numpy as np
import pandas as pd

from learner_index.data.reference import Reference
from learner_index.store.writer import open_writer

WIDTH = 4
KINDS = {
    "scan_id": "text",
    "patient_id": "text",
    "content_hash": "text",
    "encoder_role": "text",
    "day": "number",
    "health_score": "number",
    "site": "text",
    "rescan": "flag",
}
SETTINGS = {"encoder": {"space": "toy", "size": 4}, "clock": "cohort"}
SHIFT = 1000


def rows(start, stop, generation=1):
    """(embeddings, obs) of some rows: row i of generation g holds i + 1000 g everywhere."""
    number = np.arange(start, stop)
    day = (number + SHIFT * generation).astype(float)
    embeddings = np.repeat(day[:, None], WIDTH, axis=1).astype(np.float32)
    obs = pd.DataFrame(
        {
            "scan_id": [f"scan{i}" for i in number],
            "patient_id": [f"patient{i // 2}" for i in number],
            "content_hash": [f"{i:08x}" for i in number],
            "encoder_role": ["unseen"] * len(number),
            "day": day,
            "health_score": np.where(number % 3 == 0, np.nan, day / 2),
            "site": pd.array([None if i % 4 == 1 else f"Köln {i % 3}" for i in number], "string"),
            "rescan": pd.array([None if i % 5 == 2 else i % 2 == 0 for i in number], "boolean"),
        }
    )
    return embeddings, obs


def reference():
    """A reference with numbers that can be recognised."""
    return Reference(
        mean=np.arange(WIDTH, dtype=float),
        view_means={"": np.zeros(WIDTH), "L1": np.ones(WIDTH)},
        patients=("patient0", "patient1"),
        n_scans=4,
        fingerprint="f" * 8,
    )


def make(path, stop, *, piece=None, with_reference=False):
    """A store of rows 0 to `stop`, appended in pieces."""
    with open_writer(path) as writer:
        writer.create(WIDTH, KINDS, SETTINGS)
        for start in range(0, stop, piece or max(stop, 1)):
            writer.append(*rows(start, min(start + (piece or stop), stop)))
        if with_reference:
            writer.add_reference(reference())
    return path


def snapshot(folder):
    """Relative path -> bytes of every file; folders without files count as well."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() if file.is_file() else b"/"
        for file in sorted(folder.rglob("*"))
    }
