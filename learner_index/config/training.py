"""How an encoder is pretrained, and how encoders are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from learner_index.config.cohort import EncoderOptions
from learner_index.config.words import Transition


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What the health score is, and how coarse the labels are that pretraining may see.

    Attributes:
        kind: what is measured: "generic", "sf", "sf94" or "mmse"; gives unit, valid range,
            ceiling and the default threshold of change.
        change_threshold: θ, the change of health score that counts as one, in score units; None:
            the kind's own.
        bins: number of coarse classes cut at quantiles of the training patients' scores; None
            leaves the scores as they are.
        edges: ascending scores at which to cut classes instead, higher is healthier.
        class_column: column of ordinal classes to train on instead of the health score.
        classes: its classes from sickest to healthiest; empty: the column holds numbers.
    """

    kind: str = "generic"
    change_threshold: float | None = None
    bins: int | None = None
    edges: tuple[float, ...] = ()
    class_column: str | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """Which patients train, which choose when to stop, and which stay unseen.

    Attributes:
        use_column: take the manifest's column `split` (train, val, test) when there is one.
        val_share: share of the patients, drawn evenly over health scores, that validate.
        test_share: share of the patients left unseen.
        folds: cross-fit this many encoders, each unseen by one fold of patients; None: one.
        seed: of the draw.
        where: conditions on the manifest's columns, such as "view == ap"; other scans are not
            used at all.
    """

    use_column: bool = True
    val_share: float = 0.2
    test_share: float = 0.0
    folds: int | None = None
    seed: int = 0
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectiveOptions:
    """What the encoder is trained for.

    Attributes:
        name: one that `learner-index objectives` lists.
        contrastive_weight: weight of the contrastive term; 0 is `mse`, bit for bit.
        regression_weight: weight of the score regression beside it.
        settings: the objective's own settings that differ from its defaults.
    """

    name: str = "learner_weighted"
    contrastive_weight: float = 1.0
    regression_weight: float = 1.0
    settings: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What a batch holds: P patients, V scans of each.

    Attributes:
        patients: P, patients in a batch, spread evenly over health scores.
        scans: V, scans of each patient, of different visits where there are enough.
    """

    patients: int = 16
    scans: int = 2


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """Changes of a scan that keep its meaning; each is drawn uniformly within ± its value.

    Attributes:
        gain: added to grey values (0..1), as a machine's gain adds decibels.
        contrast: share by which the range of grey values grows, as dynamic range does.
        gamma: of log gamma.
        noise: standard deviation of grey noise, drawn from 0 up.
        shift: lateral shift, as a share of the width.
        flip: mirror left and right half of the time, where sides mean nothing (lung zones); never
            upside down.
        time_jitter: take any frame of each segment of a clip, not its middle one.
    """

    gain: float = 0.06
    contrast: float = 0.15
    gamma: float = 0.2
    noise: float = 0.03
    shift: float = 0.06
    flip: bool = False
    time_jitter: bool = True


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How long and how fast to train.

    Attributes:
        epochs: passes over the training scans, at most.
        learning_rate: of AdamW after the warm-up; falls towards 0 along a cosine, which ends one
            step after the last.
        weight_decay: of AdamW, on weights of two and more axes.
        warmup: share of all steps over which the learning rate rises from 0.
        clip_norm: largest norm of the gradient; 0: not clipped.
        ema_decay: of the running average of the weights, which is what is kept; 0: none.
        patience: epochs without a better validation figure before stopping; 0: never stop early.
        seed: of weights, batches and augmentation.
        blocks: of the encoder that learn: "all", or "last": its last block, with projection and
            head; all else stays as the starting run or weights file left it, to the bit.
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    patience: int = 10
    seed: int = 0
    blocks: Literal["all", "last"] = "all"


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """Where decoded scans wait between epochs.

    Attributes:
        folder: None: beside the run.
        max_gb: most it may hold; the scans used longest ago leave first. 0: no cache.
    """

    folder: str | None = None
    max_gb: float = 8.0


@dataclass(frozen=True, slots=True)
class PretrainOptions:
    """A whole pretraining run; each field is a section of its TOML file."""

    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    score: ScoreOptions = field(default_factory=ScoreOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    batches: BatchOptions = field(default_factory=BatchOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    training: TrainOptions = field(default_factory=TrainOptions)
    cache: CacheOptions = field(default_factory=CacheOptions)


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What an evaluation compares, and how.

    Attributes:
        objectives: to pretrain encoders with.
        baselines: "handcrafted", or specs of frozen encoders.
        against: the model all others are compared with; None: mse, or the first without it.
        seeds: trainings of each objective in each fold.
        folds: of patients; the unseen ones of each are measured.
        transitions: which visits are paired.
        n_bootstraps: draws of patients for intervals.
        n_permutations: of the paired test.
        seed: of folds and draws.
    """

    objectives: tuple[str, ...] = ("mse", "learner_weighted")
    baselines: tuple[str, ...] = ("handcrafted", "imagenet")
    against: str | None = None
    seeds: int = 3
    folds: int = 5
    transitions: Transition = "consecutive"
    n_bootstraps: int = 2000
    n_permutations: int = 2000
    seed: int = 0
