"""Resampling along one axis."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.data.resample import fit_axis


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    size=st.integers(1, 60),
    value=st.floats(0, 1, width=32),
    ratio=st.none() | st.floats(0.05, 20),
    is_centered=st.booleans(),
)
def test_flat_stays_flat(n, size, value, ratio, is_centered):
    """A flat picture keeps its value wherever it is drawn, and is 0 beyond."""
    drawn = fit_axis(np.full((2, n), value, np.float32), 1, size, ratio, is_centered=is_centered)

    inside = drawn > value / 2 if value else np.zeros_like(drawn, bool)
    assert drawn.shape == (2, size)
    assert drawn[inside] == pytest.approx(value, abs=1e-5)
    assert np.all(drawn[~inside] == 0) or value < 1e-30


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 40), size=st.integers(1, 40), seed=st.integers(0, 9))
def test_shrinking_is_the_exact_area_average(n, size, seed):
    """Against a slow loop over finely divided pixels: repeat each `size` times, average n."""
    if size > n:
        n, size = size, n
    values = np.random.default_rng(seed).random((1, n)).astype(np.float32)

    drawn = fit_axis(values, 1, size, None, is_centered=False)

    fine = np.repeat(values[0].astype(np.float64), size)
    assert drawn[0] == pytest.approx([part.mean() for part in np.split(fine, size)], abs=1e-5)


def test_enlarging_is_linear_between_centres():
    """Twice the size, worked out by hand: centres a quarter of a pixel off, ends held."""
    drawn = fit_axis(np.array([0.0, 4.0, 8.0], np.float32), 0, 6, None, is_centered=False)

    assert drawn.tolist() == [0, 1, 3, 5, 7, 8]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), size=st.integers(1, 40), ratio=st.none() | st.floats(0.1, 10))
def test_centred_fitting_is_symmetric(n, size, ratio):
    """A mirrored picture gives the mirrored result, up to one pixel of uneven padding."""
    values = np.random.default_rng(0).random(n).astype(np.float32)

    forth = fit_axis(values, 0, size, ratio, is_centered=True)
    back = fit_axis(values[::-1], 0, size, ratio, is_centered=True)[::-1]

    assert np.allclose(forth, back, atol=1e-4) or np.allclose(forth, np.roll(back, -1), atol=1e-4)
