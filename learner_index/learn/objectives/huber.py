"""Squared error of the predicted health score that grows only linearly where it is large."""

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from learner_index.learn.objectives.pairs import at_least_float32, masked_mean
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="huber",
    title="Predict the score, outliers count less",
    kind="regression",
    status="standard",
    formula="mean over i of ½r² where |r| ≤ delta, else delta·(|r| − ½delta);  r = ŷ_i − y_i",
    citation="Huber, Robust Estimation of a Location Parameter, Ann. Math. Statist. 35, 1964.",
    note="Large delta makes it half of mse, small delta delta times the absolute error.",
    settings={"delta": 1.0},
)


def loss(
    embedding: Tensor,
    score: Tensor,
    patient: Tensor,
    visit: Tensor,
    *,
    prediction: Tensor,
    labels: LabelScale,
    delta: float = 1.0,
) -> Tensor:
    """Mean Huber error over the rows with a known score.

    Settings:
        delta: error from which on the loss grows linearly, in standard deviations of the score.
    """
    known = torch.isfinite(score)
    error = torch.where(known, at_least_float32(prediction) - score, 0.0)
    terms = huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta)
    return masked_mean(terms, known)
