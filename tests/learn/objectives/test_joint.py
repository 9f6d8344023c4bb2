"""The loss a run minimizes: sums of terms, and `mse` bit for bit without contrast."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn

from learner_index.config import ObjectiveOptions
from learner_index.errors import SettingsError
from learner_index.learn.objectives import huber, learner_pair, learner_weighted, mse
from learner_index.learn.objectives.joint import JointLoss, Losses, Term
from learner_index.learn.objectives.record import Objective
from learner_index.learn.objectives.registry import objective, objectives
from tests.learn.objectives.slow import LABELS, Batch, make_batch

CONTRASTIVE = [name for name, one in objectives().items() if one.card.kind == "contrastive"]


def joint(name: str = "learner_weighted", **options: object) -> JointLoss:
    """A joint loss on the labels of the toy batch."""
    return JointLoss.of(ObjectiveOptions(name=name, **options), LABELS)


def applied(loss: JointLoss, batch: Batch) -> Losses:
    """The losses of a batch."""
    return loss(*batch.arguments, prediction=batch.prediction)


def gradients(loss: JointLoss) -> list[Tensor]:
    """Total and all gradients of a seeded network with a head on its embedding, in float32."""
    torch.manual_seed(0)
    body, head = nn.Linear(5, 6), nn.Linear(6, 1)
    batch = make_batch().cast(torch.float32)
    embedding = body(batch.embedding)
    losses = loss(embedding, *batch.arguments[1:], prediction=head(embedding).squeeze(1))
    losses.total.backward()
    return [losses.total.detach(), *(p.grad for p in (*body.parameters(), *head.parameters()))]


@pytest.mark.parametrize("name", CONTRASTIVE)
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_without_contrast_it_is_mse_bit_for_bit(name, weight):
    """Contrastive weight 0: the total and every gradient have the bits of `mse`."""
    found = gradients(joint(name, contrastive_weight=0.0, regression_weight=weight))
    wanted = gradients(joint("mse", regression_weight=weight))

    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_joint_mse_is_the_plain_one_bit_for_bit():
    """At weight 1 nothing but the mean squared error is computed."""
    batch = make_batch().cast(torch.float32)
    plain = mse.loss(*batch.arguments, prediction=batch.prediction, labels=LABELS)

    found = applied(joint("mse"), batch)

    assert torch.equal(found.total, plain)
    assert torch.equal(found.regression, plain)
    assert found.contrastive.item() == 0


@pytest.mark.parametrize("zero", ["regression_weight", "contrastive_weight"])
def test_a_term_of_weight_zero_is_not_computed(monkeypatch, zero):
    """Its loss is not even called, so it may fail without harm."""
    module = {"regression_weight": mse, "contrastive_weight": learner_pair}[zero]
    monkeypatch.setattr(module, "loss", lambda *args, **kwargs: pytest.fail("was called"))

    found = applied(joint("learner_pair", **{zero: 0.0}), make_batch())

    assert getattr(found, zero.removesuffix("_weight")).item() == 0
    assert found.total > 0


def test_total_is_the_weighted_sum():
    """Both terms are computed on the batch, with the settings given, and shown unweighted."""
    batch = make_batch()
    rest = {"prediction": batch.prediction, "labels": LABELS}
    first = mse.loss(*batch.arguments, **rest)
    second = learner_weighted.loss(*batch.arguments, gamma=2.0, pairs="all", **rest)

    loss = joint(
        regression_weight=0.5, contrastive_weight=3.0, settings={"gamma": 2, "pairs": "all"}
    )
    found = applied(loss, batch)

    torch.testing.assert_close(found.total, 0.5 * first + 3 * second)
    assert torch.equal(found.regression, first)
    assert torch.equal(found.contrastive, second)


def test_terms_for_the_log_hold_no_graph():
    """Only the total can be differentiated; keeping the terms keeps no batch alive."""
    batch = make_batch()
    batch.embedding.requires_grad_()
    batch.prediction.requires_grad_()

    found = applied(joint(), batch)

    assert found.total.requires_grad
    assert not found.regression.requires_grad
    assert not found.contrastive.requires_grad


def test_regression_objectives_stand_alone():
    """With `huber` the contrastive weight has no say."""
    batch = make_batch()
    wanted = huber.loss(*batch.arguments, prediction=batch.prediction, labels=LABELS, delta=0.5)

    found = applied(joint("huber", contrastive_weight=9.0, settings={"delta": 0.5}), batch)

    assert torch.equal(found.total, wanted)
    assert found.contrastive.item() == 0


@pytest.mark.parametrize("name", [*CONTRASTIVE, "mse", "huber"])
def test_autocast_does_not_reach_the_loss(name):
    """Inside autocast, from bfloat16 outputs: float32, and the same value as outside."""
    batch = make_batch().cast(torch.bfloat16)
    full = batch.cast(torch.float32)

    with torch.autocast("cpu", torch.bfloat16):
        found = joint(name)(*batch.arguments, prediction=batch.prediction)

    assert found.total.dtype == torch.float32
    assert torch.equal(found.total, applied(joint(name), full).total)


def test_autocast_does_not_reach_a_loss_that_forgets_it():
    """An objective that multiplies matrices without a thought does so in float32."""
    seen = []

    def careless(embedding: Tensor, *rest: Tensor, **others: object) -> Tensor:
        seen.append(embedding @ embedding.T)
        return seen[0].sum()

    term = Term(Objective(objective("rnc").card, careless), 1.0, {})
    batch = make_batch().cast(torch.bfloat16)

    with torch.autocast("cpu", torch.bfloat16):
        applied(JointLoss(None, term, LABELS), batch)

    assert seen[0].dtype == torch.float32


def test_scores_in_double_do_not_widen_the_loss():
    """A float64 score beside float32 embeddings leaves the loss in float32."""
    batch = make_batch().cast(torch.float32)

    found = joint()(
        batch.embedding, batch.score.double(), *batch.arguments[2:], prediction=batch.prediction
    )

    assert found.total.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "weights", "wanted"),
    [
        ("mse", {}, True),
        ("rnc", {}, True),
        ("rnc", {"regression_weight": 0.0}, False),
        ("antisymmetric_delta", {"regression_weight": 0.0}, True),
        ("direction", {"regression_weight": 0.0}, False),
    ],
)
def test_head_is_trained_where_a_term_reads_its_scores(name, weights, wanted):
    """With regression weight 0 only an objective on predicted scores still needs the head."""
    assert joint(name, **weights).trains_head is wanted


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("direction", {}, True),
        ("antisymmetric_delta", {}, True),
        ("direction", {"contrastive_weight": 0.0}, False),
        ("direction", {"settings": {"pairs": "all"}}, False),
        ("rnc", {}, False),
        ("mse", {}, False),
    ],
)
def test_needs_visits_where_only_they_are_compared(name, options, wanted):
    """Neither beside other patients' pairs nor at weight 0 do visits have to be there."""
    assert joint(name, **options).needs_visits is wanted


def test_is_frozen():
    """What a run minimizes does not change under way."""
    loss = joint()

    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'labels'"):
        loss.labels = LABELS


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mse_", {}, r"no objective 'mse_' \(did you mean 'mse'\?\)"),
        ("rnc", {"settings": {"margin": 1.0}}, "rnc has no setting 'margin'"),
        ("rnc", {"contrastive_weight": -1.0}, "contrastive_weight is a number from 0 up, not -1"),
        ("rnc", {"regression_weight": float("nan")}, "regression_weight is .* not nan"),
        ("rnc", {"contrastive_weight": float("inf")}, "contrastive_weight is .* not inf"),
        (
            "rnc",
            {"regression_weight": 0.0, "contrastive_weight": 0.0},
            "nothing to train for: rnc has regression weight 0 and contrastive weight 0",
        ),
        ("mse", {"regression_weight": 0.0}, "nothing to train for: mse has regression weight 0"),
    ],
)
def test_refuses_what_cannot_be_trained_for(name, options, message):
    """Unknown objective or setting, weights below 0 or not finite, or nothing with a weight."""
    with pytest.raises(SettingsError, match=message):
        joint(name, **options)
