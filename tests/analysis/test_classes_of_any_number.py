"""Measures of two, four and five classes: against scikit-learn and slow loops, and laws."""

import dataclasses
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from learner_index.analysis.classes import (
    DIRECTION,
    TITLES,
    Predicted,
    confusion,
    likeliest,
    measure,
    swapped_difference,
)
from learner_index.analysis.resample import draw_weights
from learner_index.errors import QueryError

SEEDS = st.integers(0, 2**32 - 1)
NUMBERS = st.sampled_from([2, 4, 5])


def cohort(seed, c, p=8, *, shown=None, true=None, patient=None):
    """Predictions of random quality with ties, in eighths; labels need not be the likeliest."""
    rng = np.random.default_rng(seed)
    if patient is None:
        patient = rng.permutation(np.r_[np.arange(p), rng.integers(0, p, 30)])
    t, codes = len(patient), np.arange(c)
    true = rng.choice(codes if shown is None else shown, t) if true is None else true
    probability = rng.multinomial(8, rng.dirichlet(np.ones(c)), t) / 8
    label = np.where(rng.random(t) < 0.8, probability.argmax(axis=1), rng.choice(codes, t))
    return Predicted(true, probability, label, patient, tuple(range(c)))


def whole(predicted):
    """Every measure of the cohort itself."""
    found = measure(predicted, np.ones((1, predicted.n_patients)))
    return {name: float(values[0]) for name, values in found.items()}


def transition_weights(predicted, weights):
    """(t,) patient's weight over the patient's number of transitions, one by one."""
    patient = predicted.patient.tolist()
    return np.array([weights[owner] / patient.count(owner) for owner in patient])


def by_sklearn(predicted, each):
    """What scikit-learn makes of one draw; each is (t,)."""
    drawn, weight = each > 0, {"sample_weight": each[each > 0]}
    true, label, probability = (
        column[drawn] for column in (predicted.true, predicted.label, predicted.probability)
    )
    shown, codes = np.unique(predicted.true).tolist(), list(predicted.classes)
    one_class = len(np.unique(np.r_[true, label])) == 1
    areas = [
        metrics.roc_auc_score(true == code, probability[:, code], **weight)
        for code in codes
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
        else metrics.cohen_kappa_score(true, label, labels=codes, weights="quadratic", **weight),
        "nll": metrics.log_loss(true, probability, labels=codes, **weight),
    }


def by_loops(predicted, each):
    """The rps and ece of one draw, from their definitions; each is (t,)."""
    total, rps, bins = math.fsum(each), 0.0, [[0.0, 0.0] for _ in range(10)]
    borders = predicted.probability.shape[1] - 1
    for true, row, label, weight in zip(
        predicted.true, predicted.probability.tolist(), predicted.label, each, strict=True
    ):
        for border in range(borders):
            upto = math.fsum(row[: border + 1])
            rps += weight * (upto - (true <= border)) ** 2 / borders
        number = next(k for k in range(10) if row[label] <= (k + 1) / 10)
        bins[number][0] += weight * row[label]
        bins[number][1] += weight * (true == label)
    return {"rps": rps / total, "ece": sum(abs(sure - right) for sure, right in bins) / total}


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, c=NUMBERS, lacks=st.booleans())
def test_measures_equal_scikit_learn_and_the_definitions(seed, c, lacks):
    """Every measure, in the cohort and in draws, also where the last class never came about."""
    predicted = cohort(seed, c, shown=np.arange(c - 1) if lacks else None)
    weights = np.concatenate([np.ones((1, 8)), draw_weights(8, 3, seed)])

    found = measure(predicted, weights)

    for draw, row in enumerate(weights):
        each = transition_weights(predicted, row)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's on classes without truth
            expected = by_sklearn(predicted, each) | by_loops(predicted, each)
        assert expected.keys() == TITLES.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][draw], value, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("c", [2, 4, 5])
def test_the_confusion_matrix_is_scikit_learns(c):
    """(c, c) shares: rows came about, columns were predicted; patients weigh the same."""
    predicted = cohort(c, c)
    each = transition_weights(predicted, np.ones(8)) / 8

    found = confusion(predicted)

    expected = metrics.confusion_matrix(predicted.true, predicted.label, sample_weight=each)
    assert found.shape == (c, c)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_two_classes_have_one_area(seed):
    """The mean of both sides is the binary AUROC, draw by draw, ties included."""
    predicted, weights = cohort(seed, 2), draw_weights(8, 4, seed)

    found = measure(predicted, weights, ["auroc"])["auroc"]

    for row, area in zip(weights, found, strict=True):
        each = transition_weights(predicted, row)
        if len(np.unique(predicted.true[each > 0])) < 2:
            assert math.isnan(area)
            continue
        expected = metrics.roc_auc_score(
            predicted.true, predicted.probability[:, 1], sample_weight=each
        )
        assert area == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, c=NUMBERS)
def test_names_do_not_matter_and_order_only_where_there_is_one(seed, c):
    """Other rising codes leave every measure, another order all but qwk and rps."""
    predicted, order = cohort(seed, c), np.random.default_rng(seed).permutation(c)
    names = np.sort(np.random.default_rng(seed).choice(90, c, replace=False) - 30)
    renamed = dataclasses.replace(
        predicted,
        true=names[predicted.true],
        label=names[predicted.label],
        classes=tuple(names.tolist()),
    )
    mixed = dataclasses.replace(
        predicted,
        true=np.argsort(order)[predicted.true],
        label=np.argsort(order)[predicted.label],
        probability=predicted.probability[:, order],
    )

    found, renamed_found, mixed_found = whole(predicted), whole(renamed), whole(mixed)

    for name, value in found.items():
        np.testing.assert_allclose(renamed_found[name], value, atol=1e-12)
        if name not in {"qwk", "rps"}:
            np.testing.assert_allclose(mixed_found[name], value, atol=1e-12)


@pytest.mark.parametrize("c", [2, 4, 5])
def test_perfect_predictions_are_perfect(c):
    """1 where higher is better, 0 where lower is; the farthest miss has the worst rps and qwk."""
    true = np.arange(4 * c) % c
    perfect = Predicted(true, np.eye(c)[true], true, np.arange(4 * c), tuple(range(c)))
    ends = np.where(np.arange(6) < 3, 0, c - 1)
    worst = Predicted(ends, np.eye(c)[ends[::-1]], ends[::-1], np.arange(6), tuple(range(c)))

    assert whole(perfect) == pytest.approx(
        {name: float(way == "higher") for name, way in DIRECTION.items()}
    )
    assert (whole(worst)["rps"], whole(worst)["qwk"]) == pytest.approx((1, -1))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_three_classes_by_any_codes_are_the_health_changes(seed):
    """0, 1, 2 for worsened, stable and improved: the same numbers to the last bit."""
    numbered = cohort(seed, 3)
    changes = Predicted(
        numbered.true - 1, numbered.probability, numbered.label - 1, numbered.patient
    )

    assert whole(changes) == pytest.approx(whole(numbered), abs=0, rel=0, nan_ok=True)
    assert (confusion(changes) == confusion(numbered)).all()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, c=NUMBERS, name=st.sampled_from(list(TITLES)))
def test_swapped_differences_keep_the_classes(seed, c, name):
    """Models exchanged by hand, patient by patient."""
    first = cohort(seed, c)
    second = cohort(seed + 1, c, true=first.true, patient=first.patient)
    masks = np.random.default_rng(seed).random((3, 8)) < 0.5

    found = swapped_difference(first, second, name)(masks)

    for mask, difference in zip(masks, found, strict=True):
        pair = []
        for own, other in ((first, second), (second, first)):
            moved = mask[first.patient]
            probability = np.where(moved[:, None], other.probability, own.probability)
            label = np.where(moved, other.label, own.label)
            pair.append(dataclasses.replace(first, probability=probability, label=label))
        expected = whole(pair[0])[name] - whole(pair[1])[name]
        assert difference == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_refuses_to_compare_models_of_other_classes():
    """Both models' classes are named."""
    two = cohort(0, 2)
    three = Predicted(two.true, np.eye(3)[two.label], two.label, two.patient, (0, 1, 2))

    with pytest.raises(QueryError, match=r"classes \(0, 1\) and \(0, 1, 2\): compare models"):
        swapped_difference(two, three, "macro_f1")


def test_health_changes_need_no_classes():
    """Left out, they are worsened, stable and improved."""
    probability = np.eye(3)

    assert Predicted(
        np.array([-1, 0, 1]), probability, likeliest(probability), np.arange(3)
    ).classes == (-1, 0, 1)
