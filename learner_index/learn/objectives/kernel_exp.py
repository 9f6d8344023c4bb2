"""Rows attract by a kernel of their health scores, and repel the less the nearer these are."""

import torch
from torch import Tensor

from learner_index.learn.objectives.pairs import (
    PAIRS,
    cosines,
    log_kernel,
    masked_log_sum_exp,
    masked_mean,
    pair_mask,
    row_weights,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="kernel_exp",
    title="Near scores attract, and hardly repel",
    kind="contrastive",
    status="published",
    formula="mean over i of −Σ_k (K_ik / Σ_t K_it) log( e^(s_ik) / Σ_t e^(s_it·(1 − K_it)) )\n"
    "s = cosine / temperature;  K_ij = exp(−(y_i − y_j)² / 2σ²);  σ = width · kernel width of "
    "labels",
    citation="Barbano et al., Contrastive Learning for Regression in Multi-site Brain Age "
    "Prediction, ISBI 2023, loss L^exp.",
    note="Computed as written: the published code subtracts each row's largest s before the "
    "factor 1 − K, which changes the value. σ is a multiple of half the median difference of two "
    "training scores, where the published code sets it in years. The loss may be negative.",
    settings={"temperature": 0.1, "width": 1.0, "pairs": "all"},
    choices={"pairs": PAIRS},
)


def loss(
    embedding: Tensor,
    score: Tensor,
    patient: Tensor,
    visit: Tensor,
    *,
    prediction: Tensor,
    labels: LabelScale,
    temperature: float = 0.1,
    width: float = 1.0,
    pairs: str = "all",
) -> Tensor:
    """Mean over rows of weighted log ratios of attraction to repulsion.

    Settings:
        temperature: what cosines are divided by; small: the nearest decide.
        width: width of the kernel, in units of the labels' own kernel width.
        pairs: who is compared, see `pair_mask`.
    """
    mask = pair_mask(score, patient, visit, pairs)
    logits = cosines(embedding) / temperature
    log_weights = log_kernel(score, width * labels.kernel_width)
    repulsion = masked_log_sum_exp(logits * (1 - torch.exp(log_weights)), mask)
    rows = (row_weights(log_weights, mask) * (repulsion[:, None] - logits)).sum(1)
    return masked_mean(rows, mask.any(1))
