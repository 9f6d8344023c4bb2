"""Rank-N-Contrast in its sorted form, against the triple loop of its formula."""

import math

import pytest
import torch

from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.objectives.rnc import loss
from tests.learn.objectives.slow import LABELS, Batch, make_batch, mean


def slow(batch: Batch, temperature: float, pairs: str) -> float:
    """For each pair i, j the denominator holds every k at least as far as j: ties and j too."""
    terms = []
    for i, j in batch.pairs(pairs):
        bottom = math.fsum(
            math.exp(-batch.distance(i, k, "euclidean") / temperature)
            for k in batch.partners(i, pairs)
            if batch.apart(i, k) >= batch.apart(i, j)
        )
        top = math.exp(-batch.distance(i, j, "euclidean") / temperature)
        terms.append(-math.log(top / bottom))
    return mean(terms)


@pytest.mark.parametrize("pairs", ["inter", "inter+visit", "all"])
@pytest.mark.parametrize("temperature", [2.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_triple_loop(pairs, temperature, seed):
    """Sorted and summed cumulatively, with many ties: the value of the triple loop."""
    batch = make_batch(seed)

    found = loss(
        *batch.arguments,
        prediction=batch.prediction,
        labels=LABELS,
        temperature=temperature,
        pairs=pairs,
    )

    assert found.item() == pytest.approx(slow(batch, temperature, pairs), rel=1e-10)


def test_all_tied_is_a_softmax_over_everyone():
    """One score for all: every pair stands against all partners."""
    batch = make_batch(score=torch.ones(14, dtype=torch.float64))

    found = loss(*batch.arguments, prediction=batch.prediction, labels=LABELS)

    assert found.item() == pytest.approx(slow(batch, 2.0, "all"), rel=1e-10)


def test_standardizing_integer_scores_breaks_no_ties():
    """Integers and the same integers standardized in float32 order all pairs alike."""
    generator = torch.Generator().manual_seed(3)
    raw = torch.randint(0, 31, (40,), generator=generator).float()
    standard = (raw - raw.mean()) / raw.std()
    embedding = torch.randn(40, 4, generator=generator)
    codes = torch.arange(40)
    scales = [LabelScale(30.0, 4.0), LabelScale(30.0 / raw.std().item(), 1.0)]
    assert len(standard[:, None].sub(standard).abs().unique()) > 31  # rounding made new differences

    first, second = (
        loss(embedding, score, codes, codes, prediction=score, labels=labels)
        for score, labels in zip((raw, standard), scales, strict=True)
    )

    assert second.item() == pytest.approx(first.item(), rel=1e-6)


def test_far_embeddings_do_not_underflow():
    """Distances of hundreds of temperatures keep finite terms and gradients in float32."""
    batch = make_batch().cast(torch.float32)
    embedding = (500 * batch.embedding).requires_grad_()

    found = loss(embedding, *batch.arguments[1:], prediction=batch.prediction, labels=LABELS)
    found.backward()

    assert torch.isfinite(found)
    assert torch.isfinite(embedding.grad).all()
    assert embedding.grad.abs().sum() > 0
