"""The training loop: deterministic, resumable to the bit, stopped in time, and fair."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from learner_index.config import AugmentOptions, ObjectiveOptions, TrainOptions
from learner_index.errors import DivergedError, EncoderMemoryError, RunFormatError
from learner_index.learn import trainer as trainer_module
from learner_index.learn.objectives.registry import objectives
from learner_index.learn.trainer import CHECKPOINT, Trainer, Validation
from tests.learn.training_toy import STILL, Setup, make_world, tiny_network

MIXED = make_world(n_short=5)
VALIDATED = MIXED.rows(16, 24)
CONTRASTIVE = [name for name, one in objectives().items() if one.card.kind == "contrastive"]


class InterruptedRunError(Exception):
    """What a test raises to end a run."""


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


def _agreement(embedding: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    return {"val_spearman": float(np.corrcoef(prediction, MIXED.score[VALIDATED])[0, 1])}


def _full(**changes) -> Setup:
    """Everything a run can have: mixed lengths, dropout, batch norm, averaging, validation."""
    given = {
        "world": MIXED,
        "network": lambda: tiny_network(dropout=0.3),
        "training": TrainOptions(epochs=4, patience=0, ema_decay=0.9),
        "more": {"validation": Validation(VALIDATED, _agreement)},
    }
    return Setup(**(given | changes))


def _are_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _parameters(trainer: Trainer) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in trainer._network.named_parameters()}


def _scripted(values: list[float]) -> Validation:
    """Validation whose figure in each epoch is known beforehand."""
    left = iter(values)
    return Validation(VALIDATED, lambda e, p: {"val_spearman": next(left)})


def _averages_by_epoch(setup: Setup, folder: Path) -> tuple[Trainer, list[dict[str, Tensor]]]:
    """A trainer, and a list it fills with its averaged weights at the end of each epoch."""
    kept: list[dict[str, Tensor]] = []

    def noted(_history: object) -> None:
        state = trainer._optimizer.averaged.state_dict()
        kept.append({name: tensor.clone() for name, tensor in state.items()})

    setup.more["noted"] = noted
    trainer = setup.trainer(folder)
    return trainer, kept


def test_two_runs_are_equal(tmp_path):
    """The same settings give the same weights and the same history, bit for bit."""
    first, second = _full().trainer(tmp_path / "1"), _full().trainer(tmp_path / "2")

    assert _are_equal(first.run(), second.run())
    assert first.progress.history == second.progress.history


@pytest.mark.parametrize("changed", ["batches and pixels", "dropout"])
def test_another_seed_gives_another_encoder(tmp_path, changed):
    """The seed decides what is drawn, dropout included."""
    training = TrainOptions(epochs=4, patience=0, ema_decay=0.9, seed=1)
    other = _full(seed=1) if changed == "batches and pixels" else _full(training=training)

    one = _full().trainer(tmp_path / "1").run()

    assert not _are_equal(one, other.trainer(tmp_path / "2").run())


def _stop_at(epoch: int, step: int) -> dict[str, Callable[..., None]]:
    def watch(event) -> None:
        if (event.epoch, event.step) == (epoch, step):
            raise InterruptedRunError

    return {"watch": watch}


def _stop_after(epoch: int) -> dict[str, Callable[..., None]]:
    def noted(history) -> None:
        if len(history) == epoch:
            raise InterruptedRunError

    return {"noted": noted}


@pytest.mark.parametrize(
    ("stop", "saved_every_s", "goes_on_at"),
    [
        (_stop_at(1, 2), 600.0, None),
        (_stop_at(3, 2), 600.0, (2, 0)),
        (_stop_at(3, 3), 600.0, (2, 0)),
        (_stop_after(2), 600.0, (2, 0)),
        (_stop_after(4), 600.0, (4, 0)),
        (_stop_at(3, 3), -1.0, (2, 2)),
        (_stop_at(1, 2), -1.0, (0, 1)),
    ],
    ids=["first epoch", "mid epoch", "last step", "epoch's end", "end", "mid epoch saved", "early"],
)
def test_an_interrupted_run_ends_as_if_nothing_had_been(
    tmp_path, monkeypatch, stop, saved_every_s, goes_on_at
):
    """Wherever it is cut off, a resumed run has the undisturbed one's weights and history."""
    undisturbed = _full().trainer(tmp_path / "1")
    wanted = undisturbed.run()
    monkeypatch.setattr(trainer_module, "CHECKPOINT_S", saved_every_s)
    cut = _full()
    cut.more |= stop
    with pytest.raises(InterruptedRunError):
        cut.trainer(tmp_path / "2").run()

    again = _full().trainer(tmp_path / "2")
    found = again.resume()
    start = (again.progress.epoch, again.progress.step)
    weights = again.run()

    assert (start if found else None) == goes_on_at
    assert _are_equal(weights, wanted)
    assert again.progress.history == undisturbed.progress.history
    assert again.progress.best_epoch == undisturbed.progress.best_epoch


def test_a_damaged_checkpoint_is_not_resumed(tmp_path):
    """A run whose checkpoint is broken says so; it does not start over in silence."""
    (tmp_path / CHECKPOINT).write_bytes(b"broken")

    with pytest.raises(RunFormatError, match="damaged"):
        _full().trainer(tmp_path).resume()


def test_stops_when_patience_is_spent_and_keeps_the_best_epoch(tmp_path):
    """Two epochs without a better figure end a run; kept are the weights of the best, not last."""
    setup = _full(training=TrainOptions(epochs=10, patience=2))
    setup.more = {"validation": _scripted([0.1, 0.5, 0.3, 0.5, 0.9])}
    trainer, averages = _averages_by_epoch(setup, tmp_path)

    weights = trainer.run()

    assert (len(trainer.progress.history), trainer.progress.best_epoch) == (4, 2)
    assert _are_equal(weights, averages[1])
    assert not _are_equal(weights, averages[3])
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-0002.safetensors"]


def test_without_patience_all_epochs_are_trained(tmp_path):
    """Patience 0 goes on to the last epoch, however bad the figures get."""
    setup = _full(training=TrainOptions(epochs=5, patience=0))
    setup.more = {"validation": _scripted([5.0, 4.0, 3.0, 2.0, 1.0])}
    trainer = setup.trainer(tmp_path)

    trainer.run()

    assert (len(trainer.progress.history), trainer.progress.best_epoch) == (5, 1)


def test_patience_is_remembered_by_a_resumed_run(tmp_path):
    """A run that had stopped early does not go on when it is resumed."""
    setup = _full(training=TrainOptions(epochs=9, patience=1))
    setup.more = {"validation": _scripted([0.5, 0.4])}
    weights = setup.trainer(tmp_path).run()

    again = setup.trainer(tmp_path)
    again.resume()

    assert _are_equal(again.run(), weights)
    assert len(again.progress.history) == 2


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    """Nobody to choose by: the averaged weights of the last epoch, whatever the patience."""
    setup = _full(training=TrainOptions(epochs=4, patience=1), more={})
    trainer, averages = _averages_by_epoch(setup, tmp_path)

    weights = trainer.run()

    assert trainer.progress.best_epoch == 4
    assert _are_equal(weights, averages[3])


def test_figures_that_are_no_numbers_choose_nothing(tmp_path):
    """The first epoch is kept until a number comes; NaN never replaces it, and -inf neither."""
    best_epochs = []
    setup = _full(training=TrainOptions(epochs=5, patience=0))
    setup.more = {
        "validation": _scripted([math.nan, math.nan, -math.inf, np.float32(0.2), math.nan]),
        "noted": lambda history: best_epochs.append(trainer.progress.best_epoch),
    }
    trainer = setup.trainer(tmp_path)

    trainer.run()

    assert best_epochs == [1, 1, 1, 4, 4]


def _poisoned(rows: list[int]) -> Callable[[int], np.ndarray]:
    """Reads the toy's scans, but NaN for those in a list that a test fills later."""

    def read(row: int) -> np.ndarray:
        frames = MIXED.pixels[row]
        return np.full_like(frames, np.nan) if row in rows else frames

    return read


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path):
    """The error names epoch, step and scans; weights are those of before, the checkpoint good."""
    wanted = _full(augment=STILL).trainer(tmp_path / "1").run()
    bad, last = [], []
    setup = _full(augment=STILL, read=_poisoned(bad))
    setup.more |= {
        "noted": lambda history: bad.extend(range(48)),
        "watch": lambda event: last.append(_parameters(trainer)),
    }
    trainer = setup.trainer(tmp_path / "2")

    told = r"loss is nan in epoch 2, step 1, .* scan-\d+, .*10 more: the checkpoint of epoch 1 is"
    with pytest.raises(DivergedError, match=told):
        trainer.run()

    assert _are_equal(_parameters(trainer), last[-1])
    again = _full(augment=STILL).trainer(tmp_path / "2")
    assert again.resume()
    assert _are_equal(again.run(), wanted)


def test_a_loss_that_is_never_finite_leaves_nothing(tmp_path):
    """In the first epoch there is no checkpoint yet, and the error says so."""
    setup = _full(augment=STILL, read=_poisoned(list(range(48))))

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
    trainer = _full(network=lambda: network).trainer(tmp_path)
    before = _parameters(trainer)

    with pytest.raises(DivergedError, match=r"gradient is (nan|inf) in epoch 1, step 1.*scan-"):
        trainer.run()

    assert _are_equal(_parameters(trainer), before)


def test_too_little_memory_is_told_in_scans(tmp_path, monkeypatch):
    """A GPU that is full is reported with the size of the batch."""

    def full(*_given: object) -> None:
        raise torch.OutOfMemoryError

    trainer = _full().trainer(tmp_path)
    monkeypatch.setattr(trainer, "_losses", full)

    with pytest.raises(EncoderMemoryError, match="not enough memory for 16 scans at once"):
        trainer.run()


@pytest.fixture(scope="module")
def plain_mse(tmp_path_factory) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Weights and history of a run with score regression alone."""
    trainer = _full(objective=ObjectiveOptions("mse")).trainer(tmp_path_factory.mktemp("mse"))
    return trainer.run(), trainer.progress.history


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_without_contrast_every_objective_is_mse(tmp_path, plain_mse, name):
    """At contrastive weight 0 a run is that of `mse`, bit for bit (fairness contract)."""
    trainer = _full(objective=ObjectiveOptions(name, contrastive_weight=0)).trainer(tmp_path)

    weights = trainer.run()

    assert _are_equal(weights, plain_mse[0])
    assert trainer.progress.history == plain_mse[1]


def test_all_objectives_see_the_same_pixels(tmp_path):
    """Batches, augmentation and first weights do not depend on what is minimized."""
    seen: dict[str, list[Tensor]] = {}
    for name in ("mse", "rnc"):
        seen[name] = []
        trainer = _full(objective=ObjectiveOptions(name)).trainer(tmp_path / name)
        seen[name] += trainer._network.state_dict().values()
        seen[name] = [tensor.clone() for tensor in seen[name]]
        trainer._network.register_forward_pre_hook(
            lambda _network, given, found=seen[name]: found.append(given[0].clone())
        )
        trainer.run()

    assert len(seen["mse"]) > 12
    assert all(torch.equal(a, b) for a, b in zip(seen["mse"], seen["rnc"], strict=True))


def test_a_head_nobody_trains_stays_zero(tmp_path):
    """Without regression the health-score head has no gradient and keeps its zeros."""
    objective = ObjectiveOptions("rnc", regression_weight=0)
    trainer = _full(objective=objective, more={}).trainer(tmp_path)

    weights = trainer.run()

    assert not weights["head.weight"].any()
    assert not weights["head.bias"].any()


def test_the_callers_random_state_is_left_alone(tmp_path):
    """Neither PyTorch's nor NumPy's global random state moves, though dropout draws."""
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    _full().trainer(tmp_path).run()

    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_the_callers_random_state_does_not_matter(tmp_path):
    """A run comes out the same whatever the global random state was."""
    weights = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            weights.append(_full().trainer(tmp_path / str(seed)).run())

    assert _are_equal(*weights)


def test_predicted_rows_come_in_the_order_asked_for(tmp_path):
    """Images and clips are computed in groups of their own, but come back where they stood."""
    trainer = _full(network=lambda: tiny_network(has_norm=False)).trainer(tmp_path)
    trainer.run()
    rows = np.random.default_rng(0).permutation(len(MIXED.score))

    embeddings, scores = trainer.predict(rows)

    alone = [trainer.predict(rows[i : i + 1]) for i in range(len(rows))]
    np.testing.assert_allclose(embeddings, np.concatenate([e for e, _ in alone]), atol=1e-6)
    np.testing.assert_allclose(scores, np.concatenate([s for _, s in alone]), atol=1e-6)
    assert len(np.unique(scores)) > 60


def test_no_rows_give_no_predictions(tmp_path):
    """An empty list of scans is no error."""
    embeddings, scores = _full().trainer(tmp_path).predict(np.empty(0, np.intp))

    assert (embeddings.shape, scores.shape) == ((0, 4), (0,))


def test_losses_of_mixed_lengths_stand_in_the_batchs_order(tmp_path):
    """The loss pairs each embedding with its own score, though images are computed first."""
    world = make_world(n_short=2)
    trainer = _full(world=world, network=lambda: tiny_network(has_norm=False)).trainer(tmp_path)
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
    trainer = _full(objective=objective).trainer(tmp_path)

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
    assert history[-1]["learning_rate"] == pytest.approx(0, abs=1e-9)


def test_every_step_can_be_watched(tmp_path):
    """Watchers hear of each step once, and of the last epoch's figures."""
    events = []
    setup = _full(augment=AugmentOptions(), training=TrainOptions(epochs=2, patience=0))
    setup.more["watch"] = events.append
    trainer = setup.trainer(tmp_path)

    trainer.run()

    assert [(e.epoch, e.step) for e in events] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert {(e.n_steps, e.n_epochs) for e in events} == {(3, 2)}
    assert events[0].figures == {}
    assert events[-1].figures == trainer.progress.history[0]


def test_clearing_removes_the_checkpoints(tmp_path):
    """Once the weights are safe elsewhere, nothing of the run's own files is left."""
    trainer = _full().trainer(tmp_path)
    trainer.run()

    trainer.clear()
    trainer.clear()

    assert list(tmp_path.iterdir()) == []
