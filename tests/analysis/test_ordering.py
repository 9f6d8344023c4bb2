"""Order of a space: triplets, neighbours, retrieval and predictions, against slow loops."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from learner_index.analysis.by_patient import by_patient
from learner_index.analysis.distance import pair_distance
from learner_index.analysis.ordering import (
    concordance_within,
    cross_distances,
    neighbor_score_error,
    retrieval_ndcg,
    triplet_ordinality,
)
from learner_index.analysis.resample import draw_weights, interval
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError, SplitError

SEEDS = st.integers(0, 2**32 - 1)


def cohort(seed, patients=6, n=14, noise=1.0, width=3):
    """Embeddings whose first axis is the score, plus noise; whole scores, so that some tie."""
    rng = np.random.default_rng(seed)
    owner = np.r_[np.arange(patients), rng.integers(0, patients, n - patients)]
    score = rng.integers(0, 6, n).astype(float)
    u = noise * rng.standard_normal((n, width))
    u[:, 0] += score
    return u, score, np.array([f"p{i:02d}" for i in owner], object)


def slow_triplets(u, score, patient, view):
    """Weighted mean over anchors i and pairs j, k of others, one triplet at a time."""
    scored = {p: sum(np.isfinite(score[patient == p])) for p in patient}
    top = bottom = 0.0
    for i, j, k in itertools.permutations(range(len(u)), 3):
        if patient[i] in (patient[j], patient[k]) or len({view[i], view[j], view[k]}) > 1:
            continue
        near, far = abs(score[i] - score[j]), abs(score[i] - score[k])
        if near < far:
            one, other = np.linalg.norm(u[i] - u[j]), np.linalg.norm(u[i] - u[k])
            weight = 1 / math.prod(scored[patient[row]] for row in (i, j, k))
            top += weight * (0.5 if one == other else one < other)
            bottom += weight
    return top / bottom


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_triplets_equal_the_definition(seed):
    """All triplets of one view, ties in score skipped, ties in distance half, patients alike."""
    rng = np.random.default_rng(seed)
    u, score, patient = cohort(seed)
    u[rng.random(14) < 0.4] = 1.0
    score[rng.random(14) < 0.1] = np.nan
    view = rng.choice(["L1", "L1", "L2"], 14)

    found = triplet_ordinality(u, score, patient, view=view, metric="euclidean")

    assert found.mean() == pytest.approx(slow_triplets(u, score, patient, view))
    assert (found.owner[:, :1] != found.owner[:, 1:]).all()


def test_a_space_in_order_of_health_orders_triplets():
    """Distances that equal score differences: 1 in the cohort and in every draw."""
    found = triplet_ordinality(*cohort(0, noise=0.0), metric="euclidean")

    assert found.mean() == 1
    assert set(found.mean(draw_weights(6, 50, 0)).tolist()) == {1.0}


def test_a_space_that_knows_nothing_orders_half():
    """Random embeddings: .5 is in the interval; a space in one point is at .5 exactly."""
    u, score, patient = cohort(1, patients=40, n=80)
    u[:, 0] -= score

    random = triplet_ordinality(u, score, patient, metric="euclidean")
    point = triplet_ordinality(0 * u, score, patient)

    ends = interval(random.mean(draw_weights(40, 500, 0)))
    assert 0.35 < ends.low < 0.5 < ends.high < 0.65
    assert point.mean() == 0.5


def test_many_triplets_are_sampled():
    """A sample of as many as allowed estimates the share of all, is seeded, and is of one view."""
    u, score, patient = cohort(2, patients=20, n=60, noise=3.0)
    view = np.array(["L1", "L2"] * 30)
    options = {"view": view, "metric": "euclidean"}

    exact = triplet_ordinality(u, score, patient, max_triplets=10**6, **options)
    sampled = triplet_ordinality(u, score, patient, max_triplets=9000, seed=1, **options)
    again = triplet_ordinality(u, score, patient, max_triplets=9000, seed=1, **options)

    assert len(exact.value) > len(sampled.value) == 9000
    assert sampled.mean() == pytest.approx(exact.mean(), abs=0.02)
    assert sampled.value.tolist() == again.value.tolist()


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_triplets_see_neither_axes_nor_units_nor_row_order(seed):
    """Turned and scaled space, turned and scaled scores, shuffled rows: the same share."""
    u, score, patient = cohort(seed)
    rng = np.random.default_rng(seed)
    rotation, order = np.linalg.qr(rng.standard_normal((3, 3)))[0], rng.permutation(14)

    one = triplet_ordinality(u, score, patient)
    other = triplet_ordinality(7 * (u @ rotation)[order], -2 * score[order], patient[order])

    assert one.mean() == pytest.approx(other.mean())


def test_refuses_triplets_that_cannot_be():
    """Two scored patients, or scores that are all equal."""
    u = np.eye(4)

    with pytest.raises(NotEnoughDataError, match="2 patients with scores make"):
        triplet_ordinality(u, np.array([0, 1, 2, np.nan]), ["a", "a", "b", "c"])
    with pytest.raises(NotEnoughDataError, match="4 patients with scores make 0 triplets"):
        triplet_ordinality(u, np.ones(4), list("abcd"))
    with pytest.raises(NotEnoughDataError, match="4 patients with scores make 0 triplets"):
        triplet_ordinality(u, np.ones(4), list("abcd"), max_triplets=3)


@pytest.mark.parametrize("metric", ["cosine", "centered", "euclidean"])
def test_distances_to_a_gallery_are_those_of_pairs(metric):
    """Every query against every scan, over several blocks, as `pair_distance` has it."""
    rng = np.random.default_rng(0)
    center = rng.standard_normal(4)
    u = rng.standard_normal((300, 4))
    u[[0, 280]] = center if metric == "centered" else 0

    blocks = list(cross_distances(u[:290], u, metric, center))

    found = np.concatenate([distance for _, distance in blocks])
    assert [rows.start for rows, _ in blocks] == [0, 256]
    pairs = np.stack(np.meshgrid(range(290), range(300), indexing="ij"), -1).reshape(-1, 2)
    expected = pair_distance(u, pairs, metric, center).reshape(290, 300)
    if metric != "euclidean":  # a scan without a direction is at 1, even to itself
        assert (found[[0, 280]] == 1).all()
    np.testing.assert_allclose(found, expected, atol=2e-12)


def test_distances_refuse_what_pairs_refuse():
    """Unknown metrics, a missing center, NaN on either side."""
    u = np.ones((2, 2))

    with pytest.raises(SettingsError, match="metric 'manhattan' is unknown"):
        list(cross_distances(u, u, "manhattan", None))
    with pytest.raises(SettingsError, match="needs a center"):
        list(cross_distances(u, u, "centered", None))
    for queries, gallery in ((np.nan * u, u), (u, np.inf * u)):
        with pytest.raises(QueryError, match="holds NaN or infinity"):
            list(cross_distances(queries, gallery, "cosine", None))


@given(SEEDS, st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_neighbours_equal_a_slow_search(seed, k):
    """One scan of each training patient, the k nearest patients, mean score; weighted median."""
    u, score, patient = cohort(seed, n=20)
    score[np.random.default_rng(seed).random(20) < 0.1] = np.nan
    queries, target, _ = cohort(seed + 1, n=9)

    found = neighbor_score_error(u, score, patient, queries, target, k=k, metric="euclidean")

    known = np.flatnonzero(np.isfinite(score))
    for query, truth, error in zip(queries, target, found.error, strict=True):
        best = {}
        for row in known:
            here = (np.linalg.norm(u[row] - query), row)
            best[patient[row]] = min(best.get(patient[row], (np.inf, -1)), here)
        nearest = [score[row] for _, row in sorted(best.values())[:k]]
        assert error == pytest.approx(abs(np.mean(nearest) - truth))
    counts = {name: max(1, np.sum(patient[known] == name)) for name in patient}
    copies = [math.lcm(*counts.values()) // counts[patient[row]] for row in known]
    median = np.median(np.repeat(score[known], copies))
    np.testing.assert_allclose(found.median_error, np.abs(median - target))


def test_neighbours_in_a_space_that_knows_the_score_are_right():
    """Far better than the median; a random space is not."""
    u, score, patient = cohort(0, patients=40, n=200, noise=0.1)
    queries, target, asker = cohort(1, patients=30, n=60, noise=0.1)

    good = neighbor_score_error(u, score, patient, queries, target, metric="euclidean")
    blind = neighbor_score_error(u[:, 1:], score, patient, queries[:, 1:], target)

    errors = [by_patient(rows, asker).mean() for rows in (good.error, blind.error)]
    median = by_patient(good.median_error, asker).mean()
    assert errors[0] < 0.3 * median
    assert errors[1] > 0.8 * median


def test_equal_distances_go_by_name_and_unknown_targets_stay_unknown():
    """Of equally near patients the first in order of names; NaN in, NaN out."""
    u = np.ones((4, 2))

    found = neighbor_score_error(
        u, np.array([7.0, 5, 3, 9]), ["c", "b", "a", "b"], u[:2], np.array([0, np.nan]), k=2
    )

    assert found.error.tolist()[0] == (3 + 5) / 2
    assert np.isnan([found.error[1], found.median_error[1]]).all()


def test_refuses_neighbours_of_nothing_and_of_oneself():
    """No scored training scan, no neighbour asked for, a patient in both roles; others may ask."""
    u, score = np.ones((2, 2)), np.ones(2)

    with pytest.raises(NotEnoughDataError, match="none of 2 training scans has a health score"):
        neighbor_score_error(u, score * np.nan, ["a", "b"], u, score)
    with pytest.raises(SettingsError, match="k 0 is no number of neighbours"):
        neighbor_score_error(u, score, ["a", "b"], u, score, k=0)
    with pytest.raises(SplitError, match="1 test patients were trained on, such as b"):
        neighbor_score_error(u, score, ["a", "b"], u, score, test_patient=["b", "c"])
    apart = neighbor_score_error(u, score, ["a", "b"], u, score, test_patient=["c", "d"])
    assert apart.error.tolist() == [0, 0]


@given(SEEDS, st.integers(1, 30), st.booleans())
@settings(max_examples=30, deadline=None)
def test_gain_equals_scikit_learn(seed, k, is_binary):
    """Graded or binary, with ties in the ranking, own patient left out."""
    rng = np.random.default_rng(seed)
    delta = rng.integers(-3, 4, (14, 2)).astype(float)  # some are parallel, some are 0
    relevance = rng.integers(0, 2 if is_binary else 5, (14, 14)).astype(float)
    patient = rng.choice(list("abcde"), 14).astype(object)

    found = retrieval_ndcg(delta, relevance, patient, k=k)

    lengths = np.maximum(np.linalg.norm(delta, axis=1), 1e-9)
    cosine = np.round(delta @ delta.T / np.outer(lengths, lengths), 9)
    for row in range(14):
        others = patient != patient[row]
        gain = relevance[row, others]
        if not gain.any():
            assert np.isnan([found.ndcg[row], found.chance[row]]).all()
        elif len(gain) > 1:
            expected = ndcg_score([gain], [cosine[row, others]], k=k)
            assert found.ndcg[row] == pytest.approx(expected)
            even = ndcg_score([gain], [np.zeros(len(gain))], k=k)  # all tied: any order
            assert found.chance[row] == pytest.approx(even)


def test_chance_is_the_mean_of_random_rankings():
    """Analytic expectation against a thousand random directions."""
    rng = np.random.default_rng(0)
    patient = np.array([f"p{i % 10}" for i in range(20)], object)
    relevance = rng.integers(0, 4, (20, 20)).astype(float)

    found = [
        retrieval_ndcg(rng.standard_normal((20, 40)), relevance, patient, k=5) for _ in range(300)
    ]

    drawn = np.mean([each.ndcg for each in found], axis=0)
    np.testing.assert_allclose(drawn, found[0].chance, atol=0.06)
    assert np.mean(drawn) == pytest.approx(np.mean(found[0].chance), abs=0.01)


def test_planted_directions_are_retrieved():
    """Three directions of change: those of the same come first, whatever the length."""
    rng = np.random.default_rng(1)
    kind = np.arange(60) % 3
    delta = np.eye(3)[kind] * rng.uniform(1, 9, (60, 1)) + 0.05 * rng.standard_normal((60, 3))
    patient = [f"p{i // 2}" for i in range(60)]
    is_same = (kind[:, None] == kind).astype(float)

    found = retrieval_ndcg(delta, lambda row: is_same[row], patient)

    assert by_patient(found.ndcg, patient).mean() == pytest.approx(1)
    assert 0.25 < by_patient(found.chance, patient).mean() < 0.45
    np.testing.assert_equal(found.ndcg, retrieval_ndcg(delta, is_same, patient).ndcg)


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_retrieval_sees_neither_axes_nor_lengths_nor_row_order(seed):
    """Turned space, deltas of other lengths, shuffled rows."""
    rng = np.random.default_rng(seed)
    delta, relevance = rng.standard_normal((12, 3)), rng.integers(0, 3, (12, 12)).astype(float)
    patient, order = rng.choice(list("abcd"), 12).astype(object), rng.permutation(12)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    other = (delta * rng.uniform(0.1, 9, (12, 1)) @ rotation)[order]

    one = retrieval_ndcg(delta, relevance, patient, k=4)
    moved = retrieval_ndcg(other, relevance[np.ix_(order, order)], patient[order], k=4)

    np.testing.assert_allclose(one.ndcg[order], moved.ndcg)
    np.testing.assert_allclose(one.chance[order], moved.chance)


def test_what_is_said_of_own_transitions_is_not_used():
    """A patient alone has nothing to find; own relevance may be anything."""
    relevance = np.array([[np.nan, -5, 1], [np.nan, 7, 0], [2, 1, np.nan]])

    found = retrieval_ndcg(np.eye(3), relevance, ["a", "a", "b"])

    np.testing.assert_equal(found.ndcg[:2], [1, np.nan])
    assert np.isnan(retrieval_ndcg(np.eye(3), np.ones((3, 3)), ["a"] * 3).ndcg).all()


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_refuses_relevance_that_is_none(wrong):
    """Negative and missing relevances are refused, with the query."""
    with pytest.raises(QueryError, match="relevance of transition 1 is negative or no number"):
        retrieval_ndcg(np.eye(2), np.array([[0, 1], [wrong, 0]]), ["a", "b"])
    with pytest.raises(SettingsError, match="k 0 is no number"):
        retrieval_ndcg(np.eye(2), np.eye(2), ["a", "b"], k=0)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_concordance_equals_the_definition(seed):
    """Comparable pairs of each patient, ties half; swapped predictions give the rest to 1."""
    rng = np.random.default_rng(seed)
    score, guess = rng.integers(0, 4, (2, 20)).astype(float)
    score[rng.random(20) < 0.2] = np.nan
    patient = rng.choice(list("abcde"), 20).astype(object)
    order = rng.permutation(20)

    found = concordance_within(guess, score, patient)

    for name, value, count in zip(found.patient, found.value, found.count, strict=True):
        rows = np.flatnonzero(patient == name)
        told = [
            0.5 if guess[i] == guess[j] else float(guess[i] > guess[j])
            for i, j in itertools.permutations(rows, 2)
            if score[i] > score[j]
        ]
        assert count == len(told)
        np.testing.assert_allclose(value, np.mean(told) if told else np.nan)
    again = concordance_within(-guess[order], score[order], patient[order])
    np.testing.assert_allclose(again.value, 1 - found.value)


def test_concordance_pools_pairs_or_patients():
    """Three pairs right in one patient, one wrong in another: 3/4 of pairs, half of patients."""
    score, patient = np.array([1.0, 2, 3, 1, 2]), ["a", "a", "a", "b", "b"]

    found = concordance_within(np.array([1.0, 2, 3, 2, 1]), score, patient)

    assert (found.mean(pooled=True), found.mean()) == (0.75, 0.5)
    assert concordance_within(np.zeros(5), score, patient).mean() == 0.5


def test_concordance_refuses_missing_predictions():
    """A scored scan without a prediction is counted; one without a score may lack it."""
    guess = np.array([np.nan, np.nan, 1.0])

    with pytest.raises(QueryError, match="1 of 2 scored scans have no prediction"):
        concordance_within(guess, np.array([np.nan, 1, 2]), ["a", "a", "a"])
    assert concordance_within(guess[1:], np.array([np.nan, 1]), ["a", "a"]).n_patients == 0
