"""Conformal sets: as many outcomes as promised, patients as the unit, sets of a sensible shape."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from learner_index.analysis.conformal import (
    Calibrated,
    calibrate,
    calibration_size,
    coverage,
    coverage_by_class,
    least_patients,
    nonconformity,
    one_per_patient,
    set_size,
)
from learner_index.analysis.resample import draw_weights
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

QUICK = settings(max_examples=60, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
ROWS = st.lists(st.integers(0, 4), min_size=2, max_size=6).filter(any)  # few values: many ties


def shares(row):
    """(1, c) probabilities of one row of weights."""
    return np.array([row], float) / sum(row)


def two_classes(p):
    """(t, 2) probabilities; class 0 came about, with probability p."""
    return np.column_stack([p, 1 - np.asarray(p)])


def random_rows(seed, t=40, c=4):
    """Probabilities of a model that knows something, targets, patients with 1 to many rows."""
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(c), t)
    chance = (0.5 * probability + 0.5 / c).cumsum(axis=1)
    target = (rng.random((t, 1)) > chance[:, :-1]).sum(axis=1)
    return probability, target, rng.integers(0, max(1, t // 3), t)


@pytest.mark.parametrize(
    ("available", "alpha", "size"),
    [
        (9, 0.1, 9),
        (18, 0.1, 9),
        (19, 0.1, 19),
        (108, 0.1, 99),
        (9, 1 - 0.9, 9),
        (38, 0.05, 19),
        (39, 0.05, 39),
        (8, 0.2, 4),
        (9, 0.2, 9),
        (2, 1 / 3, 2),
        (4, 1 / 3, 2),
        (5, 1 / 3, 5),
        (6, 0.3, 6),
        (12, 0.3, 9),
        (14, 0.07, 14),
        (98, 0.07, 98),
        (150, 0.07, 99),
        (10**6, 0.1, 10**6 - 1),
    ],
)
def test_takes_as_many_patients_as_make_coverage_exact(available, alpha, size):
    """(n + 1) alpha is whole for the n taken; all are taken where no such n is in reach."""
    assert calibration_size(available, alpha) == size


@QUICK
@given(st.integers(1, 39), st.integers(2, 40), st.integers(0, 200))
def test_size_is_the_largest_that_fits(above, below, extra):
    """Against a search through all sizes in exact fractions, alpha being given as a float."""
    alpha = Fraction(min(above, below - 1), below)
    available = math.ceil(1 / alpha) - 1 + extra
    whole = [n for n in range(1, available + 1) if ((n + 1) * alpha).denominator == 1]

    assert calibration_size(available, float(alpha)) == max(whole, default=available)


@pytest.mark.parametrize(
    ("alpha", "needed"), [(0.1, 9), (0.05, 19), (0.2, 4), (1 / 3, 2), (0.5, 1), (0.07, 14)]
)
def test_refuses_fewer_patients_than_alpha_needs(alpha, needed):
    """With ceil(1/alpha) - 1 patients the limit is the largest score; with one less, none."""
    assert least_patients(alpha) == needed
    assert calibration_size(needed, alpha) >= 1
    with pytest.raises(
        NotEnoughDataError, match=f"{needed - 1} calibration .* which needs {needed}"
    ):
        calibration_size(needed - 1, alpha)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 1.2, 1e-9, float("nan")])
def test_refuses_an_alpha_that_is_no_share(alpha):
    """Nothing, everything, and what lies beyond."""
    with pytest.raises(SettingsError, match="is no share of patients"):
        calibration_size(100, alpha)


@QUICK
@given(SEEDS, st.sampled_from([(0.1, 9), (0.1, 29), (0.05, 19), (0.2, 14), (0.25, 3), (0.07, 20)]))
def test_each_patient_left_out_in_turn_is_covered_as_often_as_promised(seed, asked):
    """Of n + 1 patients with different scores, k are covered by the n others: no more, no less.

    This is the whole theorem, without chance: who is the new patient does not matter.
    """
    alpha, n = asked
    p = np.random.default_rng(seed).permutation(np.linspace(0.01, 0.49, n + 1))
    held = 0
    for one in range(n + 1):
        others = np.arange(n + 1) != one
        zeros = np.zeros(n, int)
        found = calibrate(
            two_classes(p[others]), zeros, np.arange(n), alpha, is_ordinal=False, seed=seed
        )
        held += found.sets(two_classes(p[[one]]))[0, 0]

    assert held == math.ceil(round((n + 1) * (1 - alpha), 9))
    assert found.expected_coverage == pytest.approx(held / (n + 1))


@QUICK
@given(SEEDS)
def test_ties_never_lower_the_coverage(seed):
    """Of 20 patients with few different scores, 18 or more are covered by the 19 others."""
    p = np.random.default_rng(seed).integers(1, 5, 20) / 10
    held = 0
    for one in range(20):
        rest = two_classes(np.delete(p, one))
        found = calibrate(rest, np.zeros(19, int), np.arange(19), 0.1, is_ordinal=False, seed=seed)
        held += found.sets(two_classes(p[[one]]))[0, 0]

    assert held >= 18


def test_coverage_of_runs_follows_the_beta_distribution():
    """Uniform scores: a run's coverage is its limit; 1,500 runs are spread as said."""
    rng = np.random.default_rng(3)
    n, alpha = 19, 0.1
    rows = np.repeat(np.arange(n), 2)  # two rows a patient, the same score
    limits = [
        calibrate(
            two_classes(rng.random(n)[rows]),
            np.zeros(2 * n, int),
            rows,
            alpha,
            is_ordinal=False,
            seed=seed,
        ).quantile
        for seed in range(1500)
    ]

    assert kstest(limits, beta(18, 2).cdf).pvalue > 0.01
    assert np.mean(limits) == pytest.approx(0.9, abs=4 * beta(18, 2).std() / np.sqrt(1500))


def test_interval_is_that_of_the_beta_distribution():
    """Nine patients: the largest score, Beta(9, 1), whose quantiles are ninth roots."""
    found = Calibrated(0.1, 0.8, 9, is_ordinal=False)

    low, high = found.coverage_interval()

    assert (low, high) == (pytest.approx(0.025 ** (1 / 9)), pytest.approx(0.975 ** (1 / 9)))
    assert found.coverage_interval(0.5)[0] == pytest.approx(0.25 ** (1 / 9))
    assert Calibrated(0.1, 0.8, 999, is_ordinal=False).coverage_interval()[0] > 0.88
    with pytest.raises(SettingsError, match="level 1 is no share"):
        found.coverage_interval(1)


@pytest.mark.parametrize("is_ordinal", [False, True])
def test_a_wrong_model_still_covers(is_ordinal):
    """Probabilities that half mislead: mean coverage of new patients is 0.9 over 300 cohorts."""
    held = []
    for seed in range(300):
        probability, target, _ = random_rows(seed, t=139)
        calibrated = calibrate(
            probability[:39],
            target[:39],
            np.arange(39),
            0.1,
            is_ordinal=is_ordinal,
            seed=seed,
        )
        sets = calibrated.sets(probability[39:])
        held.append(coverage(sets, target[39:], np.arange(100), np.ones((1, 100)))[0])

    assert np.mean(held) == pytest.approx(0.9, abs=4 * np.std(held) / np.sqrt(300))
    assert np.std(held) / np.sqrt(300) < 0.005


def test_patients_with_many_rows_do_not_dominate():
    """One patient in five has 60 easy rows: counting rows misses patients who have one."""
    by_patient, by_row = [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        counts = np.where(rng.random(159) < 0.2, 60, 1)
        hard = rng.uniform(0.0, 0.5, 159)
        p = np.where(counts > 1, 0.5 + hard, hard)
        patient = np.repeat(np.arange(159), counts)
        probability, target = two_classes(p[patient]), np.zeros(len(patient), int)
        old = patient < 59
        found = calibrate(
            probability[old], target[old], patient[old], 0.1, is_ordinal=False, seed=seed
        )
        wrong = Calibrated(0.1, float(np.quantile(1 - p[patient[old]], 0.9)), 59, is_ordinal=False)
        weights = np.ones((1, 100))
        for record, limit in ((by_patient, found), (by_row, wrong)):
            sets = limit.sets(probability[~old])
            record.append(coverage(sets, target[~old], patient[~old], weights)[0])

    assert np.mean(by_patient) == pytest.approx(0.9, abs=0.02)
    assert np.mean(by_row) < 0.5


def test_limit_is_a_score_of_a_calibration_patient():
    """One row a patient: the k-th smallest score, found by sorting by hand."""
    p = np.array([0.9, 0.1, 0.6, 0.45, 0.2, 0.05, 0.7, 0.3, 0.8])

    tenth = calibrate(two_classes(p), np.zeros(9, int), np.arange(9), 0.1, is_ordinal=False, seed=0)
    fifth = calibrate(two_classes(p), np.zeros(9, int), np.arange(9), 0.2, is_ordinal=False, seed=0)

    assert (tenth.quantile, tenth.n_patients) == (1 - 0.05, 9)
    assert (fifth.quantile, fifth.alpha) == (1 - 0.1, 0.2)


def test_the_seed_draws_rows_and_patients():
    """The same seed, the same limit; others take other rows and leave out other patients."""
    rng = np.random.default_rng(0)
    p = rng.random(60)
    alone, many = np.arange(60), np.arange(60) // 3
    zeros = np.zeros(60, int)

    def limit(patient, seed):
        found = calibrate(two_classes(p), zeros, patient, 0.1, is_ordinal=False, seed=seed)
        return found.quantile

    assert limit(alone, 1) == limit(alone, 1)
    assert len({limit(alone, seed) for seed in range(9)}) > 1  # 59 of 60 patients
    assert len({limit(many, seed) for seed in range(9)}) > 1


@QUICK
@given(SEEDS)
def test_one_row_of_each_patient(seed):
    """Each patient once, in order of names, whatever the order of rows."""
    rng = np.random.default_rng(seed)
    patient = rng.choice(np.array(["b", "a", "d", "c", "e"], object), 12)

    rows = one_per_patient(patient, seed)

    assert patient[rows].tolist() == sorted(set(patient))
    assert (rows == one_per_patient(patient, np.random.default_rng(seed))).all()


def test_rows_of_a_patient_are_equally_likely():
    """Four rows among other patients' rows: each about a quarter of 2,000 draws."""
    patient = ["a", "b", "a", "c", "a", "b", "a"]

    drawn = np.array([one_per_patient(patient, seed) for seed in range(2000)])

    shares_of = np.bincount(drawn[:, 0], minlength=7) / 2000
    np.testing.assert_allclose(shares_of[[0, 2, 4, 6]], 0.25, atol=0.04)
    np.testing.assert_allclose(np.mean(drawn[:, 1] == 1), 0.5, atol=0.05)


def slow_nonconformity(row, is_ordinal):
    """1 - p, or 1 minus the smallest p of the shortest run with all likeliest classes and k."""
    if not is_ordinal:
        return [1 - p for p in row]
    top = [k for k, p in enumerate(row) if p == max(row)]
    return [1 - min(row[min([k, *top]) : max([k, *top]) + 1]) for k in range(len(row))]


@QUICK
@given(ROWS, st.booleans())
def test_scores_are_those_of_a_slow_loop(row, is_ordinal):
    """Written from the definition, with ties."""
    probability = shares(row)

    found = nonconformity(probability, is_ordinal=is_ordinal)

    assert found[0].tolist() == slow_nonconformity(probability[0].tolist(), is_ordinal)


def test_rows_are_scored_apart():
    """Many rows at once give what each gives alone."""
    probability = random_rows(5)[0]

    for is_ordinal in (False, True):
        found = nonconformity(probability, is_ordinal=is_ordinal)
        alone = [nonconformity(row[None], is_ordinal=is_ordinal)[0] for row in probability]
        assert (found == np.array(alone)).all()


@QUICK
@given(ROWS, st.floats(0, 1))
def test_ordinal_sets_have_no_gap_and_hold_the_likeliest(row, limit):
    """All likeliest classes are in, and the classes in the set are neighbors."""
    probability = shares(row)

    inside = Calibrated(0.1, limit, 9, is_ordinal=True).sets(probability)[0]

    places = np.flatnonzero(inside)
    assert len(places) == places[-1] - places[0] + 1
    assert inside[probability[0] == probability[0].max()].all()


@QUICK
@given(ROWS, st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_sets_grow_with_the_limit(row, one, other, is_ordinal):
    """A larger limit, as of a smaller alpha, never takes a class out."""
    low, high = (
        Calibrated(0.1, limit, 9, is_ordinal).sets(shares(row)) for limit in sorted([one, other])
    )

    assert (low <= high).all()


@QUICK
@given(SEEDS, st.booleans())
def test_sets_shrink_with_alpha(seed, is_ordinal):
    """Calibrated on the same patients, sets that may miss more are inside those that may not."""
    probability, target, _ = random_rows(seed, t=19)
    fine, coarse = (
        calibrate(probability, target, np.arange(19), a, is_ordinal=is_ordinal, seed=0)
        for a in (0.05, 0.2)
    )

    assert (coarse.sets(probability) <= fine.sets(probability)).all()


@QUICK
@given(SEEDS)
def test_nominal_sets_do_not_depend_on_the_order_of_classes(seed):
    """Classes shuffled: the same sets, shuffled."""
    probability, target, patient = random_rows(seed)
    order = np.random.default_rng(seed).permutation(4)
    place = np.argsort(order)

    plain, mixed = (
        calibrate(rows, codes, patient, 0.2, is_ordinal=False, seed=1).sets(rows)
        for rows, codes in ((probability, target), (probability[:, order], place[target]))
    )

    assert (mixed == plain[:, order]).all()


@QUICK
@given(ROWS, st.floats(0, 1))
def test_ordinal_sets_turn_round_with_the_classes(row, limit):
    """Worst to best or best to worst, also where several classes are likeliest."""
    calibrated = Calibrated(0.1, limit, 9, is_ordinal=True)

    turned = calibrated.sets(shares(row[::-1]))[:, ::-1]

    assert (turned == calibrated.sets(shares(row))).all()


@QUICK
@given(ROWS, st.floats(0, 1))
def test_nominal_sets_prefer_the_more_probable(row, limit):
    """No class is left out that is at least as probable as one in the set."""
    probability = shares(row)

    inside = Calibrated(0.1, limit, 9, is_ordinal=False).sets(probability)[0]

    assert inside.any()
    assert (inside == (probability[0] >= probability[0][inside].min())).all()


def test_no_set_is_empty():
    """Below every score: the likeliest class, both where two are, and what lies between them."""
    rows = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])

    nominal = Calibrated(0.1, 0.0, 9, is_ordinal=False).sets(rows)
    ordinal = Calibrated(0.1, 0.0, 9, is_ordinal=True).sets(rows)

    assert nominal.tolist() == [[False, True, False], [True, False, True]]
    assert ordinal.tolist() == [[False, True, False], [True, True, True]]


def slow_coverage(sets, target, patient, weight):
    """Overall, by class, and mean size: loops over patients and rows."""
    names = sorted(set(patient))
    total, by_class, size = np.zeros(2), np.zeros((sets.shape[1], 2)), np.zeros(2)
    for name, w in zip(names, weight, strict=True):
        rows = [i for i, owner in enumerate(patient) if owner == name]
        for i in rows:
            share = w / len(rows)
            total += share * np.array([sets[i, target[i]], 1])
            by_class[target[i]] += share * np.array([sets[i, target[i]], 1])
            size += share * np.array([sets[i].sum(), 1])
    return (part[..., 0] / part[..., 1] for part in (total, by_class, size))


@QUICK
@given(SEEDS)
def test_measured_coverage_is_that_of_a_slow_loop(seed):
    """In every draw of patients, over all and by class, and the size of sets."""
    probability, target, codes = random_rows(seed)
    patient = np.array([f"p{code:02d}" for code in codes], object)
    sets = Calibrated(0.1, 0.7, 9, is_ordinal=False).sets(probability)
    weights = draw_weights(len(set(patient)), 3, seed)

    for row, weight in enumerate(weights):
        with np.errstate(invalid="ignore"):
            total, by_class, size = slow_coverage(sets, target, patient, weight)
        assert coverage(sets, target, patient, weights)[row] == pytest.approx(total)
        np.testing.assert_allclose(coverage_by_class(sets, target, patient, weights)[row], by_class)
        assert set_size(sets, patient, weights)[row] == pytest.approx(size)


def test_what_a_draw_lacks_is_nan():
    """No row of class 1, and a draw without any patient."""
    sets, patient = np.array([[True, False], [False, True]]), ["a", "b"]

    found = coverage_by_class(sets, np.array([0, 0]), patient, np.array([[1.0, 1.0], [0.0, 0.0]]))

    assert found[0, 0] == 0.5
    assert np.isnan(found[0, 1])
    assert np.isnan(found[1]).all()


def test_refuses_columns_that_do_not_fit():
    """Lengths, targets that are no class, and probabilities that are none."""
    p, ok = two_classes(np.full(9, 0.3)), np.zeros(9, int)

    with pytest.raises(QueryError, match="9 rows, 8 targets, 9 patients"):
        calibrate(p, ok[:8], np.arange(9), 0.1, is_ordinal=False, seed=0)
    with pytest.raises(QueryError, match="target 2 is no class: number them 0 to 1"):
        calibrate(p, ok + 2, np.arange(9), 0.1, is_ordinal=False, seed=0)
    with pytest.raises(QueryError, match="target -1 is no class"):
        coverage(p > 0, ok - 1, np.arange(9), np.ones((1, 9)))
    with pytest.raises(QueryError, match=r"target 0.0 is no class"):
        coverage(p > 0, ok.astype(float), np.arange(9), np.ones((1, 9)))
    with pytest.raises(QueryError, match="probabilities of row 0"):
        Calibrated(0.1, 0.5, 9, is_ordinal=True).sets(2 * p)
    with pytest.raises(QueryError, match="1 scans have no patient"):
        one_per_patient(["a", None], 0)


@pytest.mark.parametrize("weights", [np.ones(2), np.ones((1, 3)), -np.ones((1, 2))])
def test_refuses_weights_that_do_not_fit(weights):
    """One row a draw, one column a patient, nothing negative."""
    with pytest.raises(QueryError, match="weight"):
        set_size(np.ones((2, 2), bool), ["a", "b"], weights)
