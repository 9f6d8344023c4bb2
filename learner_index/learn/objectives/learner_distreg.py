"""Distances of embeddings are to equal differences of health score, up to a factor."""

from torch import Tensor

from learner_index.learn.objectives.pairs import (
    METRICS,
    PAIRS,
    differences,
    distances,
    masked_mean,
    pair_mask,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="learner_distreg",
    title="Distances follow differences of score",
    kind="contrastive",
    status="reconstruction",
    formula="mean over pairs of (D_ij − alpha·δ_ij)²;  δ_ij = |y_i − y_j| / range of the labels",
    citation="LEARNER: Armouti et al., Contrastive Pretraining for Learning Fine-Grained Patient "
    "Progression from Coarse Inter-Patient Labels, 2024, arXiv 2411.01144.",
    note="Ours: it asks directly for the relation the paper plots, distance against difference "
    "of score. δ is not capped, so cosine distances, 2 at most, cannot follow beyond 2 / alpha.",
    settings={"metric": "cosine", "alpha": 1.0, "pairs": "inter"},
    choices={"metric": METRICS, "pairs": PAIRS},
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
    alpha: float = 1.0,
    pairs: str = "inter",
) -> Tensor:
    """Mean squared deviation of distances from those the health scores ask for.

    Settings:
        metric: distance D between embeddings, "cosine" or "euclidean".
        alpha: distance asked for across the labels' range.
        pairs: who is compared, see `pair_mask`.
    """
    mask = pair_mask(score, patient, visit, pairs)
    wanted = alpha * differences(score) / labels.range
    return masked_mean((distances(embedding, metric) - wanted).square(), mask)
