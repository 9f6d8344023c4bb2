"""Confounder probes: planted sites, views and identities are found, and nothing else is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.probes import (
    _labels,
    _permuted,
    _predicted,
    identity_probe,
    probe,
)
from learner_index.analysis.resample import draw_weights, interval
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

SEEDS = st.integers(0, 2**32 - 1)
FEW = {"n_permutations": 0, "n_bootstraps": 200}


def cohort(seed, patients=24, visits=2, width=5):
    """Noise embeddings, patient, visit and two views of every visit."""
    rng = np.random.default_rng(seed)
    n = patients * visits * 2
    patient = np.repeat([f"p{i:02d}" for i in range(patients)], visits * 2).astype(object)
    visit = np.tile(np.repeat(np.arange(visits), 2), patients)
    return rng.standard_normal((n, width)), patient, visit, np.tile(["L1", "L2"], n // 2)


def sites(patient, n_sites=2):
    """Site of each scan, the same for all of a patient's."""
    return np.array([f"s{int(name[1:]) % n_sites}" for name in patient], object)


def test_a_planted_site_is_found():
    """A direction that tells the site of unseen patients: nearly all right, none of the null."""
    u, patient, *_ = cohort(0)
    site = sites(patient)
    u[site == "s1", 2] += 4

    found = probe(u, site, patient)

    assert found.balanced_accuracy > 0.9
    assert 0.5 < found.low < found.balanced_accuracy <= found.high <= 1
    assert max(found.null) < found.balanced_accuracy
    assert found.p_value == 1 / 21
    assert (found.n_patients, found.n_scans, found.n_classes) == (24, 96, 2)
    assert (found.chance, found.n_splits, found.dropped, found.n_unlabeled) == (0.5, 5, (), 0)


def test_who_a_patient_is_does_not_tell_the_site():
    """Wide embeddings that are the patient's own: learnt by heart, of no use for other patients."""
    u, patient, *_ = cohort(1, patients=40, width=60)
    own = np.random.default_rng(1).standard_normal((40, 60))
    u = np.repeat(own, 4, axis=0) + 0.01 * u

    found = probe(u, sites(patient), patient, n_permutations=9)

    assert found.low < 0.5 < found.high
    assert found.p_value > 0.1


def test_a_planted_view_is_found():
    """A label that changes within patients; its null is at chance all the same."""
    u, patient, _, view = cohort(2)
    u[view == "L2", 0] += 5

    found = probe(u, view, patient, n_permutations=9, n_bootstraps=50)

    assert found.balanced_accuracy > 0.95
    assert 0.35 < np.mean(found.null) < 0.62
    assert max(found.null) < 0.8
    assert found.p_value == 0.1


def test_a_label_that_changes_in_a_few_patients_has_a_null_at_chance():
    """One patient is scanned at both sites: labels are still dealt between patients."""
    u, patient, *_ = cohort(3)
    site = sites(patient)
    u[site == "s1", 2] += 6
    site[0] = "s1"

    found = probe(u, site, patient, n_permutations=9, n_bootstraps=50)

    assert found.balanced_accuracy > 0.9
    assert max(found.null) < 0.85


def test_permuted_sites_stay_whole():
    """Patients of one to nine scans: each still has one site, sites still have their patients."""
    patient = np.repeat([f"p{i:02d}" for i in range(9)], np.arange(1, 10)).astype(object)
    labels = _labels(sites(patient, 3), patient)

    found = _permuted(labels, np.random.default_rng(0))

    first = np.r_[0, np.cumsum(np.arange(1, 9))]
    assert (found == found[first][labels.owners]).all()
    assert np.bincount(found[first]).tolist() == [3, 3, 3]
    assert found.tolist() != labels.classes.tolist()


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_dealt_labels_are_those_there_were(seed):
    """Labels that change within patients: as many of each, in other places."""
    rng = np.random.default_rng(seed)
    patient = rng.permutation(np.repeat(list("abcd"), [3, 8, 5, 14])).astype(object)
    labels = _labels(rng.choice(["L1", "L2", "L3"], 30).astype(object), patient)

    found = _permuted(labels, rng)

    assert np.bincount(found).tolist() == np.bincount(labels.classes).tolist()
    assert found.tolist() != labels.classes.tolist()


def test_shuffled_sites_are_at_chance():
    """A null of one cohort is centred on chance, and its intervals hold it."""
    u, patient, *_ = cohort(4, patients=30)

    found = probe(u, sites(patient, 3), patient, n_bootstraps=200)

    assert np.mean(found.null) == pytest.approx(1 / 3, abs=0.07)
    assert found.low < 1 / 3 < found.high


def test_classes_count_alike():
    """Nine in ten patients of one site: always naming it would be at chance."""
    u, patient, *_ = cohort(5, patients=40)
    site = np.where(sites(patient, 10) == "s0", "rare", "common").astype(object)
    u[site == "rare", 1] += 8

    found = probe(u, site, patient, **FEW)
    blind = probe(u[:, 2:], site, patient, **FEW)

    assert found.balanced_accuracy > 0.95
    assert found.n_splits == 4
    assert 0.25 < blind.balanced_accuracy < 0.75


def test_rare_classes_and_unlabeled_scans_are_left_out():
    """A site of one patient, and scans without a site: counted, and as good as absent."""
    u, patient, *_ = cohort(6)
    site = sites(patient)
    site[patient == "p03"] = "alone"
    site[[0, 30, 31]] = [None, "", np.nan]

    found = probe(u, site, patient, **FEW)

    used = (patient != "p03") & ~np.isin(np.arange(96), [0, 30, 31])
    again = probe(u[used], site[used], patient[used], **FEW)
    assert (found.dropped, found.n_unlabeled) == (("alone",), 3)
    assert (found.n_patients, found.n_scans, found.n_classes) == (23, 89, 2)
    assert found.balanced_accuracy == again.balanced_accuracy
    assert len(found.told.patient) == 24


def test_few_patients_of_a_class_lower_the_folds():
    """Two patients of one site make two folds, without a warning."""
    u, patient, *_ = cohort(7, patients=8)
    site = np.where(patient < "p02", "s0", "s1").astype(object)

    found = probe(u, site, patient, n_permutations=2, n_bootstraps=50)

    assert found.n_splits == 2
    assert len(found.null) == 2


def test_odd_folds_are_borne():
    """A fold may hold nobody, or leave one class to learn from, where patients are very unequal."""
    u = np.random.default_rng(0).standard_normal((4, 2))

    assert _predicted(u, np.array([0, 1, 0, 1]), u[:0]).tolist() == []
    assert _predicted(u, np.array([1, 1, 1, 1]), u[:3]).tolist() == [1, 1, 1]


def test_one_seed_one_answer():
    """The seed decides folds, null and draws; intervals are those of what was told right."""
    u, patient, *_ = cohort(8)
    site = sites(patient)
    options = {"n_permutations": 3, "n_bootstraps": 100}

    one, same, other = (probe(u, site, patient, seed=seed, **options) for seed in (1, 1, 2))

    assert (one.balanced_accuracy, one.null, one.low) == (
        same.balanced_accuracy,
        same.null,
        same.low,
    )
    assert one.null != other.null
    alone = probe(u, site, patient, seed=1, n_permutations=0, n_bootstraps=0)
    assert alone.balanced_accuracy == one.balanced_accuracy
    assert np.isnan([alone.low, alone.high]).all()
    assert (alone.null, alone.p_value) == ((), 1)
    drawn = interval(one.told.mean(draw_weights(24, 100, 1)))
    assert (one.low, one.high) == (drawn.low, drawn.high)


@pytest.mark.parametrize("scale", [1e-4, 1e5])
def test_the_size_of_dimensions_does_not_matter(scale):
    """Each is standardised: another unit for one of them tells the same."""
    u, patient, *_ = cohort(9)
    u[sites(patient) == "s1", 2] += 2

    one = probe(u, sites(patient), patient, **FEW)
    other = probe(u * [1, 1, scale, 1, 1] + 7, sites(patient), patient, **FEW)

    assert one.balanced_accuracy == pytest.approx(other.balanced_accuracy, abs=0.02)


def test_refuses_what_cannot_be_probed():
    """One class, classes of one patient, no labels, NaN, one fold, columns of two lengths."""
    u, patient, *_ = cohort(10)
    site = sites(patient)

    with pytest.raises(NotEnoughDataError, match="patients of each class are s0 24; two classes"):
        probe(u, ["s0"] * 96, patient)
    with pytest.raises(NotEnoughDataError, match="of each class are p00 1, p01 1, "):
        probe(u, patient, patient)
    with pytest.raises(NotEnoughDataError, match="of each class are none"):
        probe(u, [None] * 96, patient)
    with pytest.raises(QueryError, match="holds NaN or infinity"):
        probe(u * np.inf, site, patient)
    with pytest.raises(SettingsError, match="n_splits 1 leaves nothing"):
        probe(u, site, patient, n_splits=1)
    with pytest.raises(QueryError, match="95 labels for 96 patients"):
        probe(u, site[1:], patient)


def slow_identity(u, patient, visit, view):
    """Hit share and chance of each scan, one gallery at a time; NaN for those who do not ask."""
    found = np.full((2, len(u)), np.nan)
    for i in range(len(u)):
        gallery = [
            j
            for j in range(len(u))
            if visit[j] >= 0 and view[j] == view[i]
            if (patient[j], visit[j]) != (patient[i], visit[i])
        ]
        if visit[i] < 0 or patient[i] not in patient[gallery]:
            continue
        apart = np.round([np.linalg.norm(u[i] - u[j]) for j in gallery], 9)
        is_own = patient[gallery] == patient[i]
        found[:, i] = is_own[apart == apart.min()].mean(), is_own.mean()
    return found


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_identity_equals_a_slow_search(seed):
    """Own visit left out of the gallery, ties by share, unknown visits and single visits silent."""
    rng = np.random.default_rng(seed)
    u = rng.integers(0, 3, (30, 2)).astype(float)
    patient, visit = rng.choice(list("abcdef"), 30).astype(object), rng.integers(-1, 3, 30)
    view = rng.choice(["x", "y"], 30)

    found = identity_probe(u, patient, visit, view, metric="euclidean", n_bootstraps=20)

    hit, chance = slow_identity(u, patient, visit, view)
    for name, value, expected in zip(
        found.hit.patient, found.hit.value, found.chance.value, strict=True
    ):
        rows = (patient == name) & ~np.isnan(hit)
        np.testing.assert_allclose(value, hit[rows].mean() if rows.any() else np.nan)
        np.testing.assert_allclose(expected, chance[rows].mean() if rows.any() else np.nan)
    assert found.hit.count.sum() == np.sum(~np.isnan(hit))


def test_planted_patients_are_recognised():
    """Scans that look like their patient find another visit of it; chance is far below."""
    u, patient, visit, view = cohort(11)
    u += 5 * np.repeat(np.random.default_rng(0).standard_normal((24, 5)), 4, axis=0)

    found = identity_probe(u, patient, visit, view)

    assert found.hit.mean() > 0.8
    assert found.chance.mean() == pytest.approx(1 / 47)
    assert found.chance.mean() < found.interval.low < found.hit.mean() <= found.interval.high


def test_unlike_scans_are_recognised_by_chance():
    """Noise: the rate is what random order gives."""
    u, patient, visit, _ = cohort(12, patients=60)

    found = identity_probe(u, patient, visit, n_bootstraps=500)

    assert found.interval.low <= found.chance.mean() <= found.interval.high
    assert found.hit.mean() < 0.05


def test_the_same_visit_does_not_give_a_patient_away():
    """Scans of one visit are twins, visits of one patient are not: nobody is recognised."""
    u, patient, visit, _ = cohort(13, patients=60)
    u[1::2] = u[::2]

    found = identity_probe(u, patient, visit)

    assert found.hit.mean() < 0.06


def test_refuses_to_recognise_without_second_visits():
    """Nobody with a second visit, or nobody else to be taken for."""
    u = np.eye(4)

    with pytest.raises(NotEnoughDataError, match="0 of 4 patients have scans"):
        identity_probe(u, list("abcd"), np.zeros(4, int))
    with pytest.raises(NotEnoughDataError, match="1 of 1 patients have scans"):
        identity_probe(u, list("aaaa"), np.arange(4))
    with pytest.raises(QueryError, match="holds NaN or infinity"):
        identity_probe(u * np.nan, list("aabb"), np.arange(4))
