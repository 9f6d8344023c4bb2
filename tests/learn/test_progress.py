"""Progress: resumed to the bit, stopped in time, and the right weights kept."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from learner_index.config import TrainOptions
from learner_index.errors import RunFormatError
from learner_index.learn import trainer as trainer_module
from learner_index.learn.progress import CHECKPOINT, Progress
from learner_index.learn.trainer import Trainer, Validation
from tests.learn.training_toy import VALIDATED, Setup, are_equal, full


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


class InterruptedRunError(Exception):
    """What a test raises to end a run."""


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
    undisturbed = full().trainer(tmp_path / "1")
    wanted = undisturbed.run()
    monkeypatch.setattr(trainer_module, "CHECKPOINT_S", saved_every_s)
    cut = full()
    cut.more |= stop
    with pytest.raises(InterruptedRunError):
        cut.trainer(tmp_path / "2").run()

    again = full().trainer(tmp_path / "2")
    found = again.resume()
    start = (again.progress.epoch, again.progress.step)
    weights = again.run()

    assert (start if found else None) == goes_on_at
    assert are_equal(weights, wanted)
    assert again.progress.history == undisturbed.progress.history
    assert again.progress.best_epoch == undisturbed.progress.best_epoch


def test_a_damaged_checkpoint_is_not_resumed(tmp_path):
    """A run whose checkpoint is broken says so; it does not start over in silence."""
    (tmp_path / CHECKPOINT).write_bytes(b"broken")

    with pytest.raises(RunFormatError, match="damaged"):
        full().trainer(tmp_path).resume()


def test_stops_when_patience_is_spent_and_keeps_the_best_epoch(tmp_path):
    """Two epochs without a better figure end a run; kept are the weights of the best, not last."""
    setup = full(training=TrainOptions(epochs=10, patience=2))
    setup.more = {"validation": _scripted([0.1, 0.5, 0.3, 0.5, 0.9])}
    trainer, averages = _averages_by_epoch(setup, tmp_path)

    weights = trainer.run()

    assert (len(trainer.progress.history), trainer.progress.best_epoch) == (4, 2)
    assert are_equal(weights, averages[1])
    assert not are_equal(weights, averages[3])
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-0002.safetensors"]


def test_without_patience_all_epochs_are_trained(tmp_path):
    """Patience 0 goes on to the last epoch, however bad the figures get."""
    setup = full(training=TrainOptions(epochs=5, patience=0))
    setup.more = {"validation": _scripted([5.0, 4.0, 3.0, 2.0, 1.0])}
    trainer = setup.trainer(tmp_path)

    trainer.run()

    assert (len(trainer.progress.history), trainer.progress.best_epoch) == (5, 1)


def test_patience_is_remembered_by_a_resumed_run(tmp_path):
    """A run that had stopped early does not go on when it is resumed."""
    setup = full(training=TrainOptions(epochs=9, patience=1))
    setup.more = {"validation": _scripted([0.5, 0.4])}
    weights = setup.trainer(tmp_path).run()

    again = setup.trainer(tmp_path)
    again.resume()

    assert are_equal(again.run(), weights)
    assert len(again.progress.history) == 2


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    """Nobody to choose by: the averaged weights of the last epoch, whatever the patience."""
    setup = full(training=TrainOptions(epochs=4, patience=1), more={})
    trainer, averages = _averages_by_epoch(setup, tmp_path)

    weights = trainer.run()

    assert trainer.progress.best_epoch == 4
    assert are_equal(weights, averages[3])


def test_until_a_figure_is_a_number_the_latest_epoch_is_kept(tmp_path):
    """NaN and -inf choose nothing: the latest weights stay; once a number came, the best does."""
    best_epochs = []
    setup = full(training=TrainOptions(epochs=6, patience=0))
    figures = [math.nan, math.nan, -math.inf, np.float32(0.2), math.nan, 0.1]
    setup.more = {
        "validation": _scripted(figures),
        "noted": lambda history: best_epochs.append(trainer.progress.best_epoch),
    }
    trainer = setup.trainer(tmp_path)

    trainer.run()

    assert best_epochs == [1, 2, 3, 4, 4, 4]
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-0004.safetensors"]


def test_clearing_removes_the_checkpoints(tmp_path):
    """Once the weights are safe elsewhere, nothing of the run's own files is left."""
    trainer = full().trainer(tmp_path)
    trainer.run()

    trainer.clear()
    trainer.clear()

    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_never_is_a_number_stops_nothing(tmp_path):
    """With NaN in every epoch patience does not count, and the last epoch's weights are kept."""
    setup = full(training=TrainOptions(epochs=4, patience=1))
    setup.more = {"validation": _scripted([math.nan] * 4)}
    trainer, averages = _averages_by_epoch(setup, tmp_path)

    weights = trainer.run()

    assert (len(trainer.progress.history), trainer.progress.best_epoch) == (4, 4)
    assert are_equal(weights, averages[3])


def test_patience_counts_from_the_first_number(tmp_path):
    """Epochs without a number before it are forgiven; those after it are not better."""
    setup = full(training=TrainOptions(epochs=9, patience=2))
    setup.more = {"validation": _scripted([math.nan, math.nan, math.nan, 0.1, math.nan, 0.0])}
    trainer = setup.trainer(tmp_path)

    trainer.run()

    assert (len(trainer.progress.history), trainer.progress.best_epoch) == (6, 4)


def test_steps_without_a_figure_do_not_enter_its_mean():
    """A gradient that overflowed counts in no mean; where all did, there is none."""
    progress = Progress()
    for norm in (math.inf, 2.0, math.nan, 4.0):
        progress.add({"loss": 1.0, "gradient_norm": norm, "other": math.inf})

    means = progress.means()

    assert (means["loss"], means["gradient_norm"]) == (1.0, 3.0)
    assert math.isnan(means["other"])
    progress.close({}, math.nan)
    assert progress.means() == {}
