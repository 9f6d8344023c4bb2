"""Predicted health changes of folds as measures: pooled, but for ranks."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from learner_index.analysis.resample import draw_weights
from learner_index.pipeline.evaluation.fold import FoldOutcome
from learner_index.pipeline.evaluation.measures import (
    MEASURES,
    change_figures,
    changes_of,
    seed_figures,
)
from tests.pipeline.evaluation.planted import material_of, planted_rows, splits_of


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return material_of(tmp_path_factory.mktemp("measures"), planted_rows(24))


def folds_of(material, probability, swapped=None):
    """Folds with the probabilities a function of the fold gives; labels are the truth."""
    folds = []
    for number, split in enumerate(splits_of(material)):
        own = np.flatnonzero(material.is_of(split.unseen)[material.transitions.patient])
        label = material.changes[own]
        folds.append(
            FoldOutcome(
                transitions=own,
                items=np.flatnonzero(material.is_of(split.unseen)[material.visits.patient]),
                predicted=np.zeros(3 * len(split.unseen)),
                score_delta=material.transitions.delta_score[own],
                delta_spread=1.0,
                share=np.full(3, 1 / 3),
                probability=probability(number, len(own)),
                label=label,
                swapped=-label if swapped is None else np.full(len(own), swapped, np.int8),
            )
        )
    return folds


def test_auroc_is_the_mean_of_the_folds_own(material):
    """By scikit-learn in each fold, classes alike, weighted by patients."""
    rng = np.random.default_rng(0)
    folds = folds_of(material, lambda number, n: rng.dirichlet(np.ones(3), n))

    found = change_figures(material, folds, draw_weights(24, 50, 0))["auroc"]

    expected = []
    for fold in folds:
        true = material.changes[fold.transitions]
        areas = [roc_auc_score(true == c, fold.probability[:, k]) for k, c in enumerate((-1, 0, 1))]
        expected.append(np.mean(areas))
    assert found.value == pytest.approx(np.mean(expected))  # six patients in each
    assert (found.n_patients, found.n_pairs) == (24, 48)


def test_levels_of_folds_are_no_knowledge_and_no_ignorance(material):
    """One probability for all of a fold is worth 1/2, whatever other folds say."""
    levels = np.random.default_rng(1).dirichlet(np.ones(3), 4)
    folds = folds_of(material, lambda number, n: np.tile(levels[number], (n, 1)))

    found = change_figures(material, folds, draw_weights(24, 50, 0))["auroc"]

    assert found.value == pytest.approx(0.5)
    np.testing.assert_allclose(found.draws, 0.5)


def test_what_is_predicted_is_what_must_turn_round(material):
    """Consistency is of the labels that are reported, not of the likeliest class."""
    uniform = np.full(3, 1 / 3)
    weights = draw_weights(24, 50, 0)

    turned = seed_figures(
        material, folds_of(material, lambda number, n: np.tile(uniform, (n, 1))), weights
    )[0]["inversion_consistency"]
    stays = seed_figures(
        material, folds_of(material, lambda number, n: np.tile(uniform, (n, 1)), 1), weights
    )[0]["inversion_consistency"]

    assert turned.value == 1
    assert stays.value == pytest.approx(np.mean(material.changes == -1))


def test_predictions_come_back_in_the_order_of_transitions(material):
    """Whatever fold they were made in."""
    folds = folds_of(material, lambda number, n: np.full((n, 3), 1 / 3))

    found = changes_of(material, folds[::-1])

    np.testing.assert_array_equal(found.true, material.changes)
    np.testing.assert_array_equal(found.label, material.changes)
    assert found.n_patients == 24


def test_measures_come_in_the_order_of_the_report(material):
    """Every one is known, and sections stay together."""
    folds = folds_of(material, lambda number, n: np.full((n, 3), 1 / 3))

    figures = list(seed_figures(material, folds, draw_weights(24, 50, 0))[0])

    assert figures == [name for name in MEASURES if name in figures]
