"""The weighted pair loss, against a loop written from its formula."""

import pytest
import torch

from learner_index.learn.objectives import learner_pair
from learner_index.learn.objectives.learner_weighted import loss
from learner_index.learn.objectives.record import LabelScale
from tests.learn.objectives.slow import LABELS, Batch, make_batch

NARROW = LabelScale(range=1.2, kernel_width=0.4)  # many differences exceed it


def slow(batch: Batch, labels: LabelScale, metric: str, gamma: float, grows: str, pairs: str):
    """Sum of weighted terms over the sum of weights; margin 1, threshold 0.1."""
    top = bottom = 0.0
    for i, j in batch.pairs(pairs):
        share = min(1.0, batch.apart(i, j) / labels.range)
        distance = batch.distance(i, j, metric)
        if share > 0.1:
            margin = share if grows == "yes" else 1.0
            term, weight = max(0.0, margin - distance) ** 2, share**gamma
        else:
            term, weight = distance**2, (1 - share) ** gamma
        top, bottom = top + weight * term, bottom + weight
    return top / bottom


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("pairs", ["inter", "inter+visit", "all"])
@pytest.mark.parametrize(("gamma", "grows"), [(1.0, "no"), (2.0, "yes"), (0.0, "no")])
@pytest.mark.parametrize("labels", [LABELS, NARROW])
def test_equals_the_loop(metric, pairs, gamma, grows, labels):
    """The matrix form has the value of the double loop."""
    batch = make_batch()

    found = loss(
        *batch.arguments,
        prediction=batch.prediction,
        labels=labels,
        metric=metric,
        gamma=gamma,
        margin_grows=grows,
        pairs=pairs,
    )

    wanted = slow(batch, labels, metric, gamma, grows, pairs)
    assert found.item() == pytest.approx(wanted, rel=1e-10)


def test_without_weights_it_is_learner_pair():
    """Gamma 0 weighs all pairs alike."""
    batch = make_batch()
    rest = {"prediction": batch.prediction, "labels": LABELS}

    found = loss(*batch.arguments, gamma=0.0, **rest)

    torch.testing.assert_close(found, learner_pair.loss(*batch.arguments, **rest))


def test_weights_that_are_all_zero_give_zero():
    """Only near pairs, a whole range apart: nothing counts, and the loss is 0, not NaN."""
    score, codes = torch.tensor([0.0, 1.2]), torch.arange(2)
    embedding = torch.eye(2, requires_grad=True)

    found = loss(embedding, score, codes, codes, prediction=score, labels=NARROW, threshold=2.0)
    found.backward()

    assert found.item() == 0
    assert torch.equal(embedding.grad, torch.zeros(2, 2))
