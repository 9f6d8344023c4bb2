"""Is a set of hits more alike than chance: levels, power, and what a draw redoes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from learner_index.analysis.chance import (
    Selection,
    common_direction_test,
    day_strata,
    flip_blocks,
    flip_means,
    permutations,
    permuted_means,
)
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

PATIENTS, VISITS, WIDTH = 40, 3, 10
OWNERS = np.repeat(np.arange(PATIENTS), VISITS)


def slow_mean(direction, rest, group, k):
    """Mean similarity of the k best transitions of different groups, found one by one."""
    total, taken, hits = direction + rest, set(), []
    for i in sorted(range(len(total)), key=lambda i: (-total[i], i)):
        if group[i] not in taken and len(hits) < k:
            taken.add(group[i])
            hits.append(total[i])
    return np.mean(hits)


def cosines(deltas, query):
    return deltas @ query / np.linalg.norm(deltas, axis=-1) / np.linalg.norm(query)


def unchanged(seed, n_patients=PATIENTS):
    """Deltas of patients who have nothing in common, a query's, and how far starts lie apart."""
    rng = np.random.default_rng(seed)
    deltas = rng.normal(size=(n_patients * VISITS, WIDTH))
    apart = np.sum(rng.normal(size=(len(deltas), WIDTH)) ** 2, axis=1) / WIDTH
    return deltas, rng.normal(size=WIDTH), -0.5 * apart, rng.integers(20, 400, len(deltas))


def share_of(p_values, level):
    return np.mean(np.array(p_values) <= level)


few_transitions = st.lists(
    st.tuples(st.integers(-3, 3), st.integers(-2, 0), st.integers(0, 3), st.integers(0, 4)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(few_transitions, st.integers(1, 6), st.integers(0, 99))
def test_flips_are_those_of_a_slow_loop(rows, k, seed):
    """Each draw turns patients around and chooses anew, whatever must differ between hits."""
    direction, _, owners, groups = np.array(rows).T
    patient = np.unique(owners, return_inverse=True)[1]
    n_patients, rng = patient.max() + 1, np.random.default_rng(seed)
    flips = rng.integers(0, 2, (7, n_patients)).astype(bool)

    for group in (patient, groups):
        chosen = Selection.of(group, k)
        found = flip_means(direction.astype(float), patient, chosen, [flips[:4], flips[4:]])

        signs = np.where(flips, -1.0, 1.0)[:, patient]
        wanted = [slow_mean(sign * direction, 0 * direction, group, k) for sign in signs]
        assert np.allclose(found, wanted)


@settings(max_examples=60, deadline=None)
@given(few_transitions, st.integers(1, 6), st.integers(0, 99))
def test_permutations_are_those_of_a_slow_loop(rows, k, seed):
    """Each draw deals direction parts out again and chooses anew, the earliest of equals first."""
    direction, rest, _, group = np.array(rows, float).T
    rng = np.random.default_rng(seed)
    orders = [np.arange(len(rows)), *(rng.permutation(len(rows)) for _ in range(5))]

    found = permuted_means(direction, rest, Selection.of(group, k), orders)

    wanted = [slow_mean(direction[order], rest, group, k) for order in orders]
    assert np.allclose(found, wanted)


@pytest.mark.parametrize("has_rest", [False, True])
def test_p_is_the_share_of_draws_that_reach_the_observed(has_rest):
    """The observed statistic, the draws' share, mean and 95th percentile are as defined."""
    deltas, query, rest, days = unchanged(7)
    direction, rng = cosines(deltas, query), np.random.default_rng(11)
    rest = rest if has_rest else np.zeros(len(rest))
    chosen = Selection.of(OWNERS, 5)
    if has_rest:
        drawn = permuted_means(direction, rest, chosen, permutations(day_strata(days), 200, rng))
    else:
        drawn = flip_means(direction, OWNERS, chosen, flip_blocks(PATIENTS, 200, rng))

    found = common_direction_test(
        direction, OWNERS + 50, 5, rest=rest, delta_day=days, n_draws=200, seed=11
    )

    assert found.statistic == pytest.approx(slow_mean(direction, rest, OWNERS, 5))
    assert found.p_value == (1 + np.sum(drawn >= found.statistic)) / 201
    assert (found.n_draws, found.seed) == (200, 11)
    assert found.null_mean == pytest.approx(drawn.mean())
    assert found.null_high == pytest.approx(np.quantile(drawn, 0.95))
    assert found.method == ("permute" if has_rest else "flip")


@pytest.mark.parametrize("has_rest", [False, True])
def test_draws_choose_anew(has_rest):
    """Draws are not the observed statistic over and over, as over a fixed set they would be."""
    deltas, query, rest, _ = unchanged(3)

    found = common_direction_test(
        cosines(deltas, query), OWNERS, 5, rest=rest if has_rest else None, n_draws=99
    )

    assert found.null_high > found.null_mean + 0.01
    assert abs(found.statistic - found.null_mean) > 1e-3
    any_one = cosines(deltas, query) + (rest if has_rest else 0.0)
    assert found.null_mean > any_one.mean() + 0.1  # the best of many are alike by choice


@pytest.mark.parametrize("has_rest", [False, True])
def test_p_is_uniform_where_nothing_is_common(has_rest):
    """Over cohorts whose patients change independently of each other, p is uniform."""
    found = []
    for seed in range(300):
        deltas, query, rest, days = unchanged(seed)
        others = {"rest": rest, "delta_day": days} if has_rest else {}
        found.append(
            common_direction_test(
                cosines(deltas, query), OWNERS, 5, n_draws=199, seed=seed, **others
            ).p_value
        )

    assert kstest(found, "uniform").pvalue > 0.01


def test_finds_a_direction_that_some_patients_share():
    """Three patients of ten who change like the query are found, in nine cohorts of ten."""
    found = []
    for seed in range(40):
        deltas, query, _, _ = unchanged(seed)
        deltas[OWNERS < 0.3 * PATIENTS] += query
        found.append(common_direction_test(cosines(deltas, query), OWNERS, 10, n_draws=199).p_value)

    assert share_of(found, 0.05) >= 0.9


def test_finds_that_those_who_start_alike_change_alike():
    """Three patients of ten who start near the query and change like it are found.

    So they are in nine cohorts of ten, and no less where their change is twice as large.
    """
    owners, found = OWNERS, []
    for seed in range(40):
        deltas, query, rest, days = unchanged(seed)
        is_near = owners < 0.3 * PATIENTS
        deltas[is_near] += (1 + seed % 2) * query
        rest = np.where(is_near, 0.2 * rest, rest)
        direction = cosines(deltas, query)
        test = common_direction_test(
            direction, owners, 10, rest=rest, delta_day=days, n_draws=99, seed=seed
        )
        found.append(test.p_value)

    assert share_of(found, 0.05) >= 0.9


def test_a_direction_that_all_share_is_not_one_of_those_who_start_alike():
    """With start states, p is small only for what depends on them: here all change alike."""
    found = []
    for seed in range(60):
        deltas, query, rest, _ = unchanged(seed)
        direction = cosines(deltas + 2 * query, query)
        found.append(common_direction_test(direction, OWNERS, 5, rest=rest, n_draws=99).p_value)

    assert share_of(found, 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_copies_of_one_transition_are_no_evidence():
    """Turning transitions one by one would call chance a finding; turning patients does not."""
    by_patient, by_transition = [], []
    for seed in range(100):
        deltas, query, _, _ = unchanged(seed)
        direction = np.repeat(cosines(deltas[:PATIENTS], query), 10)
        patient, own = np.repeat(np.arange(PATIENTS), 10), np.arange(10 * PATIENTS)
        for owners, found in ((patient, by_patient), (own, by_transition)):
            test = common_direction_test(direction, owners, 10, group=own, n_draws=99, seed=seed)
            found.append(test.p_value)

    assert share_of(by_patient, 0.1) <= 0.1
    assert share_of(by_transition, 0.1) > 0.3


def test_all_rest_of_zero_is_direction_only():
    """Weights of 0 leave nothing but the direction, as no rest does."""
    deltas, query, _, days = unchanged(5)
    direction = cosines(deltas, query)

    found = common_direction_test(
        direction, OWNERS, 5, rest=np.zeros(len(days)), delta_day=days, n_draws=50
    )

    assert found == common_direction_test(direction, OWNERS, 5, n_draws=50)
    assert found.method == "flip"


def test_hits_are_of_different_patients_unless_told_otherwise():
    """Of one patient only the best transition counts; with a group of its own, each does."""
    direction, patient = np.array([0.9, 0.8, 0.1]), np.array([4, 4, 6])

    assert common_direction_test(direction, patient, 2).statistic == pytest.approx(0.5)
    apart = common_direction_test(direction, patient, 2, group=np.arange(3))
    assert apart.statistic == pytest.approx(0.85)


def test_hits_are_chosen_by_the_whole_similarity():
    """The best direction is no hit where its start lies far away, and the start counts."""
    direction, rest = np.array([0.9, 0.2, 0.3]), np.array([-5.0, -0.05, -0.4])

    found = common_direction_test(direction, np.arange(3), 1, rest=rest)

    assert found.statistic == pytest.approx(0.15)


def test_fewer_patients_than_hits_are_all_used():
    """Two patients are two hits, and half of the draws are as large or larger."""
    found = common_direction_test(np.array([0.5, -0.5]), np.array([0, 1]), 9, n_draws=999)

    assert found.statistic == 0.0
    assert found.p_value == pytest.approx(0.75, abs=0.05)


def test_draws_equal_to_the_observed_count_as_extreme():
    """One patient is turned around or not: half of the draws are the observed cohort."""
    found = common_direction_test(np.full(3, 0.1), np.zeros(3, int), 1, n_draws=999)

    assert found.p_value == pytest.approx(0.5, abs=0.05)


def test_sums_in_another_order_still_tie():
    """Draws that differ from the observed by rounding alone are counted as reaching it."""
    direction = np.random.default_rng(0).random(7)
    rest = np.full(7, -0.1)

    found = common_direction_test(direction, np.arange(7), 7, rest=rest, n_draws=200)

    assert found.p_value == 1.0


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 5))
def test_flips_do_not_depend_on_the_order_of_rows(order, k):
    """The same transitions in another order give the same answer."""
    direction, patient = np.random.default_rng(1).normal(size=12), np.repeat(np.arange(4), 3)

    found = common_direction_test(direction[order], patient[order], k, n_draws=60)

    wanted = common_direction_test(direction, patient, k, n_draws=60)
    assert found.p_value == wanted.p_value
    assert found.statistic == pytest.approx(wanted.statistic)


def test_a_seed_gives_the_same_answer():
    """Equal seeds give equal answers, and another seed other draws."""
    deltas, query, rest, _ = unchanged(2)

    def test(seed):
        return common_direction_test(cosines(deltas, query), OWNERS, 5, rest=rest, seed=seed)

    assert test(3) == test(3)
    assert test(3).null_mean != test(4).null_mean


def test_blocks_of_flips_are_whole_and_fair(monkeypatch):
    """All draws asked for are made, in blocks, each patient turned in half of them."""
    monkeypatch.setattr("learner_index.analysis.chance._CELLS", 300)

    blocks = [*flip_blocks(100, 1000, np.random.default_rng(0))]

    flips = np.concatenate(blocks)
    assert {len(block) for block in blocks} == {3, 1}
    assert flips.shape == (1000, 100)
    assert np.allclose(flips.mean(axis=0), 0.5, atol=0.08)


def test_permutations_stay_within_strata():
    """Each draw deals every transition out once, to one of its own stratum, at random."""
    strata = np.array([1, 0, 1, 1, 0, 2])

    dealt = np.array([*permutations(strata, 600, np.random.default_rng(0))])

    assert (np.sort(dealt, axis=1) == np.arange(6)).all()
    assert (strata[dealt] == strata).all()
    assert np.allclose((dealt[:, 0, None] == [0, 2, 3]).mean(axis=0), 1 / 3, atol=0.07)


def test_strata_are_quantile_groups_of_days():
    """A hundred different days make five strata of twenty, the shortest first."""
    days = np.random.default_rng(0).permutation(100)

    assert (day_strata(days) == days // 20).all()


def test_many_days_make_five_strata():
    """Strata grow with the cohort, not in number."""
    assert np.bincount(day_strata(np.arange(1000))).tolist() == [200] * 5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 60), st.integers(0, 99))
def test_strata_keep_equal_days_together(n, n_days, seed):
    """Strata are at most 5, in order of days, of 20 at least; equal days are not torn apart."""
    days = np.random.default_rng(seed).integers(0, n_days, n)

    found = day_strata(days)

    counts = np.bincount(found)
    assert len(counts) <= 5
    assert counts.min() >= min(20, n)
    order = np.argsort(days, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert all(len(set(found[days == day])) == 1 for day in days)


def test_days_alone_do_not_make_hits_alike():
    """Where direction and start both go with days, only the strata keep chance from passing."""
    days, patient = np.repeat(np.arange(5.0), 20), np.arange(100)
    noise = np.random.default_rng(0).normal(scale=0.05, size=(2, 100))
    direction, rest = 0.1 * days + noise[0], days - 4 + noise[1]

    found = common_direction_test(direction, patient, 20, rest=rest, delta_day=days)

    assert found.p_value > 0.1
    assert common_direction_test(direction, patient, 20, rest=rest).p_value == 0.001


def test_refuses_no_transitions():
    """Nothing eligible, nothing to test."""
    with pytest.raises(NotEnoughDataError, match="no eligible transition"):
        common_direction_test(np.zeros(0), np.zeros(0, int), 5)


@pytest.mark.parametrize(("k", "n_draws"), [(0, 9), (1, 0)])
def test_refuses_no_hits_or_draws(k, n_draws):
    """At least one of each."""
    with pytest.raises(SettingsError, match=f"k {k} and n_draws {n_draws}"):
        common_direction_test(np.ones(1), np.zeros(1, int), k, n_draws=n_draws)


def test_refuses_parts_that_are_no_numbers():
    """A transition without a cosine is no eligible one."""
    with pytest.raises(QueryError, match="direction of transition 1 is nan"):
        common_direction_test(np.array([1.0, np.nan]), np.arange(2), 1)
    with pytest.raises(QueryError, match="delta_day of transition 0 is inf"):
        common_direction_test(np.ones(1), np.arange(1), 1, delta_day=np.array([np.inf]))


def test_refuses_parts_of_different_lengths():
    """The lengths are named."""
    with pytest.raises(QueryError, match=r"'direction': 2, 'patient': 3"):
        common_direction_test(np.ones(2), np.arange(3), 1)
