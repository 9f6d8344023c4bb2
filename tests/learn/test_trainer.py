"""The training loop: deterministic, told what went wrong, exact where it counts, and fair."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from learner_index.config import AugmentOptions, BatchOptions, ObjectiveOptions, TrainOptions
from learner_index.errors import DivergedError, EncoderMemoryError, SettingsError
from learner_index.learn.network import Network
from learner_index.learn.objectives.registry import objectives
from learner_index.learn.trainer import Trainer
from tests.learn.training_toy import (
    MIXED,
    SIDE,
    STILL,
    VALIDATED,
    are_equal,
    full,
    make_world,
    tiny_network,
)

CONTRASTIVE = [name for name, one in objectives().items() if one.card.kind == "contrastive"]


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


def _parameters(trainer: Trainer) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trainer._network.named_parameters()}


def test_two_runs_are_equal(tmp_path):
    """The same settings give the same weights and the same history, bit for bit."""
    first, second = full().trainer(tmp_path / "1"), full().trainer(tmp_path / "2")

    assert are_equal(first.run(), second.run())
    assert first.progress.history == second.progress.history


@pytest.mark.parametrize("changed", ["batches and pixels", "dropout"])
def test_another_seed_gives_another_encoder(tmp_path, changed):
    """The seed decides what is drawn, dropout included."""
    training = TrainOptions(epochs=4, patience=0, ema_decay=0.9, seed=1)
    other = full(seed=1) if changed == "batches and pixels" else full(training=training)

    one = full().trainer(tmp_path / "1").run()

    assert not are_equal(one, other.trainer(tmp_path / "2").run())


def _poisoned(rows: list[int]) -> Callable[[int], np.ndarray]:
    """Reads the toy's scans, but NaN for those in a list that a test fills later."""

    def read(row: int) -> np.ndarray:
        frames = MIXED.pixels[row]
        return np.full_like(frames, np.nan) if row in rows else frames

    return read


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path):
    """The error names epoch, step and scans; weights are those of before, the checkpoint good."""
    wanted = full(augment=STILL).trainer(tmp_path / "1").run()
    bad, last = [], []
    setup = full(augment=STILL, read=_poisoned(bad))
    setup.more |= {
        "noted": lambda history: bad.extend(range(48)),
        "watch": lambda event: last.append(_parameters(trainer)),
    }
    trainer = setup.trainer(tmp_path / "2")

    told = r"loss is nan in epoch 2, step 1, .* scan-\d+, .*10 more: the checkpoint of epoch 1 is"
    with pytest.raises(DivergedError, match=told) as caught:
        trainer.run()

    batch = trainer._batches.epoch(1)[0]
    assert caught.value.scan_ids == tuple(f"scan-{row}" for row in batch)
    assert are_equal(_parameters(trainer), last[-1])
    again = full(augment=STILL).trainer(tmp_path / "2")
    assert again.resume()
    assert are_equal(again.run(), wanted)


def test_a_loss_that_is_never_finite_leaves_nothing(tmp_path):
    """In the first epoch there is no checkpoint yet, and the error says so."""
    setup = full(augment=STILL, read=_poisoned(list(range(48))))

    with pytest.raises(DivergedError, match=r"epoch 1, step 1.*nothing was kept yet"):
        setup.trainer(tmp_path).run()

    assert list(tmp_path.iterdir()) == []


class Exploding(nn.Module):
    """Passes values on, and gradients times infinity."""

    def forward(self, values: Tensor) -> Tensor:
        if values.requires_grad:
            values.register_hook(lambda gradient: gradient * math.inf)
        return values


def test_a_gradient_that_is_not_finite_stops_before_the_step(tmp_path):
    """A finite loss with an infinite gradient ends the run as a NaN loss does."""
    network = tiny_network()
    network.backbone.append(Exploding())
    trainer = full(network=lambda: network).trainer(tmp_path)
    before = _parameters(trainer)

    with pytest.raises(DivergedError, match=r"gradient is (nan|inf) in epoch 1, step 1.*scan-"):
        trainer.run()

    assert are_equal(_parameters(trainer), before)


def test_too_little_memory_is_told_in_scans(tmp_path, monkeypatch):
    """A GPU that is full is reported with the size of the batch."""

    def run_out(*_given: object) -> None:
        raise torch.OutOfMemoryError

    trainer = full().trainer(tmp_path)
    monkeypatch.setattr(trainer, "_losses", run_out)

    with pytest.raises(EncoderMemoryError, match="not enough memory for 16 scans at once"):
        trainer.run()


@pytest.fixture(scope="module")
def plain_mse(tmp_path_factory) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Weights and history of a run with score regression alone."""
    trainer = full(objective=ObjectiveOptions("mse")).trainer(tmp_path_factory.mktemp("mse"))
    return trainer.run(), trainer.progress.history


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_without_contrast_every_objective_is_mse(tmp_path, plain_mse, name):
    """At contrastive weight 0 a run is that of `mse`, bit for bit (fairness contract)."""
    trainer = full(objective=ObjectiveOptions(name, contrastive_weight=0)).trainer(tmp_path)

    weights = trainer.run()

    assert are_equal(weights, plain_mse[0])
    assert trainer.progress.history == plain_mse[1]


def test_all_objectives_see_the_same_pixels(tmp_path):
    """Batches, augmentation and first weights do not depend on what is minimized."""
    seen: dict[str, list[Tensor]] = {}
    for name in ("mse", "rnc"):
        seen[name] = []
        trainer = full(objective=ObjectiveOptions(name)).trainer(tmp_path / name)
        seen[name] += trainer._network.state_dict().values()
        seen[name] = [tensor.clone() for tensor in seen[name]]
        trainer._network.register_forward_pre_hook(
            lambda _network, given, found=seen[name]: found.append(given[0].clone())
        )
        trainer.run()

    assert len(seen["mse"]) > 12
    assert all(torch.equal(a, b) for a, b in zip(seen["mse"], seen["rnc"], strict=True))


def test_a_head_that_reads_changes_is_trained(tmp_path):
    """Without regression, an objective on predicted scores moves the head; its bias stays."""
    objective = ObjectiveOptions("antisymmetric_delta", regression_weight=0)
    trainer = full(objective=objective, more={}).trainer(tmp_path)

    weights = trainer.run()

    assert weights["head.weight"].any()
    assert weights["head.bias"].abs() < 1e-3


def test_a_head_nobody_trains_stays_zero(tmp_path):
    """Without regression the health-score head has no gradient and keeps its zeros."""
    objective = ObjectiveOptions("rnc", regression_weight=0)
    trainer = full(objective=objective, more={}).trainer(tmp_path)

    weights = trainer.run()

    assert not weights["head.weight"].any()
    assert not weights["head.bias"].any()


def test_the_callers_random_state_is_left_alone(tmp_path):
    """Neither PyTorch's nor NumPy's global random state moves, though dropout draws."""
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    full().trainer(tmp_path).run()

    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_the_callers_random_state_does_not_matter(tmp_path):
    """A run comes out the same whatever the global random state was."""
    weights = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            weights.append(full().trainer(tmp_path / str(seed)).run())

    assert are_equal(*weights)


def test_predicted_rows_come_in_the_order_asked_for(tmp_path):
    """Images and clips are computed in groups of their own, but come back where they stood."""
    trainer = full(network=lambda: tiny_network(has_norm=False)).trainer(tmp_path)
    trainer.run()
    rows = np.random.default_rng(0).permutation(len(MIXED.score))

    embeddings, scores = trainer.predict(rows)

    alone = [trainer.predict(rows[i : i + 1]) for i in range(len(rows))]
    np.testing.assert_allclose(embeddings, np.concatenate([e for e, _ in alone]), atol=1e-6)
    np.testing.assert_allclose(scores, np.concatenate([s for _, s in alone]), atol=1e-6)
    assert len(np.unique(scores)) > 60


def test_no_rows_give_no_predictions(tmp_path):
    """An empty list of scans is no error."""
    embeddings, scores = full().trainer(tmp_path).predict(np.empty(0, np.intp))

    assert (embeddings.shape, scores.shape) == ((0, 4), (0,))


def test_losses_of_mixed_lengths_stand_in_the_batchs_order(tmp_path):
    """The loss pairs each embedding with its own score, though images are computed first."""
    world = make_world(n_short=2)
    trainer = full(world=world, network=lambda: tiny_network(has_norm=False)).trainer(tmp_path)
    rows = world.rows(0, 4)
    given = {}
    trainer._loss = lambda embedding, score, *codes, prediction: given.update(
        embedding=embedding.detach().numpy(), score=score.numpy(), patient=codes[0].numpy()
    )

    trainer._losses(rows, trainer._feed.plain(rows.tolist()))

    alone = np.concatenate(
        [trainer.predict(rows[i : i + 1], trainer._network)[0] for i in range(12)]
    )
    np.testing.assert_allclose(given["embedding"], alone, atol=1e-6)
    np.testing.assert_allclose(given["score"], world.score[rows], atol=1e-6)
    assert given["patient"].tolist() == world.patient[rows].tolist()


def test_history_tells_each_epoch(tmp_path):
    """One row an epoch: number, mean losses that add up, gradient, pairs, rate and validation."""
    objective = ObjectiveOptions("rnc", contrastive_weight=0.5, regression_weight=2.0)
    trainer = full(objective=objective).trainer(tmp_path)

    trainer.run()

    history = trainer.progress.history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    for row in history:
        parts = 2 * row["regression"] + 0.5 * row["contrastive"]
        assert row["loss"] == pytest.approx(parts, rel=1e-5)
        assert row["pairs_inter"] == 112
        assert 0 < row["pairs_informative"] <= 112
        assert row["gradient_norm"] > 0
        assert -1 <= row["val_spearman"] <= 1
    rates = [row["learning_rate"] for row in history]
    assert 0 < rates[-1] < 0.1 * rates[0]


def test_every_step_can_be_watched(tmp_path):
    """Watchers hear of each step once, and of the last epoch's figures."""
    events = []
    setup = full(augment=AugmentOptions(), training=TrainOptions(epochs=2, patience=0))
    setup.more["watch"] = events.append
    trainer = setup.trainer(tmp_path)

    trainer.run()

    assert [(e.epoch, e.step) for e in events] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert {(e.n_steps, e.n_epochs) for e in events} == {(3, 2)}
    assert events[0].figures == {}
    assert events[-1].figures == trainer.progress.history[0]


def test_a_run_of_one_step_trains(tmp_path):
    """The only step of the shortest run moves the weights, and its rate is told."""
    setup = full(training=TrainOptions(epochs=1, warmup=0.0), batches=BatchOptions(16, 3))
    trainer = setup.trainer(tmp_path)
    before = _parameters(trainer)

    trainer.run()

    assert len(trainer.progress.history) == trainer._batches.n_steps == 1
    assert not are_equal(_parameters(trainer), before)
    assert trainer.progress.history[0]["learning_rate"] > 0


def test_skipped_steps_leave_the_gradients_mean_finite(tmp_path, monkeypatch):
    """Steps that overflow in float16 are left out of the epoch's mean gradient, not of others."""
    trainer = full(training=TrainOptions(epochs=1), more={}).trainer(tmp_path)
    norms = iter([math.inf, 1.0, 2.0])
    monkeypatch.setattr(trainer._optimizer, "step", lambda *given: torch.tensor(next(norms)))

    trainer.run()

    (row,) = trainer.progress.history
    assert row["gradient_norm"] == 1.5
    assert row["pairs_inter"] == 112


def test_half_precision_is_for_the_backbone_in_training(tmp_path):
    """In training only the backbone computes in bfloat16; embeddings and scores are exact."""
    network = tiny_network(has_norm=False)
    trainer = full(network=lambda: network, more={"precision": "bf16"}).trainer(tmp_path)
    made = []
    network.backbone.register_forward_hook(lambda _net, _given, found: made.append(found))
    groups = trainer._feed.plain([1, 2])  # clips of two frames

    output = trainer._output(groups)

    (features,) = made
    means = features.float().unflatten(0, (2, 2)).mean(1)
    assert features.dtype == torch.bfloat16
    assert torch.equal(output.embedding, means @ network.projection.weight.T)
    assert output.score.dtype == torch.float32


def test_validation_is_exact_whatever_the_precision(tmp_path):
    """A run in bfloat16 is judged by the very embeddings that float32 gives of its weights."""
    half = full(more={"precision": "bf16"}).trainer(tmp_path / "half")
    half.run()
    exact = full(more={}).trainer(tmp_path / "exact")
    tf32 = []
    half._optimizer.averaged.register_forward_hook(
        lambda *_given: tf32.append(torch.backends.cudnn.allow_tf32)
    )

    found = half.predict(VALIDATED)

    wanted = exact.predict(VALIDATED, half._optimizer.averaged)
    assert [part.tobytes() for part in found] == [part.tobytes() for part in wanted]
    assert set(tf32) == {False}


def _to_one_pixel() -> nn.Sequential:
    """A backbone whose deepest map has one pixel."""
    return nn.Sequential(nn.Conv2d(1, 16, SIDE), nn.BatchNorm2d(16), nn.Flatten())


def test_a_lone_image_of_one_pixel_is_told_what_to_do(tmp_path):
    """Where batch norm has a single value, the error names a larger size or separate runs."""
    trainer = full(network=lambda: Network(_to_one_pixel(), 16, width=4)).trainer(tmp_path)
    groups = trainer._feed.plain([0, 1, 2])  # one image among clips

    with pytest.raises(SettingsError, match=r"single scan of 1 frame.* 8 x 8 .*larger.*separate"):
        trainer._output(groups)


def test_other_errors_of_the_network_stay_as_they_are(tmp_path):
    """What else a backbone refuses is not taken for a lone image."""

    class Broken(nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            raise ValueError("out of order")

    trainer = full(network=lambda: Network(Broken(), 16, width=4)).trainer(tmp_path)

    with pytest.raises(ValueError, match="out of order"):
        trainer._output(trainer._feed.plain([1, 2]))
