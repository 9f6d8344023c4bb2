"""A cohort whose pictures show its health scores, and settings that train on it in a moment."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.config import (
    BatchOptions,
    EncoderOptions,
    PretrainOptions,
    TrainOptions,
)
from tests.toy import write_manifest

SMALL = PretrainOptions(
    encoder=EncoderOptions(
        spec="timm:test_resnet",
        width=8,
        size=32,
        frames=1,
        pixel_mm=0,
        anchor="center",
        device="cpu",
    ),
    batches=BatchOptions(patients=4, scans=2),
    training=TrainOptions(epochs=2),
)
"""Two epochs of a few steps, a quarter of a second in all."""


def changed(base: PretrainOptions = SMALL, **sections: Mapping[str, Any]) -> PretrainOptions:
    """The same settings with some changed: `changed(training={"epochs": 3})`."""
    return replace(
        base,
        **{name: replace(getattr(base, name), **values) for name, values in sections.items()},
    )


UNSEEN = changed(split={"test_share": 0.3})
"""Some patients stay unseen."""


def picture(patient: int, day: int, score: float, n_frames: int = 1) -> np.ndarray:
    """A noisy disc, wider and brighter the higher the score."""
    rng = np.random.default_rng([patient, day])
    grid = np.arange(32) - 15.5
    distance = np.hypot(*np.meshgrid(grid, grid))
    disc = (60 + 1.5 * score) * (distance < 4 + score / 10)
    frames = disc + rng.normal(40, 8, (n_frames, 32, 32))
    return np.clip(frames, 0, 255).astype(np.uint8).squeeze()


def scored_cohort(
    folder: Path, n_patients: int = 10, n_visits: int = 3, n_frames: int = 1
) -> list[dict[str, object]]:
    """Pictures, or clips, and manifest rows; scores rise from patient to patient and by visit."""
    rows: list[dict[str, object]] = []
    (folder / "scans").mkdir(parents=True)
    for p in range(n_patients):
        for day in range(n_visits):
            score = 8 * p + day * (1 + p % 3)
            scan_id = f"p{p}d{day}"
            np.save(folder / "scans" / f"{scan_id}.npy", picture(p, day, score, n_frames))
            rows.append(
                {
                    "scan_id": scan_id,
                    "patient_id": f"p{p}",
                    "path": f"scans/{scan_id}.npy",
                    "day": day,
                    "health_score": score,
                }
            )
    write_manifest(folder / "cohort.csv", rows)
    return rows
