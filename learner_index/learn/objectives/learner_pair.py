"""Pairs of patients with near health scores attract, pairs with far ones repel up to a margin."""

import torch
from torch import Tensor

from learner_index.learn.objectives.pairs import (
    METRICS,
    PAIRS,
    differences,
    distances,
    hinge,
    is_far,
    masked_mean,
    pair_mask,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="learner_pair",
    title="Near scores attract, far ones repel",
    kind="contrastive",
    status="reconstruction",
    formula="mean over pairs of D_ij² where δ_ij ≤ threshold, else max(0, margin − D_ij)²\n"
    "δ_ij = |y_i − y_j| / range of the labels",
    citation="LEARNER: Armouti et al., Contrastive Pretraining for Learning Fine-Grained Patient "
    "Progression from Coarse Inter-Patient Labels, 2024, arXiv 2411.01144.",
    note="The paper combines score regression with a contrast between patients; its equations are "
    "not public, so form, margin and threshold are ours.",
    settings={"metric": "cosine", "margin": 1.0, "threshold": 0.1, "pairs": "inter"},
    choices={"metric": METRICS, "pairs": PAIRS},
    may_be_zero=("threshold",),
)


def loss(
    embedding: Tensor,
    score: Tensor,
    patient: Tensor,
    visit: Tensor,
    *,
    prediction: Tensor,
    labels: LabelScale,
    metric: str = "cosine",
    margin: float = 1.0,
    threshold: float = 0.1,
    pairs: str = "inter",
) -> Tensor:
    """Mean over pairs of the squared distance, or of its squared shortfall below the margin.

    Settings:
        metric: distance D between embeddings, "cosine" or "euclidean".
        margin: distance beyond which a far pair is left alone.
        threshold: share δ of the labels' range up to which a pair counts as near.
        pairs: who is compared, see `pair_mask`.
    """
    mask = pair_mask(score, patient, visit, pairs)
    distance = distances(embedding, metric)
    far = is_far(differences(score) / labels.range, threshold)
    return masked_mean(torch.where(far, hinge(distance, margin), distance.square()), mask)
