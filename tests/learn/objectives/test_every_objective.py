"""Laws that hold for every objective there is, and for every choice of pairs and metric."""

import inspect
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from learner_index.learn.objectives.pairs import CHANGE_PAIRS, PAIRS
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.objectives.registry import objectives
from tests.learn.objectives.slow import LABELS, Batch, make_batch

ALL = objectives()
CONTRASTIVE = [name for name, one in ALL.items() if one.card.kind == "contrastive"]
EMBEDDINGS = [name for name in CONTRASTIVE if not ALL[name].card.reads_prediction]


def _variants() -> list[tuple[str, dict[str, str]]]:
    """Each objective with each combination of its words."""
    found = []
    for name, one in ALL.items():
        words = itertools.product(*one.card.choices.values())
        found += [(name, dict(zip(one.card.choices, chosen, strict=True))) for chosen in words]
    return found


VARIANTS = [
    pytest.param(name, chosen, id="-".join([name, *chosen.values()]))
    for name, chosen in _variants()
]
WITHIN = [case for case in VARIANTS if case.values[1].get("pairs") == "intra"]
every_variant = pytest.mark.parametrize(("name", "chosen"), VARIANTS)


def value(name: str, batch: Batch, labels: LabelScale = LABELS, **chosen: str) -> Tensor:
    """The loss of a batch."""
    return ALL[name].loss(*batch.arguments, prediction=batch.prediction, labels=labels, **chosen)


def value_and_gradients(name: str, batch: Batch, **chosen: str) -> tuple[Tensor, Tensor]:
    """The loss with its gradients by embedding and prediction, in one flat tensor.

    A NaN anywhere on the way back is an error, also where a mask would hide it.
    """
    leaves = (batch.embedding.requires_grad_(), batch.prediction.requires_grad_())
    with torch.autograd.set_detect_anomaly(True):
        found = value(name, batch, **chosen)
        gradients = torch.autograd.grad(found, leaves, allow_unused=True, materialize_grads=True)
    return found.detach(), torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("name", ALL)
def test_card_and_loss_agree(name):
    """The card lists the loss's own settings with their defaults, in order, and says where from."""
    card = ALL[name].card
    shared = {"embedding", "score", "patient", "visit", "prediction", "labels"}
    parameters = inspect.signature(ALL[name].loss).parameters
    own = {key: value.default for key, value in parameters.items() if key not in shared}

    assert list(card.settings.items()) == list(own.items())
    assert set(card.choices) == {key for key, default in own.items() if isinstance(default, str)}
    assert all(own[key] in words for key, words in card.choices.items())
    assert all(f"        {key}: " in (ALL[name].loss.__doc__ or "") for key in own)
    assert all((card.title, card.formula, card.citation, card.note))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_contrastive_objectives_let_pairs_be_chosen(name):
    """Who is compared is a setting of each; reconstructions of LEARNER compare patients."""
    card = ALL[name].card

    is_on_changes = "intra" in card.choices["pairs"]
    wanted = "intra" if is_on_changes else "inter" if name.startswith("learner_") else "all"
    assert card.settings["pairs"] == wanted
    assert card.choices["pairs"] == (CHANGE_PAIRS if is_on_changes else PAIRS)
    assert bool(card.assumes) == is_on_changes


@every_variant
def test_gradients_are_those_of_the_loss(name, chosen):
    """Gradients in double precision agree with finite differences."""
    batch = make_batch(n=8, width=3)
    arguments = (batch.embedding.requires_grad_(), batch.prediction.requires_grad_())

    def by_leaves(embedding: Tensor, prediction: Tensor) -> Tensor:
        return ALL[name].loss(
            embedding, *batch.arguments[1:], prediction=prediction, labels=LABELS, **chosen
        )

    assert torch.autograd.gradcheck(by_leaves, arguments)


@every_variant
def test_unknown_scores_change_nothing(name, chosen):
    """Rows without a score, NaN or infinite, are as if they were not in the batch."""
    batch = make_batch()
    batch.score[1] = torch.inf
    known = batch.known()

    found, gradients = value_and_gradients(name, batch, **chosen)

    torch.testing.assert_close(found, value(name, batch.reordered(known), **chosen).detach())
    by_row = gradients[: batch.embedding.numel()].reshape(batch.embedding.shape)
    assert torch.isfinite(gradients).all()
    assert (by_row[[1, 7]] == 0).all()


@every_variant
@pytest.mark.parametrize("n", [0, 1, 14])
def test_nothing_known_is_zero(name, chosen, n):
    """No known score: the loss is exactly 0 and so are its gradients."""
    batch = make_batch().reordered(list(range(n)))
    batch.score[:] = torch.nan

    found, gradients = value_and_gradients(name, batch, **chosen)

    assert found.item() == 0
    assert (gradients == 0).all()


@every_variant
@pytest.mark.parametrize("embedding", [None, torch.zeros(14, 5), torch.ones(14, 5)])
def test_all_tied_is_finite(name, chosen, embedding):
    """One score for all, also with embeddings that are all equal or zero: finite throughout."""
    batch = make_batch(score=torch.ones(14))
    if embedding is not None:
        batch = make_batch(score=torch.ones(14), embedding=embedding.clone())

    found, gradients = value_and_gradients(name, batch, **chosen)

    assert torch.isfinite(found)
    assert torch.isfinite(gradients).all()


@every_variant
def test_equal_embeddings_of_different_scores_are_finite(name, chosen):
    """Collapsed embeddings, distance 0 everywhere, give a finite loss and gradient."""
    batch = make_batch(embedding=torch.full((14, 5), 0.5))

    found, gradients = value_and_gradients(name, batch, **chosen)

    assert torch.isfinite(found)
    assert torch.isfinite(gradients).all()


@every_variant
def test_a_single_patient_is_finite(name, chosen):
    """Only one patient: what compares patients is 0 with gradients of 0, the rest is finite."""
    batch = make_batch(patient=torch.zeros(14, dtype=torch.int64), visit=torch.arange(14))

    found, gradients = value_and_gradients(name, batch, **chosen)

    assert torch.isfinite(found)
    assert torch.isfinite(gradients).all()
    if chosen.get("pairs") in ("inter", "inter+visit"):
        assert found.item() == 0
        assert (gradients == 0).all()


@pytest.mark.parametrize(("name", "chosen"), WITHIN)
@pytest.mark.parametrize("case", ["one visit each", "no visit known", "no score twice"])
def test_without_two_visits_of_a_patient_it_is_zero(name, chosen, case):
    """What compares a patient's visits is 0 with gradients of 0 where nobody has two."""
    batch = make_batch()
    if case == "one visit each":
        batch.visit[:] = batch.patient
    elif case == "no visit known":
        batch.visit[:] = -1 - torch.arange(14)
    else:
        batch.score[batch.visit % 2 == 1] = torch.nan

    found, gradients = value_and_gradients(name, batch, **chosen)

    assert found.item() == 0
    assert (gradients == 0).all()


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(14)))
def test_the_order_of_rows_does_not_matter(name, order):
    """A batch with its rows in another order has the same loss."""
    batch = make_batch()

    torch.testing.assert_close(value(name, batch.reordered(order)), value(name, batch))


@pytest.mark.parametrize("name", EMBEDDINGS)
@settings(max_examples=15, deadline=None)
@given(factor=st.floats(1e-3, 1e3))
def test_the_unit_of_the_score_does_not_matter(name, factor):
    """Scores in another unit, and their scale, leave a loss on embeddings as it is."""
    batch = make_batch()
    labels = LabelScale.fit(batch.score.numpy())
    scaled = make_batch(score=factor * batch.score)

    found = value(name, scaled, LabelScale.fit(scaled.score.numpy()))

    torch.testing.assert_close(found, value(name, batch, labels))


@every_variant
def test_autocast_computes_in_float32(name, chosen):
    """Under autocast, and with embeddings in bfloat16, the loss is float32 and as exact."""
    batch = make_batch().cast(torch.bfloat16)
    wanted = value(name, batch.cast(torch.float64), **chosen)

    with torch.autocast("cpu", torch.bfloat16):
        plain = value(name, batch.cast(torch.float32), **chosen)
        half = value(name, batch, **chosen)

    assert plain.dtype == half.dtype == torch.float32
    torch.testing.assert_close(plain.double(), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(half, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_following_the_gradient_orders_distances(name):
    """Plain descent on free embeddings makes distances follow differences of score."""
    score = torch.linspace(-1.5, 1.5, 16)
    generator = torch.Generator().manual_seed(0)
    codes = torch.arange(16)
    batch = Batch(torch.randn(16, 4, generator=generator), score, codes, codes, score)
    batch.embedding.requires_grad_()
    labels = LabelScale.fit(score.numpy())
    optimizer = torch.optim.Adam([batch.embedding], lr=0.05)

    for _ in range(150):
        optimizer.zero_grad()
        value(name, batch, labels, pairs="all").backward()
        optimizer.step()

    unit = torch.nn.functional.normalize(batch.embedding.detach())
    upper = np.triu_indices(16, 1)
    apart = (score[:, None] - score).abs().numpy()[upper]
    distance = (1 - unit @ unit.T).numpy()[upper]
    assert np.corrcoef(apart, distance)[0, 1] > 0.5
