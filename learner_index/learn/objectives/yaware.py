"""y-aware InfoNCE: rows attract in proportion to a kernel of their health scores."""

from torch import Tensor

from learner_index.learn.objectives.pairs import (
    PAIRS,
    cosines,
    kernel_cross_entropy,
    log_kernel,
    pair_mask,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="yaware",
    title="y-aware InfoNCE: attract by a kernel",
    kind="contrastive",
    status="published",
    formula="mean over i of −Σ_j w_ij log( e^(s_ij) / Σ_k e^(s_ik) );  s = cosine / temperature\n"
    "w_ij = K_ij / Σ_k K_ik;  K_ij = exp(−(y_i − y_j)² / 2σ²);  σ = width · kernel width of labels",
    citation="Dufumier et al., Contrastive Learning with Continuous Proxy Meta-data for 3D MRI "
    "Classification, MICCAI 2021.",
    note="Each row's weights sum to 1 and rows are averaged; the published code divides columns "
    "by the rows' sums and divides the loss by half the rows. Its σ of 5 years is tied to age: "
    "here σ is a multiple of half the median difference of two training scores.",
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
    """Mean over rows of the cross-entropy between nearness of scores and of embeddings.

    Settings:
        temperature: what cosines are divided by; small: the nearest decide.
        width: width of the kernel, in units of the labels' own kernel width.
        pairs: who is compared, see `pair_mask`.
    """
    mask = pair_mask(score, patient, visit, pairs)
    log_weights = log_kernel(score, width * labels.kernel_width)
    return kernel_cross_entropy(cosines(embedding) / temperature, log_weights, mask)
