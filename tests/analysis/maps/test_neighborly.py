"""Where scans go on a map of neighbours, and where their changes point; nothing is fitted here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.maps.neighborly import NeighborMap
from learner_index.errors import NotEnoughDataError

ANGLES = np.linspace(0, np.pi, 200)


def around(angles, e=4):
    """Embeddings on half a circle."""
    found = np.zeros((len(angles), e))
    found[:, 0], found[:, 1] = np.cos(angles), np.sin(angles)
    return found


@pytest.fixture
def band():
    """A map that unrolls half a circle to a line along its first axis."""
    places = np.stack([10 * ANGLES, np.zeros(200)], axis=1).astype(np.float32)
    return NeighborMap(around(ANGLES).astype(np.float32), places, 1.0, 15)


def test_a_scan_of_the_sample_stays_where_it_was_put(band):
    """Sample points are placed at their own places, to the last bit."""
    assert np.array_equal(band.place(band.sample), band.places.astype(np.float64))


def test_a_new_scan_goes_to_its_neighbours(band):
    """Between two scans of the sample, a scan lies between their places, whatever its length."""
    angles = np.array([0.7, 1.5, 2.4])

    found = band.place(3 * around(angles))

    assert np.allclose(found[:, 0], 10 * angles, atol=0.3)
    assert np.allclose(found[:, 1], 0)


def test_weights_are_those_of_umap():
    """A place is the mean of neighbours' places with the weights umap-learn's rule gives."""
    rng = np.random.default_rng(0)
    sample, places = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)).astype(np.float32)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    fitted = NeighborMap(sample.astype(np.float32), places, 1.0, 8)
    row = np.array([1.0, 0.2, -0.4])
    unit = (row / np.linalg.norm(row)).astype(np.float32)

    (found,) = fitted.place(row[None])

    apart = np.linalg.norm(fitted.sample.astype(float) - unit, axis=1)
    near = np.argsort(apart)[:8]
    low, high = 1e-9, 1e3  # a slow search for sigma
    for _ in range(200):
        sigma = (low + high) / 2
        total = sum(np.exp(-one / sigma) for one in apart[near][1:])
        low, high = (sigma, high) if total < np.log2(8) else (low, sigma)
    weights = np.exp(-apart[near] / sigma)
    assert np.allclose(found, weights @ places[near] / weights.sum(), atol=1e-5)


@given(st.integers(0, 50))
def test_a_row_is_placed_as_it_is_alone(seed):
    """The order and the company of rows do not change a place by one bit."""
    rng = np.random.default_rng(seed)
    fitted = NeighborMap(
        around(ANGLES).astype(np.float32), rng.normal(size=(200, 2)).astype(np.float32), 1.0, 15
    )
    asked = rng.normal(size=(20, 4))
    order = rng.permutation(20)

    found = fitted.place(asked)

    assert np.array_equal(found[order], fitted.place(asked[order]))
    assert np.array_equal(found[:1], fitted.place(asked[:1]))


def test_loaded_it_is_the_same_to_the_last_bit(band):
    """What its arrays make places and points as it does."""
    again = NeighborMap.load(band.arrays())
    asked = np.random.default_rng(0).normal(size=(30, 4))

    assert np.array_equal(again.place(asked), band.place(asked))
    assert np.array_equal(again.arrows(asked, asked)[0], band.arrows(asked, asked)[0])


def test_changes_along_one_direction_have_arrows_along_one_direction(band):
    """Along the planted circle every arrow points along the map; backwards, all turn around."""
    angles = np.linspace(0.4, 2.7, 25)
    onward = np.stack([-np.sin(angles), np.cos(angles), 0 * angles, 0 * angles], axis=1)

    arrows, agreement = band.arrows(around(angles), 0.2 * onward)

    assert (arrows[:, 0] > 0.99 * np.linalg.norm(arrows, axis=1)).all()
    assert (agreement > 0.9).all()
    assert np.array_equal(band.arrows(around(angles), -0.2 * onward)[0], -arrows)


def test_an_arrow_is_as_long_as_its_change(band):
    """Twice the change, twice the arrow; no change, no arrow."""
    start, delta = around([1.0]), np.array([[-0.3, 0.2, 0, 0]])

    once, twice = band.arrows(start, delta)[0], band.arrows(start, 2 * delta)[0]

    assert np.allclose(twice, 2 * once)
    assert not band.arrows(start, 0 * delta)[0].any()


def test_only_the_turning_part_of_a_change_is_shown(band):
    """A change of length alone has no arrow; added to a turn it does not lengthen the turn's."""
    start = 3 * around([1.0]).astype(np.float32)
    turn = np.array([[-np.sin(1.0), np.cos(1.0), 0, 0]])

    radial, share = band.arrows(start, start / 2)
    plain, both = band.arrows(start, turn)[0], band.arrows(start, turn + 2 * start)[0]

    assert not radial.any()
    assert share == 0
    assert np.linalg.norm(plain) > 0
    assert np.allclose(both, plain, rtol=1e-5)


def test_refuses_too_few_scans_for_its_neighbours():
    """Copies do not count: 40 scans of 10 embeddings are 10."""
    copies = np.repeat(np.random.default_rng(0).normal(size=(10, 4)), 4, axis=0)

    with pytest.raises(NotEnoughDataError, match="needs 30 different scans, there are 10"):
        NeighborMap.fit(copies, np.arange(40), seed=0)
