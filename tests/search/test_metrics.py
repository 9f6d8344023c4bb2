"""The metrics: exact values, products that rank alike, and the bound on their error."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.search.metrics import prepare


def slow_cosine(a, b):
    """Cosine summed without rounding errors."""
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(math.fsum(x * x for x in a)) / math.sqrt(math.fsum(y * y for y in b))


def prepared(x, metric, center=None):
    center = np.zeros(x.shape[1]) if center is None else center
    return prepare(x, np.arange(len(x)), metric, center)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from([1, 2, 17, 512]),
    offset=st.sampled_from([0.0, 3.0, 1000.0]),
    size=st.sampled_from([1e-20, 1.0, 1e15]),
    metric=st.sampled_from(["centered", "cosine", "euclidean"]),
)
def test_products_are_within_the_slack(seed, width, offset, size, metric):
    """No float32 product lies further than the slack from the product in float64."""
    rng = np.random.default_rng(seed)
    x = ((rng.standard_normal((40, width)) + offset) * size).astype(np.float32)
    ready = prepared(x[2:], metric, x.mean(axis=0, dtype=np.float64))
    vectors = ready.query(x[:2])

    products = ready.rows @ vectors.T
    exact = ready.similarities(x[2:], x[:2])
    if metric == "euclidean":
        exact = -0.5 * (exact / ready.scale) ** 2

    assert ready.rows.dtype == np.float32
    assert np.abs(products - exact).max() <= ready.slack(vectors)


def test_cosine_equals_the_definition():
    """Centred similarity is the cosine of the differences from the mean."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((10, 5)).astype(np.float32)
    mean = rng.standard_normal(5)

    found = prepared(x, "centered", mean).similarities(x, x[:3])

    slow = [[slow_cosine(row - mean, vector - mean) for vector in x[:3]] for row in x]
    np.testing.assert_allclose(found, slow, atol=1e-14)


def test_euclidean_equals_the_definition():
    """Euclidean similarity is minus the distance, and the distance its size."""
    x = np.array([[0, 0], [3, 4], [6, 8]], np.float32)
    ready = prepared(x, "euclidean")

    found = ready.similarities(x, x[:1])

    assert found[:, 0].tolist() == [0, -5, -10]
    assert [ready.distance(value) for value in found[:, 0]] == [0, 5, 10]


def test_cosine_distance_is_one_minus_similarity():
    """Opposite directions are at distance 2."""
    assert prepared(np.ones((1, 2), np.float32), "cosine").distance(-1.0) == 2.0


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_values_do_not_depend_on_neighbours(metric):
    """A row has the same similarity, bit for bit, alone and in any company."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 333)).astype(np.float32)
    ready = prepared(x, metric)

    together = ready.similarities(x, x[:7])

    for row in range(0, 300, 37):
        assert np.array_equal(ready.similarities(x[row : row + 1], x[:7])[0], together[row])
        assert np.array_equal(ready.similarities(x[row:], x[3:4])[0, 0], together[row, 3])


@pytest.mark.parametrize("metric", ["centered", "cosine", "euclidean"])
def test_zero_rows_stay_finite(metric):
    """Rows and queries of length zero give finite products."""
    x = np.zeros((3, 4), np.float32)

    ready = prepared(x, metric)

    assert np.isfinite(ready.rows).all()
    assert np.isfinite(ready.rows @ ready.query(x).T).all()
    assert (ready.similarities(x, x) == 0).all()
