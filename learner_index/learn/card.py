"""What an encoder is, in words that JSON can hold, and the fingerprint of its space."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Literal

import torch
from torch import Tensor

from learner_index.config import Preprocessing

FORMAT = 1
FRAME_SAMPLING = "segment centers"  # frames of a clip: the middle one of equal segments
POOLING = "average over pixels, then frames"
Projection = Literal["seeded orthonormal", "trained", "none"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an encoder comes from; whoever trains one further replaces what has changed.

    Attributes:
        spec: what was asked for, without any folder.
        architecture: timm's name of the backbone, without tag.
        width: width e of the embedding; None: the backbone's own.
        projection: how the last linear layer came about.
        temporal_shift: whether residual blocks look at neighbouring frames.
        mean: subtracted from grey values in 0..1.
        std: what they are divided by then.
        is_trained: whether the backbone's weights were trained at all.
        trained_on: data they were trained on, "unknown" or "nothing".
        seed: fixed all weights that were not trained.
    """

    spec: str
    architecture: str
    width: int | None
    projection: Projection
    temporal_shift: bool
    mean: float
    std: float
    is_trained: bool
    trained_on: str
    seed: int


def weights_fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the sorted names, types, shapes and bytes of all tensors."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def space_fingerprint(card: Mapping[str, Any]) -> str:
    """Short hash of all that decides what an embedding means; 16 hexadecimal digits.

    Two embeddings may be compared only when these are equal. Device, precision, batch size and
    versions are left out: they move an embedding by rounding errors only.
    """
    names = (
        "weights",
        "architecture",
        "temporal_shift",
        "normalization",
        "preprocessing",
        "frame_sampling",
        "pooling",
    )
    text = json.dumps({name: card[name] for name in names}, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def make_card(
    origin: Origin,
    preprocessing: Preprocessing,
    state: Mapping[str, Tensor],
    *,
    embedding_width: int,
    n_parameters: int,
    batch_size: int,
    device: str,
    precision: str,
) -> dict[str, Any]:
    """The description of an encoder that travels with every store and file."""
    card: dict[str, Any] = {
        "format": FORMAT,
        "spec": origin.spec,
        "architecture": origin.architecture,
        "embedding_width": embedding_width,
        "projection": origin.projection,
        "temporal_shift": origin.temporal_shift,
        "frames": preprocessing.frames,
        "frame_sampling": FRAME_SAMPLING,
        "pooling": POOLING,
        "normalization": {"mean": origin.mean, "std": origin.std},
        "preprocessing": _json_ready(asdict(preprocessing)),
        "weights": weights_fingerprint(state),
        "n_parameters": n_parameters,
        "is_trained": origin.is_trained,
        "trained_on": origin.trained_on,
        "seed": origin.seed,
        "batch_size": batch_size,
        "device": device,
        "precision": precision,
        "versions": {name: version(name) for name in ("torch", "timm", "numpy")},
    }
    return card | {"space": space_fingerprint(card)}


def origin_of(card: Mapping[str, Any]) -> Origin:
    """The origin a card was made from."""
    has_projection = card["projection"] != "none"
    return Origin(
        spec=str(card["spec"]),
        architecture=str(card["architecture"]),
        width=int(card["embedding_width"]) if has_projection else None,
        projection=card["projection"],
        temporal_shift=bool(card["temporal_shift"]),
        mean=float(card["normalization"]["mean"]),
        std=float(card["normalization"]["std"]),
        is_trained=bool(card["is_trained"]),
        trained_on=str(card["trained_on"]),
        seed=int(card["seed"]),
    )


def preprocessing_of(card: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing a card describes; lists of JSON become tuples again."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in card["preprocessing"].items()
    }
    return Preprocessing(**values)


def _json_ready(values: dict[str, Any]) -> dict[str, Any]:
    """The same with lists for tuples, so that a card equals itself after a trip through JSON."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }
