"""Squared error of the predicted health score: the baseline of every other objective."""

import torch
from torch import Tensor

from learner_index.learn.objectives.pairs import at_least_float32, masked_mean
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="mse",
    title="Predict the health score, squared error",
    kind="regression",
    status="standard",
    formula="mean over i of (ŷ_i − y_i)²",
    citation="Textbook least squares.",
    note="The baseline: pairs of scans play no part, only the predicted scores.",
)


def loss(
    embedding: Tensor,
    score: Tensor,
    patient: Tensor,
    visit: Tensor,
    *,
    prediction: Tensor,
    labels: LabelScale,
) -> Tensor:
    """Mean squared error over the rows with a known score."""
    known = torch.isfinite(score)
    error = torch.where(known, at_least_float32(prediction) - score, 0.0)
    return masked_mean(error.square(), known)
