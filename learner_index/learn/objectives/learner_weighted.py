"""As `learner_pair`, but a pair counts the more, the clearer its health scores speak."""

import torch
from torch import Tensor

from learner_index.learn.objectives.pairs import (
    METRICS,
    PAIRS,
    differences,
    distances,
    hinge,
    is_far,
    pair_mask,
    weighted_mean,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="learner_weighted",
    title="Attract and repel, clear pairs count more",
    kind="contrastive",
    status="reconstruction",
    formula="Σ w_ij L_ij / Σ w_ij over pairs\n"
    "δ_ij = |y_i − y_j| / range of the labels, at most 1\n"
    "δ_ij ≤ threshold:  L_ij = D_ij²,  w_ij = (1 − δ_ij)^gamma\n"
    "δ_ij > threshold:  L_ij = max(0, m_ij − D_ij)²,  w_ij = δ_ij^gamma\n"
    "m_ij = margin, or margin·δ_ij where the margin grows",
    citation="LEARNER: Armouti et al., Contrastive Pretraining for Learning Fine-Grained Patient "
    "Progression from Coarse Inter-Patient Labels, 2024, arXiv 2411.01144.",
    note="The paper reports its largest gain for a weighted contrast between patients; its "
    "equations are not public, so weights, margin and threshold are ours. Dividing by the sum of "
    "the weights keeps the loss on one scale whatever scores a batch holds.",
    settings={
        "metric": "cosine",
        "margin": 1.0,
        "margin_grows": "no",
        "threshold": 0.1,
        "gamma": 1.0,
        "pairs": "inter",
    },
    choices={"metric": METRICS, "margin_grows": ("no", "yes"), "pairs": PAIRS},
    may_be_zero=("threshold", "gamma"),
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
    margin_grows: str = "no",
    threshold: float = 0.1,
    gamma: float = 1.0,
    pairs: str = "inter",
) -> Tensor:
    """Weighted mean over pairs of the squared distance, or of its shortfall below the margin.

    Settings:
        metric: distance D between embeddings, "cosine" or "euclidean".
        margin: distance beyond which a far pair is left alone.
        margin_grows: "yes": the margin is in proportion to the difference of health scores.
        threshold: share δ of the labels' range up to which a pair counts as near.
        gamma: how steeply weights follow differences; 0: all pairs count alike.
        pairs: who is compared, see `pair_mask`.
    """
    mask = pair_mask(score, patient, visit, pairs)
    distance = distances(embedding, metric)
    share = (differences(score) / labels.range).clamp(max=1.0)
    far = is_far(share, threshold)
    wanted = margin * share if margin_grows == "yes" else margin
    terms = torch.where(far, hinge(distance, wanted), distance.square())
    return weighted_mean(terms, torch.where(far, share, 1 - share) ** gamma, mask)
