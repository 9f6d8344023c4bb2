"""Rank-N-Contrast: of two rows, the one with the nearer health score is to be the nearer one."""

import torch
from torch import Tensor

from learner_index.learn.objectives.pairs import (
    PAIRS,
    TIE,
    differences,
    euclidean_distances,
    masked_mean,
    pair_mask,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="rnc",
    title="Rank-N-Contrast: distances rank like scores",
    kind="contrastive",
    status="published",
    formula="mean over i ≠ j of −log( e^(s_ij) / Σ_k e^(s_ik) ) over k ≠ i with d_ik ≥ d_ij\n"
    "s_ij = −‖z_i − z_j‖ / temperature;  d_ij = |y_i − y_j|",
    citation="Zha et al., Rank-N-Contrast: Learning Continuous Representations for Regression, "
    "NeurIPS 2023.",
    note="The value of the published loss, computed by sorting: n² log n steps instead of n³. "
    "Ours: differences closer than 1e-5 of the labels' range are ties, so that standardizing "
    "integer scores breaks none.",
    settings={"temperature": 2.0, "pairs": "all"},
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
    temperature: float = 2.0,
    pairs: str = "all",
) -> Tensor:
    """Mean over ordered pairs i, j of how hard i tells j from all that are at least as far.

    Settings:
        temperature: what distances are divided by; small: the nearest decide.
        pairs: who is compared, see `pair_mask`.
    """
    mask = pair_mask(score, patient, visit, pairs)
    logits = -euclidean_distances(embedding) / temperature
    farther = _log_sum_exp_farther(logits, differences(score), mask, TIE * labels.range)
    return masked_mean(farther - logits, mask)


def _log_sum_exp_farther(logits: Tensor, apart: Tensor, mask: Tensor, tie: float) -> Tensor:
    """For each pair i, j: log Σ exp of the logits i, k with k at least as far from i as j.

    Rows are sorted from far to near and summed up cumulatively; a pair reads the sum at the last
    of those tied with it. What is masked comes last, where no pair reads.

    Args:
        logits: (b, b).
        apart: (b, b) differences of health score.
        mask: (b, b) who is compared with whom.
        tie: difference up to which two differences are equal.
    """
    nearness = torch.where(mask, -apart, torch.inf)
    ascending, order = nearness.sort(dim=1)
    summed = torch.logcumsumexp(torch.where(mask, logits, 0.0).gather(1, order), dim=1)
    last = torch.searchsorted(ascending, nearness + tie, right=True) - 1
    return summed.gather(1, last)
