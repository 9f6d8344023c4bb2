"""Losses on predicted health scores, against loops written from their formulas."""

import pytest
import torch

from learner_index.learn.objectives import huber, mse
from tests.learn.objectives.slow import LABELS, make_batch, mean


@pytest.mark.parametrize("seed", range(3))
def test_mse_is_the_mean_squared_error(seed):
    """Over known scores only, equal to a loop."""
    batch = make_batch(seed)
    wanted = mean([(batch.prediction[i] - batch.score[i]).item() ** 2 for i in batch.known()])

    found = mse.loss(*batch.arguments, prediction=batch.prediction, labels=LABELS)

    assert found.item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("delta", [0.3, 1.0, 4.0])
def test_huber_is_squared_then_linear(delta):
    """Half the square up to delta and a line from there, equal to a loop."""
    batch = make_batch()
    errors = [abs(batch.prediction[i] - batch.score[i]).item() for i in batch.known()]
    wanted = mean([r**2 / 2 if r <= delta else delta * (r - delta / 2) for r in errors])

    found = huber.loss(*batch.arguments, prediction=batch.prediction, labels=LABELS, delta=delta)

    assert found.item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("loss", [mse.loss, huber.loss])
def test_predictions_of_unknown_scores_get_no_gradient(loss):
    """Only rows with a known score pull on their prediction; also when another is NaN."""
    batch = make_batch()
    prediction = batch.prediction.clone()
    prediction[1] = torch.nan  # its score is unknown
    prediction.requires_grad_()

    loss(*batch.arguments, prediction=prediction, labels=LABELS).backward()

    unknown = torch.isnan(batch.score)
    assert torch.equal(prediction.grad != 0, ~unknown)
