"""The card and the space: what changes them, and what does not."""

import copy
import json

import pytest
import torch

from learner_index.config import Preprocessing
from learner_index.learn.card import (
    origin_of,
    preprocessing_of,
    space_fingerprint,
    weights_fingerprint,
)

STATE = {"a": torch.arange(4.0), "b": torch.zeros(2, 2)}


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.arange(4.0), "c": torch.zeros(2, 2)},
        {"a": torch.arange(4.0)},
        {"a": torch.arange(4.0).double(), "b": torch.zeros(2, 2)},
        {"a": torch.arange(4.0), "b": torch.zeros(4)},
        {"a": torch.arange(4.0) + 1e-6, "b": torch.zeros(2, 2)},
        {"a": torch.arange(4.0), "b": -torch.zeros(2, 2)},
    ],
    ids=["name", "absence", "type", "shape", "value", "sign of zero"],
)
def test_weights_fingerprint_sees_everything(other):
    """Names, types, shapes and every bit of a value count."""
    assert weights_fingerprint(STATE) != weights_fingerprint(other)


def test_weights_fingerprint_ignores_order_and_layout():
    """Neither the order of names nor the memory layout counts; scalars are allowed."""
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    state = {"x": images, "n": torch.tensor(3)}
    same = {"n": torch.tensor(3), "x": images.contiguous(memory_format=torch.channels_last)}

    assert weights_fingerprint(state) == weights_fingerprint(same)


def test_card_is_plain_json(encoder):
    """A card equals itself after a trip through JSON."""
    card = encoder.card

    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_card_gives_back_its_makers(encoder, small):
    """Origin and preprocessing can be read back from a card."""
    origin = origin_of(encoder.card)

    assert preprocessing_of(encoder.card) == small
    assert (origin.width, origin.projection) == (16, "seeded orthonormal")
    assert (origin.temporal_shift, origin.is_trained, origin.trained_on) == (True, False, "nothing")


OTHER = {
    "size": 64,
    "frames": 3,
    "pixel_mm": 0.5,
    "anchor": "top",
    "intensity": "range",
    "plane": "coronal",
    "slice_range": [0.1, 0.9],
}


def test_every_field_of_preprocessing_is_tried():
    """The list of other values below names every field there is."""
    assert set(OTHER) == set(Preprocessing.__dataclass_fields__)


@pytest.mark.parametrize("name", OTHER)
def test_space_depends_on_preprocessing(encoder, name):
    """Each field of the preprocessing changes the space."""
    card = copy.deepcopy(encoder.card)

    card["preprocessing"][name] = OTHER[name]

    assert space_fingerprint(card) != encoder.card["space"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", "0" * 64),
        ("architecture", "resnet18"),
        ("temporal_shift", False),
        ("normalization", {"mean": 0.5, "std": 0.25}),
        ("normalization", {"mean": 0.4, "std": 0.5}),
        ("frame_sampling", "the first ones"),
        ("pooling", "maximum"),
    ],
)
def test_space_depends_on(encoder, name, value):
    """Whatever decides what an embedding means changes the space."""
    assert space_fingerprint({**encoder.card, name: value}) != encoder.card["space"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("device", "cuda (H100)"),
        ("precision", "bf16"),
        ("batch_size", 64),
        ("versions", {}),
        ("spec", "timm:other@copy.pth"),
        ("trained_on", "unknown"),
    ],
)
def test_space_does_not_depend_on(encoder, name, value):
    """Where and how it was computed, and what it is called, leave the space the same."""
    assert space_fingerprint({**encoder.card, name: value}) == encoder.card["space"]
