"""The severity axis: its regression, its draws, its slopes, and positions along it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from learner_index.analysis import severity
from learner_index.analysis.axis_slopes import PENALTIES, fit_slopes, ridge, ridge_path
from learner_index.analysis.resample import draw_weights
from learner_index.analysis.severity import (
    axis_direction,
    fit_severity_axis,
    position_intervals,
    positions,
    split_by_axis,
)
from learner_index.errors import (
    NotEnoughDataError,
    QueryError,
    SettingsError,
    SpaceMismatchError,
)

FEW = settings(max_examples=15, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
NUMBERS = ("r2", "angle_deg", "angle_high_deg", "mean_difference_deg", "slope_between", "penalty")
NUMBERS += ("slope_within", "slope_within_low", "slope_within_high")


def whitenings(rng, width):
    """A symmetric positive matrix far from the identity."""
    basis = np.linalg.qr(rng.standard_normal((width, width)))[0]
    return (basis * rng.uniform(0.3, 3.0, width)) @ basis.T


def cohort(seed=0, patients=30, width=4, noise=0.5):
    """Embeddings, whitening, scores, patients of 1 to 4 visits; health falls along u[:, 0]."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients) * 7 + 3, rng.integers(1, 5, patients))
    codes = patient // 7
    u = rng.standard_normal((patients, width))[codes] + rng.standard_normal((len(codes), width))
    score = 50 - 3 * u[:, 0] + noise * rng.standard_normal(len(codes))
    return u - u.mean(axis=0), whitenings(rng, width), score, patient


def weights(patient):
    """(v,) each patient weighs 1 in all."""
    return np.array([1 / np.sum(patient == one) for one in patient])


def numbers(axis):
    """What no turn of the space may change."""
    return [getattr(axis, name) for name in NUMBERS]


def slow_ridge(x, y, w, penalty):
    """Weighted ridge as scikit-learn solves it, penalty in mean eigenvalues of the covariance."""
    w = w / w.sum()
    mean = sum(w[i] * x[i] for i in range(len(x)))
    variance = sum(w[i] * np.sum((x[i] - mean) ** 2) for i in range(len(x)))
    return Ridge(alpha=penalty * variance / x.shape[1], tol=1e-12).fit(x, y, sample_weight=w)


def unit(vector):
    return vector / np.linalg.norm(vector)


def degrees(a, b):
    return np.degrees(np.arccos(np.clip(unit(a) @ unit(b), -1, 1)))


# The regression


@pytest.mark.parametrize(("visits", "width"), [(40, 6), (8, 12)])
def test_ridge_is_the_weighted_ridge_of_scikit_learn(visits, width):
    """More visits than dimensions and fewer, visits of weight 0: same slopes and intercepts."""
    rng = np.random.default_rng(visits)
    x, y = rng.standard_normal((visits, width)) + 1.0, rng.standard_normal(visits)
    w = rng.integers(0, 4, visits) / 3

    slopes, levels = ridge_path(x, y, w)

    for row, penalty in enumerate(PENALTIES):
        slow = slow_ridge(x, y, w, penalty)
        np.testing.assert_allclose(slopes[row], slow.coef_, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(levels[row], slow.intercept_, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(ridge(x, y, w, penalty), slow.coef_, rtol=1e-6, atol=1e-10)


def test_ridge_solves_its_normal_equations():
    """Sums written out visit by visit: the gradient of loss plus penalty is 0 at the slopes."""
    rng = np.random.default_rng(4)
    x, y, w = rng.standard_normal((9, 3)), rng.standard_normal(9), rng.uniform(0.1, 1, 9)
    share, width = w / w.sum(), 3

    slopes = ridge(x, y, w, 0.3)

    mean, level = share @ x, share @ y
    variance = sum(share[i] * (x[i, c] - mean[c]) ** 2 for i in range(9) for c in range(width))
    for c in range(width):
        gradient = 0.3 * variance / width * slopes[c]
        for i in range(9):
            residual = y[i] - level - sum((x[i, d] - mean[d]) * slopes[d] for d in range(width))
            gradient -= share[i] * residual * (x[i, c] - mean[c])
        assert abs(gradient) < 1e-12


def test_many_visits_are_summed_in_blocks():
    """More visits than fit into one block give what one product of all gives."""
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((5000, 3)), rng.standard_normal(5000)

    slopes = ridge(x, y, np.ones(5000), 0.1)

    np.testing.assert_allclose(slopes, slow_ridge(x, y, np.ones(5000), 0.1).coef_, rtol=1e-8)


def test_direction_is_the_ridge_against_health():
    """All scored visits at the penalty chosen, patients weighing equally, of length 1."""
    u, w, score, patient = cohort()

    axis = fit_severity_axis(u, w, score, patient)

    slow = slow_ridge(u @ w, score, weights(patient), axis.penalty).coef_
    np.testing.assert_allclose(axis.direction, -unit(slow), atol=1e-9)
    assert axis.penalty in PENALTIES


def test_the_direction_at_a_penalty_is_that_of_the_axis(monkeypatch):
    """Same penalty: the direction of the axis, sign and all; no penalty is chosen."""
    u, w, score, patient = cohort(14, noise=3.0)
    score[::7] = np.nan
    axis = fit_severity_axis(u, w, score, patient, n_draws=1)
    monkeypatch.setattr(severity, "_cross_fit", None)

    found = axis_direction(u, w, score, patient, axis.penalty)

    np.testing.assert_array_equal(found, axis.direction)
    np.testing.assert_allclose(axis_direction(u, w, -score, patient, axis.penalty), -found)


@pytest.mark.parametrize("penalty", [PENALTIES[0], PENALTIES[-1], 7.0])
def test_the_direction_at_a_penalty_is_a_ridge(penalty):
    """Any penalty, of the grid or not: scikit-learn's slopes against health, of length 1."""
    u, w, score, patient = cohort(15, noise=3.0)

    found = axis_direction(u, w, score, patient, penalty)

    slow = slow_ridge(u @ w, score, weights(patient), penalty).coef_
    np.testing.assert_allclose(found, -unit(slow), atol=1e-9)


def slow_cross_fit(u, w, score, patient, n_folds, seed):
    """Nested cross-validation, written out: r2, positions of patients left out, final penalty."""
    x, share, names = u @ w, weights(patient), np.unique(patient)
    order = np.random.default_rng(seed).permutation(len(names))
    fold = np.array([order[np.flatnonzero(names == one)[0]] % n_folds for one in patient])

    def error(train, test, penalty):
        model = slow_ridge(x[train], score[train], share[train], penalty)
        return np.sum(share[test] * (score[test] - model.predict(x[test])) ** 2)

    guess, position = np.zeros(len(x)), np.zeros(len(x))
    for k in range(n_folds):
        inner = [j for j in range(n_folds) if j != k]
        train = fold != k
        losses = [
            sum(error(train & (fold != j), fold == j, penalty) for j in inner)
            for penalty in PENALTIES
        ]
        model = slow_ridge(x[train], score[train], share[train], PENALTIES[np.argmin(losses)])
        guess[fold == k] = model.predict(x[fold == k])
        position[fold == k] = -x[fold == k] @ unit(model.coef_)
    final = [sum(error(fold != k, fold == k, p) for k in range(n_folds)) for p in PENALTIES]
    mean = np.average(score, weights=share)
    r2 = 1 - np.sum(share * (score - guess) ** 2) / np.sum(share * (score - mean) ** 2)
    return r2, position, PENALTIES[np.argmin(final)]


@pytest.mark.parametrize(("width", "noise"), [(4, 1.0), (60, 3.0)])
def test_r2_and_slopes_rest_on_patients_left_out(width, noise):
    """Every fit of a nested cross-validation by scikit-learn: same r2, penalty and slopes."""
    u, w, score, patient = cohort(2, patients=18, width=width, noise=noise)
    u = u - np.average(u, axis=0, weights=weights(patient))

    axis = fit_severity_axis(u, w, score, patient, n_folds=4, seed=5, n_draws=1)

    r2, position, penalty = slow_cross_fit(u, w, score, patient, 4, 5)
    slow = fit_slopes(position, score, patient // 7, seed=5)
    assert axis.penalty == penalty
    np.testing.assert_allclose(axis.r2, r2, atol=1e-8)
    np.testing.assert_allclose(axis.slope_between, slow.between, rtol=1e-7)
    np.testing.assert_allclose(axis.slope_within, slow.within, rtol=1e-7)
    np.testing.assert_allclose(axis.slope_within_low, slow.within_low, rtol=1e-7)
    np.testing.assert_allclose(axis.slope_within_high, slow.within_high, rtol=1e-7)


def test_scores_of_other_patients_are_not_explained():
    """Scores permuted between patients, more dimensions than patients: r2 is 0 or less."""
    rng = np.random.default_rng(8)
    patient = np.repeat(np.arange(25), 3)
    u = rng.standard_normal((25, 40))[patient] + 0.1 * rng.standard_normal((75, 40))
    score = u[:, 0] - u[:, 1]

    found = [
        fit_severity_axis(u, np.eye(40), score[perm[patient] * 3], patient, n_draws=1).r2
        for perm in (rng.permutation(25) for _ in range(20))
    ]

    assert np.mean(found) < 0.0
    assert max(found) < 0.35


# The axis


def test_finds_a_planted_axis():
    """1500 patients: within 3 degrees, r2 near the share planted, the check axis near too."""
    rng = np.random.default_rng(3)
    truth = unit(rng.standard_normal(10))
    u, patient = rng.standard_normal((3000, 10)), np.arange(3000) // 2
    score = 70 - 4 * u @ truth + 2 * rng.standard_normal(3000)

    axis = fit_severity_axis(u, np.eye(10), score, patient, n_draws=50)

    assert degrees(axis.direction, truth) < 3
    assert abs(axis.r2 - 0.8) < 0.03
    assert axis.angle_deg < 3
    assert axis.angle_deg < axis.angle_high_deg < 5
    assert axis.mean_difference_deg < 6
    assert abs(axis.slope_between + 4) < 0.3
    assert abs(axis.slope_within + 4) < 0.3
    assert (axis.n_visits, axis.n_patients, axis.n_followed) == (3000, 1500, 1500)


@pytest.mark.parametrize("width", [4, 80])
def test_a_turned_space_changes_no_number(width):
    """Rotated and reflected: same positions, r2, angles and slopes; the pattern turns along."""
    u, w, score, patient = cohort(6, width=width)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((width, width)))[0]

    plain = fit_severity_axis(u, w, score, patient, n_draws=20)
    turned = fit_severity_axis(u @ turn, turn.T @ w @ turn, score, patient, n_draws=20)

    np.testing.assert_allclose(numbers(turned), numbers(plain), rtol=1e-6)
    np.testing.assert_allclose(turned.direction, plain.direction @ turn, atol=1e-8)
    np.testing.assert_allclose(turned.pattern, plain.pattern @ turn, atol=1e-8)
    np.testing.assert_allclose(
        positions(turned, u @ turn, turn.T @ w @ turn), positions(plain, u, w), atol=1e-8
    )


@FEW
@given(seed=SEEDS, scale=st.floats(0.01, 100), shift=st.floats(-1000, 1000))
def test_units_of_the_score_change_only_slopes(seed, scale, shift):
    """Another unit or origin of the score: same axis and r2, slopes in the new unit."""
    u, w, score, patient = cohort(seed % 1000, patients=12)

    plain = fit_severity_axis(u, w, score, patient, n_draws=2)
    other = fit_severity_axis(u, w, shift + scale * score, patient, n_draws=2)

    np.testing.assert_allclose(other.direction, plain.direction, atol=1e-7)
    np.testing.assert_allclose(other.r2, plain.r2, atol=1e-7)
    np.testing.assert_allclose(other.slope_between, scale * plain.slope_between, rtol=1e-6)
    np.testing.assert_allclose(other.slope_within, scale * plain.slope_within, rtol=1e-5)


@FEW
@given(seed=SEEDS, scale=st.floats(0.001, 1000))
def test_units_of_the_space_scale_only_positions(seed, scale):
    """A space measured in other units: same axis and pattern, slopes per new unit of position."""
    u, w, score, patient = cohort(seed % 1000, patients=12)

    plain = fit_severity_axis(u, w, score, patient, n_draws=2)
    other = fit_severity_axis(scale * u, w, score, patient, n_draws=2)

    np.testing.assert_allclose(other.direction, plain.direction, atol=1e-7)
    np.testing.assert_allclose(other.slope_between * scale, plain.slope_between, rtol=1e-6)
    np.testing.assert_allclose(other.pattern, plain.pattern, rtol=1e-5, atol=1e-8)


@FEW
@given(seed=SEEDS)
def test_the_sign_never_flips(seed):
    """Refits by other seeds and in the mirrored space: positions fall as health rises."""
    u, w, score, patient = cohort(9)

    axis = fit_severity_axis(u, w, score, patient, n_draws=20, seed=seed)
    mirrored = fit_severity_axis(-u, w, score, patient, n_draws=20, seed=seed)

    assert np.corrcoef(positions(axis, u, w), score)[0, 1] < -0.9
    assert (axis.draws @ axis.direction > 0.5).all()
    np.testing.assert_allclose(mirrored.direction, -axis.direction, atol=1e-9)


def test_turning_the_score_turns_the_axis():
    """Minus the score: minus the axis, slopes still below 0."""
    u, w, score, patient = cohort(10)

    plain = fit_severity_axis(u, w, score, patient, n_draws=2)
    turned = fit_severity_axis(u, w, -score, patient, n_draws=2)

    np.testing.assert_allclose(turned.direction, -plain.direction, atol=1e-9)
    np.testing.assert_allclose(turned.slope_within, plain.slope_within)
    assert plain.slope_within < 0


def test_more_visits_of_the_same_kind_change_nothing():
    """Every visit of one patient three times over: the same axis, numbers and draws."""
    u, w, score, patient = cohort(11)
    one = patient[np.argmax(np.bincount(patient)[patient] > 1)]
    rows = np.concatenate([np.arange(len(u)), *[np.flatnonzero(patient == one)] * 2])

    plain = fit_severity_axis(u, w, score, patient, n_draws=20)
    more = fit_severity_axis(u[rows], w, score[rows], patient[rows], n_draws=20)

    np.testing.assert_allclose(numbers(more), numbers(plain), rtol=1e-7)
    np.testing.assert_allclose(more.direction, plain.direction, atol=1e-9)
    np.testing.assert_allclose(more.pattern, plain.pattern, atol=1e-9)
    np.testing.assert_allclose(more.draws, plain.draws, atol=1e-6)
    assert more.n_visits > plain.n_visits
    assert more.n_followed == plain.n_followed


def test_visits_without_a_score_and_their_order_do_not_matter():
    """Unscored visits far away, rows shuffled: the same axis and counts."""
    u, w, score, patient = cohort(12)
    far = np.concatenate([u, 99.0 * np.ones((5, 4))])
    order = np.random.default_rng(0).permutation(len(far))
    scores = np.append(score, [np.nan] * 5)
    owners = np.append(patient, [3, 10, 900, 901, 902])

    plain = fit_severity_axis(u, w, score, patient, n_draws=20)
    other = fit_severity_axis(far[order], w, scores[order], owners[order], n_draws=20)

    np.testing.assert_allclose(numbers(other), numbers(plain), rtol=1e-7)
    np.testing.assert_allclose(other.pattern, plain.pattern, atol=1e-9)
    assert (other.n_visits, other.n_patients) == (plain.n_visits, plain.n_patients)
    assert (plain.n_visits, plain.n_patients) == (len(u), 30)


def test_the_same_seed_gives_the_same_axis():
    """Two fits agree in every bit; another seed draws others."""
    data = cohort(13)

    first, second = (fit_severity_axis(*data, n_draws=20) for _ in range(2))
    other = fit_severity_axis(*data, n_draws=20, seed=1)

    for name in (field.name for field in dataclasses.fields(first)):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.draws, other.draws)


@pytest.mark.parametrize("width", [3, 70])
def test_a_step_along_the_pattern_raises_the_position_by_one(width):
    """Times W g it is 1, and each dimension has its weighted regression slope on the position."""
    u, w, score, patient = cohort(14, width=width)

    axis = fit_severity_axis(u, w, score, patient, n_draws=1)

    position, share = positions(axis, u, w), weights(patient) / 30
    apart = position - share @ position
    slow = [np.sum(share * apart * u[:, c]) / np.sum(share * apart**2) for c in range(width)]
    np.testing.assert_allclose(axis.pattern @ w @ axis.direction, 1.0, rtol=1e-10)
    np.testing.assert_allclose(axis.pattern, slow, atol=1e-10)


# Its draws


def test_draws_are_refits_on_drawn_patients():
    """Each draw by scikit-learn with its weights; the angles are those between it and g."""
    u, w, score, patient = cohort(15)

    axis = fit_severity_axis(u, w, score, patient, n_draws=30, seed=7)

    times = draw_weights(30, 30, 7)[:, patient // 7]
    slow = [
        -unit(slow_ridge(u @ w, score, weights(patient) * row, axis.penalty).coef_) for row in times
    ]
    angles = [degrees(row, axis.direction) for row in slow]
    assert axis.draws.dtype == np.float32
    np.testing.assert_allclose(axis.draws, slow, atol=1e-6)
    np.testing.assert_allclose(axis.angle_deg, np.median(angles), rtol=1e-6)
    np.testing.assert_allclose(axis.angle_high_deg, np.quantile(angles, 0.95), rtol=1e-6)


def test_draws_are_bounded_by_their_cost(monkeypatch):
    """A cohort too large for all draws gets those it can afford, but 20 at least."""
    data = cohort(16)
    cost = len(data[0]) * 4**2

    counts = []
    for budget in (10 * cost, 25.5 * cost, 1000 * cost):
        monkeypatch.setattr(severity, "_BUDGET", budget)
        counts.append(len(fit_severity_axis(*data, n_draws=40).draws))

    assert counts == [20, 25, 40]


def test_draws_without_an_axis_are_left_out():
    """One of five patients differs: draws without that patient are no draws of an axis."""
    u = np.random.default_rng(0).standard_normal((5, 2))
    score = np.array([1.1, 1.1, 1.1, 1.1, 2.3])

    axis = fit_severity_axis(u, np.eye(2), score, np.arange(5), n_draws=60)

    held = np.count_nonzero(draw_weights(5, 60, 0)[:, 4])  # a draw of the one alone has no axis
    assert len(axis.draws) in (held - 1, held)
    assert 30 < len(axis.draws) < 60
    np.testing.assert_allclose(np.linalg.norm(axis.draws, axis=1), 1, atol=1e-6)


def test_mean_difference_is_between_halves():
    """Distinct scores: the angle with the difference of means of ten and ten."""
    u = np.random.default_rng(17).standard_normal((20, 3))
    score = 9 - 3 * u[:, 0] + np.random.default_rng(18).standard_normal(20)

    axis = fit_severity_axis(u, np.eye(3), score, np.arange(20), n_draws=1)

    order = np.argsort(score)
    halves = u[order[:10]].mean(axis=0) - u[order[10:]].mean(axis=0)
    np.testing.assert_allclose(axis.mean_difference_deg, degrees(halves, axis.direction))


def test_visits_at_the_median_count_to_both_halves():
    """Grades 1, 2, 3 of 4, 13 and 3 patients: the sick half takes 6 of 13 parts of grade 2."""
    u = np.random.default_rng(17).standard_normal((20, 3))
    score = np.repeat([1.0, 2.0, 3.0], [4, 13, 3])

    axis = fit_severity_axis(u, np.eye(3), score, np.arange(20), n_draws=1)

    grades = [u[score == grade].sum(axis=0) for grade in (1, 2, 3)]
    halves = grades[0] + 6 / 13 * grades[1] - 7 / 13 * grades[1] - grades[2]
    np.testing.assert_allclose(axis.mean_difference_deg, degrees(halves, axis.direction))


def test_mean_difference_weighs_patients_equally():
    """The sick patient with most visits is no more than one of six: medians are of patients."""
    rng = np.random.default_rng(18)
    patient = np.array([0] * 9 + [1, 2, 3, 4, 5])
    u = rng.standard_normal((14, 2))
    score = np.concatenate([np.linspace(0, 0.5, 9), [1.0, 2, 3, 4, 5]])

    axis = fit_severity_axis(u, np.eye(2), score, patient, n_draws=1)

    sick = (u[:9].mean(axis=0) + u[9] + u[10]) / 3
    healthy = u[11:].mean(axis=0)
    np.testing.assert_allclose(axis.mean_difference_deg, degrees(sick - healthy, axis.direction))


# Slopes


def slow_slopes(position, score, patient):
    """Between and within slopes, patient by patient."""
    each = [np.flatnonzero(patient == one) for one in np.unique(patient)]
    centers = [np.mean(position[rows]) for rows in each]
    between = np.polyfit(centers, [np.mean(score[rows]) for rows in each], 1)[0]
    top = bottom = 0.0
    for rows in (rows for rows in each if len(rows) > 1):
        for row in rows:
            moved = position[row] - np.mean(position[rows])
            top += moved * (score[row] - np.mean(score[rows])) / len(rows)
            bottom += moved**2 / len(rows)
    return between, top / bottom


def test_slopes_weigh_patients_equally():
    """Unequal visits, positions far from 0: as a loop over patients says."""
    rng = np.random.default_rng(19)
    patient = np.repeat(np.arange(12), rng.integers(1, 6, 12))
    position, score = 5 + rng.standard_normal((2, len(patient)))

    found = fit_slopes(position, score, patient)

    np.testing.assert_allclose([found.between, found.within], slow_slopes(position, score, patient))
    assert found.n_followed == np.count_nonzero(np.bincount(patient) > 1)


def test_interval_of_the_slope_resamples_patients():
    """Percentiles of the slope over followed patients drawn again and again."""
    rng = np.random.default_rng(20)
    patient = np.repeat(np.arange(9), [1, 1, 2, 3, 3, 4, 2, 2, 5])
    position, score = rng.standard_normal((2, len(patient)))

    found = fit_slopes(position, score, patient, seed=4)

    drawn = []
    for times in draw_weights(7, 1000, 4):
        copies = [
            (position[patient == owner], score[patient == owner])
            for owner, n in zip(range(2, 9), times, strict=True)
            for _ in range(int(n))
        ]
        owners = np.repeat(np.arange(len(copies)), [len(copy[0]) for copy in copies])
        joined = np.concatenate([np.stack(copy) for copy in copies], axis=1)
        drawn.append(slow_slopes(*joined, owners)[1])
    np.testing.assert_allclose(
        [found.within_low, found.within_high], np.quantile(drawn, [0.025, 0.975])
    )


def test_finds_a_slope_within_that_is_not_the_one_between():
    """Planted -4 between patients and -1 within: both found, the interval tells them apart."""
    rng = np.random.default_rng(21)
    patient = np.repeat(np.arange(300), 4)
    level, moved = 2 * rng.standard_normal(300)[patient], rng.standard_normal(1200)
    moved -= (np.bincount(patient, moved) / 4)[patient]
    u = np.column_stack([level + moved, rng.standard_normal((1200, 3))])
    score = 60 - 4 * level - 1 * moved + 0.5 * rng.standard_normal(1200)

    axis = fit_severity_axis(u, np.eye(4), score, patient, n_draws=1)

    assert abs(axis.slope_between + 4) < 0.15
    assert abs(axis.slope_within + 1) < 0.15
    assert axis.slope_within_low < -1 < axis.slope_within_high
    assert axis.slope_within_high - axis.slope_within_low < 0.4


def test_interval_of_the_slope_covers():
    """Patients whose own slopes differ: 95 % intervals hold the mean slope in 91 to 98 %."""
    rng, held = np.random.default_rng(22), 0

    for _ in range(300):
        patient = np.repeat(np.arange(60), 4)
        position = rng.standard_normal(240)
        score = -(2 + rng.standard_normal(60)[patient]) * position + rng.standard_normal(240)
        found = fit_slopes(position, score, patient)
        held += found.within_low < -2 < found.within_high

    assert 0.91 < held / 300 < 0.98


def test_no_slope_within_without_followed_patients():
    """One visit each: NaN with its interval, and nobody followed; the slope between stays."""
    u, w, score, _ = cohort(23)

    axis = fit_severity_axis(u, w, score, np.arange(len(u)), n_draws=1)

    within = [axis.slope_within, axis.slope_within_low, axis.slope_within_high]
    assert np.isnan(within).all()
    assert axis.n_followed == 0
    assert axis.slope_between < 0


def test_no_slope_where_positions_do_not_vary():
    """Visits that repeat the first, or means that are equal: NaN, not rounding over rounding."""
    patient, rng = np.repeat(np.arange(6), 7), np.random.default_rng(24)
    own = rng.standard_normal(6)[patient] / 3
    swing = np.concatenate([rng.permutation(np.arange(-3, 4)) / 10 for _ in range(6)])

    still = fit_slopes(own, rng.standard_normal(42), patient)
    level = fit_slopes(0.7 + swing, rng.standard_normal(42), patient)

    assert np.isnan([still.within, still.within_low, still.within_high]).all()
    assert np.isfinite(still.between)
    assert np.isnan(level.between)
    assert np.isfinite([level.within, level.within_low, level.within_high]).all()


def test_draws_whose_positions_do_not_vary_are_left_out():
    """One of three followed patients moves: draws without that one are no slope of 0."""
    position = np.array([1.0, 1, 2, 2, 3, 5])
    score = np.array([4.0, 5, 6, 7, 9, 3])

    found = fit_slopes(position, score, np.repeat(np.arange(3), 2))

    np.testing.assert_allclose([found.within, found.within_low, found.within_high], -3)


# Positions and changes


def test_positions_are_lengths_along_the_axis():
    """g·W u, embedding by embedding."""
    u, w, score, patient = cohort(25)
    axis = fit_severity_axis(u, w, score, patient, n_draws=2)

    found = positions(axis, u[:6].astype(np.float32), w)

    slow = [sum(axis.direction[c] * (w @ row)[c] for c in range(4)) for row in u[:6]]
    np.testing.assert_allclose(found, slow, atol=1e-6)


def test_intervals_span_the_draws():
    """Position plus and minus the distance that most draws stay within, over cosine squared."""
    u, w, score, patient = cohort(26, noise=6.0)
    axis = fit_severity_axis(u, w, score, patient, n_draws=50)

    low, high = position_intervals(axis, u, w, 0.8)

    cosine = np.mean([draw @ axis.direction for draw in axis.draws.astype(float)])
    for row, here in enumerate(positions(axis, u, w)):
        apart = [abs(draw @ w @ u[row] - here) for draw in axis.draws.astype(float)]
        half, bound = np.quantile(apart, 0.8) / cosine**2, np.linalg.norm(w @ u[row])
        np.testing.assert_allclose(low[row], max(here - half, -bound), atol=1e-9)
        np.testing.assert_allclose(high[row], min(here + half, bound), atol=1e-9)


def test_intervals_of_many_embeddings_are_those_of_each(monkeypatch):
    """Split into blocks or not: the same ends."""
    u, w, score, patient = cohort(27)
    axis = fit_severity_axis(u, w, score, patient, n_draws=20)

    whole = position_intervals(axis, u, w)
    monkeypatch.setattr(severity, "_BLOCK", 7)
    parts = position_intervals(axis, u, w)

    np.testing.assert_allclose(parts, whole, atol=1e-12)


def test_an_axis_of_chance_leaves_every_position_open():
    """Draws against the axis: from minus to plus the length of the embedding, never beyond."""
    u, w, score, patient = cohort(28)
    axis = fit_severity_axis(u, w, score, patient, n_draws=20)
    lost = dataclasses.replace(axis, draws=-axis.draws)

    low, high = position_intervals(lost, u, w)

    length = np.linalg.norm(u @ w, axis=1)
    np.testing.assert_allclose([low, high], [-length, length])


@FEW
@given(seed=SEEDS, level=st.floats(0.05, 0.9))
def test_a_higher_level_is_a_wider_interval(seed, level):
    """Each interval holds its position, and lies in that of a higher level."""
    u, w, score, patient = cohort(seed % 1000, patients=10)
    axis = fit_severity_axis(u, w, score, patient, n_draws=20)

    low, high = position_intervals(axis, u, w, level)
    lower, higher = position_intervals(axis, u, w, level + 0.09)

    here = positions(axis, u, w)
    assert (lower <= low + 1e-12).all()
    assert (low <= here + 1e-12).all()
    assert (here <= high + 1e-12).all()
    assert (high <= higher + 1e-12).all()


def test_intervals_cover_the_position_by_an_endless_cohort():
    """60 cohorts of a skewed space: 95 % intervals hold 89 to 98 % of new visits' positions."""
    truth, size = np.zeros(12), 0.8 ** np.arange(12)
    truth[:3] = unit(np.array([1, 1, 0.5]))
    covered = []

    for seed in range(60):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(100), 3)
        own = 0.8 * rng.standard_normal((100, 12))[patient]
        u = (own + 0.6 * rng.standard_normal((300, 12))) * size
        score = -1.5 * u @ truth + 0.7 * rng.standard_normal(100)[patient]
        score += 0.7 * rng.standard_normal(300)
        axis = fit_severity_axis(u, np.eye(12), score, patient, n_draws=100, seed=seed)
        new = rng.standard_normal((200, 12)) * size
        low, high = position_intervals(axis, new, np.eye(12))
        covered.append(np.mean((low <= new @ truth) & (new @ truth <= high)))

    assert 0.89 < np.mean(covered) < 0.98


@FEW
@given(seed=SEEDS)
def test_parts_of_a_change_obey_pythagoras(seed):
    """on² + off² is the squared length of the whitened delta; the share is off² of it."""
    rng = np.random.default_rng(seed)
    u, w, score, patient = cohort(29, patients=8)
    axis = fit_severity_axis(u, w, score, patient, n_draws=1)
    deltas = rng.standard_normal((6, 4)) * 10.0 ** rng.integers(-6, 6, (6, 1))

    parts = split_by_axis(deltas, axis, w)

    whole = np.sum((deltas @ w) ** 2, axis=1)
    np.testing.assert_allclose(parts.on_axis**2 + parts.off_axis**2, whole)
    np.testing.assert_allclose(parts.off_share, parts.off_axis**2 / whole)
    np.testing.assert_allclose(parts.on_axis, positions(axis, deltas, w))


def test_changes_along_and_across_the_axis():
    """Worse, better, sideways and none: signs and shares worked out by hand."""
    u, w, score, patient = cohort(30)
    axis = fit_severity_axis(u, w, score, patient, n_draws=1)
    back = np.linalg.inv(w)
    aside = unit(np.eye(4)[1] - axis.direction[1] * axis.direction)
    whitened = np.stack([2 * axis.direction, -3 * axis.direction, 5 * aside, 0 * aside])

    parts = split_by_axis(whitened @ back, axis, w)

    np.testing.assert_allclose(parts.on_axis, [2, -3, 0, 0], atol=1e-9)
    np.testing.assert_allclose(parts.off_axis, [0, 0, 5, 0], atol=1e-9)
    np.testing.assert_allclose(parts.off_share, [0, 0, 1, 0], atol=1e-9)


# What is refused


def test_refuses_few_patients():
    """Scores of four patients are no axis, however many visits; the counts are named."""
    u, w, _, _ = cohort(31)
    score = np.full(len(u), np.nan)
    score[:12] = np.arange(12)

    for call in (fit_severity_axis, lambda *data: axis_direction(*data, 1.0)):
        with pytest.raises(NotEnoughDataError, match="12 scored visits of 4 patients: add pat"):
            call(u, w, score, np.arange(len(u)) % 4)


def test_refuses_scores_that_do_not_vary():
    """One score for all, but for rounding, names that score."""
    u, w, score, patient = cohort(32)
    score = np.where(np.arange(len(score)) % 2, 0.3, 0.1 + 0.2)

    with pytest.raises(NotEnoughDataError, match=r"of 30 patients all have health score 0\.3"):
        fit_severity_axis(u, w, score, patient)


def test_refuses_embeddings_that_do_not_vary():
    """One embedding for all, though the score varies."""
    u, w, score, patient = cohort(33)

    with pytest.raises(NotEnoughDataError, match=r"embeddings of .* 30 patients are all equal"):
        fit_severity_axis(np.tile(u[0], (len(u), 1)), w, score, patient)


def test_refuses_scores_that_have_nothing_to_do_with_embeddings():
    """No slope at all is no direction, rather than a division by 0."""
    u = np.array([[1.0], [-1.0], [1.0], [-1.0], [0.0], [0.0]])
    score = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0])

    with pytest.raises(NotEnoughDataError, match="6 patients do not vary with the health score"):
        fit_severity_axis(u, np.eye(1), score, np.arange(6))


def test_refuses_draws_none_of_which_has_an_axis():
    """One draw, without the only patient who differs."""
    u, score = np.random.default_rng(0).standard_normal((5, 2)), np.array([1.0, 1, 1, 1, 2])
    seed = next(seed for seed in range(99) if draw_weights(5, 1, seed)[0, 4] == 0)

    with pytest.raises(NotEnoughDataError, match="in no draw of 5 patients"):
        fit_severity_axis(u, np.eye(2), score, np.arange(5), n_draws=1, seed=seed)


@pytest.mark.parametrize("choice", [{"n_folds": 2}, {"n_draws": 0}])
def test_refuses_too_few_folds_or_draws(choice):
    """Two folds leave nothing to choose a penalty on."""
    with pytest.raises(SettingsError, match="give 3 folds or more"):
        fit_severity_axis(*cohort(), **choice)


def test_refuses_columns_of_unequal_length():
    """Each count is named."""
    u, w, score, patient = cohort()

    with pytest.raises(QueryError, match=f"{len(u)} embeddings, {len(u) - 1} scores"):
        fit_severity_axis(u, w, score[1:], patient)


def test_refuses_embeddings_that_are_not_finite():
    """The visit is named."""
    u, w, score, patient = cohort()
    u[5, 1] = np.nan

    with pytest.raises(QueryError, match="embedding of visit 5 holds NaN or infinity"):
        fit_severity_axis(u, w, score, patient)


def test_refuses_another_width():
    """A whitening, embeddings or deltas of another space."""
    u, w, score, patient = cohort()
    axis = fit_severity_axis(u, w, score, patient, n_draws=1)

    with pytest.raises(SpaceMismatchError, match=r"4 wide, but the whitening is of shape \(3, 3\)"):
        fit_severity_axis(u, np.eye(3), score, patient)
    for call in (positions, position_intervals):
        with pytest.raises(SpaceMismatchError, match=r"embeddings 3 wide .* axis is 4 wide"):
            call(axis, u[:, :3], w)
    with pytest.raises(SpaceMismatchError, match=r"whitening of shape \(3, 3\)"):
        split_by_axis(u, axis, np.eye(3))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_refuses_a_level_that_is_no_share(level):
    """Percent are not taken for shares."""
    u, w, score, patient = cohort()
    axis = fit_severity_axis(u, w, score, patient, n_draws=1)

    with pytest.raises(SettingsError, match="give one between 0 and 1"):
        position_intervals(axis, u, w, level)
