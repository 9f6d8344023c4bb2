"""Changes of a patient point along one severity axis, the one on which other patients differ."""

import torch
from torch import Tensor

from learner_index.learn.objectives.pairs import (
    CHANGE_PAIRS,
    TIE,
    at_least_float32,
    is_far,
    pair_mask,
    rises,
    weighted_mean,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="direction",
    title="Changes run along one severity axis",
    kind="contrastive",
    status="reconstruction",
    formula="Σ δ_ij (1 − cos(z_j − z_i, g_ij)) / Σ δ_ij over pairs with y_i > y_j and "
    "δ_ij > threshold\n"
    "g_ij = −Σ_k (y_k − ȳ)·z_k over rows k of patients other than those of i and j, ȳ their "
    "mean score\n"
    "δ_ij = (y_i − y_j) / range of the labels, at most 1",
    citation="Idea: OrdCon, Wang et al., From Age Estimation to Age-Invariant Face Recognition, "
    "2025, arXiv 2501.01760; LSSL, Zhao et al., Longitudinal Self-supervised Learning, MedIA 2021; "
    "LNE, Ouyang et al., MICCAI 2021.",
    note="LSSL learns its one direction, LNE averages the changes of neighbours; of OrdCon we have "
    "seen the abstract, not the equations. This axis is ours: the slope of least squares of "
    "embedding on score, towards worse scores, among the other patients of the batch. A pair's own "
    "patients are left out, or its noise would be part of what it is measured by. Gradients reach "
    "change and axis alike. The sign is the score's, not time's, so patients may get better. Two "
    "scans of a pair may differ in view as well, which the axis does not know.",
    settings={"threshold": 0.1, "pairs": "intra"},
    choices={"pairs": CHANGE_PAIRS},
    may_be_zero=("threshold",),
    assumes="getting better is getting worse run backwards, along one axis that all patients share",
)


def loss(
    embedding: Tensor,
    score: Tensor,
    patient: Tensor,
    visit: Tensor,
    *,
    prediction: Tensor,
    labels: LabelScale,
    threshold: float = 0.1,
    pairs: str = "intra",
) -> Tensor:
    """Mean over pairs of how far a change for the worse turns off the axis, large changes first.

    Settings:
        threshold: share δ of the labels' range up to which a pair is left out, as noise.
        pairs: "intra" two visits of one patient, "all" any two rows.
    """
    share = rises(score) / labels.range
    usable = pair_mask(score, patient, visit, pairs) & is_far(share, threshold)
    healthier, sicker = usable.nonzero(as_tuple=True)  # (t,) each
    values = at_least_float32(embedding)
    weights = _slope_weights(score, patient, healthier, sicker)
    centered = values - values.detach().mean(0)  # weights sum to 0: only rounding errors differ
    with torch.autocast(embedding.device.type, enabled=False):  # it would multiply in half
        axes = -weights.to(values.dtype) @ centered
    off = 1 - _cosines(values[sicker] - values[healthier], axes)
    has_axis = (weights.abs() > TIE * labels.range).any(1)
    return weighted_mean(off, share[healthier, sicker].clamp(max=1.0), has_axis)


def _slope_weights(score: Tensor, patient: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """(t, b) what each row counts in the slope of embedding on score, up to a factor.

    Args:
        score: (b,) health scores; rows whose score is not finite count nothing.
        patient: (b,) codes of patients.
        one: (t,) first row of each pair.
        other: (t,) its second; rows of the patients of both count nothing.
    """
    is_known = torch.isfinite(score)
    known = at_least_float32(torch.where(is_known, score, 0.0))
    is_own = (patient == patient[one, None]) | (patient == patient[other, None])
    counted = (is_known & ~is_own).to(known.dtype)
    mean = (counted * known).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp(min=1.0)
    return counted * (known - mean)


def _cosines(one: Tensor, other: Tensor) -> Tensor:
    """(t,) cosines of the rows of two (t, e) tensors, 0 from a row of length 0."""
    return (_unit(one) * _unit(other)).sum(1)


def _unit(values: Tensor) -> Tensor:
    """Rows of length 1, or 0; gradients are always finite."""
    length = torch.linalg.vector_norm(values, dim=1, keepdim=True)
    return values / torch.where(length > 0, length, 1.0)
