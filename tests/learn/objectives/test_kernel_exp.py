"""The fading repulsion, against a loop written from its formula."""

import math

import pytest
import torch

from learner_index.learn.objectives.kernel_exp import loss
from tests.learn.objectives.slow import LABELS, Batch, make_batch, mean


def slow(
    batch: Batch, temperature: float, width: float, pairs: str, *, shifted: bool = False
) -> float:
    """The ratio of each pair, written out; `shifted` is how the published code computes it."""
    rows = []
    for i in batch.known():
        partners = batch.partners(i, pairs)
        if not partners:
            continue
        logit = {t: batch.cosine(i, t) / temperature for t in partners}
        if shifted:
            logit = {t: value - max(logit.values()) for t, value in logit.items()}
        w = {t: batch.kernel(i, t, width * LABELS.kernel_width) for t in partners}
        bottom = math.fsum(math.exp(logit[t] * (1 - w[t])) for t in partners)
        rows.append(
            -math.fsum(
                w[k] / sum(w.values()) * math.log(math.exp(logit[k]) / bottom) for k in partners
            )
        )
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


def test_is_not_the_shifted_form():
    """Subtracting a row's maximum before the factor 1 − K gives another number: ours does not."""
    batch = make_batch()

    found = loss(*batch.arguments, prediction=batch.prediction, labels=LABELS).item()

    shifted = slow(batch, 0.1, 1.0, "all", shifted=True)
    assert found == pytest.approx(slow(batch, 0.1, 1.0, "all"), rel=1e-10)
    assert abs(found - shifted) > 0.5


def test_equal_scores_do_not_repel():
    """A partner with the row's own score adds e⁰ to the denominator however near it lies."""
    score, codes = torch.zeros(2), torch.arange(2)
    embedding = torch.tensor([[1.0, 0.0], [1.0, 0.0]])

    found = loss(embedding, score, codes, codes, prediction=score, labels=LABELS, temperature=0.5)

    assert found.item() == pytest.approx(-2.0)
