"""What losses over pairs of scans share: who is compared, how far apart, and averages over them.

Everything is a (b, b) matrix with i in rows; nothing here turns an unknown score into a NaN, also
not in a gradient. Half precision is lifted to float32, float64 stays.
"""

import torch
from torch import Tensor
from torch.nn.functional import relu

from learner_index.errors import SettingsError

PAIRS = ("inter", "inter+visit", "all")
CHANGE_PAIRS = ("intra", "all")  # of objectives on signed changes
METRICS = ("cosine", "euclidean")
TIE = 1e-5  # share of the labels' range within which standardizing moves equal differences apart


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or in float64 if they are."""
    return values if values.dtype == torch.float64 else values.float()


def pair_mask(score: Tensor, patient: Tensor, visit: Tensor, pairs: str) -> Tensor:
    """Which rows may be compared with which.

    Args:
        score: (b,) health scores; a row whose score is not finite is compared with none.
        patient: (b,) codes of patients.
        visit: (b,) codes of visits, unique over the cohort; below 0 where nothing says which.
        pairs: "inter" two patients, "inter+visit" two patients or one visit (repeats and
            augmented copies show the same state), "intra" two known visits of one patient,
            "all" any two rows.

    Returns:
        (b, b) booleans, symmetric, false on the diagonal.

    Raises:
        SettingsError: no such choice of pairs.
    """
    known = torch.isfinite(score)
    known = known[:, None] & known & ~torch.eye(len(score), dtype=torch.bool, device=score.device)
    other_patient = patient[:, None] != patient
    if pairs == "inter":
        return known & other_patient
    if pairs == "inter+visit":
        return known & (other_patient | (visit[:, None] == visit))
    if pairs == "intra":
        known_visit = visit >= 0
        two_visits = (visit[:, None] != visit) & known_visit[:, None] & known_visit
        return known & ~other_patient & two_visits
    if pairs == "all":
        return known
    choices = dict.fromkeys((*PAIRS, *CHANGE_PAIRS))
    raise SettingsError(f"no pairs {pairs!r}: choose one of {', '.join(choices)}")


def differences(score: Tensor) -> Tensor:
    """(b, b) absolute differences of health score; unknown scores count as 0, for use with a mask.

    Args:
        score: (b,) health scores.
    """
    return rises(score).abs()


def rises(score: Tensor) -> Tensor:
    """(b, b) signed differences, score of i minus score of j; unknown scores count as 0.

    Args:
        score: (b,) health scores.
    """
    known = at_least_float32(torch.where(torch.isfinite(score), score, 0.0))
    return known[:, None] - known


def is_far(share: Tensor, threshold: float) -> Tensor:
    """Whether differences exceed a threshold, by more than the rounding of equal ones.

    Args:
        share: (b, b) differences of health score as shares of the labels' range.
        threshold: also such a share.
    """
    return share > threshold + TIE


def distances(embedding: Tensor, metric: str) -> Tensor:
    """(b, b) distances of (b, e) embeddings, "cosine" or "euclidean".

    Raises:
        SettingsError: no such metric.
    """
    if metric == "cosine":
        return cosine_distances(embedding)
    if metric == "euclidean":
        return euclidean_distances(embedding)
    raise SettingsError(f"no metric {metric!r}: choose one of {', '.join(METRICS)}")


def cosine_distances(embedding: Tensor) -> Tensor:
    """(b, b) one minus the cosine, 0 to 2 up to rounding; 1 from an embedding of length 0."""
    return 1 - cosines(embedding)


def cosines(embedding: Tensor) -> Tensor:
    """(b, b) cosines of (b, e) embeddings, 0 for those of length 0; gradients are always finite."""
    with torch.autocast(embedding.device.type, enabled=False):  # it would multiply in half
        values = at_least_float32(embedding)
        length = torch.linalg.vector_norm(values, dim=1, keepdim=True)
        unit = values / torch.where(length > 0, length, 1.0)
        return unit @ unit.T


def euclidean_distances(embedding: Tensor) -> Tensor:
    """(b, b) lengths of differences of (b, e) embeddings; the gradient at distance 0 is 0.

    Differences are taken before squaring: ‖a‖² + ‖b‖² − 2a·b would lose near neighbours.
    """
    values = at_least_float32(embedding)
    apart: Tensor = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
    return apart


def hinge(distance: Tensor, margin: Tensor | float) -> Tensor:
    """Squared shortfall of distances below a margin."""
    return relu(margin - distance).square()


def log_kernel(score: Tensor, width: float) -> Tensor:
    """(b, b) logarithms of a Gaussian kernel over health scores, 0 for equal ones.

    Args:
        score: (b,) health scores; unknown ones count as 0, for use with a mask.
        width: σ, in the units of `score`.
    """
    return -0.5 * (differences(score) / width).square()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values under a mask of their shape; without any, 0 with gradients of 0."""
    return weighted_mean(values, torch.ones_like(values), mask)


def weighted_mean(values: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values under a mask by weights ≥ 0; where these sum to 0, 0 with its graph."""
    counted = torch.where(mask, weights, 0.0)
    total = counted.sum()
    summed = torch.where(mask, counted * values, 0.0).sum()
    return summed / torch.where(total > 0, total, 1.0)


def masked_log_sum_exp(values: Tensor, mask: Tensor) -> Tensor:
    """(b,) log Σ exp of each row's values under the mask; 0 for a row without any."""
    summed = torch.logsumexp(_only(values, mask), dim=1)
    return torch.where(mask.any(1), summed, 0.0)


def row_weights(log_weights: Tensor, mask: Tensor) -> Tensor:
    """(b, b) weights from their logarithms: each row sums to 1 under the mask, 0 if it is empty.

    Computed from logarithms, a row keeps its weights where every kernel would underflow.
    """
    return torch.where(mask, torch.softmax(_only(log_weights, mask), dim=1), 0.0)


def _only(values: Tensor, mask: Tensor) -> Tensor:
    """The values under the mask, −∞ elsewhere; a row without any is 0, so that none is all −∞."""
    return torch.where(mask, values, torch.where(mask.any(1, keepdim=True), -torch.inf, 0.0))


def kernel_cross_entropy(logits: Tensor, log_weights: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy between each row's kernel weights and the softmax of its logits.

    Args:
        logits: (b, b) similarities divided by a temperature.
        log_weights: (b, b) logarithms of kernel weights, not yet normalized.
        mask: (b, b) who is compared with whom.

    Returns:
        () mean over the rows that have a partner.
    """
    surprise = masked_log_sum_exp(logits, mask)[:, None] - logits
    rows = (row_weights(log_weights, mask) * surprise).sum(1)
    return masked_mean(rows, mask.any(1))
