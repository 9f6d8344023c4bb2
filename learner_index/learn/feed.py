"""Batches of augmented frames: read in threads, one batch ahead of the network.

Which scans make a batch is the job of `batches`, what is done to them that of `augment`; every
draw depends on seed, epoch and step alone, so that a resumed run sees the same pixels.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner_index.config import AugmentOptions
from learner_index.learn.augment import apply_augmentation, draw_augmentation, pick_frames

ReadFrames = Callable[[int], NDArray[np.float16]]
"""Row of the cohort -> (m, h, w) decoded frames in 0..1; m may be three times what is used."""


@dataclass(frozen=True, slots=True)
class Group:
    """Scans of a batch that have equally many frames.

    Attributes:
        places: (g,) where they stand in the batch.
        frames: (g, f, 1, h, w) grey values in 0..1.
    """

    places: Tensor
    frames: Tensor


@dataclass(frozen=True, slots=True)
class Feed:
    """Turns rows into what the network takes.

    Attributes:
        read: gives a scan's decoded frames; called from several threads.
        frames: f, frames of a clip that the network sees.
        augment: how far scans may be changed.
        seed: of every draw.
        workers: threads that read.
        rank: number of this process; processes draw differently.
    """

    read: ReadFrames
    frames: int
    augment: AugmentOptions
    seed: int
    workers: int = 2
    rank: int = 0

    def epoch(
        self, batches: Sequence[NDArray[np.intp]], epoch: int, first_step: int = 0
    ) -> Generator[tuple[int, NDArray[np.intp], list[Group]], None, None]:
        """Step, rows and augmented scans of each batch from a step on, in order.

        Args:
            batches: rows of every batch of the epoch.
            epoch: number of the epoch; enters the draws.
            first_step: steps before it were done already.
        """
        steps = range(first_step, len(batches))
        with (
            ThreadPoolExecutor(self.workers, thread_name_prefix="decode") as readers,
            ThreadPoolExecutor(1, thread_name_prefix="augment") as maker,
        ):

            def start(step: int) -> Future[list[Group]]:
                return maker.submit(self._make, readers, batches[step], epoch, step)

            waiting = [start(step) for step in steps[:1]]
            for step in steps:
                current = waiting.pop()
                if step + 1 in steps:
                    waiting.append(start(step + 1))
                yield step, batches[step], current.result()

    def plain(self, rows: Sequence[int]) -> list[Group]:
        """Scans as a store would embed them: the middle frames, nothing augmented."""
        rng = np.random.default_rng(0)  # not drawn from: nothing is left to chance
        scans = [self._picked(self.read(row), rng, is_jittered=False) for row in rows]
        return _grouped(scans, lambda frames: frames)

    def _make(
        self, readers: ThreadPoolExecutor, rows: NDArray[np.intp], epoch: int, step: int
    ) -> list[Group]:
        """One batch, read in parallel and augmented."""
        key = np.random.SeedSequence(self.seed, spawn_key=(epoch, step, self.rank))
        rng = np.random.default_rng(key)
        decoded = list(readers.map(self.read, rows.tolist()))
        jittered = self.augment.time_jitter
        scans = [self._picked(frames, rng, is_jittered=jittered) for frames in decoded]
        return _grouped(scans, lambda frames: self._augmented(frames, rng))

    def _picked(
        self, decoded: NDArray[np.float16], rng: np.random.Generator, *, is_jittered: bool
    ) -> NDArray[np.float16]:
        """The frames that are used, of those decoded."""
        picked = pick_frames(rng, len(decoded), self.frames, jitter=is_jittered)
        return np.asarray(decoded[picked])

    def _augmented(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """A group's scans, each changed by its own draw."""
        drawn = draw_augmentation(rng, len(frames), frames.shape[-1], self.augment)
        return apply_augmentation(frames, drawn)


def _grouped(
    scans: Sequence[NDArray[np.float16]], change: Callable[[Tensor], Tensor]
) -> list[Group]:
    """Scans stacked by their number of frames, shortest first."""
    lengths = np.array([len(scan) for scan in scans])
    groups = []
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        stacked = np.stack([scans[place] for place in places.tolist()]).astype(np.float32)
        frames = change(torch.from_numpy(stacked))  # (g, f, h, w)
        groups.append(Group(torch.from_numpy(places), frames.unsqueeze(2)))
    return groups
