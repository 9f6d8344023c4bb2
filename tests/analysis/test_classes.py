"""Measures of predicted health changes: against scikit-learn and slow loops, and laws."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from learner_index.analysis import classes
from learner_index.analysis.change import IMPROVED, STABLE, WORSENED
from learner_index.analysis.classes import (
    DIRECTION,
    TITLES,
    Predicted,
    confusion,
    inversion_consistency,
    likeliest,
    measure,
    swapped_difference,
)
from learner_index.analysis.resample import draw_weights, interval, swap_test
from learner_index.errors import QueryError, SettingsError

SEEDS = st.integers(0, 2**32 - 1)
ALL = [WORSENED, STABLE, IMPROVED]
PLACE = {WORSENED: 0, STABLE: 1, IMPROVED: 2}


def cohort(seed, t=40, p=9, shown=(-1, 0, 1), *, true=None, patient=None, parts=8):
    """Predictions of random quality, with ties, zeros and labels that are not the likeliest."""
    rng = np.random.default_rng(seed)
    if patient is None:
        patient = rng.permutation(np.r_[np.arange(p), rng.integers(0, p, t - p)])
    true = rng.choice(shown, len(patient)) if true is None else true
    probability = rng.multinomial(parts, rng.dirichlet(np.ones(3)), len(true)) / parts
    label = np.where(
        rng.random(len(true)) < 0.8, likeliest(probability), rng.choice(ALL, len(true))
    )
    return Predicted(true, probability, label.astype(np.int8), patient)


def take(predicted, rows, patient=None):
    """Some rows of a cohort, in this order."""
    codes = predicted.patient[rows] if patient is None else patient
    return Predicted(
        predicted.true[rows], predicted.probability[rows], predicted.label[rows], codes
    )


def flipped(predicted):
    """Worsened and improved change names."""
    return Predicted(
        -predicted.true, predicted.probability[:, ::-1], -predicted.label, predicted.patient
    )


def ones(predicted):
    return np.ones((1, predicted.n_patients))


def whole(predicted):
    """Every measure of the cohort itself."""
    return {name: float(values[0]) for name, values in measure(predicted, ones(predicted)).items()}


def transition_weights(predicted, weights):
    """(t,) patient's weight over the patient's number of transitions, one by one."""
    patient = predicted.patient.tolist()
    return np.array([weights[owner] / patient.count(owner) for owner in patient])


def assert_same(found, expected, **options):
    """Two dictionaries of measures hold the same numbers, NaN where NaN."""
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12, err_msg=name, **options)


def by_sklearn(predicted, each):
    """What scikit-learn makes of one draw; each is (t,)."""
    drawn, weight = each > 0, {"sample_weight": each[each > 0]}
    true, label, probability = (
        column[drawn] for column in (predicted.true, predicted.label, predicted.probability)
    )
    shown = np.unique(predicted.true).tolist()
    one_class = len(np.unique(np.r_[true, label])) == 1
    areas = [
        metrics.roc_auc_score(true == code, probability[:, PLACE[code]], **weight)
        for code in ALL
        if 0 < np.count_nonzero(true == code) < len(true)
    ]
    return {
        "macro_f1": metrics.f1_score(
            true, label, labels=shown, average="macro", zero_division=0, **weight
        ),
        "accuracy": metrics.accuracy_score(true, label, **weight),
        "balanced_accuracy": metrics.balanced_accuracy_score(true, label, **weight),
        "auroc": np.mean(areas) if areas else math.nan,
        "qwk": math.nan
        if one_class
        else metrics.cohen_kappa_score(true, label, labels=ALL, weights="quadratic", **weight),
        "nll": metrics.log_loss(true, probability, labels=ALL, **weight),
    }


def by_loops(predicted, each):
    """The rps and ece of one draw, from their definitions; each is (t,)."""
    total, rps, bins = math.fsum(each), 0.0, [[0.0, 0.0] for _ in range(10)]
    for true, row, label, weight in zip(
        predicted.true, predicted.probability.tolist(), predicted.label, each, strict=True
    ):
        for border in (0, 1):
            upto = math.fsum(row[: border + 1])
            rps += weight * (upto - (PLACE[int(true)] <= border)) ** 2 / 2
        sure = row[PLACE[int(label)]]
        number = next(k for k in range(10) if sure <= (k + 1) / 10)
        bins[number][0] += weight * sure
        bins[number][1] += weight * (true == label)
    return {"rps": rps / total, "ece": sum(abs(sure - right) for sure, right in bins) / total}


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    p=st.integers(1, 9),
    shown=st.sampled_from([(-1, 0, 1), (-1, 1), (0, 1), (0,), (1,)]),
    parts=st.sampled_from([8, 10]),
)
def test_measures_equal_scikit_learn_and_the_definitions(seed, p, shown, parts):
    """Every measure, in the cohort and in draws, with classes missing from cohort or draw."""
    predicted = cohort(seed, p + seed % 20, p, shown, parts=parts)
    weights = np.concatenate([ones(predicted), draw_weights(p, 4, seed)])

    found = measure(predicted, weights)

    for draw, row in enumerate(weights):
        each = transition_weights(predicted, row)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's on classes without truth
            expected = by_sklearn(predicted, each) | by_loops(predicted, each)
        assert_same({name: found[name][draw] for name in expected}, expected)
    assert found.keys() == expected.keys() == TITLES.keys() == DIRECTION.keys()


def test_areas_equal_scikit_learns_multiclass():
    """One against the rest, macro, with weights, as one call."""
    predicted = cohort(1, t=200, p=30)
    weights = draw_weights(30, 3, seed=1)

    found = measure(predicted, weights, ["auroc"])["auroc"]

    for row, area in zip(weights, found, strict=True):
        each = transition_weights(predicted, row)
        expected = metrics.roc_auc_score(
            predicted.true, predicted.probability, multi_class="ovr", sample_weight=each
        )
        assert area == pytest.approx(expected)


def test_patients_weigh_the_same():
    """Nine hits of one patient and one miss of another: half is right, not nine tenths."""
    label, patient = np.zeros(10, np.int8), np.zeros(10, int)
    predicted = Predicted(np.r_[np.zeros(9, int), 1], np.eye(3)[label + 1], label, patient)
    apart = Predicted(predicted.true, predicted.probability, label, np.r_[np.zeros(9, int), 1])

    assert whole(predicted)["accuracy"] == pytest.approx(0.9)
    assert whole(apart)["accuracy"] == pytest.approx(0.5)
    assert confusion(apart).tolist() == [[0, 0, 0], [0, 0.5, 0], [0, 0.5, 0]]


def test_numbers_worked_out_by_hand():
    """Four patients of one transition each; two hits, a miss by one class and one by two."""
    probability = np.array([[0.6, 0.2, 0.2], [0, 1, 0], [0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])
    predicted = Predicted(
        np.array([-1, 0, 1, 1]), probability, np.array([-1, 0, 0, -1], np.int8), np.arange(4)
    )

    found = whole(predicted)

    assert found["accuracy"] == pytest.approx(2 / 4)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 + 1 + 0) / 3)
    assert found["auroc"] == pytest.approx((2 / 3 + 3 / 3 + 3 / 4) / 3)
    assert found["qwk"] == pytest.approx(1 - (5 / 4) / (24 / 16))
    assert found["rps"] == pytest.approx((0.16 + 0.04 + 0 + 0.04 + 0.49 + 0.49 + 0.81) / 8)
    assert found["nll"] == pytest.approx(-(math.log(0.6) + math.log(0.3) + math.log(0.1)) / 4)
    assert found["ece"] == pytest.approx((0.4 + 0 + 0.5 + 0.7) / 4)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_rows_and_patients_does_not_matter(seed):
    """Rows in another order, patients numbered otherwise: the same numbers."""
    rng, predicted = np.random.default_rng(seed), cohort(seed)
    rows, numbers = rng.permutation(40), rng.permutation(9)

    found = whole(take(predicted, rows, numbers[predicted.patient[rows]]))

    assert_same(found, whole(predicted))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_a_patient_twice_is_a_patient_of_weight_two(seed):
    """A copy of patient 0 under a new number equals weight 2."""
    predicted = cohort(seed)
    rows = np.r_[np.arange(40), np.flatnonzero(predicted.patient == 0)]
    copy = np.r_[predicted.patient, np.full(len(rows) - 40, 9)]
    weights = ones(predicted)
    weights[0, 0] = 2

    found = measure(predicted, weights)

    assert_same(found, measure(take(predicted, rows, copy), np.ones((1, 10))))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([0.25, 3.0]))
def test_weights_count_by_their_ratio_only(seed, scale):
    """Every patient thrice is the same cohort, and so is every transition twice."""
    predicted = cohort(seed)
    weights = draw_weights(9, 5, seed)

    found = measure(predicted, weights)

    assert_same(found, measure(predicted, scale * weights))
    assert_same(found, measure(take(predicted, np.tile(np.arange(40), 2)), weights))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_patients_of_weight_zero_are_not_there(seed):
    """Leaving a patient out equals weight 0, where the others still show every class."""
    predicted = cohort(seed, t=60, p=5)
    weights = ones(predicted)
    weights[0, 4] = 0
    rest = take(predicted, np.flatnonzero(predicted.patient < 4))
    names = set(TITLES) - ({"macro_f1"} if len(np.unique(rest.true)) < 3 else set())

    assert_same(measure(predicted, weights, names), measure(rest, ones(rest), names))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, shown=st.sampled_from([(-1, 0, 1), (0, 1), (1,)]))
def test_worsened_and_improved_are_treated_alike(seed, shown):
    """Turning the order of the classes round leaves every measure."""
    predicted = cohort(seed, shown=shown)

    assert_same(whole(flipped(predicted)), whole(predicted))
    np.testing.assert_allclose(confusion(flipped(predicted)), confusion(predicted)[::-1, ::-1])


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, shown=st.sampled_from([(-1, 0, 1), (0, 1)]))
def test_perfect_predictions_are_perfect(seed, shown):
    """1 where higher is better, 0 where lower is, also where the cohort lacks a class."""
    drawn = cohort(seed, shown=shown).true
    true = np.r_[drawn, shown]
    perfect = Predicted(true, np.eye(3)[true + 1], true.astype(np.int8), np.arange(len(true)) // 4)

    found = whole(perfect)

    assert_same(found, {name: float(way == "higher") for name, way in DIRECTION.items()})


@pytest.mark.parametrize("name", list(TITLES))
def test_the_good_way_is_the_good_way(name):
    """Following the truth in most transitions beats noise, in the direction stated."""
    rng, noise = np.random.default_rng(2), cohort(2, t=400, p=50)
    follows = rng.random(400) < 0.7
    probability = np.where(
        follows[:, None], 0.1 + 0.7 * np.eye(3)[noise.true + 1], noise.probability
    )
    good = Predicted(noise.true, probability, likeliest(probability), noise.patient)

    gain = whole(good)[name] - whole(noise)[name]

    assert gain > 0 if DIRECTION[name] == "higher" else gain < 0


def test_a_class_the_cohort_lacks_is_left_out():
    """Nobody worsened: macro-F1 is of two classes, and calling someone worsened costs recall."""
    true, label = np.array([0, 0, 1, 1]), np.array([0, 0, 1, -1], np.int8)
    predicted = Predicted(true, np.eye(3)[label + 1], label, np.arange(4))

    found = whole(predicted)

    assert found["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)


def test_a_class_a_draw_lacks_has_no_f1():
    """Only patient 2 worsened; a draw without them has F1 0 for worsened, but recall of two."""
    true = np.array([0, 1, -1])
    predicted = Predicted(true, np.eye(3)[true + 1], true.astype(np.int8), np.arange(3))

    found = measure(predicted, np.array([[1.0, 1, 1], [1, 2, 0], [3, 0, 0]]))

    np.testing.assert_allclose(found["macro_f1"], [1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(found["balanced_accuracy"], [1, 1, 1])
    np.testing.assert_allclose(found["auroc"], [1, 1, np.nan])
    np.testing.assert_allclose(found["qwk"], [1, 1, np.nan])


def test_a_draw_of_nobody_measures_nothing():
    """Weights that are all 0 give NaN throughout, without a warning."""
    predicted = cohort(3)

    found = measure(predicted, np.zeros((2, 9)))

    assert all(np.isnan(values).all() for values in found.values())


@pytest.mark.parametrize("row", [[0, 1, 0], [0.2, 0.5, 0.3]], ids=["one-hot", "shares"])
def test_always_stable_is_no_better_than_chance(row):
    """A baseline that never looks: AUROC .5 by ties, kappa 0, balanced accuracy 1/3."""
    true = cohort(4).true
    probability = np.tile(np.array(row, float), (len(true), 1))
    predicted = Predicted(true, probability, likeliest(probability), np.arange(len(true)))

    found = whole(predicted)

    assert (found["auroc"], found["qwk"]) == pytest.approx((0.5, 0))
    assert found["balanced_accuracy"] == pytest.approx(1 / 3)
    assert found["nll"] < 37


def test_bins_of_confidence_are_closed_above():
    """.7 belongs with .65, not with .75, however the decimals are stored."""
    probability = np.array([[0.7, 0.3, 0], [0.65, 0.35, 0], [0.75, 0.25, 0]])
    true, label = np.array([-1, 1, -1]), np.full(3, -1, np.int8)

    found = whole(Predicted(true, probability, label, np.arange(3)))["ece"]

    assert found == pytest.approx((abs(1.35 - 1) + 0.25) / 3)


def test_float32_probabilities_are_measured_as_float64():
    """What a network gives is measured to the digits it has."""
    predicted = cohort(5)
    narrow = Predicted(
        predicted.true,
        predicted.probability.astype(np.float32),
        predicted.label,
        predicted.patient,
    )

    assert_same(whole(narrow), whole(predicted))
    assert all(values.dtype == np.float64 for values in measure(narrow, ones(narrow)).values())


def test_areas_do_not_depend_on_how_many_draws_fit(monkeypatch):
    """Draws ranked three at a time equal draws ranked together."""
    predicted, weights = cohort(6), draw_weights(9, 10, seed=6)
    together = measure(predicted, weights)

    monkeypatch.setattr(classes, "_CELLS", 3 * 40)

    assert_same(measure(predicted, weights), together)


def test_only_what_is_asked_for_is_measured():
    """Names choose, in their order."""
    predicted = cohort(7)

    assert list(measure(predicted, ones(predicted), ["qwk", "rps"])) == ["qwk", "rps"]
    with pytest.raises(SettingsError, match="measure 'f2' is unknown: use macro_f1, accuracy"):
        measure(predicted, ones(predicted), ["rps", "f2"])


@pytest.mark.parametrize("weights", [np.ones(9), np.ones((2, 8)), np.ones((9, 40))])
def test_refuses_weights_of_other_patients(weights):
    """One column a patient, not one a transition."""
    with pytest.raises(QueryError, match="do not fit 9 patients: give one row a draw"):
        measure(cohort(8), weights)


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf])
def test_refuses_weights_that_count_nothing(wrong):
    """No patient is drawn minus once."""
    weights = np.ones((2, 9))
    weights[1, 3] = wrong

    with pytest.raises(QueryError, match="a weight is negative or not finite"):
        measure(cohort(8), weights)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(list(TITLES)))
def test_swapped_differences_equal_swapped_columns(seed, name):
    """Every measure of two models whose predictions were exchanged by hand, patient by patient."""
    first = cohort(seed)
    second = cohort(seed + 1, true=first.true, patient=first.patient)
    masks = np.random.default_rng(seed).random((4, 9)) < 0.5

    found = swapped_difference(first, second, name)(masks)

    for mask, difference in zip(masks, found, strict=True):
        pair = []
        for own, other in ((first, second), (second, first)):
            moved = mask[first.patient]
            probability = np.where(moved[:, None], other.probability, own.probability)
            label = np.where(moved, other.label, own.label)
            pair.append(Predicted(first.true, probability, label, first.patient))
        expected = whole(pair[0])[name] - whole(pair[1])[name]
        assert difference == pytest.approx(expected, abs=1e-12)


def test_swapping_finds_the_better_model():
    """Where one model follows the truth the test says so; against itself it has p 1."""
    noise = cohort(9, t=300, p=60)
    probability = 0.3 * noise.probability + 0.7 * np.eye(3)[noise.true + 1]
    good = Predicted(noise.true, probability, likeliest(probability), noise.patient)

    better = swap_test(swapped_difference(good, noise, "macro_f1"), 60, n_draws=499, seed=0)
    same = swap_test(swapped_difference(good, good, "auroc"), 60, n_draws=99, seed=0)

    assert better.difference > 0.4
    assert (better.p_value, same.p_value) == (0.002, 1)


def test_refuses_models_of_other_transitions():
    """Another truth, or other patients."""
    first = cohort(10)

    with pytest.raises(QueryError, match="differ in 'true': compare them on the same"):
        swapped_difference(first, cohort(11, patient=first.patient), "macro_f1")
    with pytest.raises(QueryError, match="differ in 'patient'"):
        swapped_difference(first, cohort(11, true=first.true), "macro_f1")


def test_draws_of_calibration_lie_above_the_cohorts():
    """As documented: the percentile interval of ece is pushed up, that of rps is not."""
    rng = np.random.default_rng(12)
    probability = rng.dirichlet(np.ones(3), 80)
    true = np.array([rng.choice(ALL, p=row) for row in probability])
    predicted = Predicted(true, probability, likeliest(probability), np.arange(80))
    drawn = measure(predicted, draw_weights(80, 1000, seed=0))

    shift = {name: np.mean(drawn[name]) - whole(predicted)[name] for name in ("ece", "rps")}

    assert shift["ece"] > 0.015
    assert abs(shift["rps"]) < 0.002
    assert interval(drawn["ece"]).low > 0


def test_inversion_is_consistent_when_classes_flip():
    """Patient 0 flips in one of two transitions, patient 1 stays stable: 3/4; drawn apart, 1/2."""
    probability = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    swapped = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.3, 0.5, 0.2]])
    weights = np.array([[1.0, 1], [2, 0], [0, 2]])

    found = inversion_consistency(probability, swapped, np.array([0, 0, 1]), weights)

    np.testing.assert_allclose(found, [0.75, 0.5, 1])


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_a_mirrored_model_is_fully_consistent(seed):
    """Columns turned round flip every class, also in ties; swapping twice is swapping back."""
    predicted = cohort(seed)
    other = cohort(seed + 1, patient=predicted.patient).probability
    probability, patient = predicted.probability, predicted.patient
    weights = draw_weights(9, 3, seed)

    mirrored = inversion_consistency(probability, probability[:, ::-1], patient, weights)
    there, back = (
        inversion_consistency(*pair, patient, weights)
        for pair in ((probability, other), (other, probability))
    )

    np.testing.assert_allclose(mirrored, 1)
    np.testing.assert_allclose(there, back)


def test_refuses_probabilities_that_do_not_fit():
    """One row a transition, in both, and each a distribution."""
    thirds, patient, weights = np.full((3, 3), 1 / 3), np.arange(3), np.ones((1, 3))

    with pytest.raises(QueryError, match=r"shapes \(3, 3\) and \(2, 3\) for 3 transitions"):
        inversion_consistency(thirds, thirds[:2], patient, weights)
    with pytest.raises(QueryError, match=r"shapes \(3, 3\) and \(3, 3\) for 2 transitions"):
        inversion_consistency(thirds, thirds, patient[:2], weights)
    with pytest.raises(QueryError, match="probabilities of row 0"):
        inversion_consistency(thirds, 2 * thirds, patient, weights)
    with pytest.raises(QueryError, match="do not fit 3 patients"):
        inversion_consistency(thirds, thirds, patient, weights[:, :2])
