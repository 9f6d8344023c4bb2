"""Pairs of one patient's scans and distances between them, against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.distance import (
    centered_distance,
    pair_distance,
    patient_mean,
    view_codes,
    within_patient_pairs,
)
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError
from tests.analysis.pairs_toy import slow_pairs

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n=st.integers(0, 25))
def test_pairs_equal_the_definition(seed, n):
    """Same patient, same view, two known visits: these pairs and no others, in order of rows."""
    rng = np.random.default_rng(seed)
    patient = rng.choice(np.array(["a", "b", "c"], object), n)
    visit = rng.integers(-1, 3, n)
    view = rng.choice(np.array(["L1", "", None, np.nan], object), n)

    found = within_patient_pairs(patient, visit, view)

    assert found.shape == (len(found), 2)
    assert found.tolist() == slow_pairs(patient, visit, view)


def test_a_cohort_without_views_pairs_everything():
    """No view column is one view for all."""
    assert within_patient_pairs(["a", "a", "b"], np.array([0, 1, 1]), None).tolist() == [[0, 1]]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_refuses_scans_without_a_patient(missing):
    """An unknown patient could be anyone's."""
    with pytest.raises(QueryError, match="2 scans have no patient"):
        within_patient_pairs(np.array(["a", missing, missing], object), np.arange(3), None)


def test_patients_weigh_equally_in_the_mean():
    """Three scans of one patient count as much as one scan of another."""
    u = np.array([[0, 0], [0, 3], [0, 6], [4, 9]], np.float32)

    assert patient_mean(u, ["a", "a", "a", "b"]).tolist() == [2, 6]


def test_refuses_the_mean_of_nothing():
    """No scans have no mean."""
    with pytest.raises(NotEnoughDataError, match="no scans to take a mean of"):
        patient_mean(np.empty((0, 3)), [])


def test_distances_equal_their_definitions():
    """Each metric against sums without rounding errors, over more pairs than one block."""
    rng = np.random.default_rng(0)
    u, center = rng.standard_normal((80, 5)).astype(np.float32), rng.standard_normal(5)
    pairs = np.array([(i, j) for i in range(80) for j in range(i)])

    def slow(a, b):
        dot, one, other = (math.fsum(x * y) for x, y in ((a, b), (a, a), (b, b)))
        return 1 - dot / math.sqrt(one * other)

    raw = u.astype(float)
    moved = raw - center
    lengths = [math.sqrt(math.fsum((raw[i] - raw[j]) ** 2)) for i, j in pairs]
    for found, expected in (
        (centered_distance(u, pairs, center), [slow(moved[i], moved[j]) for i, j in pairs]),
        (pair_distance(u, pairs, "cosine", center), [slow(raw[i], raw[j]) for i, j in pairs]),
        (pair_distance(u, pairs, "euclidean", center), lengths),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_equal_opposite_and_empty_directions():
    """0 for equal scans, 2 for opposite ones, 1 where a scan equals the center."""
    center = np.array([0.1, 0.7])
    u = center + np.array([[1, 2], [1, 2], [-1, -2], [0, 0], [0, 0]])

    found = centered_distance(u, np.array([[0, 1], [0, 2], [0, 3], [3, 4]]), center)

    assert found[[0, 2, 3]].tolist() == [0, 1, 1]
    assert found[1] == pytest.approx(2)


def test_rounding_is_no_direction():
    """A scan that equals the center but for the last digit has no direction."""
    center = np.array([0.1, 0.7, 1000.0])
    u = np.array([np.nextafter(center, 2000), np.nextafter(center, -1), center + 1e-6])

    found = centered_distance(u, np.array([[0, 1], [0, 2]]), center)

    assert found.tolist() == [1, 1]


def test_refuses_unknown_metrics_missing_centers_and_nan():
    """Each is named, and no warning comes first."""
    u, pairs = np.array([[0.0, np.nan], [1, 2]]), np.array([[0, 1]])

    with pytest.raises(SettingsError, match="metric 'manhattan' is unknown: use centered"):
        pair_distance(u, pairs, "manhattan")
    with pytest.raises(SettingsError, match='"centered" distance needs a center'):
        pair_distance(u, pairs)
    with pytest.raises(QueryError, match="holds NaN or infinity"):
        pair_distance(u, pairs, "cosine")


def test_views_that_differ_beyond_nul_are_not_paired():
    """Texts that a C program would cut are read whole, and numbered as they appear."""
    views = np.array(["ap\0us", "ap\0film", None, "ap\0us", "", np.nan], object)

    assert view_codes(views).tolist() == [0, 1, 2, 0, 2, 2]
    assert within_patient_pairs(list("pppppp"), np.arange(6), views).tolist() == [
        [0, 3],
        [2, 4],
        [2, 5],
        [4, 5],
    ]
