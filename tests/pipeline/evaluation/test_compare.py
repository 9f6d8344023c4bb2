"""Comparisons: which are tested, by what, and how p-values are adjusted."""

import numpy as np
import pytest

from learner_index.analysis.predicted import Predicted
from learner_index.pipeline.evaluation.averages import Drawn
from learner_index.pipeline.evaluation.compare import compare_all
from learner_index.pipeline.evaluation.measures import Outcome

N = 30
TRUE = np.tile([-1, 0, 1], N // 3).astype(np.int8)


def predicted(label):
    """One transition a patient, told so."""
    probability = np.eye(3)[np.asarray(label) + 1]
    return Predicted(TRUE, probability, np.asarray(label, np.int8), np.arange(N))


def model(name, *labels, kind="trained", by_fold=(0.5, 0.4), **figures):
    """An outcome with these labels a seed, and figures by value."""
    drawn = {key: Drawn(value, np.full(20, value), N, N) for key, value in figures.items()}
    return Outcome(
        name=name,
        kind=kind,
        says="",
        seeds=tuple(range(len(labels))),
        figures={"macro_f1": Drawn(0.5, np.linspace(0.4, 0.6, 20), N, N), **drawn},
        by_fold={"macro_f1": np.array(by_fold)},
        predicted=tuple(predicted(label) for label in labels),
        n_seen=0,
        n_measured=N,
    )


def primary_of(found):
    """Model -> its comparison in the primary measure."""
    return {one.model: one for one in found if one.measure == "macro_f1"}


def test_better_predictions_are_found_and_adjusted_for():
    """All right against all wrong: the least p there is, times the number of models tested."""
    right, wrong = model("right", TRUE), model("wrong", np.roll(TRUE, 1))
    other = model("other", np.roll(TRUE, 1))

    found = primary_of(compare_all([right, wrong, other], "wrong", 199, 2, 0))

    assert found["right"].p_swap == pytest.approx(1 / 200)
    assert found["right"].p_holm == pytest.approx(2 / 200)
    assert found["other"].p_swap == found["other"].p_holm == 1


def test_truth_and_constants_are_compared_but_not_tested():
    """That they differ is no hypothesis, and they are no part of the family."""
    models = [model("mse", TRUE), model("oracle", TRUE, kind="oracle")]
    models += [model("majority", TRUE, kind="constant"), model("rnc", np.roll(TRUE, 1))]

    found = primary_of(compare_all(models, "mse", 99, 2, 0))

    assert found["oracle"].p_swap is found["majority"].p_holm is None
    assert found["rnc"].p_holm == found["rnc"].p_swap


def test_only_what_both_have_is_compared():
    """And the difference is the model's less the other's."""
    models = [model("mse", TRUE, score_mae=3.0), model("rnc", TRUE, score_mae=2.0, site=0.5)]

    found = {one.measure: one for one in compare_all(models, "mse", 99, 2, 0)}

    assert set(found) == {"macro_f1", "score_mae"}
    one = found["score_mae"]
    assert (one.difference, one.low, one.high) == (-1.0, -1.0, -1.0)
    assert one.p_swap is None


def test_fewer_seeds_are_given_over_and_over():
    """One frozen encoder against three trainings: each is set beside the same predictions."""
    three = model("mse", TRUE, TRUE, np.roll(TRUE, 1))

    found = primary_of(compare_all([model("frozen", TRUE), three], "mse", 199, 2, 0))

    assert 0 < found["frozen"].p_swap < 1


def test_a_fold_without_the_measure_leaves_no_test_over_folds():
    """NaN in a fold: no p, rather than one of the others alone."""
    models = [model("mse", TRUE), model("rnc", TRUE, by_fold=(np.nan, 0.1))]

    found = primary_of(compare_all(models, "mse", 99, 2, 0))["rnc"]

    assert found.p_fold is None
    assert found.p_swap == 1
