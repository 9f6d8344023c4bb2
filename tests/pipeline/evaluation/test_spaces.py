"""Spaces of unseen patients: planted orders, confounders, and what too few patients cannot bear."""

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.resample import draw_weights
from learner_index.pipeline.evaluation.spaces import Parts, measure_space
from tests.pipeline.evaluation.planted import (
    altered,
    fixed,
    guessing,
    knowing,
    material_of,
    planted_rows,
    splits_of,
)

N = 32


def measured(material, embeddings, folds=2):
    """Measures of the first fold."""
    part = Parts.of(material, splits_of(material, folds)[0])
    return measure_space(material, embeddings, part, draw_weights(N, 50, 0), seed=0)[0]


@pytest.fixture(scope="module")
def rows():
    return planted_rows(N, seed=4)


@pytest.fixture(scope="module")
def material(rows, tmp_path_factory):
    return material_of(tmp_path_factory.mktemp("spaces"), rows)


def test_roles_are_masks_of_patients(material):
    """Every patient is in exactly one part."""
    part = Parts.of(material, splits_of(material)[0])

    assert (part.train.astype(int) + part.tune + part.test == 1).all()


def test_a_patients_own_mark_is_found(material):
    """Embeddings that are the patient: identity is told always, health never."""
    marks = np.random.default_rng(0).normal(size=(N, 8))[material.owners]
    noise = 0.01 * np.random.default_rng(1).normal(size=marks.shape)

    found = measured(material, marks + noise)

    assert found["identity"].value == 1
    assert found["identity"].chance < 0.1
    assert abs(found["triplet_ordinality"].value - 0.5) < 0.1


def test_a_sites_mark_is_found(material):
    """Site is half of all, told always."""
    sites = np.array([site == "A" for site in material.labels["site"]], float)
    noise = np.random.default_rng(1).normal(size=(material.n_scans, 3))

    found = measured(material, np.column_stack([10 * sites, noise]))

    assert found["site"].value == 1
    assert found["site"].chance == 0.5


def test_true_severity_is_measured_beside_the_score(rows, tmp_path):
    """Scores that are noise: distances follow the simulated state and not the score."""
    rng = np.random.default_rng(0)
    severity = np.array([row["health_score"] for row in rows])
    noise = rng.permutation(severity).tolist()
    shuffled = [row | {"health_score": one} for row, one in zip(rows, noise, strict=True)]
    truth = pd.DataFrame({"s": severity, "e": severity, "c": 0.0})
    material = material_of(tmp_path, shuffled, truth=truth)
    embeddings = np.column_stack([severity, np.ones(len(rows))])

    found = measured(material, embeddings)

    assert found["within_true_raw"].value > 0.8
    assert abs(found["within_raw"].value) < 0.4
    assert found["retrieval_true_ndcg"].value > found["retrieval_true_ndcg"].chance + 0.2


def test_neighbours_know_the_score(material):
    """Nearest training patients are nearer in score than their median is."""
    # two directions, so that scores are angles from any center
    angle = np.pi * material.score / 200
    found = measured(material, np.column_stack([np.cos(angle), np.sin(angle)]))

    assert found["neighbor_mae"].value < 0.6 * found["neighbor_mae"].chance


def test_alike_changes_are_retrieved(material):
    """A space of the score ranks changes alike first; a random one ranks at chance."""
    good, poor = (
        measured(material, model.rows)["retrieval_ndcg"]
        for model in (knowing(material), guessing(material))
    )

    assert good.value > good.chance + 0.2
    assert abs(poor.value - poor.chance) < 0.15


def test_patients_who_came_once_have_no_distances_within(rows, tmp_path):
    """What rests on repeat visits is left out, all else is measured."""
    once = altered([row for row in rows if row["day"] == 0], lambda row: {})
    material = material_of(tmp_path, once)

    found = measured(material, guessing(material).rows)

    assert {"across_raw", "triplet_ordinality", "neighbor_mae", "effective_rank"} <= set(found)
    assert not {"within_raw", "identity", "retrieval_ndcg"} & set(found)


def test_two_unseen_patients_are_too_few(material):
    """Three are needed for distances and triplets; nothing is made up."""
    found = measured(material, guessing(material).rows, folds=16)

    assert not {"within_raw", "across_raw", "triplet_ordinality", "site"} & set(found)
    assert found["neighbor_mae"].n_patients == 2


def test_equal_embeddings_have_no_space(material):
    """Nothing to whiten, nothing to measure."""
    assert measured(material, fixed(np.ones((material.n_scans, 4)), "flat").rows) == {}
