"""The kernel cross-entropy between patients, against a loop written from its formula."""

import math

import pytest
import torch

from learner_index.learn.objectives import yaware
from learner_index.learn.objectives.learner_softnce import loss
from tests.learn.objectives.slow import LABELS, Batch, make_batch, mean


def slow(batch: Batch, metric: str, width: float, pairs: str) -> float:
    """Cross-entropy of each row that has a partner, temperature 0.1."""
    rows = []
    for i in batch.known():
        partners = batch.partners(i, pairs)
        if not partners:
            continue
        logit = {j: -batch.distance(i, j, metric) / 0.1 for j in partners}
        kernel = {j: batch.kernel(i, j, width * LABELS.kernel_width) for j in partners}
        bottom = math.fsum(math.exp(logit[k]) for k in partners)
        rows.append(
            -math.fsum(
                kernel[j] / sum(kernel.values()) * math.log(math.exp(logit[j]) / bottom)
                for j in partners
            )
        )
    return mean(rows)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("pairs", ["inter", "inter+visit", "all"])
@pytest.mark.parametrize("width", [1.0, 3.0])
def test_equals_the_loop(metric, pairs, width):
    """The matrix form has the value of the double loop."""
    batch = make_batch()

    found = loss(
        *batch.arguments,
        prediction=batch.prediction,
        labels=LABELS,
        metric=metric,
        width=width,
        pairs=pairs,
    )

    assert found.item() == pytest.approx(slow(batch, metric, width, pairs), rel=1e-10)


def test_with_cosines_it_is_yaware_between_patients():
    """A constant in the logits of a row cancels, so cosine distance serves as cosine."""
    batch = make_batch()
    rest = {"prediction": batch.prediction, "labels": LABELS}

    found = loss(*batch.arguments, **rest)

    torch.testing.assert_close(found, yaware.loss(*batch.arguments, pairs="inter", **rest))
