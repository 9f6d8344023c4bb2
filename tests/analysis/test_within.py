"""Distances against score changes within patients: definitions, planted answers, laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from learner_index.analysis.within import (
    Agreement,
    Case,
    centered_distance,
    compare_agreement,
    distance_agreement,
    drawn_agreement,
    mean_agreement,
    patient_mean,
    scored_pairs,
)
from learner_index.errors import NotEnoughDataError
from tests.analysis.pairs_toy import slow_pairs

SEEDS = st.integers(0, 2**32 - 1)


def cohort(seed, patients=12, visits=3, width=4, noise=1.0, views=("L1", "L2")):
    """Columns of a cohort: every embedding is its score along one axis, plus noise."""
    rng = np.random.default_rng(seed)
    n = patients * visits * len(views)
    score = rng.integers(0, 12, n).astype(float)
    u = noise * rng.standard_normal((n, width))
    u[:, 0] += score
    return {
        "embeddings": u,
        "score": score,
        "patient": np.repeat([f"p{i}" for i in range(patients)], n // patients).astype(object),
        "visit": np.tile(np.repeat(np.arange(visits), len(views)), patients),
        "view": np.tile(np.array(views, object), patients * visits),
    }


def agreement(columns, **options):
    """distance_agreement on a cohort's columns; Euclidean unless told."""
    options = {"center": None, "metric": "euclidean", "n_bootstraps": 200, **options}
    return distance_agreement(*columns.values(), **options)


def case(columns, second):
    """A case whose first embeddings are the cohort's own."""
    rest = [columns[name] for name in ("score", "patient", "visit", "view")]
    return Case(columns["embeddings"], second, *rest)


def take(columns, rows):
    return {name: column[rows] for name, column in columns.items()}


def slow_draws(columns, others, n, rng):
    """(len(others), n) rho of each table of embeddings, draw by draw, pair by pair."""
    score = columns["score"]
    pairs = slow_pairs(columns["patient"], columns["visit"], columns["view"])
    owned = {}
    for i, j in pairs:
        if not math.isnan(score[i] - score[j]):
            owned.setdefault(columns["patient"][i], []).append((i, j))
    names, found = sorted(owned), np.full((len(others), n), np.nan)
    for draw in range(n):
        drawn = rng.integers(0, len(names), len(names))
        chosen = [pair for number in drawn for pair in owned[names[number]]]
        change = [abs(score[i] - score[j]) for i, j in chosen]
        for row, u in enumerate(others):
            apart = [float(np.linalg.norm(u[i] - u[j])) for i, j in chosen]
            if len(set(apart)) > 1 and len(set(change)) > 1:
                found[row, draw] = spearmanr(apart, change).statistic
    return found


def test_a_collapsed_encoder_has_no_rho():
    """Embeddings that are all equal are all at one distance: no order, no warning."""
    columns = cohort(0) | {"embeddings": np.full((72, 4), 0.1, np.float32)}
    center = patient_mean(columns["embeddings"], columns["patient"])

    found = agreement(columns, center=center, metric="centered")

    assert math.isnan(found.rho)
    assert math.isnan(found.low)
    assert (found.n_patients, found.n_pairs, found.n_bootstraps) == (12, 72, 0)


def test_embeddings_that_tell_the_score_agree():
    """Distance equals score change: rho is 1 in the cohort and in every draw."""
    found = agreement(cohort(1, noise=0))

    assert (found.rho, found.low, found.high) == pytest.approx((1, 1, 1))
    assert (found.n_patients, found.n_pairs, found.n_bootstraps) == (12, 72, 200)


def test_embeddings_that_tell_nothing_do_not():
    """Noise alone: the interval holds 0."""
    columns = cohort(2, patients=40)
    columns["embeddings"][:, 0] -= columns["score"]

    found = agreement(columns, n_bootstraps=500)

    assert found.low < 0 < found.high


def test_intervals_equal_draws_one_by_one():
    """Rho and its interval are those of a slow loop over the multiset of drawn pairs."""
    columns = cohort(3, patients=7, noise=4.0)
    columns["score"][[0, 5, 17]] = np.nan
    columns["visit"][[9, 20]] = -1

    found = agreement(columns, seed=5)

    drawn = slow_draws(columns, [columns["embeddings"]], 200, np.random.default_rng(5))[0]
    np.testing.assert_allclose((found.low, found.high), np.quantile(drawn, [0.025, 0.975]))


def test_missing_scores_leave_pairs_out():
    """A scan without a score is as good as absent."""
    columns = cohort(4)
    columns["score"][::5] = np.nan

    found = agreement(columns)

    assert found == agreement(take(columns, ~np.isnan(columns["score"])))
    assert found.n_pairs < 72


def test_no_draws_no_interval():
    """n_bootstraps=0 gives rho alone."""
    found = agreement(cohort(5), n_bootstraps=0)

    assert found.rho == agreement(cohort(5)).rho
    assert (math.isnan(found.low), math.isnan(found.high), found.n_bootstraps) == (True, True, 0)


def test_draws_without_a_rho_are_counted_out():
    """Three patients of one pair each: one draw in nine takes one patient thrice, and has none."""
    columns = cohort(6, patients=3, visits=2, views=("L1",))

    found = agreement(columns | {"score": np.array([0, 1.0, 0, 2, 0, 3])}, n_bootstraps=2000)

    assert 2000 * 8 / 9 - 60 < found.n_bootstraps < 2000 * 8 / 9 + 60


def test_more_scans_of_the_same_patients_are_no_more_evidence():
    """Every scan copied into a second view leaves the interval; new patients would narrow it."""
    columns = cohort(7, patients=25, noise=5.0, views=("L1",))
    twice = take(columns, np.tile(np.arange(75), 2))
    copied = twice | {"view": np.repeat(np.array(["L1", "L2"], object), 75)}
    renamed = twice | {"patient": np.r_[columns["patient"], "q" + columns["patient"]]}

    once, again, naive = (agreement(c, n_bootstraps=1000) for c in (columns, copied, renamed))

    assert again.n_pairs == naive.n_pairs == 2 * once.n_pairs
    assert again.rho == pytest.approx(once.rho, abs=1e-12)
    assert (again.low, again.high) == pytest.approx((once.low, once.high), abs=1e-12)
    assert naive.high - naive.low < 0.85 * (once.high - once.low)


def test_the_interval_covers_the_truth():
    """Patients whose rho differs: about 95 of 100 intervals hold the rho of a huge cohort."""

    def simulate(seed, patients):
        """Half the patients move with their score, half at random."""
        columns = cohort(seed, patients, visits=3, width=1, noise=1.0, views=("L1",))
        is_deaf = np.repeat(np.arange(patients) % 2 == 0, 3)
        columns["embeddings"][is_deaf, 0] = np.random.default_rng([seed, 1]).normal(0, 5, 1)
        rng = np.random.default_rng([seed, 2])
        columns["embeddings"][is_deaf, 0] += rng.normal(0, 5, is_deaf.sum())
        return columns

    truth = agreement(simulate(99, 5000), n_bootstraps=0).rho

    intervals = [agreement(simulate(seed, 40), n_bootstraps=300) for seed in range(100)]

    assert 88 <= sum(found.low <= truth <= found.high for found in intervals) <= 100


def test_too_few_patients_are_refused():
    """Two patients with pairs cannot bear an interval, and the message counts both."""
    columns = cohort(8, patients=3, visits=2, views=("L1",))
    columns["score"][0] = np.nan

    with pytest.raises(NotEnoughDataError, match=r"2 patients .* \(2 pairs\): three"):
        agreement(columns)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_turning_and_shifting_the_space_changes_nothing(seed):
    """Centred distances do not depend on where the origin is or how the axes lie."""
    rng = np.random.default_rng(seed)
    columns = cohort(seed)
    u, pairs = columns["embeddings"], rng.integers(0, 72, (50, 2))
    turned = u @ np.linalg.qr(rng.standard_normal((4, 4)))[0] + rng.standard_normal(4)

    found, moved = (
        centered_distance(x, pairs, patient_mean(x, columns["patient"])) for x in (u, turned)
    )

    np.testing.assert_allclose(found, moved, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([-8.0, -1.0, 0.5, 4.0]))
def test_the_scores_unit_and_direction_do_not_matter(seed, scale):
    """Any change of unit keeps the order of score changes, so it keeps every number."""
    columns = cohort(seed)

    assert agreement(columns | {"score": scale * columns["score"] + 3}) == agreement(columns)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_rows_does_not_matter(seed):
    """Shuffled rows give the same draws and the same bytes."""
    columns = cohort(seed)
    order = np.random.default_rng(seed).permutation(72)
    one, other = agreement(columns), agreement(take(columns, order))

    assert (one.low, one.high, one.n_bootstraps) == (other.low, other.high, other.n_bootstraps)
    assert one.rho == pytest.approx(other.rho, abs=1e-12)


def test_differences_equal_draws_one_by_one():
    """Two cohorts, both encoders on the same patients of each draw, averaged over cohorts."""
    cohorts = [cohort(10, patients=6, noise=3.0), cohort(11, patients=5, noise=3.0)]
    seconds = [cohort(20 + i, len(set(c["patient"])))["embeddings"] for i, c in enumerate(cohorts)]
    cases = [case(c, second) for c, second in zip(cohorts, seconds, strict=True)]

    found = compare_agreement(cases, metric="euclidean", n_bootstraps=150, seed=3)

    rng, deltas, drawn = np.random.default_rng(3), [], np.zeros(150)
    for c, second in zip(cohorts, seconds, strict=True):
        rhos = slow_draws(c, [c["embeddings"], second], 150, rng)
        drawn += (rhos[0] - rhos[1]) / 2
        deltas.append(agreement(c).rho - agreement(c | {"embeddings": second}).rho)
    expected = (np.mean(deltas), *np.quantile(drawn, [0.025, 0.975]))
    np.testing.assert_allclose((found.delta, found.low, found.high), expected)
    assert (found.n_patients, found.n_pairs, found.n_bootstraps) == (11, 66, 150)


def test_an_encoder_is_no_better_than_itself():
    """The same embeddings twice: exactly 0, in the cohort and in every draw."""
    columns = cohort(12)

    found = compare_agreement([case(columns, columns["embeddings"])], metric="euclidean")

    assert (found.delta, found.low, found.high) == (0, 0, 0)


def test_swapping_encoders_turns_the_sign():
    """First minus second is minus second minus first."""
    columns, other = cohort(13, noise=0.5), cohort(14)["embeddings"]
    swapped = case(columns | {"embeddings": other}, columns["embeddings"])

    found = compare_agreement([case(columns, other)], metric="euclidean")
    back = compare_agreement([swapped], metric="euclidean")

    assert found.low > 0
    assert (back.delta, back.high) == pytest.approx((-found.delta, -found.low))


def test_each_encoder_has_its_own_center():
    """A shifted copy of the space with a shifted center is the same encoder."""
    columns = cohort(15)
    u, shift = columns["embeddings"], np.array([3.0, -1, 2, 5])
    center = patient_mean(u, columns["patient"])
    rest = [columns[name] for name in ("score", "patient", "visit", "view")]

    found = compare_agreement([Case(u, u + shift, *rest, center, center + shift)])

    assert (found.delta, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-9)


def test_a_bad_case_is_named():
    """The note tells which of the cohorts is too small."""
    good, small = (case(cohort(16, p), cohort(17, p)["embeddings"]) for p in (5, 2))

    with pytest.raises(NotEnoughDataError, match="2 patients") as caught:
        compare_agreement([good, small], metric="euclidean", n_bootstraps=10)

    assert caught.value.__notes__ == ["in case 1 of 2, counted from 0"]


def test_refuses_to_compare_nothing():
    """No cohort, no difference."""
    with pytest.raises(NotEnoughDataError, match="no cases to compare"):
        compare_agreement([])


def test_known_pairs_give_the_same_agreement():
    """Pairs that are found once are those found each time; the draws make the interval."""
    rng = np.random.default_rng(0)
    embeddings, score = rng.normal(size=(20, 3)), rng.normal(size=20)
    patient, visit = [f"p{row // 4}" for row in range(20)], np.arange(20)
    center = patient_mean(embeddings, patient)

    scored = scored_pairs(score, patient, visit, None)
    found, drawn = drawn_agreement(embeddings, scored, center=center, n_bootstraps=200)

    assert found == distance_agreement(
        embeddings, score, patient, visit, None, center=center, n_bootstraps=200
    )
    assert (found.low, found.high) == tuple(np.nanquantile(drawn, [0.025, 0.975]))


def test_mean_over_folds_weighs_folds_equally():
    """Means of rho and of draws, sums of counts; folds without a rho are left out."""
    one = Agreement(0.2, 0, 0, 3, 10, 4), np.array([0.1, 0.2, 0.3, np.nan])
    other = Agreement(0.6, 0, 0, 5, 90, 4), np.array([0.5, 0.8, 0.7, 0.6])
    none = Agreement(math.nan, 0, 0, 4, 7, 0), np.full(4, math.nan)

    found = mean_agreement([one, none, other])

    assert found.rho == pytest.approx(0.4)
    ends = np.quantile([0.3, 0.5, 0.5], [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(ends.tolist())
    assert (found.n_patients, found.n_pairs, found.n_bootstraps) == (8, 100, 3)
    assert mean_agreement([none]) is None


def test_mean_over_folds_is_surer_than_one_fold():
    """Independent folds: the interval of the mean of four is about half as wide."""
    rng = np.random.default_rng(0)
    cases = [(Agreement(0.0, 0, 0, 3, 3, 4000), rng.normal(size=4000)) for _ in range(4)]

    found = mean_agreement(cases)

    assert found.high - found.low == pytest.approx(2 * 1.96 / 2, rel=0.06)
