"""The plain pair loss, against a loop written from its formula."""

import pytest
import torch

from learner_index.learn.objectives.learner_pair import loss
from learner_index.learn.objectives.record import LabelScale
from tests.learn.objectives.slow import LABELS, Batch, make_batch, mean

NOTHING = torch.zeros(2)


def slow(batch: Batch, metric: str, margin: float, threshold: float, pairs: str) -> float:
    """Near pairs: squared distance. Far pairs: squared shortfall below the margin."""
    terms = []
    for i, j in batch.pairs(pairs):
        distance = batch.distance(i, j, metric)
        is_far = batch.apart(i, j) / LABELS.range > threshold
        terms.append(max(0.0, margin - distance) ** 2 if is_far else distance**2)
    return mean(terms)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("pairs", ["inter", "inter+visit", "all"])
@pytest.mark.parametrize(("margin", "threshold"), [(1.0, 0.1), (4.0, 0.3)])
def test_equals_the_loop(metric, pairs, margin, threshold):
    """The matrix form has the value of the double loop."""
    batch = make_batch()

    found = loss(
        *batch.arguments,
        prediction=batch.prediction,
        labels=LABELS,
        metric=metric,
        margin=margin,
        threshold=threshold,
        pairs=pairs,
    )

    assert found.item() == pytest.approx(slow(batch, metric, margin, threshold, pairs), rel=1e-10)


def test_a_difference_at_the_threshold_is_near_after_rounding_too():
    """Scores 0.1 apart, the threshold: near, though float32 makes the difference larger."""
    score, codes = torch.tensor([0.2, 0.3]), torch.arange(2)
    assert score[1] - score[0] > 0.1
    labels = LabelScale(range=1.0, kernel_width=1.0)

    found = loss(torch.eye(2), score, codes, codes, prediction=NOTHING, labels=labels, margin=5.0)

    assert found.item() == 1.0  # D² of a near pair; (5 − 1)² if it were far


def test_far_pairs_beyond_the_margin_are_left_alone():
    """A far pair repels only up to the margin."""
    embedding = torch.tensor([[0.0, 0.0], [3.0, 0.0]], requires_grad=True)
    score, codes = torch.tensor([-1.0, 1.0]), torch.arange(2)

    found = loss(
        embedding, score, codes, codes, prediction=NOTHING, labels=LABELS, metric="euclidean"
    )
    found.backward()

    assert found.item() == 0
    assert torch.equal(embedding.grad, torch.zeros(2, 2))
