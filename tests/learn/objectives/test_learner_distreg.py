"""The distance regression, against a loop written from its formula."""

import pytest
import torch

from learner_index.learn.objectives.learner_distreg import loss
from tests.learn.objectives.slow import LABELS, make_batch, mean


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("pairs", ["inter", "inter+visit", "all"])
@pytest.mark.parametrize("alpha", [1.0, 2.5])
def test_equals_the_loop(metric, pairs, alpha):
    """The matrix form has the value of the double loop."""
    batch = make_batch()
    wanted = mean(
        [
            (batch.distance(i, j, metric) - alpha * batch.apart(i, j) / LABELS.range) ** 2
            for i, j in batch.pairs(pairs)
        ]
    )

    found = loss(
        *batch.arguments,
        prediction=batch.prediction,
        labels=LABELS,
        metric=metric,
        alpha=alpha,
        pairs=pairs,
    )

    assert found.item() == pytest.approx(wanted, rel=1e-10)


def test_is_zero_where_distances_follow_scores():
    """Embeddings on a line at the health score over the range: nothing is left to learn."""
    score, codes = torch.tensor([-1.0, 0.5, 2.0]), torch.arange(3)

    found = loss(
        score[:, None] / LABELS.range,
        score,
        codes,
        codes,
        prediction=score,
        labels=LABELS,
        metric="euclidean",
    )

    assert found.item() == pytest.approx(0, abs=1e-12)
