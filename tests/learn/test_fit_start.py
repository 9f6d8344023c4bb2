"""Training that starts from a finished encoder: what is taken over, and what moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learner_index.config import PretrainOptions
from learner_index.errors import EncoderError
from learner_index.learn.encoder import load_encoder
from learner_index.learn.fit import Lesson, Trained, fit_encoder
from learner_index.learn.frozen import Encoder
from tests.learn.test_fit import _lesson, _options


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    """A finished encoder's folder; its head predicts scores around 300."""
    folder = tmp_path_factory.mktemp("start")
    fit_encoder(_lesson(folder)).encoder.save(folder)
    return folder


def options(**training) -> PretrainOptions:
    """Those of the start but for the training; the encoder's own hold, whatever is said here."""
    base = _options(spec=None, width=None)
    given = {"epochs": 1, "blocks": "last"} | training
    return replace(base, training=replace(base.training, **given))


def tuned(folder: Path, start: Path | None, **training) -> Trained:
    """A training that goes on from the start's encoder, on another target's scale."""
    return fit_encoder(lesson(folder, start, options(**training)))


def lesson(folder: Path, start: Path | None, wanted: PretrainOptions) -> Lesson:
    """What the toy's first sixteen scans teach."""
    return _lesson(
        folder, wanted, start=start, target_scale=(3.0, 1.0), trained_on="toy, after toy"
    )


def state(encoder: Encoder) -> dict[str, torch.Tensor]:
    """Weights and statistics by name."""
    return encoder.network.state_dict()


@pytest.mark.parametrize("ema_decay", [0.0, 0.99])
def test_only_the_last_block_moves(start, tmp_path, ema_decay):
    """All else is the start's to the bit, statistics and counters included, averaged or not."""
    before = state(load_encoder(start, device="cpu"))

    after = state(tuned(tmp_path, start, ema_decay=ema_decay, learning_rate=1e-2).encoder)

    moved = {name for name in after if not torch.equal(after[name], before[name])}
    last = {name for name in after if name.startswith("backbone.layer4.")}
    assert moved == last | {"projection.weight", "head.weight", "head.bias"}
    assert {"running_mean", "running_var", "num_batches_tracked"} <= {
        name.split(".")[-1] for name in after.keys() - moved
    }


def test_all_blocks_move_where_all_are_asked_for(start, tmp_path):
    """A start alone holds nothing still."""
    before = state(load_encoder(start, device="cpu"))

    after = state(tuned(tmp_path, start, blocks="all").encoder)

    assert [name for name in after if torch.equal(after[name], before[name])] == []


def test_weights_begin_where_the_start_ended(start, tmp_path):
    """As the rate goes to 0 so do their moves: block and projection are the start's."""
    wanted = load_encoder(start, device="cpu").network

    found = tuned(tmp_path, start, learning_rate=1e-9).encoder.network

    known = dict(wanted.named_parameters())
    for name, weight in found.named_parameters():
        if not name.startswith("head."):
            torch.testing.assert_close(weight, known[name], rtol=0, atol=1e-7)


def test_the_head_forgets_the_start_s_target(start, tmp_path):
    """The start predicted around 300; what is tuned predicts in its own units from the start."""
    done = tuned(tmp_path, start, learning_rate=1e-9)

    _, predicted = done.predict(np.arange(8))

    np.testing.assert_allclose(predicted, 3.0, atol=1e-3)


def test_card_keeps_the_start_s_network_and_names_another_space(start, tmp_path):
    """Network, width, shift, grey values and seed are the start's; the space is its own."""
    known = load_encoder(start, device="cpu").card

    card = tuned(tmp_path, start, seed=5).encoder.card

    kept = ("architecture", "spec", "embedding_width", "temporal_shift", "normalization", "seed")
    assert {name: card[name] for name in kept} == {name: known[name] for name in kept}
    assert card["trained_on"] == "toy, after toy"
    assert card["space"] != known["space"]


def test_goes_on_to_the_same_bits(start, tmp_path):
    """Stopped after the first of two epochs and gone on: as an undisturbed training."""
    wanted = tuned(tmp_path / "whole", start, epochs=2)

    def stop(event) -> None:
        if event.epoch == 2:
            raise KeyboardInterrupt

    broken = replace(lesson(tmp_path / "broken", start, options(epochs=2)), watch=stop)
    with pytest.raises(KeyboardInterrupt):
        fit_encoder(broken)
    found = tuned(tmp_path / "broken", start, epochs=2)

    assert found.encoder.space == wanted.encoder.space
    assert found.history == wanted.history


def test_refuses_a_start_whose_last_block_is_unknown(start, tmp_path, monkeypatch):
    """The network is named before a step is taken."""
    monkeypatch.delattr("timm.models.resnet.ResNet.group_matcher")

    with pytest.raises(EncoderError, match="the last block of ResNet cannot be told"):
        tuned(tmp_path, start)


def test_weights_of_single_images_are_not_shifted_while_held_still(tmp_path):
    """Left to itself, the shift is for blocks that can learn it."""
    wanted = replace(options(), encoder=_options().encoder)

    done = fit_encoder(lesson(tmp_path, None, wanted))

    assert done.encoder.card["temporal_shift"] is False
