"""Nearest scans of a sample, exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.maps import neighbors
from learner_index.analysis.maps.neighbors import nearest, unit_rows


def rows(n, seed):
    """Rows of length 1."""
    return unit_rows(np.random.default_rng(seed).normal(size=(n, 5)))


@given(st.integers(2, 60), st.integers(1, 40), st.integers(0, 50))
def test_finds_what_a_slow_loop_finds(s, n, seed):
    """Places and distances are those of sorting all distances."""
    sample, asked = rows(s, seed), rows(n, seed + 1)
    k = min(5, s)

    near, distances = nearest(sample, asked, k)

    for row, found, apart in zip(asked, near, distances, strict=True):
        slow = [float(np.linalg.norm(one.astype(float) - row)) for one in sample]
        assert found.tolist() == np.argsort(slow, kind="stable")[:k].tolist()
        assert np.allclose(apart, np.sort(slow)[:k])


def test_a_row_has_its_neighbours_alone_and_in_company(monkeypatch):
    """Blocks of any size, and rows in any order, give the same bits."""
    sample, asked = rows(300, 0), rows(100, 1)
    near, distances = nearest(sample, asked, 7)

    monkeypatch.setattr(neighbors, "_BLOCK_VALUES", 700)
    again = nearest(sample, asked[::-1], 7)

    assert np.array_equal(near[::-1], again[0])
    assert np.array_equal(distances[::-1], again[1])


def test_lengths_become_one_and_zeros_stay():
    """Rows keep their direction; nothing is divided by zero."""
    found = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))

    assert np.allclose(found, [[0.6, 0.8], [0, 0]])
    assert found.dtype == np.float32
