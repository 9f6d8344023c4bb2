"""Differences of two predicted scores are the difference of the scores, or have its order."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from learner_index.learn.objectives.pairs import (
    CHANGE_PAIRS,
    TIE,
    at_least_float32,
    masked_mean,
    pair_mask,
    rises,
)
from learner_index.learn.objectives.record import Card, LabelScale

CARD = Card(
    name="antisymmetric_delta",
    title="Read changes of score off differences",
    kind="contrastive",
    status="published",
    formula="target change: mean over pairs of (Δŷ_ij − Δy_ij)²\n"
    "target order:  mean over pairs of −o_ij log s(Δŷ_ij) − (1 − o_ij) log s(−Δŷ_ij)\n"
    "Δŷ_ij = ŷ_i − ŷ_j = w·(z_i − z_j);  Δy_ij = y_i − y_j;  s(x) = 1 / (1 + e^(−x))\n"
    "o_ij = 1 where Δy_ij > 0, 0 where Δy_ij < 0, ½ for ties",
    citation="PaIRNet: Kim and Sabuncu, Learning to Compare Longitudinal Images, MIDL 2023; "
    "LILAC: Kim et al., Learning-based Inference of Longitudinal Image Changes, PNAS 2025.",
    note="Published: a linear map without bias reads the difference of two feature vectors, so "
    "swapping the visits turns the sign and nothing else. Ours: the map is the health score's own "
    "head, whose bias cancels in the difference of two predictions; pairs are those of a batch; "
    "order is that of scores, where theirs may be that of time. What a patient's visits have in "
    "common costs nothing. With regression weight 0 only differences of predicted scores mean "
    "something, not the scores. What it assumes, mse assumes as well. Two scans of a pair may "
    "differ in view, too.",
    settings={"target": "change", "pairs": "intra"},
    choices={"target": ("change", "order"), "pairs": CHANGE_PAIRS},
    reads_prediction=True,
    assumes="getting better undoes in a scan what getting worse has done, up to the sign",
)


def loss(
    embedding: Tensor,
    score: Tensor,
    patient: Tensor,
    visit: Tensor,
    *,
    prediction: Tensor,
    labels: LabelScale,
    target: str = "change",
    pairs: str = "intra",
) -> Tensor:
    """Mean over pairs of the squared error of a predicted change, or of the surprise at its order.

    Settings:
        target: "change" the difference of the scores, "order" which of them is higher.
        pairs: "intra" two visits of one patient, "all" any two rows.
    """
    mask = pair_mask(score, patient, visit, pairs)
    one, other = mask.triu().nonzero(as_tuple=True)  # (t,) each; the mirror pair says the same
    values = at_least_float32(prediction)
    predicted, observed = values[one] - values[other], rises(score)[one, other]
    if target == "order":
        is_tied = observed.abs() <= TIE * labels.range
        wanted = torch.where(is_tied, 0.5, (observed > 0).to(values.dtype))
        terms = binary_cross_entropy_with_logits(predicted, wanted, reduction="none")
    else:
        terms = (predicted - observed).square()
    return masked_mean(terms, torch.ones_like(one, dtype=torch.bool))
