"""Predicted health scores: errors pooled, ranks within folds, patients weighing the same."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from learner_index.analysis.resample import draw_weights
from learner_index.pipeline.evaluation.fold import FoldOutcome
from learner_index.pipeline.evaluation.scores import score_figures
from tests.pipeline.evaluation.planted import (
    altered,
    judged,
    knowing,
    material_of,
    planted_rows,
    splits_of,
    value,
)


def folds_of(material, predict):
    """Folds whose predicted scores a function of true scores and the fold gives."""
    folds = []
    for number, split in enumerate(splits_of(material)):
        is_own = material.is_of(split.unseen)
        items = np.flatnonzero(is_own[material.visits.patient])
        own = np.flatnonzero(is_own[material.transitions.patient])
        folds.append(
            FoldOutcome(
                transitions=own,
                items=items,
                predicted=predict(material.visits.score[items], number),
                score_delta=material.transitions.delta_score[own],
                delta_spread=1.0,
                share=np.full(3, 1 / 3),
            )
        )
    return folds


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return material_of(tmp_path_factory.mktemp("scores"), planted_rows(20))


def test_errors_and_correlations_by_hand(material):
    """Equal numbers of visits: plain means; correlations are means of the folds' own."""
    noise = np.random.default_rng(0)
    folds = folds_of(material, lambda true, number: true + noise.normal(0, 5, len(true)))

    found = score_figures(material, folds, draw_weights(20, 10, 0))

    true = [material.visits.score[fold.items] for fold in folds]
    gaps = np.concatenate([fold.predicted for fold in folds]) - np.concatenate(true)
    assert found["score_mae"].value == pytest.approx(np.abs(gaps).mean())
    assert found["score_rmse"].value == pytest.approx(np.sqrt((gaps**2).mean()))
    for name, one in (("score_pearson", pearsonr), ("score_spearman", spearmanr)):
        each = [one(fold.predicted, own)[0] for fold, own in zip(folds, true, strict=True)]
        assert found[name].value == pytest.approx(np.mean(each))
    assert (found["score_mae"].n_patients, found["score_mae"].n_pairs) == (20, 60)


def test_levels_of_folds_do_not_pass_for_order(material):
    """Read-outs that lean away from the patients left out are not called anti-correlated."""
    shift = np.array([30.0, -30.0, 10.0, -10.0])
    folds = folds_of(material, lambda true, number: true + shift[number])

    found = score_figures(material, folds, draw_weights(20, 10, 0))

    assert found["score_spearman"].value == pytest.approx(1)


def test_constant_predictions_have_no_correlation(material):
    """NaN of no patients, without a warning."""
    folds = folds_of(material, lambda true, number: np.full(len(true), 50.0))

    found = score_figures(material, folds, draw_weights(20, 10, 0))

    assert np.isnan(found["score_pearson"].value)
    assert found["score_pearson"].n_patients == 0
    assert found["within_concordance"].value == 0.5


def test_a_score_of_two_values_gets_an_auroc(tmp_path):
    """Ill or well, as an ICU label is; a score with more values gets none."""
    rows = altered(
        planted_rows(20, n_visits=1), lambda row: {"health_score": int(row["patient_id"][1:]) % 2}
    )
    material = material_of(tmp_path, rows, theta=None)

    found = judged(material, knowing(material))

    assert value(found, "knows", "score_auroc") == 1
    assert found.outcomes[0].figures["score_auroc"].chance == 0.5


def test_patients_weigh_the_same(tmp_path):
    """One with nine visits counts as much as one with a single visit."""
    rows = planted_rows(8, n_visits=9, seed=1)
    rows = [row for row in rows if row["patient_id"] == "p00" or row["day"] == 0]
    material = material_of(tmp_path, rows)
    folds = folds_of(material, lambda true, number: true + 1.0)
    for fold in folds:
        fold.predicted = fold.predicted + 7.0 * (material.visits.patient[fold.items] == 0)

    found = score_figures(material, folds, draw_weights(8, 10, 0))

    assert found["score_mae"].value == pytest.approx((7 * 1 + 8) / 8)


def test_a_fold_without_scores_is_passed_over(tmp_path):
    """Its patients have none: the others are measured."""
    rows = planted_rows(16, seed=1)
    material = material_of(tmp_path, rows)
    gone = splits_of(material)[0].unseen
    folds = folds_of(material, lambda true, number: true)
    folds[0].items, folds[0].predicted = folds[0].items[:0], folds[0].predicted[:0]

    found = score_figures(material, folds, draw_weights(16, 10, 0))

    assert found["score_spearman"].n_patients == 16 - len(gone)
    assert found["score_spearman"].value == pytest.approx(1)
