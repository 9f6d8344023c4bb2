"""The training loop: seeded, resumable to the bit on a CPU, one process or many.

Chance enters as a function of seed, epoch and step only, so a checkpoint needs no generator's
state. What is trained on comes from `batches` and `feed`, for what from `objectives`; what is kept
on disk is the job of `progress`; the split and the figures of validation are the caller's.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner_index.config import TrainOptions
from learner_index.errors import DivergedError, EncoderMemoryError, SettingsError
from learner_index.learn.batches import PatientBatches, count_pairs
from learner_index.learn.feed import Feed, Group
from learner_index.learn.network import Network, Output
from learner_index.learn.objectives.joint import JointLoss, Losses
from learner_index.learn.optimizer import Optimizer
from learner_index.learn.processes import Processes
from learner_index.learn.progress import CHECKPOINT as CHECKPOINT
from learner_index.learn.progress import Checkpoints, Progress

CHECKPOINT_S = 600.0
EVALUATED = 32
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Examples:
    """The cohort's scans as the loss sees them, row-aligned with what the feed reads.

    Attributes:
        scan_ids: (n,) names for messages.
        score: (n,) standardized targets, higher is healthier; NaN: not trained on.
        patient: (n,) number of the patient.
        visit: (n,) number of the visit, unique over the cohort; below 0 where nothing says.
    """

    scan_ids: Sequence[str]
    score: NDArray[np.float64]
    patient: NDArray[np.int64]
    visit: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Validation:
    """How a run sees whether it gets better.

    Attributes:
        rows: scans of patients that are not trained on.
        measure: their (n, e) embeddings and (n,) predicted standardized scores -> figures; the
            one called `criterion` decides when to stop, larger is better.
        criterion: name of that figure.
    """

    rows: NDArray[np.intp]
    measure: Callable[[NDArray[np.float32], NDArray[np.float32]], Mapping[str, float]]
    criterion: str = "val_spearman"


@dataclass(frozen=True, slots=True)
class Watched:
    """What can be shown of a run while it goes on.

    Attributes:
        epoch: number of the epoch, from 1.
        step: steps done in it.
        n_steps: steps of an epoch.
        n_epochs: epochs there will be at most.
        loss: of the last batch.
        figures: the last epoch's row of the history; empty in the first epoch.
    """

    epoch: int
    step: int
    n_steps: int
    n_epochs: int
    loss: float
    figures: Mapping[str, float]


class Trainer:
    """Trains a network in place and keeps the best running average of its weights on disk.

    Args:
        network: what is trained; moved to the device.
        normalization: mean and standard deviation of grey values.
        examples: targets and patients of every row.
        batches: which rows meet.
        feed: the rows' pixels.
        loss: what is minimized.
        options: how long and how fast.
        folder: where checkpoints go.
        device: where to compute.
        precision: "fp32", "bf16" or "fp16".
        validation: None: the last epoch is kept.
        processes: this process among others.
        watch: called after every step.
        noted: called with the history after every epoch, in the first process.
    """

    def __init__(
        self,
        network: Network,
        normalization: tuple[float, float],
        *,
        examples: Examples,
        batches: PatientBatches,
        feed: Feed,
        loss: JointLoss,
        options: TrainOptions,
        folder: Path,
        device: torch.device,
        precision: str = "fp32",
        validation: Validation | None = None,
        processes: Processes | None = None,
        watch: Callable[[Watched], None] = lambda event: None,
        noted: Callable[[Sequence[Mapping[str, float]]], None] = lambda history: None,
    ) -> None:
        self._processes = processes or Processes()
        network.head.requires_grad_(loss.trains_head)  # or processes wait for it
        self._network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mean, self._std = normalization
        self._examples, self._batches, self._feed = examples, batches, feed
        self._loss, self._options = loss, options
        self._checkpoints = Checkpoints(folder, self._processes.is_first)
        self._device, self._half = device, _HALF.get(precision)
        self._validation, self._watch, self._noted = validation, watch, noted
        self._optimizer = Optimizer(
            self._network, options, batches.n_steps * options.epochs, precision == "fp16", device
        )
        self._model = self._processes.wrapped(self._network, device)
        self.progress = Progress()

    def resume(self) -> bool:
        """Go back to the last checkpoint; False when there is none.

        Raises:
            RunFormatError: it is damaged, or of another version.
        """
        found = self._checkpoints.read()
        if found is None:
            return False
        tensors, self.progress = found
        self._optimizer.restore(tensors)
        return True

    def run(self) -> dict[str, Tensor]:
        """Train until the last epoch, or until validation no longer gets better.

        Returns:
            The weights that are kept, on the CPU.

        Raises:
            DivergedError: the loss is not finite; checkpoints are those of before.
            RunWriteError: a checkpoint could not be written.
        """
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            while self.progress.epoch < self._options.epochs and not self._is_stuck():
                self._train_epoch()
                self._close_epoch()
        return self._checkpoints.kept(self.progress.best_epoch)

    def _is_stuck(self) -> bool:
        """Whether validation has not got better for as long as patience lasts."""
        return self._validation is not None and self.progress.is_stuck(self._options.patience)

    def _train_epoch(self) -> None:
        """The steps of the epoch that are left."""
        at, place = self.progress, self._processes
        whole = self._batches.epoch(at.epoch)
        own = [self._batches.shard(rows, place.rank, place.world) for rows in whole]
        self._model.train()
        saved_s = time.monotonic()
        with closing(self._feed.epoch(own, at.epoch, at.step)) as steps:
            for step, _, groups in steps:
                self._note_step(self._step(step, whole[step], groups))
                if time.monotonic() - saved_s > CHECKPOINT_S and at.step < len(whole):
                    self._save()
                    saved_s = time.monotonic()

    def _note_step(self, figures: Mapping[str, float]) -> None:
        """Add a step's figures to those of the epoch, and show them."""
        at = self.progress
        at.add(figures)
        last = at.history[-1] if at.history else {}
        n_epochs, n_steps = self._options.epochs, self._batches.n_steps
        event = Watched(at.epoch + 1, at.step, n_steps, n_epochs, figures["loss"], last)
        self._watch(event)

    def _step(self, step: int, rows: NDArray[np.intp], groups: list[Group]) -> dict[str, float]:
        """One batch forward, backward and a step down; what is to be logged of it."""
        self._seed_dropout(step)
        try:
            losses = self._losses(rows, groups)
            self._require_finite(losses.total, "loss", step, rows)
            norm = self._optimizer.step(
                self._processes.scaled(losses.total),
                lambda value: self._require_finite(value, "gradient", step, rows),
            )
        except torch.OutOfMemoryError as problem:
            raise EncoderMemoryError(
                f"the GPU has not enough memory for {len(rows)} scans at once: "
                "take fewer patients or scans a batch"
            ) from problem
        pairs = count_pairs(self._examples.score[rows], self._examples.patient[rows])
        return {
            "loss": losses.total.item(),
            "regression": losses.regression.item(),
            "contrastive": losses.contrastive.item(),
            "gradient_norm": norm.item(),
            "pairs_inter": float(pairs.n_inter),
            "pairs_informative": float(pairs.n_informative),
        }

    def _seed_dropout(self, step: int) -> None:
        """Let what the network draws, if anything, depend on seed, epoch, step and process."""
        key = (1, self.progress.epoch, step, self._processes.rank)
        seed = np.random.SeedSequence(self._options.seed, spawn_key=key)
        on_gpu = self._device.type == "cuda"
        sources = torch.cuda.default_generators if on_gpu else [torch.default_generator]
        sources[self._device.index or 0].manual_seed(int(seed.generate_state(1, np.uint32)[0]))

    def _losses(self, rows: NDArray[np.intp], groups: list[Group]) -> Losses:
        """The loss of a whole batch, of which this process computes its own rows."""
        output = self._output(groups)
        examples = self._examples
        patient, visit = (
            torch.from_numpy(codes[rows]).to(self._device)
            for codes in (examples.patient, examples.visit)
        )
        score = torch.from_numpy(examples.score[rows]).float().to(self._device)
        return self._loss(
            self._processes.gathered(output.embedding),
            score,
            patient,
            visit,
            prediction=self._processes.gathered(output.score),
        )

    def _output(self, groups: list[Group]) -> Output:
        """Embeddings and predicted scores of a batch, in its order."""
        groups = sorted(groups + self._missing(groups), key=lambda group: group.frames.shape[1])
        found = [self._trained_on(group) for group in groups]
        if len(groups) == 1:
            return found[0]
        order = torch.argsort(torch.cat([group.places for group in groups])).to(self._device)
        embedding = torch.cat([output.embedding for output in found])
        return Output(embedding[order], torch.cat([output.score for output in found])[order])

    def _missing(self, groups: list[Group]) -> list[Group]:
        """No scans, in each number of frames that only other processes have.

        On GPUs batch norms wait for one another, so each process must pass them equally often.
        """
        if self._device.type == "cpu":
            return []
        shape = groups[0].frames.shape[2:]
        known = {group.frames.shape[1] for group in groups}
        lengths = self._processes.united(known) - known
        nobody = torch.empty(0, dtype=torch.int64)
        return [Group(nobody, torch.empty(0, length, *shape)) for length in lengths]

    def _trained_on(self, group: Group) -> Output:
        """What the network in training says of a group; its backbone may be in half precision."""
        half = self._half
        try:
            with torch.autocast(self._device.type, half, enabled=half is not None):
                return self._forward(self._model, group.frames)
        except ValueError as problem:
            if "more than 1 value per channel" not in str(problem):
                raise
            height, width = group.frames.shape[-2:]
            raise SettingsError(
                f"a batch has a single scan of 1 frame, and at {height} x {width} pixels the "
                "backbone's deepest map is 1 x 1, so its batch norm has nothing to compare: take "
                "a larger encoder.size, or train on images and on clips in separate runs"
            ) from problem

    def _forward(self, model: torch.nn.Module, frames: Tensor) -> Output:
        """What a network says of (g, f, 1, h, w) grey values."""
        pixels = frames.to(self._device, non_blocking=True)
        output: Output = model((pixels - self._mean) / self._std)
        return output

    def _require_finite(self, value: Tensor, name: str, step: int, rows: NDArray[np.intp]) -> None:
        """Stop before a step that would spoil the weights."""
        if bool(torch.isfinite(value)):
            return
        ids = [self._examples.scan_ids[row] for row in rows]
        shown = ", ".join(ids[:6]) + (f" and {len(ids) - 6} more" if len(ids) > 6 else "")
        kept = self.progress.history
        state = f"the checkpoint of epoch {len(kept)} is kept" if kept else "nothing was kept yet"
        problem = DivergedError(
            f"the {name} is {value.item():g} in epoch {self.progress.epoch + 1}, step {step + 1}, "
            f"on the batch of scans {shown}: {state}; look at these scans, or start anew with a "
            "lower --learning-rate"
        )
        problem.scan_ids = tuple(ids)
        raise problem

    def _close_epoch(self) -> None:
        """Validate, note the epoch's figures, keep weights that are better, and save."""
        at = self.progress
        rate = self._optimizer.rate
        row = {"epoch": float(at.epoch + 1), **at.means(), "learning_rate": rate}
        if self._validation is not None:
            row |= self._processes.shared(self._validate() if self._processes.is_first else None)
        latest = row["epoch"]  # without validation the last epoch is the best
        value = row.get(self._validation.criterion, math.nan) if self._validation else latest
        former = at.best_epoch
        is_kept = at.close(row, value)
        if is_kept:
            self._checkpoints.keep(at.epoch, self._optimizer.averaged.state_dict())
        self._save()
        if is_kept and former:
            self._checkpoints.drop(former)
        if self._processes.is_first:
            self._noted(at.history)

    def _validate(self) -> dict[str, float]:
        """Figures of the averaged weights on patients that are not trained on."""
        if self._validation is None:
            return {}
        embedding, prediction = self.predict(self._validation.rows)
        figures = self._validation.measure(embedding, prediction)
        return {name: float(value) for name, value in figures.items()}

    def predict(
        self, rows: NDArray[np.intp], network: torch.nn.Module | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, e) embeddings and (n,) scores by a network; None: the averaged weights.

        All in float32, whatever the precision of training: near-equal visits must stay apart.
        """
        if network is None:
            network = self._optimizer.averaged
        network = network.to(self._device).eval()
        embeddings = np.empty((len(rows), self._network.width), np.float32)
        scores = np.empty(len(rows), np.float32)
        with torch.inference_mode(), _exactly():
            for start in range(0, len(rows), EVALUATED):
                part = rows[start : start + EVALUATED].tolist()
                for group in self._feed.plain(part):
                    output = self._forward(network, group.frames)
                    places = start + group.places.numpy()
                    embeddings[places] = output.embedding.cpu().numpy()
                    scores[places] = output.score.cpu().numpy()
        return embeddings, scores

    def _save(self) -> None:
        """Write all that is needed to go on from here."""
        self._checkpoints.save(self.progress, self._optimizer.tensors())

    def clear(self) -> None:
        """Remove the checkpoints; whoever calls it has the weights."""
        self._checkpoints.clear(self.progress.best_epoch)


def _exactly() -> AbstractContextManager[None]:
    """Within it, convolutions on a GPU are computed in float32 as an encoder's are, not in TF32."""
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
