"""Masks, distances and averages that losses share."""

import math

import pytest
import torch

from learner_index.errors import SettingsError
from learner_index.learn.objectives.pairs import (
    at_least_float32,
    cosine_distances,
    cosines,
    differences,
    distances,
    euclidean_distances,
    masked_log_sum_exp,
    masked_mean,
    pair_mask,
    rises,
    row_weights,
    weighted_mean,
)
from tests.learn.objectives.slow import make_batch


@pytest.mark.parametrize("pairs", ["inter", "inter+visit", "intra", "all"])
def test_mask_equals_the_loop(pairs):
    """Allowed partners are those the words describe."""
    batch = make_batch()

    mask = pair_mask(*batch.arguments[1:], pairs)

    wanted = torch.zeros(14, 14, dtype=torch.bool)
    for i, j in batch.pairs(pairs):
        wanted[i, j] = True
    assert torch.equal(mask, wanted)


def test_masks_differ_by_what_they_add():
    """Two scans of a visit, two visits of a patient, two patients: each mode by what it takes."""
    score = torch.zeros(4)
    patient, visit = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 2])

    shown = {
        pairs: pair_mask(score, patient, visit, pairs)[0].tolist()
        for pairs in ("inter", "inter+visit", "intra", "all")
    }

    assert shown == {
        "inter": [False, False, False, True],
        "inter+visit": [False, True, False, True],
        "intra": [False, False, True, False],
        "all": [False, True, True, True],
    }


def test_scans_of_unknown_visits_are_no_two_visits():
    """A visit below 0 may be any of its patient's, so none of its pairs is surely a change."""
    score, patient = torch.zeros(4), torch.zeros(4, dtype=torch.int64)

    mask = pair_mask(score, patient, torch.tensor([-1, -2, 3, 4]), "intra")

    assert mask.nonzero().tolist() == [[2, 3], [3, 2]]


def test_refuses_unknown_pairs():
    """A misspelt choice of pairs is refused, not taken for another."""
    wanted = r"no pairs 'intre': choose one of inter, inter\+visit, all, intra"
    with pytest.raises(SettingsError, match=wanted):
        pair_mask(torch.zeros(2), torch.arange(2), torch.arange(2), "intre")


def test_refuses_an_unknown_metric():
    """A misspelt metric is refused."""
    with pytest.raises(SettingsError, match="no metric 'dot': choose one of cosine, euclidean"):
        distances(torch.zeros(2, 2), "dot")


def test_differences_of_unknown_scores_are_numbers():
    """NaN and infinite scores count as 0, so that a mask can leave them out."""
    found = differences(torch.tensor([1.0, torch.nan, -torch.inf, 3.0]))

    assert found[0].tolist() == [0.0, 1.0, 1.0, 2.0]
    assert torch.isfinite(found).all()


def test_rises_have_a_sign():
    """Score of the row minus score of the column; an unknown one counts as 0."""
    found = rises(torch.tensor([1.0, torch.nan, 3.0]))

    assert found.tolist() == [[0, 1, -2], [-1, 0, -3], [2, 3, 0]]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_distances_equal_the_loop(metric):
    """Both metrics have the values of plain Python, also for equal embeddings."""
    batch = make_batch()
    batch.embedding[2] = batch.embedding[5]

    found = distances(batch.embedding, metric)

    for i in range(14):
        for j in range(14):
            wanted = batch.distance(i, j, metric)
            assert found[i, j].item() == pytest.approx(wanted, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("of", [cosine_distances, euclidean_distances])
def test_gradients_are_finite_where_distances_are_not_smooth(of):
    """Equal embeddings and embeddings of length 0 have small, finite gradients."""
    rows = [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [1.0, 2.0], [1e-30, 0.0]]
    embedding = torch.tensor(rows, requires_grad=True)

    of(embedding).sum().backward()

    assert torch.isfinite(embedding.grad).all()
    assert embedding.grad[:4].abs().max() < 100


def test_a_vector_of_length_zero_has_cosine_zero():
    """Nothing is like an embedding of length 0, not even itself."""
    found = cosines(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))

    assert found.tolist() == [[0.0, 0.0], [0.0, pytest.approx(1.0)]]


def test_euclidean_distances_keep_near_neighbours():
    """Two long embeddings a thousandth apart are so in float32 too, in batches of any size."""
    embedding = torch.full((40, 3), 1000.0)
    embedding[1, 0] += 0.001953125  # exact in float32

    assert euclidean_distances(embedding)[0, 1].item() == 0.001953125


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_precision_is_lifted_but_not_lowered(given, wanted):
    """Half becomes float32; double stays double."""
    assert at_least_float32(torch.zeros(1, dtype=given)).dtype == wanted
    assert cosines(torch.ones(2, 2, dtype=given)).dtype == wanted
    assert euclidean_distances(torch.ones(2, 2, dtype=given)).dtype == wanted


def test_means_look_under_the_mask_only():
    """What is masked counts neither in the sum nor in the number, even if it is not a number."""
    values = torch.tensor([1.0, torch.nan, 4.0, torch.inf])
    mask = torch.tensor([True, False, True, False])

    assert masked_mean(values, mask).item() == 2.5
    assert weighted_mean(values, torch.tensor([3.0, 9.0, 1.0, 9.0]), mask).item() == 1.75


def test_an_empty_mean_is_zero_with_its_graph():
    """Nothing to average: 0, and gradients of 0 rather than none."""
    values = torch.ones(3, requires_grad=True)

    found = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    found.backward()

    assert found.item() == 0
    assert torch.equal(values.grad, torch.zeros(3))


def test_log_sums_of_rows_are_masked():
    """Rows sum up what is under the mask; an empty row gives 0, and gradients stay finite."""
    values = torch.tensor([[0.0, 1.0, 500.0], [1.0, 2.0, 3.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])

    found = masked_log_sum_exp(values, mask)
    found.sum().backward()

    assert found.tolist() == [pytest.approx(math.log(1 + math.e)), 0.0]
    share = 1 / (1 + math.e)
    assert values.grad[0].tolist() == pytest.approx([share, 1 - share, 0.0])
    assert torch.equal(values.grad[1], torch.zeros(3))


@pytest.mark.parametrize("far", [0.0, -1e3, -5e5])
def test_weights_of_a_row_sum_to_one(far):
    """Also where every kernel value would underflow in float32; an empty row has weights of 0."""
    log_weights = torch.tensor([[0.0, far, far], [far, 0.0, far], [far, far, 0.0]])
    mask = torch.tensor([[False, True, True], [False, False, True], [False, False, False]])

    weights = row_weights(log_weights, mask)

    assert weights.tolist() == [[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
