"""Planted truth: training finds a score that pictures show, and none that they do not show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from learner_index.analysis.change import health_changes
from learner_index.config import BatchOptions, ObjectiveOptions, TrainOptions
from learner_index.learn.network import Network
from learner_index.learn.objectives.registry import objectives
from tests.learn.training_toy import STILL, Setup, World, make_world, tiny_network

N_TRAIN, N_PATIENTS = 24, 48
WORLD = make_world(N_PATIENTS)
THRESHOLD = 0.7  # θ; about a third of the transitions each way
CONTRASTIVE = [name for name, one in objectives().items() if one.card.kind == "contrastive"]


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


def _setup(objective: ObjectiveOptions, world: World = WORLD) -> Setup:
    return Setup(
        world=world,
        n_train=N_TRAIN,
        objective=objective,
        training=TrainOptions(epochs=30, learning_rate=0.01, ema_decay=0.9, patience=0),
        augment=STILL,
        network=lambda: tiny_network(width=3, seed=1),
        seed=1,
    )


def _embeddings(setup: Setup, folder: Path, *, is_trained: bool = True) -> NDArray[np.float64]:
    """(n, e) embeddings of all scans."""
    trainer = setup.trainer(folder)
    if is_trained:
        trainer.run()
    embeddings, _ = trainer.predict(np.arange(len(setup.world.score)))
    return embeddings.astype(float)


def _predicted(embeddings: NDArray[np.float64], world: World, n_train: int) -> NDArray[np.float64]:
    """(n,) scores by least squares on the embeddings of training patients."""
    columns = np.column_stack([embeddings, np.ones(len(embeddings))])
    rows = world.rows(0, n_train)
    return columns @ np.linalg.lstsq(columns[rows], world.score[rows], rcond=None)[0]


def _three_way(score: NDArray[np.float64], world: World, n_train: int) -> tuple[float, float]:
    """Accuracy of predicted health changes of unseen patients, and the majority's share."""
    early, late = world.transitions(n_train, N_PATIENTS).T
    true = health_changes(world.score[late] - world.score[early], THRESHOLD)
    guessed = health_changes(score[late] - score[early], THRESHOLD)
    return np.mean(true == guessed), max(np.mean(true == change) for change in (-1, 0, 1))


def _found(embeddings: NDArray[np.float64], world: World = WORLD) -> float:
    """Three-way accuracy of the linear probe on unseen patients."""
    return _three_way(_predicted(embeddings, world, N_TRAIN), world, N_TRAIN)[0]


def _distance_rho(embeddings: NDArray[np.float64], world: World) -> float:
    """Spearman of distance and |Δ score| over transitions of unseen patients."""
    early, late = world.transitions(N_TRAIN, N_PATIENTS).T
    distance = np.linalg.norm(embeddings[late] - embeddings[early], axis=1)
    return float(spearmanr(distance, np.abs(world.score[late] - world.score[early])).statistic)


def test_the_truth_has_to_be_learned(tmp_path):
    """Untrained embeddings are far from the bound that trained ones have to reach."""
    embeddings = _embeddings(_setup(ObjectiveOptions()), tmp_path, is_trained=False)

    assert _found(embeddings) < 0.75


@pytest.mark.parametrize("name", list(objectives()))
def test_every_objective_finds_the_planted_change(tmp_path, name):
    """Without noise, 9 of 10 health changes of unseen patients are told right, three ways."""
    embeddings = _embeddings(_setup(ObjectiveOptions(name)), tmp_path)

    assert _found(embeddings) >= 0.9
    assert _distance_rho(embeddings, WORLD) >= 0.75


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_contrast_alone_carries_the_truth(tmp_path, name):
    """With no score regression beside it, the contrastive term finds the change as well."""
    objective = ObjectiveOptions(name, regression_weight=0)

    embeddings = _embeddings(_setup(objective), tmp_path)

    assert _found(embeddings) >= 0.86
    assert _distance_rho(embeddings, WORLD) >= 0.65


@pytest.mark.parametrize("name", ["mse", "learner_weighted", "rnc"])
def test_shuffled_scores_teach_nothing(tmp_path, name):
    """With the scores of other patients, unseen changes are told no better than by chance."""
    order = np.random.default_rng(3).permutation(N_PATIENTS)
    shuffled = replace(WORLD, score=WORLD.score.reshape(N_PATIENTS, -1)[order].ravel())

    embeddings = _embeddings(_setup(ObjectiveOptions(name), shuffled), tmp_path)

    score = _predicted(embeddings, shuffled, N_TRAIN)
    found, majority = _three_way(score, shuffled, N_TRAIN)
    assert found <= majority + 0.15  # 72 transitions: two standard errors of 0.07
    assert abs(_distance_rho(embeddings, shuffled)) <= 0.3


def _wide_network() -> Network:
    """Large enough to learn two dozen scans by heart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 32))
    return Network(backbone, 32, width=8)


def test_learning_by_heart_is_of_no_use(tmp_path):
    """Random scores learned to the last digit on 8 patients say nothing of 40 unseen ones."""
    n_train = 8
    random = np.random.default_rng(5).uniform(-1.7, 1.7, len(WORLD.score))
    world = replace(WORLD, score=random)
    options = TrainOptions(epochs=150, learning_rate=0.01, ema_decay=0, weight_decay=0, patience=0)
    setup = replace(
        _setup(ObjectiveOptions("mse"), world),
        n_train=n_train,
        training=options,
        batches=BatchOptions(n_train, 3),
        network=_wide_network,
    )
    trainer = setup.trainer(tmp_path)

    trainer.run()

    _, score = trainer.predict(np.arange(len(random)))
    known = world.rows(0, n_train)
    found, majority = _three_way(score.astype(float), world, n_train)
    assert np.abs(score[known] - random[known]).max() < 0.01
    assert found <= majority + 0.12
