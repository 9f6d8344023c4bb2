"""Settings that cross layers, as frozen dataclasses; nothing here is global or reads a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Metric = Literal["centered", "cosine", "euclidean"]
Level = Literal["scan", "visit", "patient"]
Clock = Literal["patient", "cohort"]
Plane = Literal["axial", "coronal", "sagittal"]
Transition = Literal["consecutive", "all", "baseline"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How pixels become the encoder's input; every field is part of the space.

    Attributes:
        size: height and width of the encoder's input, in pixels.
        frames: frames taken from a clip, slices from a volume; a single image stays one frame.
        pixel_mm: edge of an input pixel in millimetres; None: scans are stretched to fill the
            input, whatever their spacing.
        anchor: which part a physical crop keeps. "top" keeps the probe's surface (ultrasound),
            "center" the middle.
        intensity: "auto" (8-bit by range, others by percentile), "range", "percentile:LO,HI",
            or "window:LO,HI" in the scan's own units (Hounsfield for CT).
        plane: orientation of the slices taken from a volume.
        slice_range: share of the volume along the plane's normal that slices are taken from.
    """

    size: int = 224
    frames: int = 8
    pixel_mm: float | None = None
    anchor: Literal["top", "center"] = "center"
    intensity: str = "auto"
    plane: Plane = "axial"
    slice_range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class ManifestOptions:
    """How a manifest's columns are to be understood.

    Attributes:
        score_column: column that holds the health score.
        score_direction: whether "higher" or "lower" raw values are healthier; scores are turned
            at reading so that higher is healthier.
        score_per: whether the score belongs to a "scan" or to the whole "visit".
        clock: "cohort" when days of two patients can be compared, "patient" when they cannot;
            None: "cohort" if the manifest has dates, else "patient".
        keep_columns: columns kept although they look like names, dates or record numbers.
        drop_columns: columns left out.
        allow_outside: scans may lie outside the manifest's folder.
    """

    score_column: str = "health_score"
    score_direction: Literal["higher", "lower"] = "higher"
    score_per: Literal["scan", "visit"] = "scan"
    clock: Clock | None = None
    keep_columns: tuple[str, ...] = ()
    drop_columns: tuple[str, ...] = ()
    allow_outside: bool = False


@dataclass(frozen=True, slots=True)
class SimilarOptions:
    """What a similarity search is asked for.

    Attributes:
        k: number of distinct hits wanted.
        level: what must be distinct among the hits; a patient or visit is ranked by its best scan.
        metric: "centered" (cosine after subtracting the reference mean), "cosine" or "euclidean".
        where: conditions every hit fulfils, each "column op value".
        match: conditions relative to the query's patient, each "column", "column!=" or "column±N".
        as_of: on the cohort clock, rows after this day are hidden.
        until_day: the query's own scans after this day are left out.
        include_self: the query's own patient may be among the hits; a stored scan is never
            compared with itself, only with the query's other scans.
        any_view: compare scans across views and modalities.
        max_distance: leave out hits further than this.
        backend: "auto", "numpy", "faiss-cpu" or "faiss-gpu".
    """

    k: int = 10
    level: Level = "patient"
    metric: Metric = "centered"
    where: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    as_of: float | None = None
    until_day: float | None = None
    include_self: bool = False
    any_view: bool = False
    max_distance: float | None = None
    backend: Literal["auto", "numpy", "faiss-cpu", "faiss-gpu"] = "auto"


@dataclass(frozen=True, slots=True)
class ProgressionOptions:
    """What a search for patients who changed alike is asked for.

    Attributes:
        k: number of distinct hits wanted.
        level: what is distinct among the hits: "patient" (by the best transition), "transition".
        transitions: which visits of a patient are paired.
        weights: of direction, start and days: w_d, w_u and w_t.
        direction_only: rank by direction alone: w_u and w_t are 0.
        negate: look for the opposite direction.
        where: conditions every hit fulfils, each "column op value"; a column is that of the
            earlier visit, or delta_day, delta_score, later_day, later_health_score, n_views.
        match: conditions relative to the query's patient at the earlier visit, as in
            `SimilarOptions`.
        modality: the one meant, where the store has several.
        as_of: on the cohort clock, rows after this day are hidden and the reference is refitted.
        until_day: the query's own scans after this day are left out.
        include_self: the query's own patient may be among the hits, in another transition.
        min_support: patients who started from a similar state below which the answer is called
            unsupported.
        n_draws: draws of the test whether the hits have more in common than chance; 0: no test.
        seed: of these draws.
        backend: "auto", "numpy", "faiss-cpu" or "faiss-gpu".
    """

    k: int = 10
    level: Literal["patient", "transition"] = "patient"
    transitions: Transition = "consecutive"
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    direction_only: bool = False
    negate: bool = False
    where: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    modality: str | None = None
    as_of: float | None = None
    until_day: float | None = None
    include_self: bool = False
    min_support: float = 5.0
    n_draws: int = 999
    seed: int = 0
    backend: Literal["auto", "numpy", "faiss-cpu", "faiss-gpu"] = "auto"


@dataclass(frozen=True, slots=True)
class TrajectoryOptions:
    """What is asked of a patient's trajectory.

    Attributes:
        k: patients with the most similar paths; 0: none are looked for.
        alpha: a step counts as a change when repeats differ as much in fewer than this share.
        softness: of the alignment, in squared bandwidths; near 0 it matches visits one to one.
        where: conditions that the first visit of every patient found fulfils.
        match: conditions relative to the query's first visit.
        modality: the one meant, where the store has several.
        as_of: on the cohort clock, rows after this day are hidden and the reference is refitted.
        until_day: the patient's own scans after this day are left out.
    """

    k: int = 5
    alpha: float = 0.1
    softness: float = 0.1
    where: tuple[str, ...] = ()
    match: tuple[str, ...] = ()
    modality: str | None = None
    as_of: float | None = None
    until_day: float | None = None


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a build takes in and how it works; none of it is part of the space.

    Attributes:
        where: conditions on the manifest's columns; scans that fail one are not embedded now.
        limit: embed from at most this many of the manifest's rows, from the top.
        workers: threads that read and decode scans.
        prune: drop stored rows that are no longer in the manifest.
        replace: go on when every stored scan of the manifest has other bytes now.
        commit_bytes: commit once this many bytes of embeddings are waiting.
        commit_s: commit once this many seconds have passed since the last commit.
    """

    where: tuple[str, ...] = ()
    limit: int | None = None
    workers: int = 2
    prune: bool = False
    replace: bool = False
    commit_bytes: int = 4 << 20
    commit_s: float = 30.0


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """The encoder a user asks for; None leaves a choice to the store, or to the cohort.

    Attributes:
        spec: "imagenet", "timm:NAME", "timm:NAME@FILE", "timm:NAME@pretrained", or, for a store,
            the folder of a finished pretraining run.
        width: values e in an embedding; 0 keeps the backbone's own width.
        temporal_shift: whether residual blocks see the neighbouring frames.
        size: see `Preprocessing`; so are frames, anchor, intensity, plane and slice_range.
        pixel_mm: millimetres an input pixel; 0 stretches scans whatever their spacing; None takes
            the field of view the cohort's scans share.
        seed: of untrained weights; None: the store's, 0 for a new store.
        batch_size: scans computed together; None: the store's, 8 for a new store.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or "fp16".
    """

    spec: str | None = None
    width: int | None = None
    temporal_shift: Literal["auto", "on", "off"] = "auto"
    size: int | None = None
    frames: int | None = None
    pixel_mm: float | None = None
    anchor: Literal["top", "center"] | None = None
    intensity: str | None = None
    plane: Plane | None = None
    slice_range: tuple[float, float] | None = None
    seed: int | None = None
    batch_size: int | None = None
    device: str = "auto"
    precision: str = "auto"


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
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    patience: int = 10
    seed: int = 0


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
