"""The map that is a projection."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.maps.linear import LinearMap
from learner_index.errors import NotEnoughDataError


def cloud(n=60, e=6, seed=0):
    """Points that vary most along the first axis and less along the second."""
    scales = np.array([5.0, 2.0, *[0.3] * (e - 2)])
    return np.random.default_rng(seed).normal(size=(n, e)) * scales


def test_the_axes_are_those_of_most_variance():
    """Planted axes are found, with their shares, as an eigendecomposition finds them."""
    points = cloud()

    found = LinearMap.fit(points, np.arange(60))

    values, vectors = np.linalg.eigh(np.cov(points.T))
    assert np.allclose(np.abs(found.axes @ vectors[:, [-1, -2]]), np.eye(2), atol=1e-6)
    assert np.allclose(found.variance_shares, values[[-1, -2]] / values.sum())
    assert (np.take_along_axis(found.axes, np.abs(found.axes).argmax(1)[:, None], 1) > 0).all()


def test_patients_weigh_the_same():
    """A patient's scans counted nine times over do not move the map."""
    points, patients = cloud(), np.arange(60)
    more = np.concatenate([points, np.repeat(points[:1], 8, axis=0)])

    first = LinearMap.fit(points, patients)
    second = LinearMap.fit(more, np.concatenate([patients, np.zeros(8, np.int64)]))

    assert np.allclose(first.axes, second.axes)
    assert np.allclose(first.center, second.center)


@given(st.integers(0, 100))
def test_an_arrow_leads_from_a_place_to_the_place_after_the_change(seed):
    """place(u) + arrow(d) = place(u + d), and -d turns the arrow around."""
    points, deltas = cloud(seed=seed), cloud(seed=seed + 1)
    fitted = LinearMap.fit(cloud(), np.arange(60))

    arrows, shares = fitted.arrows(points, deltas)

    assert np.allclose(fitted.place(points) + arrows, fitted.place(points + deltas))
    assert np.allclose(fitted.arrows(points, -deltas)[0], -arrows)
    assert ((shares >= 0) & (shares <= 1)).all()


def test_the_share_says_how_much_of_a_change_is_seen():
    """A change along the first axis is seen whole, one across the plane not at all."""
    fitted = LinearMap(np.zeros(3), np.eye(3)[:2], np.array([0.6, 0.3]))

    _, shares = fitted.arrows(np.zeros((3, 3)), np.array([[2.0, 0, 0], [0, 0, 2], [0, 0, 0]]))

    assert shares.tolist() == [1, 0, 0]


def test_a_row_is_placed_as_it_is_alone():
    """Whoever else is placed, a scan's place is the same to the last bit; so it is when loaded."""
    points, fitted = cloud(), LinearMap.fit(cloud(seed=3), np.arange(60))

    together = LinearMap.load(fitted.arrays()).place(points)

    assert np.array_equal(together, np.vstack([fitted.place(row[None]) for row in points]))


@pytest.mark.parametrize(
    ("points", "words"),
    [(np.eye(3)[:2], "2 scans shows nothing"), (np.ones((5, 3)), "one embedding")],
)
def test_refuses_what_has_no_plane(points, words):
    """Two scans, or scans that are all alike, have no map."""
    with pytest.raises(NotEnoughDataError, match=words):
        LinearMap.fit(points, np.arange(len(points)))
