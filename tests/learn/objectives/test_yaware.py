"""y-aware InfoNCE, against a loop written from its formula."""

import math

import pytest
import torch

from learner_index.learn.objectives.pairs import log_kernel, pair_mask, row_weights
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.objectives.yaware import loss
from tests.learn.objectives.slow import LABELS, Batch, make_batch, mean


def slow(batch: Batch, temperature: float, width: float, pairs: str) -> float:
    """Each row's weights sum to 1; the mean over rows that have a partner."""
    rows = []
    for i in batch.known():
        partners = batch.partners(i, pairs)
        if not partners:
            continue
        total = math.fsum(batch.kernel(i, k, width * LABELS.kernel_width) for k in partners)
        bottom = math.fsum(math.exp(batch.cosine(i, k) / temperature) for k in partners)
        row = 0.0
        for j in partners:
            weight = batch.kernel(i, j, width * LABELS.kernel_width) / total
            row -= weight * math.log(math.exp(batch.cosine(i, j) / temperature) / bottom)
        rows.append(row)
    return mean(rows)


@pytest.mark.parametrize("pairs", ["inter", "inter+visit", "all"])
@pytest.mark.parametrize(("temperature", "width"), [(0.1, 1.0), (0.5, 4.0)])
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_loop(pairs, temperature, width, seed):
    """The matrix form has the value of the double loop."""
    batch = make_batch(seed)

    found = loss(
        *batch.arguments,
        prediction=batch.prediction,
        labels=LABELS,
        temperature=temperature,
        width=width,
        pairs=pairs,
    )

    assert found.item() == pytest.approx(slow(batch, temperature, width, pairs), rel=1e-10)


def test_each_rows_weights_sum_to_one():
    """Rows are normalized, not columns: in a batch of uneven scores the two differ."""
    batch = make_batch()
    mask = pair_mask(batch.score, batch.patient, batch.visit, "all")

    weights = row_weights(log_kernel(batch.score, LABELS.kernel_width), mask)

    torch.testing.assert_close(weights.sum(1), mask.any(1).double())
    assert (weights.sum(0)[mask.any(0)] - 1).abs().max() > 0.1


def test_a_narrow_kernel_keeps_its_nearest():
    """Where every kernel value underflows, a row's weight goes to its nearest scores."""
    score, codes = torch.tensor([0.0, 1.0, 2.0]), torch.arange(3)
    embedding = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    labels = LabelScale(range=2.0, kernel_width=0.001)

    found = loss(embedding, score, codes, codes, prediction=score, labels=labels, temperature=1.0)

    ends = -math.log(math.e / (math.e + 1))  # e⁰ against e⁻¹
    middle = math.log(2)
    assert found.item() == pytest.approx((2 * ends + middle) / 3, rel=1e-6)
