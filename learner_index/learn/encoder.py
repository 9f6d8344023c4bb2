"""Encoders by name, and encoders that were saved.

What an encoder does is in `frozen`, which backbones there are in `weights`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import Tensor

from learner_index.config import Preprocessing
from learner_index.errors import EncoderError
from learner_index.learn.card import Origin, origin_of, preprocessing_of
from learner_index.learn.device import pick_device, pick_precision
from learner_index.learn.encoderfile import read_encoder
from learner_index.learn.frozen import Encoder
from learner_index.learn.network import Network
from learner_index.learn.shift import shift_sites
from learner_index.learn.weights import (
    Backbone,
    build_backbone,
    feature_width,
    parse_spec,
    untrained,
)

__all__ = ["Encoder", "build_network", "load_encoder", "make_encoder"]

TemporalShift = Literal["auto", "on", "off"]


def make_encoder(
    spec: str,
    *,
    preprocessing: Preprocessing,
    width: int | None = 128,
    temporal_shift: TemporalShift = "auto",
    batch_size: int = 8,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
) -> Encoder:
    """An encoder by name, for scans preprocessed this way.

    Args:
        spec: timm:NAME (untrained), timm:NAME@FILE, timm:NAME@pretrained or imagenet.
        preprocessing: what is done to scans before; part of the space.
        width: width e of the embedding; None keeps the backbone's own.
        temporal_shift: "auto" shifts untrained residual backbones; weights trained on single
            images were not trained with shifted channels and are left as they are.
        batch_size: most scans in one call.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or "fp16".
        seed: fixes every weight that is not trained.

    Raises:
        EncoderError: unknown name, weights that do not fit, no such device.
    """
    parsed = parse_spec(spec)
    pick_precision(precision, pick_device(device))  # before weights are read or downloaded
    backbone = build_backbone(parsed, size=preprocessing.size, seed=seed)
    origin = Origin(
        spec=str(parsed),
        architecture=backbone.architecture,
        width=width,
        projection="none" if width is None else "seeded orthonormal",
        temporal_shift=_wants_shift(temporal_shift, backbone),
        mean=backbone.mean,
        std=backbone.std,
        is_trained=parsed.source != "untrained",
        trained_on=backbone.trained_on,
        seed=seed,
    )
    return Encoder(
        build_network(backbone, origin),
        origin,
        preprocessing,
        batch_size=batch_size,
        device=device,
        precision=precision,
    )


def load_encoder(
    folder: Path,
    *,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int | None = None,
) -> Encoder:
    """The encoder that was saved to a folder, in the same space as before.

    Args:
        folder: written by `Encoder.save`.
        device: "auto", "cpu", "cuda" or "cuda:N"; may differ from where it was made.
        precision: "auto", "fp32", "bf16" or "fp16".
        batch_size: most scans in one call; None: as it was.

    Raises:
        EncoderError: files are missing, unreadable or incomplete.
        SpaceMismatchError: the weights, or the card, are not those that were saved.
    """
    state, card = read_encoder(folder)
    try:
        origin, preprocessing = origin_of(card), preprocessing_of(card)
        batch = int(card["batch_size"]) if batch_size is None else batch_size
    except (KeyError, TypeError, ValueError) as problem:
        raise EncoderError(f"the card in {str(folder)!r} is incomplete: {problem}") from problem
    return Encoder(
        _rebuild(origin, preprocessing.size, state),
        origin,
        preprocessing,
        batch_size=batch,
        device=device,
        precision=precision,
    )


def build_network(backbone: Backbone, origin: Origin) -> Network:
    """The network an origin describes, around this backbone."""
    return Network(
        backbone.module,
        backbone.features,
        width=origin.width,
        temporal_shift=origin.temporal_shift,
        seed=origin.seed,
    )


def _wants_shift(choice: TemporalShift, backbone: Backbone) -> bool:
    """Whether a backbone is to look at neighbouring frames."""
    if choice not in ("auto", "on", "off"):
        raise EncoderError(f"temporal_shift is auto, on or off, not {choice!r}")
    if choice == "auto":
        return backbone.trained_on == "nothing" and bool(shift_sites(backbone.module))
    return choice == "on"


def _rebuild(origin: Origin, size: int, state: Mapping[str, Tensor]) -> Network:
    """The network an origin describes, with saved weights."""
    module = untrained(origin.architecture, size=size, seed=0)
    backbone = Backbone(
        module=module,
        features=feature_width(module),
        architecture=origin.architecture,
        mean=origin.mean,
        std=origin.std,
        trained_on=origin.trained_on,
    )
    network = build_network(backbone, origin)
    try:
        network.load_state_dict(state)
    except RuntimeError as problem:
        raise EncoderError(
            f"the saved weights do not fit {origin.architecture}; it was saved by another "
            "version of timm?"
        ) from problem
    return network
