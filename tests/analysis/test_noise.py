"""The noise floor: which scans are paired, and what lies beyond what they show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from sklearn.covariance import ledoit_wolf

from learner_index.analysis import noise
from learner_index.analysis.noise import (
    band,
    benjamini_hochberg,
    cosine_p_values,
    fit_noise_floor,
    length_p_values,
    noise_covariance,
    verdicts,
)
from learner_index.analysis.transitions import Transitions, Visits
from learner_index.data import progression
from learner_index.data.reference import NoiseFloor
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

WIDTH = 8


def line(n):
    """(n, 1) embeddings that name their own row: a difference tells which rows were paired."""
    return 2.0 ** np.arange(n)[:, None]


def paired(group, marked):
    """The floor of one scan a row, each group a patient of its own."""
    group = np.array(group)
    return fit_noise_floor(line(len(group)), group, group, np.array(marked, bool))


def slow_pairs(group, marked):
    """Pairs by the rules, one group after the other."""
    independent, same_session = [], []
    for name in set(group):
        rows = [i for i, own in enumerate(group) if own == name]
        repeats = [i for i in rows if marked[i]]
        others = [i for i in rows if not marked[i]]
        same_session += [(others[i], others[i + 1]) for i in range(0, len(others) - 1, 2)]
        while repeats and others:
            independent.append(tuple(sorted((repeats.pop(0), others.pop(0)))))
        independent += [(repeats[i], repeats[i + 1]) for i in range(0, len(repeats) - 1, 2)]
    return sorted(independent or same_session), bool(independent)


def floor_of(differences, owners=None):
    owners = np.arange(len(differences)) if owners is None else np.array(owners)
    return NoiseFloor(np.asarray(differences, np.float32), owners, is_independent=True)


def steady_cohort(rng, n_repeats, n_transitions, drift=0.0):
    """Lengths of repeats' differences and of deltas by the same noise, deltas moved by a drift."""
    repeats = rng.normal(size=(n_repeats, WIDTH)) - rng.normal(size=(n_repeats, WIDTH))
    deltas = rng.normal(size=(n_transitions, WIDTH)) - rng.normal(size=(n_transitions, WIDTH))
    deltas[:, 0] += drift
    return repeats, deltas


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=14))
def test_pairs_are_those_of_the_rules(scans):
    """Pairs, their order, sign, owners and kind are those of a loop over groups."""
    group, marked = (list(column) for column in zip(*scans, strict=True))
    pairs, is_independent = slow_pairs(group, marked)

    floor = paired(group, marked)

    if not pairs:
        assert floor is None
        return
    assert floor.differences[:, 0].tolist() == [2.0**j - 2.0**i for i, j in pairs]
    owners = [group[i] for i, _ in pairs]
    assert floor.owners.tolist() == [sorted(set(owners)).index(own) for own in owners]
    assert floor.is_independent == is_independent


def test_one_rescan_leaves_out_pairs_of_one_session():
    """With an independent pair anywhere, unmarked scans of other groups are not paired."""
    floor = paired([0, 0, 1, 1], [False, True, False, False])

    assert floor.is_independent
    assert floor.differences.tolist() == [[1.0]]


def test_a_rescan_without_partner_makes_no_floor_independent():
    """A marked scan alone in its group leaves the others a lower bound."""
    floor = paired([0, 1, 1], [True, False, False])

    assert not floor.is_independent
    assert floor.differences.tolist() == [[2.0]]


def test_patients_are_counted_not_pairs():
    """Two pairs of one patient and one of another are of two patients, numbered from 0."""
    group, patient = np.array([5, 5, 6, 6, 9, 9]), np.array([7, 7, 7, 7, 3, 3])

    floor = fit_noise_floor(line(6), group, patient, np.zeros(6, bool))

    assert floor.owners.tolist() == [1, 1, 0]
    assert floor.n_patients == 2
    assert floor.differences.dtype == np.float32


def test_fitting_leaves_the_embeddings_as_they_were():
    """Differences are taken on a copy."""
    embeddings = line(4).astype(np.float32)

    fit_noise_floor(embeddings, np.zeros(4, int), np.zeros(4, int), np.zeros(4, bool))

    assert (embeddings == line(4)).all()


def test_refuses_a_group_of_two_patients():
    """A repeat is of one patient."""
    with pytest.raises(QueryError, match="patients 4 and 5 share a group"):
        fit_noise_floor(line(2), np.zeros(2, int), np.array([4, 5]), np.zeros(2, bool))


def test_refuses_arrays_of_different_lengths():
    """The lengths are named."""
    with pytest.raises(QueryError, match=r"arrays of \[2, 3\] scans"):
        fit_noise_floor(line(3), np.zeros(2, int), np.zeros(3, int), np.zeros(3, bool))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_refuses_repeats_that_are_no_numbers(bad):
    """An encoder that diverged gives no noise floor."""
    embeddings = np.array([[bad], [-bad]])

    with pytest.raises(QueryError, match="diverged encoder"):
        fit_noise_floor(embeddings, np.zeros(2, int), np.zeros(2, int), np.zeros(2, bool))


def test_covariance_is_the_shrunk_one_of_one_scan():
    """With one pair a patient it is Ledoit and Wolf's of differences over √2, not centred."""
    rng = np.random.default_rng(0)
    differences = (rng.normal(size=(30, 5)) * [3, 2, 1, 1, 0.5] + 1.0).astype(np.float32)

    found = noise_covariance(floor_of(differences))

    wanted = ledoit_wolf(differences.astype(float) / np.sqrt(2), assume_centered=True)[0]
    assert np.allclose(found, wanted, rtol=1e-6)


def test_covariance_weighs_patients_equally():
    """A patient with forty times as many repeats moves it no more."""
    rng = np.random.default_rng(1)
    differences = rng.normal(size=(12, 4))
    many = np.concatenate([np.repeat(differences[:1], 40, axis=0), differences[1:]])
    owners = np.concatenate([np.zeros(39, int), np.arange(12)])

    found = noise_covariance(floor_of(many, owners))

    assert np.allclose(found, noise_covariance(floor_of(differences)), rtol=1e-5)


def test_covariance_finds_planted_noise():
    """It is the covariance each scan's noise was drawn with."""
    rng, spread = np.random.default_rng(2), np.array([3.0, 1.0, 0.5])
    scans = rng.normal(size=(2, 20_000, 3)) * spread

    found = noise_covariance(floor_of(scans[1] - scans[0]))

    assert np.allclose(found, np.diag(spread**2), rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("differences", "owners", "count"),
    [
        (np.ones((3, 2)), [0, 0, 0], "3 pairs of repeats of 1"),
        (np.zeros((2, 2)), [0, 1], "2 pairs"),
    ],
)
def test_covariance_needs_two_patients_whose_repeats_differ(differences, owners, count):
    """One patient, or repeats that are copies, say nothing of noise."""
    with pytest.raises(NotEnoughDataError, match=count):
        noise_covariance(floor_of(differences, owners))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=9),
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from([0.5, 1.0, 2.0])), min_size=1),
)
def test_length_p_counts_repeats_at_least_as_far_apart(floor, transitions):
    """It is the formula, ties included, one transition after the other."""
    lengths, scales = np.array(transitions).T

    found = length_p_values(lengths, scales, np.array(floor, float))

    for p, length, scale in zip(found, lengths, scales, strict=True):
        wanted = (1 + sum(each >= length / scale for each in floor)) / (len(floor) + 1)
        assert p == pytest.approx(wanted)


def test_a_tie_that_rounding_moved_is_still_a_tie():
    """A length that is a repeat's but for its last digit is reached by it."""
    found = length_p_values(np.array([0.3 * (1 + 1e-15)]), np.ones(1), np.array([0.3]))

    assert found.tolist() == [1.0]


def test_an_unknown_length_has_no_p():
    """NaN stays NaN, and the others are as without it."""
    found = length_p_values(np.array([np.nan, 5.0]), np.ones(2), np.arange(4.0))

    assert np.isnan(found[0])
    assert found[1] == 0.2


def test_refuses_scales_that_are_not_above_zero():
    """A delta without noise cannot be compared with noise."""
    with pytest.raises(QueryError, match=r"scale of 0\.0"):
        length_p_values(np.ones(2), np.array([1.0, 0.0]), np.ones(3))


def test_length_p_is_uniform_without_change():
    """Over cohorts whose transitions are noise alone, p is uniform."""
    p = []
    for seed in range(300):
        repeats, deltas = steady_cohort(np.random.default_rng(seed), 199, 1)
        lengths = np.linalg.norm(deltas, axis=1)
        p += [*length_p_values(lengths, np.ones(1), np.linalg.norm(repeats, axis=1))]

    assert kstest(p, "uniform").pvalue > 0.01
    assert len(set(p)) > 100


def test_the_scale_of_averaged_visits_keeps_p_uniform():
    """Visits of two views with three scans each: p is uniform at √(1/6), not at 1."""
    patient, visit = np.repeat(np.arange(200), 12), np.repeat(np.arange(400), 6)
    view = np.tile(["a", "b"], 1200)
    scored = np.full(2400, np.nan)
    transitions = Transitions.of(Visits.of(patient, visit, view, visit % 2 * 30.0, scored))
    rng = np.random.default_rng(3)
    repeats = np.linalg.norm(rng.normal(size=(20_000, WIDTH)) * np.sqrt(2), axis=1)
    lengths = np.linalg.norm(transitions.deltas(rng.normal(size=(2400, WIDTH))), axis=1)
    scales = np.sqrt(transitions.difference.multiply(transitions.difference).sum(axis=1) / 2)

    found = length_p_values(lengths, scales, repeats)

    assert np.allclose(scales, np.sqrt(1 / 6))
    assert kstest(found, "uniform").pvalue > 0.01
    assert length_p_values(lengths, np.ones(200), repeats).mean() > 0.95


def test_few_steady_patients_are_called_changed():
    """Of transitions that are noise alone, at most alpha are called improving or worsening."""
    called, n, alpha = 0, 4000, 0.1
    for seed in range(40):
        repeats, deltas = steady_cohort(np.random.default_rng(seed), 500, n // 40)
        p = length_p_values(abs(deltas[:, 0]), np.ones(n // 40), abs(repeats[:, 0]))
        called += sum(each != "steady" for each in verdicts(deltas[:, 0], p, alpha))

    slack = 3 * np.sqrt(alpha * (1 - alpha) * (1 / n + 1 / (40 * 500)))
    assert 0.5 * alpha < called / n <= alpha + slack


def test_a_drift_of_three_noise_floors_is_found():
    """Three times the median length of repeats is found in nine of ten transitions or more."""
    rng = np.random.default_rng(4)
    lengths = np.linalg.norm(steady_cohort(rng, 500, 1)[0], axis=1)
    repeats, deltas = steady_cohort(rng, 500, 2000, 3 * np.median(lengths))

    p = length_p_values(
        np.linalg.norm(deltas, axis=1), np.ones(2000), np.linalg.norm(repeats, axis=1)
    )

    found = verdicts(deltas[:, 0], p, 0.1)
    assert found.count("worsening") / 2000 >= 0.9
    assert "improving" not in found


@pytest.mark.parametrize(("sign", "name"), [(1, "worsening"), (-1, "improving")])
def test_a_drift_of_three_deviations_on_the_axis_is_found(sign, name):
    """Three standard deviations of a difference of repeats, either way, have power 0.9."""
    drift = sign * 3 * np.sqrt(2)
    repeats, deltas = steady_cohort(np.random.default_rng(5), 2000, 4000, drift)

    p = length_p_values(abs(deltas[:, 0]), np.ones(4000), abs(repeats[:, 0]))

    assert verdicts(deltas[:, 0], p, 0.1).count(name) / 4000 >= 0.9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7))
def test_cosine_p_counts_repeats_of_either_sign(seed, n):
    """It is the formula, with cosines that tie and repeats that are equal to each other."""
    rng = np.random.default_rng(seed)
    differences = rng.integers(-2, 3, (n, 3)).astype(np.float32)
    direction = np.array([2.0, 1.0, 0.0])
    others = rng.integers(-2, 3, (5, 3)) + np.array([0.0, 0.0, 0.5])
    cosines = others @ direction / (np.linalg.norm(others, axis=1) * np.sqrt(5))

    found = cosine_p_values(cosines, direction, differences)

    null = []
    for each in differences.astype(float):
        length = np.sqrt(sum(each**2))
        null.append(sum(each * direction) / (length * np.sqrt(5)) if length else 0.0)
    for p, c in zip(found, cosines, strict=True):
        values = [sign * each for sign in (1, -1) for each in [*null, c]]
        wanted = sum(each >= c - 1e-9 for each in values) / (2 * n + 2)
        assert p == pytest.approx(wanted)


def test_cosine_p_is_exact_for_noise_without_sign():
    """Whichever of a set of sizes and signs is the transition's, each p comes up once."""
    sizes = np.array([0.1, 0.25, 0.4, 0.7, 0.9])
    found = []

    for i, own in enumerate(sizes):
        others = np.delete(sizes, i)
        signs = np.array([1, -1, -1, 1])  # which way round repeats are kept does not matter
        differences = np.column_stack([signs * others, np.sqrt(1 - others**2)])
        found += [*cosine_p_values(np.array([own, -own]), np.array([3.0, 0.0]), differences)]

    assert np.allclose(np.sort(found), np.arange(1, 11) / 10)


def test_cosine_p_is_uniform_without_change():
    """Over cohorts of noise of any shape, p of a transition is uniform."""
    p, spread = [], np.array([5.0, 1, 1, 1, 1, 1, 1, 1])
    for seed in range(300):
        rng = np.random.default_rng(seed)
        direction = rng.normal(size=WIDTH)
        repeats, deltas = (part * spread for part in steady_cohort(rng, 100, 1))
        cosine = deltas @ direction / np.linalg.norm(deltas) / np.linalg.norm(direction)
        p += [*cosine_p_values(cosine, direction, repeats)]

    assert kstest(p, "uniform").pvalue > 0.01


def test_repeats_that_are_copies_point_nowhere():
    """A difference of 0 has cosine 0: below what points along, above what points against."""
    found = cosine_p_values(np.array([0.5, -0.5]), np.ones(2), np.zeros((3, 2)))

    assert found.tolist() == [1 / 8, 1.0]


def test_an_unknown_cosine_has_no_p():
    """NaN stays NaN."""
    found = cosine_p_values(np.array([np.nan, 1.0]), np.ones(2), np.eye(2))

    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1 / 6)


@pytest.mark.parametrize("direction", [[0.0, 0.0], [np.nan, 1.0]])
def test_refuses_a_direction_that_points_nowhere(direction):
    """Nothing has a cosine with it."""
    with pytest.raises(QueryError, match="points nowhere"):
        cosine_p_values(np.ones(1), np.array(direction), np.eye(2))


def test_without_repeats_there_is_no_number():
    """Lengths, cosines and the band are refused, not guessed."""
    none = np.zeros(0)

    with pytest.raises(NotEnoughDataError, match="no noise floor"):
        length_p_values(np.ones(1), np.ones(1), none)
    with pytest.raises(NotEnoughDataError, match="no noise floor"):
        cosine_p_values(np.ones(1), np.ones(2), np.zeros((0, 2)))
    with pytest.raises(NotEnoughDataError, match="no noise floor"):
        band(none, np.zeros(0, int))


def test_refuses_a_floor_that_is_no_number():
    """A NaN among repeats would count as beyond nothing."""
    with pytest.raises(QueryError, match="NaN or infinite"):
        length_p_values(np.ones(1), np.ones(1), np.array([1.0, np.nan]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=8))
def test_adjusts_by_benjamini_and_hochberg(p_values):
    """The adjusted p is the least of m p(j) / j over those not smaller; NaN counts nowhere."""
    known = sorted(p for p in p_values if p == p)
    wanted = [
        min([1.0] + [len(known) * q / (j + 1) for j, q in enumerate(known) if q >= p])
        if p == p
        else p
        for p in p_values
    ]

    found = benjamini_hochberg(np.array(p_values))

    assert np.allclose(found, wanted, equal_nan=True)


@pytest.mark.parametrize("bad", [-0.1, 1.1])
def test_refuses_what_is_no_p_value(bad):
    """A p-value lies between 0 and 1."""
    with pytest.raises(QueryError, match="is no p-value"):
        benjamini_hochberg(np.array([0.5, bad]))


def test_verdicts_need_a_change_beyond_noise():
    """Up is worsening, down improving, up to alpha; above it, or at 0, steady."""
    found = verdicts(
        np.array([2.0, -2.0, 2.0, 0.0, 2.0]), np.array([0.1, 0.01, 0.11, 0.01, np.nan]), 0.1
    )

    assert found == ["worsening", "improving", "steady", "steady", "no noise floor"]


def test_a_change_that_is_not_sure_is_uncertain():
    """Beyond noise either way it is uncertain; steady and unknown changes stay what they are."""
    changes = np.array([2.0, -2.0, 2.0, 0.0, 2.0, 2.0])
    p, is_sure = np.array([0.1, 0.01, 0.11, 0.01, np.nan, 0.1]), np.array([False] * 5 + [True])

    found = verdicts(changes, p, 0.1, is_sure)

    wanted = ["uncertain", "uncertain", "steady", "steady", "no noise floor", "worsening"]
    assert found == wanted


def test_verdicts_are_those_of_the_records():
    """There is one list of verdicts: that of the records which carry them."""
    assert noise.Verdict is progression.Verdict


def test_without_a_floor_every_verdict_says_so():
    """No verdict is guessed from the size of a change."""
    assert verdicts(np.array([9.0, np.nan]), None, 0.1) == ["no noise floor"] * 2


def test_refuses_a_change_of_unknown_sign():
    """A change beyond noise is worse or better; which one must be given."""
    with pytest.raises(QueryError, match="transition 1 changed"):
        verdicts(np.array([1.0, np.nan]), np.array([0.5, 0.05]), 0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_refuses_levels_that_are_no_shares(share):
    """Alpha and level lie between 0 and 1."""
    with pytest.raises(SettingsError, match="alpha"):
        verdicts(np.ones(1), None, share)
    with pytest.raises(SettingsError, match="level"):
        band(np.ones(1), np.zeros(1, int), level=share)


def test_the_band_holds_its_share_of_repeats():
    """Nine of ten repeats of as many patients lie within, whatever their sign."""
    values = np.arange(1.0, 11.0) * (-1) ** np.arange(10)

    assert band(values, np.arange(10)) == 9.0


def test_the_band_weighs_patients_equally():
    """Ninety small repeats of one patient hold half of the cohort, not most of it."""
    values, owners = np.append(np.full(90, 1.0), [5.0, 7.0]), np.append(np.zeros(90, int), [1, 1])

    assert band(values, owners, level=0.5) == 1.0
    assert band(values, owners, level=0.75) == 5.0
    assert band(values, owners, level=0.76) == 7.0


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 3)), min_size=1, max_size=12),
    st.sampled_from([0.1, 0.5, 0.9, 0.999]),
)
def test_the_band_is_the_smallest_that_holds_its_share(pairs, level):
    """The share within reaches the level, and does not for any smaller band."""
    values, owners = np.array(pairs).T

    width = band(values, owners.astype(int), level=level)

    def share(is_within):
        return np.mean([is_within[owners == own].mean() for own in set(owners)])

    assert share(abs(values) <= width) >= level - 1e-9
    assert share(abs(values) < width) < level
