"""A toy encoder whose embeddings can be worked out by hand, and cohorts of tiny scans."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Preprocessing
from learner_index.data.split import PatientSplit
from learner_index.errors import EncoderError, SpaceMismatchError
from learner_index.pipeline.roles import keep_roles

TOY = Preprocessing(size=4, frames=2, pixel_mm=None, intensity="range")


class ToyEmbedder:
    """Embedding = mean brightness of the four quarters of the picture, over all frames."""

    width = 4

    def __init__(self, space: str = "toy", batch_size: int = 3) -> None:
        self.batch_size = batch_size
        self.calls: list[int] = []
        self.card: Mapping[str, Any] = {
            "space": space,
            "spec": "toy",
            "embedding_width": 4,
            "projection": "none",
            "is_trained": False,
            "preprocessing": asdict(TOY),
        }

    def embed(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, f, 4, 4) -> (b, 4)."""
        self.calls.append(len(frames))
        quarters = frames.reshape(len(frames), -1, 2, 2, 2, 2).mean(axis=(1, 3, 5))
        found = quarters.reshape(len(frames), 4).astype(np.float32)
        if (found[:, 0] > 0.999).any():
            raise EncoderError("the encoder gave values that are not finite")
        return found


class ToySource:
    """Gives the toy; counts how often an encoder was really asked for.

    With a split, the toy passes for one that a pretraining run has made of these patients.
    """

    def __init__(
        self, space: str = "toy", batch_size: int = 3, split: PatientSplit | None = None
    ) -> None:
        self.embedder = ToyEmbedder(space, batch_size)
        self.split = split
        self.loads = 0
        if split is not None:
            trained = {"projection": "trained", "is_trained": True}
            self.embedder.card = {**self.embedder.card, **trained}

    def for_new_store(self, manifest: Any, cache: Path) -> ToyEmbedder:
        self.loads += 1
        if self.split is not None:
            keep_roles(self.split, cache)
        return self.embedder

    def for_store(self, card: Mapping[str, Any], cache: Path) -> ToyEmbedder:
        self.loads += 1
        self.check(card)
        return self.embedder

    def check(self, card: Mapping[str, Any]) -> None:
        if card["space"] != self.embedder.card["space"]:
            raise SpaceMismatchError(f"the store's space is {card['space']}")


def write_scan(path: Path, quarters: tuple[float, float, float, float], frames: int = 1) -> None:
    """An 8 × 8 scan whose toy embedding is `quarters` (as 0..255 steps)."""
    levels = np.round(np.array(quarters) * 255).astype(np.uint8).reshape(2, 2)
    picture = np.kron(levels, np.ones((4, 4), np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.repeat(picture[None], frames, axis=0) if frames > 1 else picture)


def write_manifest(path: Path, rows: list[dict[str, object]]) -> Path:
    """A manifest with these rows; columns are those of all rows, in order of appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_cohort(folder: Path, n_patients: int = 3, n_days: int = 2) -> list[dict[str, object]]:
    """Scans and manifest rows of a small cohort; every third scan is a clip of three frames."""
    rows: list[dict[str, object]] = []
    for p in range(n_patients):
        for day in range(n_days):
            scan_id = f"p{p}d{day}"
            level = (p + 1) / (n_patients + 2)
            write_scan(
                folder / "scans" / f"{scan_id}.npy",
                (level, day / (n_days + 1), 0.5, 0.1 * (p % 3)),
                frames=3 if len(rows) % 3 == 2 else 1,
            )
            rows.append(
                {
                    "scan_id": scan_id,
                    "patient_id": f"p{p}",
                    "path": f"scans/{scan_id}.npy",
                    "day": day,
                    "view": "L1",
                    "health_score": 100 - 10 * p - day,
                    "site": "" if p == 1 else "A",
                }
            )
    write_manifest(folder / "cohort.csv", rows)
    return rows


def make_run(folder: Path, split: PatientSplit, *, seed: int = 0) -> Path:
    """The folder of a finished pretraining run: a tiny real encoder and a run.json by hand.

    Args:
        folder: to be made.
        split: the patients by role.
        seed: of the weights; another seed is another space.
    """
    from learner_index.learn.card import origin_of
    from learner_index.learn.encoder import Encoder, make_encoder
    from learner_index.pipeline.runs import write_run

    small = Preprocessing(size=32, frames=2)
    plain = make_encoder("timm:test_resnet", preprocessing=small, width=16, device="cpu", seed=seed)
    origin = replace(
        origin_of(plain.card),
        projection="trained",
        is_trained=True,
        trained_on=f"cohort.csv: {len(split.train)} patients, mse, score generic",
    )
    encoder = Encoder(plain.network, origin, small, device="cpu")
    encoder.save(folder)
    known = {"kind": "run", "state": "done", "options": {"seed": seed}, "space": encoder.space}
    write_run(folder, {**known, "patients": split.to_dict(), "split": split.fingerprint})
    return folder
