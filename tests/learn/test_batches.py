"""Batches: P patients spread over scores, V scans of each, the same again on resume."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from learner_index.config import BatchOptions
from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.learn.batches import PairCounts, PatientBatches, check_batches, count_pairs
from learner_index.learn.objectives.pairs import pair_mask

_SHAPES = {"n_patients": st.integers(2, 23), "p": st.integers(2, 9), "v": st.integers(1, 4)}


def _cohort(
    n_patients: int, visits: int = 3, scans: int = 2, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Patient, visit and score of scans in mixed order; a higher patient number is healthier."""
    patient = np.repeat(np.arange(n_patients), visits * scans)
    visit = np.tile(np.repeat(np.arange(visits), scans), n_patients)
    score = 10.0 * patient + visit
    order = np.random.default_rng(seed).permutation(len(patient))
    return patient[order] + 100, visit[order], score[order]


def _batches(n_patients: int, p: int, v: int, seed: int = 0, **shape: int) -> PatientBatches:
    return PatientBatches(*_cohort(n_patients, **shape), BatchOptions(p, v), seed)


# what a batch holds


@settings(max_examples=40)
@given(**_SHAPES)
def test_a_batch_holds_v_scans_of_each_of_p_patients(n_patients, p, v):
    """Every batch has P distinct patients, patient by patient, V rows of each."""
    patient, visit, score = _cohort(n_patients)
    batches = PatientBatches(patient, visit, score, BatchOptions(p, v), 0)

    for rows in batches.epoch(1):
        owners = patient[rows].reshape(batches.patients, v)
        assert batches.patients == min(p, n_patients)
        assert (owners == owners[:, :1]).all()
        assert len(set(owners[:, 0])) == batches.patients


@settings(max_examples=40)
@given(**_SHAPES)
def test_a_batch_spans_the_scores(n_patients, p, v):
    """Of the patients in order of score, a batch has one in each of P strata."""
    patient, visit, score = _cohort(n_patients)
    batches = PatientBatches(patient, visit, score, BatchOptions(p, v), 0)
    most = -(-n_patients // batches.patients) + n_patients % batches.patients

    for rows in batches.epoch(0):
        places = np.sort(np.unique(patient[rows]) - 100)
        gaps = np.diff(np.concatenate([[-1], places, [n_patients]]))
        assert gaps.max() <= 2 * most


def test_strata_are_exact_when_patients_divide_evenly():
    """12 patients in batches of 4: each batch has one of each three neighbours in score."""
    patient, visit, score = _cohort(12)
    batches = PatientBatches(patient, visit, score, BatchOptions(4, 2), 0)

    for number in range(5):
        for rows in batches.epoch(number):
            assert sorted((np.unique(patient[rows]) - 100) // 3) == [0, 1, 2, 3]


def test_patients_are_ordered_by_their_median():
    """One outlying score does not move a patient into another stratum."""
    patient = np.repeat(np.arange(4), 3)
    score = np.array([1, 1, 99, 2, 2, 2, 3, 3, 3, 4, 4, -99.0])
    batches = PatientBatches(patient, np.tile(np.arange(3), 4), score, BatchOptions(2, 1), 0)

    pairs = {tuple(sorted(patient[rows])) for e in range(30) for rows in batches.epoch(e)}

    assert pairs == {(0, 2), (0, 3), (1, 2), (1, 3)}


def test_patients_meet_in_many_combinations():
    """Strata are shuffled anew each round, so batches do not repeat."""
    patient, visit, score = _cohort(12)
    batches = PatientBatches(patient, visit, score, BatchOptions(4, 2), 0)

    met = {tuple(np.unique(patient[rows])) for e in range(40) for rows in batches.epoch(e)}

    assert len(met) > 60  # of 81


def test_patients_of_a_batch_come_in_random_order():
    """Neither half of a batch has the sicker patients."""
    batches = _batches(16, 8, 1)
    _, _, score = _cohort(16)

    differences = [
        score[rows[:4]].mean() - score[rows[4:]].mean()
        for number in range(40)
        for rows in batches.epoch(number)
    ]

    assert min(differences) < -10 and max(differences) > 10


@pytest.mark.parametrize(
    ("visits", "scans", "v", "n_visits", "n_scans"),
    [(3, 2, 2, 2, 2), (3, 2, 3, 3, 3), (2, 2, 3, 2, 3), (1, 3, 2, 1, 2), (1, 2, 5, 1, 2)],
    ids=["visits", "all visits", "then scans", "one visit", "then repeats"],
)
def test_scans_are_of_different_visits_where_possible(visits, scans, v, n_visits, n_scans):
    """First different visits, then different scans, then the same scan again."""
    patient, visit, score = _cohort(6, visits, scans)
    batches = PatientBatches(patient, visit, score, BatchOptions(3, v), 0)

    for number in range(5):
        for rows in batches.epoch(number):
            for own in rows.reshape(3, v):
                assert len(set(visit[own])) == n_visits
                assert len(set(own)) == n_scans


def test_two_scans_of_a_patient_are_a_pair_of_visits():
    """Whoever has two visits gives every batch a change to compare, whoever has one none."""
    patient, visit, score = _cohort(6)
    visit[patient == 103] = 0
    batches = PatientBatches(patient, visit, score, BatchOptions(3, 2), 0)

    for rows in batches.epoch(0):
        drawn = (torch.from_numpy(codes[rows]) for codes in (score, patient, visit))
        changed = set(patient[rows][pair_mask(*drawn, "intra").any(1).numpy()].tolist())
        assert changed == set(patient[rows].tolist()) - {103}


def test_repeats_are_spread_evenly():
    """Two scans for five places: none is there more than three times."""
    batches = _batches(4, 2, 5, visits=1, scans=2)

    for rows in batches.epoch(0):
        for own in rows.reshape(2, 5):
            assert sorted(np.unique(own, return_counts=True)[1]) == [2, 3]


def test_every_scan_is_drawn_in_time():
    """Over epochs each scan comes, and visits equally often whatever their number of scans."""
    patient = np.repeat([0, 1], 5)
    visit = np.tile([0, 0, 0, 0, 1], 2)
    batches = PatientBatches(patient, visit, np.arange(10.0), BatchOptions(2, 1), 0)

    rows = np.concatenate([rows for number in range(200) for rows in batches.epoch(number)])

    assert set(rows) == set(range(10))
    assert 0.45 < visit[rows].mean() < 0.55


# epochs


@settings(max_examples=40)
@given(**_SHAPES, epochs=st.integers(1, 12))
def test_patients_are_drawn_about_equally_often(n_patients, p, v, epochs):
    """After any number of epochs no patient is ahead of another by more than 2 draws."""
    patient, visit, score = _cohort(n_patients)
    batches = PatientBatches(patient, visit, score, BatchOptions(p, v), 3)

    drawn = [patient[rows[::v]] - 100 for e in range(epochs) for rows in batches.epoch(e)]
    counts = np.bincount(np.concatenate(drawn), minlength=n_patients)

    assert counts.max() - counts.min() <= 2


def test_an_epoch_is_a_function_of_seed_and_number():
    """An epoch is the same again in a new process, whichever epochs were asked for before."""
    first = _batches(10, 4, 2, seed=5)
    for number in range(7):
        first.epoch(number)

    again = _batches(10, 4, 2, seed=5).epoch(7)

    np.testing.assert_array_equal(first.epoch(7), again)


def test_epochs_and_seeds_differ():
    """Another epoch or another seed draws other batches."""
    one = np.stack(_batches(10, 4, 2, seed=5).epoch(0))

    assert not np.array_equal(one, np.stack(_batches(10, 4, 2, seed=5).epoch(1)))
    assert not np.array_equal(one, np.stack(_batches(10, 4, 2, seed=6).epoch(0)))


@pytest.mark.parametrize(
    ("n_patients", "p", "v", "n_steps"), [(10, 4, 2, 8), (10, 5, 3, 4), (3, 3, 8, 1), (2, 8, 50, 1)]
)
def test_an_epoch_passes_the_scans_about_once(n_patients, p, v, n_steps):
    """The number of batches is that of scans over P·V, rounded, at least 1."""
    batches = _batches(n_patients, p, v)

    assert batches.n_scans == 6 * n_patients
    assert batches.n_steps == len(batches.epoch(0)) == n_steps


# scores


def test_scans_without_score_are_left_out():
    """Neither patients without any score nor single scans without one are drawn."""
    patient, visit, score = _cohort(5)
    score[patient == 102] = np.nan
    score[np.flatnonzero(patient == 103)[:2]] = [np.inf, np.nan]
    batches = PatientBatches(patient, visit, score, BatchOptions(4, 2), 0)

    rows = np.concatenate([rows for number in range(20) for rows in batches.epoch(number)])

    assert np.isfinite(score[rows]).all()
    assert set(patient[rows]) == {100, 101, 103, 104}
    assert (batches.n_without_score, batches.n_patients, batches.n_scans) == (1, 4, 22)


@pytest.mark.parametrize(("kept", "message"), [(1, "1 of 4 patients"), (0, "0 of 4 patients")])
def test_refuses_fewer_than_two_patients_with_scores(kept, message):
    """A batch needs two patients to compare; the count seen is reported."""
    patient, visit, score = _cohort(4)
    score[patient >= 100 + kept] = np.nan

    with pytest.raises(NotEnoughDataError, match=message):
        PatientBatches(patient, visit, score, BatchOptions(), 0)


def test_refuses_scores_that_are_all_equal():
    """Without any difference of score there is nothing to learn."""
    patient, visit, score = _cohort(4)
    score[:] = 7

    with pytest.raises(NotEnoughDataError, match=r"^all 24 health scores are equal \(7\)"):
        PatientBatches(patient, visit, score, BatchOptions(), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BatchOptions(patients=1), r"batches\.patients is 1: .* at least 2"),
        (BatchOptions(patients=2.5), r"batches\.patients is 2\.5"),
        (BatchOptions(scans=0), r"batches\.scans is 0: .* at least 1"),
        (BatchOptions(scans=True), r"batches\.scans is True"),
    ],
)
def test_refuses_batches_with_nothing_to_compare(options, message):
    """P below 2, V below 1 and what is no whole number are refused."""
    with pytest.raises(SettingsError, match=message):
        check_batches(options)
    with pytest.raises(SettingsError, match=message):
        PatientBatches(*_cohort(3), options, 0)


# processes


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_shards_make_up_the_batch(world):
    """Parts of equal size, whole patients each, in order are the batch."""
    batches = _batches(7, 6, 3)
    (rows, *_) = batches.epoch(0)

    parts = [batches.shard(rows, rank, world) for rank in range(world)]

    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert {len(part) for part in parts} == {18 // world}


def test_refuses_processes_that_patients_cannot_be_dealt_to():
    """The message says what to set, also when P fell to the number of patients."""
    batches = _batches(5, 8, 2)

    with pytest.raises(SettingsError, match="5 patients a batch cannot be dealt out to 2 proc"):
        batches.shard(batches.epoch(0)[0], 0, 2)


@pytest.mark.parametrize(("rank", "world"), [(-1, 2), (2, 2), (0, 0)])
def test_refuses_a_process_that_is_not_there(rank, world):
    """A rank outside 0..world-1 is refused."""
    batches = _batches(6, 2, 2)

    with pytest.raises(SettingsError, match=f"process {rank} of {world}"):
        batches.shard(batches.epoch(0)[0], rank, world)


# pairs


def _slow_counts(score: list[float], patient: list[int]) -> PairCounts:
    """The counts by their definition."""
    inter = informative = 0
    for i, j in combinations(range(len(score)), 2):
        if not np.isfinite([score[i], score[j]]).all():
            continue
        if patient[i] != patient[j]:
            inter += 1
            informative += score[i] != score[j]
    return PairCounts(inter, informative)


_ROW = st.tuples(
    st.sampled_from([1.0, 2.0, 3.0, float("nan"), float("inf")]),
    st.integers(0, 3),
)


@given(rows=st.lists(_ROW, max_size=12))
def test_pairs_are_counted_as_by_hand(rows):
    """Counts equal a slow loop over pairs, scans without score left out."""
    score, patient = ([row[column] for row in rows] for column in range(2))

    counts = count_pairs(np.array(score, float), np.array(patient, int))

    assert counts == _slow_counts(score, patient)


def test_a_batch_of_4_patients_and_2_visits_has_24_pairs():
    """8 scans: 24 pairs between patients, of which 20 differ; the 4 within do not count."""
    patient = np.repeat(np.arange(4), 2)
    score = np.array([1, 1, 1, 1, 2, 2, 3, 3.0])

    assert count_pairs(score, patient) == PairCounts(24, 20)
