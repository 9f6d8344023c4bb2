"""From settings and examples to a frozen encoder: builds the network, trains it, finishes it."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from learner_index.config import Preprocessing, PretrainOptions
from learner_index.errors import EncoderError, SettingsError
from learner_index.learn.augment import check_augment
from learner_index.learn.batches import PatientBatches
from learner_index.learn.blocks import train_last_block
from learner_index.learn.card import Origin, origin_of
from learner_index.learn.device import pick_device, training_precision
from learner_index.learn.encoder import build_network, load_encoder
from learner_index.learn.feed import Feed, ReadFrames
from learner_index.learn.frozen import Encoder
from learner_index.learn.network import Network
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.processes import Processes
from learner_index.learn.shift import shift_sites
from learner_index.learn.trainer import Examples, Trainer, Validation, Watched
from learner_index.learn.weights import Backbone, build_backbone, parse_spec

DEFAULT_SPEC = "timm:resnet18"
DEFAULT_WIDTH = 128
BATCH = 8
_ELSEWHERE = {"seed": "training.seed", "batch_size": "batches.patients and batches.scans"}
History = Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Everything a training needs.

    Attributes:
        folder: where checkpoints go.
        options: what was asked for.
        preprocessing: what was done to the frames that `read` gives.
        examples: standardized targets of the scans to train on, NaN for all others.
        loss: what is minimized.
        read: gives a scan's decoded frames by row.
        target_scale: mean and standard deviation of the targets before they were standardized.
        validation: how to see whether it gets better.
        trained_on: one line for the encoder's card.
        workers: threads that decode.
        processes: this process among others.
        watch: called after every step.
        noted: called with the history after every epoch, in the first process.
        start: folder of the finished run whose encoder is trained further; its architecture and
            preprocessing hold. None: the network the options name.
    """

    folder: Path
    options: PretrainOptions
    preprocessing: Preprocessing
    examples: Examples
    loss: JointLoss
    read: ReadFrames
    target_scale: tuple[float, float]
    validation: Validation | None
    trained_on: str
    workers: int = 2
    processes: Processes = field(default_factory=Processes)
    watch: Callable[[Watched], None] = lambda event: None
    noted: Callable[[History], None] = lambda history: None
    start: Path | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    Attributes:
        encoder: with the weights that are kept; its head predicts targets in their own units.
        history: one row an epoch.
        best_epoch: the epoch whose weights are kept.
        predict: rows -> (n, e) embeddings and (n,) predicted targets, by these weights.
        clear: removes the checkpoints.
    """

    encoder: Encoder
    history: list[dict[str, float]]
    best_epoch: int
    predict: Callable[[NDArray[np.intp]], tuple[NDArray[np.float32], NDArray[np.float32]]]
    clear: Callable[[], None]


def fit_encoder(lesson: Lesson) -> Trained:
    """Train an encoder, going on from its folder's checkpoint where there is one.

    Raises:
        SettingsError: a setting is out of range.
        EncoderError: the backbone or the starting run's encoder cannot be built, its last block
            cannot be told, or there is no such device.
        DivergedError: the loss is no longer finite.
        RunWriteError: a checkpoint could not be written.
    """
    options = lesson.options
    check_training(options)
    wanted = options.encoder
    place = lesson.processes
    device = pick_device(place.device(wanted.device))
    precision = training_precision(wanted.precision, device)
    seed = options.training.seed
    network, origin = _network_of(lesson)
    if options.training.blocks == "last":
        train_last_block(network)
    examples = lesson.examples
    trainer = Trainer(
        deepcopy(network),  # what is trained may be changed to suit device and processes
        (origin.mean, origin.std),
        examples=examples,
        batches=PatientBatches(
            examples.patient, examples.visit, examples.score, options.batches, seed
        ),
        feed=Feed(
            lesson.read,
            lesson.preprocessing.frames,
            options.augment,
            seed,
            workers=lesson.workers,
            rank=place.rank,
        ),
        loss=lesson.loss,
        options=options.training,
        folder=lesson.folder,
        device=device,
        precision=precision,
        validation=lesson.validation,
        processes=place,
        watch=lesson.watch,
        noted=lesson.noted,
    )
    trainer.resume()
    kept = trainer.run()
    return _finished(lesson, trainer, network, origin, kept)


def _finished(
    lesson: Lesson,
    trainer: Trainer,
    network: Network,
    origin: Origin,
    kept: dict[str, torch.Tensor],
) -> Trained:
    """The encoder with the weights that are kept."""
    if kept:  # in the first process
        network.load_state_dict(kept)
    in_target_units(network, *lesson.target_scale)
    encoder = Encoder(network, origin, lesson.preprocessing, batch_size=BATCH, device="cpu")
    at = trainer.progress

    def predict(rows: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return trainer.predict(rows, network)

    return Trained(encoder, at.history, at.best_epoch, predict, trainer.clear)


def _network_of(lesson: Lesson) -> tuple[Network, Origin]:
    """The network to train, and where it comes from."""
    if lesson.start is not None:
        return _from_run(lesson.start, lesson.trained_on)
    options = lesson.options
    spec = parse_spec(options.encoder.spec or DEFAULT_SPEC)
    seed = options.training.seed
    backbone = build_backbone(spec, size=lesson.preprocessing.size, seed=seed)
    origin = _origin(str(spec), backbone, options, lesson)
    return build_network(backbone, origin), origin


def _from_run(folder: Path, trained_on: str) -> tuple[Network, Origin]:
    """A finished run's network, with an untaught head: the old one speaks of another target."""
    encoder = load_encoder(folder, device="cpu", precision="fp32")
    encoder.network.reset_head()
    return encoder.network, replace(origin_of(encoder.card), trained_on=trained_on)


def in_target_units(network: Network, center: float, spread: float) -> None:
    """Let the head of a network trained on standardized targets predict them in their own units."""
    with torch.no_grad():
        network.head.weight.mul_(spread)
        network.head.bias.mul_(spread).add_(center)


def _origin(spec: str, backbone: Backbone, options: PretrainOptions, lesson: Lesson) -> Origin:
    """Where the encoder will come from."""
    wanted = options.encoder
    width = DEFAULT_WIDTH if wanted.width is None else wanted.width or None
    may_shift = wanted.temporal_shift == "auto" and lesson.preprocessing.frames > 1
    may_shift = may_shift and options.training.blocks == "all"  # frozen blocks cannot learn it
    return Origin(
        spec=spec,
        architecture=backbone.architecture,
        width=width,
        projection="none" if width is None else "trained",
        temporal_shift=wanted.temporal_shift == "on"
        or (may_shift and bool(shift_sites(backbone.module))),
        mean=backbone.mean,
        std=backbone.std,
        is_trained=True,
        trained_on=lesson.trained_on,
        seed=options.training.seed,
    )


def check_training(options: PretrainOptions) -> None:
    """Refuse settings no training could use.

    Raises:
        SettingsError: names the setting and its range.
    """
    check_augment(options.augment)
    training = options.training
    ranges: dict[str, tuple[Any, bool]] = {
        "epochs": ("1 or more", training.epochs >= 1),
        "learning_rate": ("a finite number above 0", 0 < training.learning_rate < np.inf),
        "weight_decay": ("0 or more", 0 <= training.weight_decay < np.inf),
        "warmup": ("within 0..1", 0 <= training.warmup <= 1),
        "clip_norm": ("0 or more", 0 <= training.clip_norm < np.inf),
        "ema_decay": ("0 or more and below 1", 0 <= training.ema_decay < 1),
        "patience": ("0 or more", training.patience >= 0),
        "seed": ("0 or more", training.seed >= 0),
        "blocks": ("all or last", training.blocks in ("all", "last")),
    }
    for name, (wanted, is_in) in ranges.items():
        if not is_in:
            raise SettingsError(f"training.{name} is {getattr(training, name)}: give {wanted}")
    for name, instead in _ELSEWHERE.items():
        value = getattr(options.encoder, name)
        if value is not None:
            raise SettingsError(
                f"encoder.{name} is {value}, which pretraining does not use: leave it out, "
                f"and set {instead}"
            )
    if options.encoder.temporal_shift not in ("auto", "on", "off"):
        raise EncoderError(
            f"temporal_shift is auto, on or off, not {options.encoder.temporal_shift!r}"
        )
    if not 0 <= options.cache.max_gb < np.inf:
        raise SettingsError(f"cache.max_gb is {options.cache.max_gb}: give 0 or more")
