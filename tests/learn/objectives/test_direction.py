"""Changes along the axis of other patients, against a loop written from the formula."""

import math

import pytest
import torch

from learner_index.learn.objectives.direction import loss
from learner_index.learn.objectives.record import LabelScale
from tests.learn.objectives.slow import LABELS, Batch, make_batch

NARROW = LabelScale(range=1.2, kernel_width=0.4)  # many differences exceed it


def axis(batch: Batch, i: int, j: int) -> list[float]:
    """Minus the covariance of score and embedding over the other patients' rows."""
    own = {int(batch.patient[i]), int(batch.patient[j])}
    others = [k for k in batch.known() if int(batch.patient[k]) not in own]
    mean = sum(batch.score[k].item() for k in others) / max(1, len(others))
    terms = [(batch.score[k].item() - mean, batch.embedding[k].tolist()) for k in others]
    return [-math.fsum(y * z[e] for y, z in terms) for e in range(batch.embedding.shape[1])]


def slow(batch: Batch, labels: LabelScale, threshold: float, pairs: str) -> float:
    """Sum of weighted terms over the sum of weights, from the healthier to the sicker scan."""
    top = bottom = 0.0
    for i, j in batch.pairs(pairs):
        share = (batch.score[i] - batch.score[j]).item() / labels.range
        g = axis(batch, i, j)
        if share <= threshold or math.hypot(*g) == 0:
            continue
        change = (batch.embedding[j] - batch.embedding[i]).tolist()
        dot = sum(a * b for a, b in zip(change, g, strict=True))
        weight = min(1.0, share)
        top += weight * (1 - dot / (math.hypot(*change) * math.hypot(*g)))
        bottom += weight
    return top / bottom


@pytest.mark.parametrize("pairs", ["intra", "all"])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("labels", [LABELS, NARROW])
@pytest.mark.parametrize("seed", range(2))
def test_equals_the_loop(pairs, threshold, labels, seed):
    """The form in matrices has the value of the loops, with ties and unknown scores."""
    batch = make_batch(seed, n=18)

    found = loss(
        *batch.arguments,
        prediction=batch.prediction,
        labels=labels,
        threshold=threshold,
        pairs=pairs,
    )

    assert found.item() == pytest.approx(slow(batch, labels, threshold, pairs), rel=1e-10)


def planted(change: tuple[float, float], rise: float = 1.0) -> Batch:
    """Three patients who differ along the first coordinate, and one who moves by a change."""
    start = torch.tensor([0.0, 5.0])
    embedding = torch.stack(
        [torch.tensor([2.0 * k, 0.0]) for k in range(3)] + [start, start + torch.tensor(change)]
    )
    score = torch.tensor([0.0, 1.0, 2.0, 0.5, 0.5 + rise])
    return Batch(embedding, score, torch.tensor([0, 1, 2, 3, 3]), torch.arange(5), score)


@pytest.mark.parametrize("rise", [1.0, -1.0])
@pytest.mark.parametrize(
    ("change", "wanted"),
    [((3.0, 0.0), 0.0), ((0.0, 2.0), 1.0), ((-0.1, 0.0), 2.0), ((1.0, 1.0), 1 - math.sqrt(0.5))],
)
def test_a_change_is_measured_by_the_other_patients_axis(change, wanted, rise):
    """Along it 0, across 1, against it 2, whatever its length; better and worse count alike."""
    batch = planted((rise * change[0], rise * change[1]), rise)

    found = loss(*batch.arguments, prediction=batch.prediction, labels=LABELS)

    assert found.item() == pytest.approx(wanted, abs=1e-6)


def test_a_pair_is_no_part_of_its_own_yardstick():
    """A change so large that it would turn the axis of all leaves its own axis as it is."""
    batch = planted((1.0, 1e4))

    found = loss(*batch.arguments, prediction=batch.prediction, labels=LABELS)

    assert found.item() == pytest.approx(1.0, abs=1e-3)


def test_large_changes_count_more_and_small_ones_nothing():
    """Changes by 1.0 and 0.5 of the range weigh two to one; one below the threshold is left out."""
    one = planted((3.0, 0.0), 2.5)  # along, a whole range
    one.embedding[:3] *= 1e4  # so far apart that nobody else turns the axis
    rows = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-9.0, 0.0]])
    batch = Batch(
        torch.cat([one.embedding, rows]),
        torch.cat([one.score, torch.tensor([0.0, 1.25, 1.0, 1.2])]),
        torch.cat([one.patient, torch.tensor([4, 4, 5, 5])]),
        torch.arange(9),
        torch.zeros(9),
    )

    found = loss(*batch.arguments, prediction=batch.prediction, labels=LABELS)

    assert found.item() == pytest.approx((0 * 1.0 + 1 * 0.5) / 1.5, abs=1e-3)


@pytest.mark.parametrize("pairs", ["intra", "all"])
@pytest.mark.parametrize("case", ["all tied", "others tied", "one patient", "two patients"])
def test_without_change_or_axis_it_is_zero(pairs, case):
    """No pair differs, or the other patients show no axis: 0, and gradients of 0."""
    batch = planted((1.0, 1.0))
    if case == "all tied":
        batch.score[:] = 0.7
    elif case == "others tied":
        batch.score[:3] = 0.7
    elif case == "one patient":
        batch.patient[:] = 0
    else:
        batch.patient[:3] = 0
    if pairs == "all" and case in ("others tied", "two patients"):
        batch = batch.reordered([0, 3, 4])
    embedding = batch.embedding.requires_grad_()

    found = loss(*batch.arguments, prediction=batch.prediction, labels=LABELS, pairs=pairs)
    found.backward()

    if (pairs, case) != ("intra", "two patients"):
        assert found.item() == 0
        assert torch.equal(embedding.grad, torch.zeros_like(embedding))
    else:  # the first one's three visits are the axis of the other
        assert found.item() > 0


def test_a_patient_who_does_not_move_is_pulled_along_the_axis():
    """Two visits with one embedding have cosine 0, and a gradient that parts them rightly."""
    batch = planted((0.0, 0.0))
    embedding = batch.embedding.requires_grad_()

    found = loss(*batch.arguments, prediction=batch.prediction, labels=LABELS)
    found.backward()

    assert found.item() == 1
    assert embedding.grad[4, 0] < 0 < embedding.grad[3, 0]  # the healthier end goes up


def test_where_embeddings_lie_does_not_matter():
    """Far from the origin, float32 keeps the axis: only differences of embeddings count."""
    batch = make_batch(n=18).cast(torch.float32)
    rest = {"prediction": batch.prediction, "labels": LABELS}
    near = (4 * batch.embedding).round() / 4  # exact beside a million in float32

    found = loss(near + 1e6, *batch.arguments[1:], **rest)

    assert found.item() == pytest.approx(loss(near, *batch.arguments[1:], **rest).item(), abs=1e-4)


def test_following_the_gradient_straightens_changes():
    """Descent on free embeddings of two visits each turns every change to one common line."""
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(16, 4, generator=generator).requires_grad_()
    score = torch.linspace(-1.5, 1.5, 16)
    rows = torch.arange(16)
    optimizer = torch.optim.Adam([embedding], lr=0.05)

    for _ in range(150):
        optimizer.zero_grad()
        loss(embedding, score, rows % 8, rows, prediction=score, labels=LABELS).backward()
        optimizer.step()

    changes = torch.nn.functional.normalize((embedding[8:] - embedding[:8]).detach())
    assert (changes @ changes.T).min() > 0.9
