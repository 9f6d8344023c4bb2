"""How much of a space a map keeps."""

import numpy as np
import pytest

from learner_index.analysis.maps.quality import agreement_by_chance, kept_by_placed, map_quality


def ring(n):
    """Embeddings and places that are the same ring."""
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False) ** 1.01
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_a_map_that_keeps_everything_says_so():
    """All neighbours of a ring drawn as it is are kept."""
    found = map_quality(ring(80), 5 * ring(80))

    assert found.n_kept == found.n_nearest == 10
    assert found.trustworthiness == pytest.approx(1)


def test_places_dealt_out_keep_what_chance_keeps():
    """Of places in random order, as many neighbours are kept as `n_kept_by_chance` says."""
    order = np.random.default_rng(0).permutation(400)

    found = map_quality(ring(400), ring(400)[order])

    assert found.n_kept_by_chance == pytest.approx(100 / 399)
    assert found.n_kept == pytest.approx(found.n_kept_by_chance, abs=0.15)
    assert found.trustworthiness == pytest.approx(0.5, abs=0.05)


def test_scans_alike_are_counted_without_a_stumble():
    """Ten copies of each embedding at one place: every row still has its neighbours."""
    copies = np.repeat(ring(6), 10, axis=0)

    found = map_quality(copies, copies)

    assert 0 <= found.n_kept <= found.n_nearest == 10


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_scans_give_no_false_figure(n):
    """With hardly a neighbour to compare, the figures are nothing or missing, never an error."""
    found = map_quality(ring(n), ring(n))

    assert found.n_nearest == (n - 1) // 2
    assert found.n_kept <= found.n_nearest


def test_figures_are_those_of_a_slow_loop():
    """Kept neighbours and trustworthiness, written from their definitions."""
    rng = np.random.default_rng(0)
    moved, places, k, n = rng.normal(size=(30, 4)), rng.normal(size=(30, 2)), 10, 30
    units = moved / np.linalg.norm(moved, axis=1, keepdims=True)

    found = map_quality(moved, places)

    kept, intruding = 0, 0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        before = sorted(others, key=lambda j: np.linalg.norm(units[j] - units[i]))
        after = sorted(others, key=lambda j: np.linalg.norm(places[j] - places[i]))
        kept += len(set(before[:k]) & set(after[:k]))
        intruding += sum(before.index(j) + 1 - k for j in after[:k] if j not in before[:k])
    assert found.n_kept == pytest.approx(kept / n)
    trust = 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * intruding
    assert found.trustworthiness == pytest.approx(trust)


def test_placed_scans_are_compared_with_those_fitted_on():
    """Placed where they belong they keep all; placed at random, what chance keeps."""
    points = ring(300)
    is_fitted = np.arange(300) % 3 > 0
    dealt = points.copy()
    dealt[~is_fitted] = dealt[~is_fitted][np.random.default_rng(0).permutation(100)]

    assert kept_by_placed(points, points, is_fitted) == pytest.approx(10, abs=0.2)
    assert kept_by_placed(points, dealt, is_fitted) < 2
    assert kept_by_placed(points, points, np.ones(300, bool)) is None
    assert kept_by_placed(points, points, np.arange(300) < 2) is None


def as_given(moved, deltas):
    """Arrows of a map on which neighbors agree by as much as start and change have in common."""
    return deltas[:, :2], np.sum(moved * deltas, axis=1)


def test_agreement_by_chance_is_that_of_other_patients_changes():
    """With changes dealt to others, what bound them to their starts is gone."""
    points = np.eye(8)

    found = agreement_by_chance(as_given, points, points, np.arange(8), 0)

    assert found == (1.0, 0.0)
    assert found == agreement_by_chance(as_given, points, points, np.arange(8), 0)


def test_a_patient_s_own_changes_are_no_chance():
    """Of two patients only the other's changes are dealt; a single one has no chance level."""
    owners = np.array([0, 0, 0, 1])
    points = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])

    assert agreement_by_chance(as_given, points, points, owners, 0) == (1.0, 0.0)
    assert agreement_by_chance(as_given, points, points, np.zeros(4, int), 0) is None
    assert agreement_by_chance(as_given, points[:0], points[:0], owners[:0], 0) is None
