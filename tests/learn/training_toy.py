"""A tiny world whose pictures show the health score, and trainings that take a second."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from learner_index.config import AugmentOptions, BatchOptions, ObjectiveOptions, TrainOptions
from learner_index.learn.batches import PatientBatches
from learner_index.learn.feed import Feed
from learner_index.learn.network import Network
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.trainer import Examples, Trainer, Validation

SIDE = 8
STILL = AugmentOptions(0, 0, 0, 0, 0, flip=False, time_jitter=False)


@dataclass(frozen=True)
class World:
    """Patients with visits; row i shows score i without noise, beside patterns of its own."""

    score: NDArray[np.float64]
    patient: NDArray[np.int64]
    visit: NDArray[np.int64]
    pixels: list[NDArray[np.float16]]

    def rows(self, first: int, end: int) -> NDArray[np.intp]:
        """Scans of the patients first to end - 1."""
        return np.flatnonzero((self.patient >= first) & (self.patient < end))

    def transitions(self, first: int, end: int) -> NDArray[np.intp]:
        """(t, 2) rows of the earlier and the later visit of the same patients."""
        rows = self.rows(first, end)
        one, other = np.triu_indices(len(rows), 1)
        pairs = np.column_stack([rows[one], rows[other]])
        return pairs[self.patient[pairs[:, 0]] == self.patient[pairs[:, 1]]]


def make_world(
    n_patients: int = 24, *, n_visits: int = 3, seed: int = 0, n_short: int = 0
) -> World:
    """Scores uniform in -1.7..1.7, shown by how much the upper half outshines the lower one.

    That difference is a monotone function of the score. Three other patterns of each scan say
    nothing of it, and are as strong.

    Args:
        n_patients: patients.
        n_visits: visits of each, one clip of 2 equal frames a visit.
        seed: of scores and patterns.
        n_short: every so many scans is a single image; 0: none.
    """
    rng = np.random.default_rng(seed)
    n = n_patients * n_visits
    score = rng.uniform(-1.7, 1.7, n)
    shown = np.tanh(score)  # monotone, not linear
    others = rng.uniform(-1, 1, (n, 3))
    wave = np.cos(np.pi * (np.arange(SIDE) + 0.5) / SIDE)
    flat = np.ones(SIDE)
    modes = np.stack(
        [np.outer(*pair) for pair in ((wave, flat), (flat, wave), (flat, flat), (wave, wave))]
    )
    amplitudes = np.column_stack([shown, others])
    pictures = 0.5 + 0.12 * np.einsum("nk,khw->nhw", amplitudes, modes)
    pixels = [np.stack([picture, picture]).astype(np.float16) for picture in pictures]
    if n_short:
        pixels = [clip[: 1 if row % n_short == 0 else 2] for row, clip in enumerate(pixels)]
    return World(score, np.repeat(np.arange(n_patients), n_visits), np.arange(n), pixels)


def tiny_network(
    *, dropout: float = 0.0, has_norm: bool = True, width: int = 4, seed: int = 0
) -> Network:
    """Two small convolutions and a projection."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2),
            nn.BatchNorm2d(8) if has_norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(8, 16, 3),
            nn.ReLU(),
            nn.Flatten(),
        )
    return Network(backbone, 16, width=width, seed=seed)


@dataclass
class Setup:
    """One training of the toy network; change what a test is about.

    Attributes:
        world: scans and scores.
        n_train: patients that are trained on, the first ones.
        objective: what for.
        training: how long.
        batches: P and V.
        augment: how far scans change.
        seed: of batches and augmentation; that of the run is in `training`.
        network: what is trained.
        read: in place of the world's pixels.
        more: further arguments of the trainer.
    """

    world: World = field(default_factory=make_world)
    n_train: int = 16
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    training: TrainOptions = field(default_factory=lambda: TrainOptions(epochs=3))
    batches: BatchOptions = field(default_factory=lambda: BatchOptions(8, 2))
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    seed: int = 0
    network: Callable[[], Network] = tiny_network
    read: Callable[[int], NDArray[np.float16]] | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def trainer(self, folder: Path) -> Trainer:
        """A trainer that has not started."""
        world = self.world
        train = world.patient < self.n_train
        score = np.where(train, world.score, np.nan)
        place = self.more.get("processes")
        return Trainer(
            self.network(),
            (0.5, 0.5),
            examples=Examples(
                [f"scan-{row}" for row in range(len(score))], score, world.patient, world.visit
            ),
            batches=PatientBatches(world.patient, world.visit, score, self.batches, self.seed),
            feed=Feed(
                self.read or world.pixels.__getitem__,
                2,
                self.augment,
                self.seed,
                workers=1,
                rank=place.rank if place else 0,
            ),
            loss=JointLoss.of(self.objective, LabelScale.fit(world.score[train])),
            options=self.training,
            folder=folder,
            device=torch.device("cpu"),
            **self.more,
        )


MIXED = make_world(n_short=5)
VALIDATED = MIXED.rows(16, 24)


def _agreement(embedding: NDArray[np.float32], prediction: NDArray[np.float32]) -> dict[str, float]:
    return {"val_spearman": float(np.corrcoef(prediction, MIXED.score[VALIDATED])[0, 1])}


def full(**changes: Any) -> Setup:
    """Everything a run can have: mixed lengths, dropout, batch norm, averaging, validation."""
    given = {
        "world": MIXED,
        "network": lambda: tiny_network(dropout=0.3),
        "training": TrainOptions(epochs=4, patience=0, ema_decay=0.9),
        "more": {"validation": Validation(VALIDATED, _agreement)},
    }
    return Setup(**(given | changes))


def are_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two sets of weights are the same bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
