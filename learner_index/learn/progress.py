"""Where a run stands, and what of it is kept on disk: its checkpoint and its best weights."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from learner_index.learn.checkpoint import read_checkpoint, write_checkpoint

CHECKPOINT = "checkpoint.safetensors"


@dataclass(slots=True)
class Progress:
    """Where a run stands; everything a checkpoint holds besides tensors.

    Attributes:
        epoch: epochs done.
        step: steps done in the epoch under way.
        sums: of the epoch's figures up to that step, each over the steps that had it.
        left_out: by figure, steps in which it was not finite; they are not in its sum.
        history: one row an epoch.
        best_epoch: the epoch whose weights are kept; 0: none yet.
        best: its criterion; -inf as long as no epoch had a number.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best: float = -math.inf

    def add(self, figures: Mapping[str, float]) -> None:
        """Count one more step of the epoch, with its figures."""
        for name, value in figures.items():
            is_known = math.isfinite(value)
            self.sums[name] = self.sums.get(name, 0.0) + (value if is_known else 0.0)
            if not is_known:
                self.left_out[name] = self.left_out.get(name, 0) + 1
        self.step += 1

    def means(self) -> dict[str, float]:
        """The epoch's figures up to this step; NaN where no step had a finite one."""
        known = {name: self.step - self.left_out.get(name, 0) for name in self.sums}
        return {n: total / known[n] if known[n] else math.nan for n, total in self.sums.items()}

    def close(self, row: dict[str, float], value: float) -> bool:
        """End an epoch; returns whether its weights are those to keep.

        Args:
            row: the epoch's line of the history.
            value: its criterion, larger is better. Until one is a number, the latest epoch's
                weights are kept; from then on the best one's.
        """
        self.history.append(row)
        self.epoch, self.step, self.sums, self.left_out = self.epoch + 1, 0, {}, {}
        is_better = value > self.best
        if not is_better and self.best > -math.inf:
            return False
        self.best_epoch, self.best = self.epoch, float(value) if is_better else self.best
        return True

    def is_stuck(self, patience: int) -> bool:
        """Whether `patience` epochs went by since the best one; 0 waits for ever.

        Before the first number the latest epoch is the one that is kept, so none goes by.
        """
        return 0 < patience <= self.epoch - self.best_epoch


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A run's own files; only the first process writes any.

    Attributes:
        folder: where they lie.
        is_first: whether this is the first process.
    """

    folder: Path
    is_first: bool

    def read(self) -> tuple[dict[str, Tensor], Progress] | None:
        """Tensors and progress at the last checkpoint; None: there is none.

        Raises:
            RunFormatError: it is damaged, or of another version.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        tensors, state = read_checkpoint(path)
        return tensors, Progress(**state)

    def save(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Write all that is needed to go on from here.

        Raises:
            RunWriteError: the file system refused.
        """
        if self.is_first:
            state: dict[str, Any] = {name: getattr(progress, name) for name in Progress.__slots__}
            write_checkpoint(self.folder / CHECKPOINT, tensors, state)

    def keep(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """Write an epoch's weights; `drop` those of before once a checkpoint names these.

        Raises:
            RunWriteError: the file system refused.
        """
        if self.is_first:
            write_checkpoint(self._kept_file(epoch), weights, {"epoch": epoch})

    def kept(self, epoch: int) -> dict[str, Tensor]:
        """The weights that were kept of an epoch; only the first process needs them."""
        return read_checkpoint(self._kept_file(epoch))[0] if self.is_first else {}

    def drop(self, epoch: int) -> None:
        """Remove the weights that were kept of an epoch."""
        if self.is_first:
            self._kept_file(epoch).unlink(missing_ok=True)

    def clear(self, epoch: int) -> None:
        """Remove the checkpoint and the weights kept of an epoch."""
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        self._kept_file(epoch).unlink(missing_ok=True)

    def _kept_file(self, epoch: int) -> Path:
        """Where the averaged weights of an epoch are kept."""
        return self.folder / f"best-{epoch:04d}.safetensors"
