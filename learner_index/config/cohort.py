"""How a cohort is read, preprocessed, embedded and stored."""

from dataclasses import dataclass
from typing import Literal

from learner_index.config.words import Clock, Plane


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
