"""Every other patient attracts in proportion to how near the health scores are."""

from torch import Tensor

from learner_index.learn.objectives.pairs import (
    METRICS,
    PAIRS,
    distances,
    kernel_cross_entropy,
    log_kernel,
    pair_mask,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="learner_softnce",
    title="Attract by a kernel, between patients",
    kind="contrastive",
    status="reconstruction",
    formula="mean over i of −Σ_j w_ij log( e^(s_ij) / Σ_k e^(s_ik) );  s = −D / temperature\n"
    "w_ij = K_ij / Σ_k K_ik;  K_ij = exp(−(y_i − y_j)² / 2σ²);  σ = width · kernel width of labels",
    citation="LEARNER: Armouti et al., Contrastive Pretraining for Learning Fine-Grained Patient "
    "Progression from Coarse Inter-Patient Labels, 2024, arXiv 2411.01144.",
    note="Ours: the row form of y-aware InfoNCE (Dufumier et al., MICCAI 2021) between patients. "
    "With the cosine distance s differs from cosine / temperature by a constant, which cancels.",
    settings={"metric": "cosine", "temperature": 0.1, "width": 1.0, "pairs": "inter"},
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
    temperature: float = 0.1,
    width: float = 1.0,
    pairs: str = "inter",
) -> Tensor:
    """Mean over rows of the cross-entropy between nearness of scores and of embeddings.

    Settings:
        metric: distance D between embeddings, "cosine" or "euclidean".
        temperature: what distances are divided by; small: the nearest decide.
        width: width of the kernel, in units of the labels' own kernel width.
        pairs: who is compared, see `pair_mask`.
    """
    mask = pair_mask(score, patient, visit, pairs)
    log_weights = log_kernel(score, width * labels.kernel_width)
    return kernel_cross_entropy(-distances(embedding, metric) / temperature, log_weights, mask)
