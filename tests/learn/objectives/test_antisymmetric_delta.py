"""Changes read off differences of predicted scores, against a loop written from the formula."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import ObjectiveOptions
from learner_index.learn.network import Network
from learner_index.learn.objectives.antisymmetric_delta import loss
from learner_index.learn.objectives.joint import JointLoss
from tests.learn.objectives.slow import LABELS, Batch, make_batch, mean


def slow(batch: Batch, target: str, pairs: str) -> float:
    """Mean over ordered pairs; both orders of a pair have the same term."""
    terms = []
    for i, j in batch.pairs(pairs):
        predicted = (batch.prediction[i] - batch.prediction[j]).item()
        observed = (batch.score[i] - batch.score[j]).item()
        if target == "order":
            wanted = 0.5 if observed == 0 else float(observed > 0)
            sure = 1 / (1 + math.exp(-predicted))
            terms.append(-wanted * math.log(sure) - (1 - wanted) * math.log(1 - sure))
        else:
            terms.append((predicted - observed) ** 2)
    return mean(terms)


def value(batch: Batch, **chosen: str) -> torch.Tensor:
    return loss(*batch.arguments, prediction=batch.prediction, labels=LABELS, **chosen)


@pytest.mark.parametrize("pairs", ["intra", "all"])
@pytest.mark.parametrize("target", ["change", "order"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_loop(pairs, target, seed):
    """Each pair once has the mean of each pair twice, with ties and unknown scores."""
    batch = make_batch(seed)

    found = value(batch, target=target, pairs=pairs)

    assert found.item() == pytest.approx(slow(batch, target, pairs), rel=1e-10)


@pytest.mark.parametrize("target", ["change", "order"])
@pytest.mark.parametrize("pairs", ["intra", "all"])
def test_getting_better_and_worse_mirror_each_other(target, pairs):
    """All scores and predictions with the other sign: the same loss."""
    batch = make_batch()
    mirror = make_batch(score=-batch.score, prediction=-batch.prediction)

    chosen = {"target": target, "pairs": pairs}
    torch.testing.assert_close(value(mirror, **chosen), value(batch, **chosen))


def test_swapping_visits_turns_the_sign_and_nothing_else():
    """A head's bias cancels: predictions differ by w times the difference of embeddings."""
    network = Network(torch.nn.Flatten(), 16, width=4)
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(0))
    torch.nn.init.constant_(network.head.bias, 3.0)
    scans = torch.randn(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(1))

    embedding, score = network.eval()(scans)

    there, back = score[1] - score[0], score[0] - score[1]
    assert torch.equal(there, -back)
    wanted = network.head.weight[0] @ (embedding[1] - embedding[0])
    torch.testing.assert_close(there, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", ["change", "order"])
@settings(max_examples=15, deadline=None)
@given(levels=st.lists(st.floats(-100, 100), min_size=5, max_size=5))
def test_what_visits_have_in_common_costs_nothing(target, levels):
    """Each patient's predictions may be off by a constant of its own, within one patient."""
    batch = make_batch()
    level = torch.tensor(levels, dtype=torch.float64)[batch.patient]

    found = value(make_batch(prediction=batch.prediction + level), target=target)

    torch.testing.assert_close(found, value(batch, target=target))


def test_ties_are_drawn_together():
    """Equal scores: order costs log 2 at equal predictions, and more the farther these are."""
    score, prediction = torch.zeros(2), torch.tensor([0.4, -0.3], requires_grad=True)
    codes = torch.zeros(2, dtype=torch.int64)

    def at(values: torch.Tensor) -> torch.Tensor:
        visits = torch.arange(2)
        return loss(
            score[:, None], score, codes, visits, prediction=values, labels=LABELS, target="order"
        )

    at(prediction).backward()

    assert at(score).item() == pytest.approx(math.log(2))
    assert at(prediction).item() > math.log(2)
    assert prediction.grad[0] > 0 > prediction.grad[1]


def test_standardizing_breaks_no_ties():
    """Scores apart by rounding errors only are tied."""
    score = torch.tensor([0.1, 0.1 + 1e-8, 2.0], dtype=torch.float64)
    same = torch.tensor([0.1, 0.1, 2.0], dtype=torch.float64)
    codes, prediction = torch.zeros(3, dtype=torch.int64), torch.tensor([1.0, 0.0, 2.0])

    first, second = (
        loss(
            prediction[:, None],
            values,
            codes,
            torch.arange(3),
            prediction=prediction,
            labels=LABELS,
            target="order",
        )
        for values in (score, same)
    )

    assert first.item() == second.item()


def test_predictions_of_unknown_scores_get_no_gradient():
    """Also when one of them is NaN; without an embedding, the embedding has no part at all."""
    batch = make_batch()
    batch.prediction[1] = torch.nan  # its score is unknown
    prediction = batch.prediction.requires_grad_()

    value(batch, pairs="all").backward()

    assert torch.equal(prediction.grad != 0, torch.isfinite(batch.score))


def test_head_learns_changes_from_nothing():
    """Without regression a head of zeros still gets a gradient, and its bias one of 0."""
    batch = make_batch().cast(torch.float32)
    head = torch.nn.Linear(5, 1)
    torch.nn.init.zeros_(head.weight)
    options = ObjectiveOptions("antisymmetric_delta", regression_weight=0.0)

    found = JointLoss.of(options, LABELS)(
        *batch.arguments, prediction=head(batch.embedding).squeeze(1)
    )
    found.total.backward()

    assert head.weight.grad.abs().sum() > 0
    assert head.bias.grad.item() == pytest.approx(0, abs=1e-6)
