"""Maps fitted with umap-learn; importing it takes long, so all of it is here and few are fitted."""

import numpy as np
import pytest
import torch

import learner_index as li
from learner_index.analysis.maps.neighborly import NeighborMap
from learner_index.analysis.maps.quality import map_quality
from tests.pipeline.maps.cohort_toy import make_store

pytestmark = pytest.mark.slow
N, E = 120, 8
G = np.eye(E)[0]  # the planted direction


def cohort(seed=0):
    """Patients on a curved band: sicker ones further along, with noise all around."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-1, 1, N)
    found = rng.normal(scale=0.05, size=(N, E))
    found[:, 0] += np.sin(angle)
    found[:, 1] += np.cos(angle)
    return found


@pytest.fixture(scope="module")
def first():
    """A map of the cohort, the first of this process, and PyTorch's threads after it; before: 1."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = NeighborMap.fit(cohort(), np.arange(N), seed=0)
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    return found, after


@pytest.fixture(scope="module")
def fitted(first):
    """A map of the cohort."""
    return first[0]


def test_threads_of_others_stay_as_they_are(first):
    """Numba sets OpenMP to all cores when it starts: training after a map would change its bits."""
    assert first[1] == 1


def test_the_same_scans_and_seed_give_the_same_bytes(fitted):
    """Fitted again it is the same map; its places are finite."""
    again = NeighborMap.fit(cohort(), np.arange(N), seed=0)

    assert np.array_equal(fitted.places, again.places)
    assert np.isfinite(fitted.places).all()


def test_it_keeps_more_neighbours_than_chance(fitted):
    """Scans it was fitted on, and new ones, lie among their neighbours."""
    new = cohort(seed=1)

    own, other = map_quality(cohort(), fitted.place(cohort())), map_quality(new, fitted.place(new))

    assert own.n_kept > 4 * own.n_kept_by_chance
    assert other.n_kept > 3 * other.n_kept_by_chance
    assert own.trustworthiness > 0.8


def test_patients_who_move_alike_have_arrows_alike(fitted):
    """All move along the planted direction: arrows agree, and point to the sicker patients."""
    start = cohort(seed=2)
    start = start[np.abs(start[:, 0]) < 0.6]

    arrows, _ = fitted.arrows(start, np.tile(0.2 * G, (len(start), 1)))

    ways = arrows / np.linalg.norm(arrows, axis=1, keepdims=True)
    sicker = fitted.place(cohort()[cohort()[:, 0] > 0.5]).mean(axis=0)
    healthier = fitted.place(cohort()[cohort()[:, 0] < -0.5]).mean(axis=0)
    uphill = (sicker - healthier) / np.linalg.norm(sicker - healthier)
    assert np.linalg.norm(ways.mean(axis=0)) > 0.8
    assert (ways @ uphill > 0).mean() > 0.9


def test_umap_of_a_store_is_kept_too(tmp_path):
    """Fitted, kept and read again, a UMAP of a store gives the same places."""
    store = make_store(tmp_path, n_patients=20)

    first = li.open_store(store).map(tmp_path / "map", method="umap")
    second = li.open_store(store).map(tmp_path / "map")

    assert second.method == "umap"
    assert np.array_equal(first.scans[["x", "y"]], second.scans[["x", "y"]])
    assert second.axes[0] == "UMAP 1 (no unit)"
