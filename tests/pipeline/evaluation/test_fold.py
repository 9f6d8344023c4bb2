"""One fold: nothing of its unseen patients reaches what is fitted for it."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from learner_index.analysis.head import STRENGTHS
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.evaluation import fold as fold_module
from learner_index.pipeline.evaluation import spaces
from learner_index.pipeline.evaluation.fold import class_share, run_fold
from tests.pipeline.evaluation.planted import (
    altered,
    guessing,
    knowing,
    material_of,
    planted_rows,
    splits_of,
)

N_PATIENTS = 24


@pytest.fixture(scope="module")
def rows():
    """Patients with two views of each visit, so that view means are fitted too."""
    plain = planted_rows(N_PATIENTS, seed=1)
    other = altered(
        plain, lambda row: {"scan_id": f"{row['scan_id']}b", "path": f"{row['scan_id']}b.npy"}
    )
    return [row | {"view": "L1"} for row in plain] + [row | {"view": "R1"} for row in other]


def fitted(material, embeddings, split):
    """All that a fold fits, and what it predicts: heads, whitening, shares, errors."""
    made = {}

    def keep(name, function):
        def wrapped(*args, **kwargs):
            made[name] = function(*args, **kwargs)
            return made[name]

        return wrapped

    with (
        mock.patch.object(fold_module, "fit_score_head", keep("score", fold_module.fit_score_head)),
        mock.patch.object(
            fold_module, "fit_change_head", keep("change", fold_module.fit_change_head)
        ),
        mock.patch.object(spaces, "fit_whitening", keep("white", spaces.fit_whitening)),
    ):
        made["outcome"] = run_fold(
            material, embeddings, split, np.ones((3, material.n_patients)), seed=0
        )
    return made


def numbers(made):
    """What was fitted, as arrays by name."""
    score, change, white = made["score"], made["change"], made["white"]
    return {
        "score": np.concatenate([score.center, score.scale, score.coefficient, [score.intercept]]),
        "penalty": np.array([score.penalty]),
        "change": np.concatenate([change.scale, change.coefficient.ravel(), change.intercept]),
        "strength": np.array([change.strength]),
        "head_share": change.share,
        "white": np.concatenate([white.center, white.matrix.ravel()]),
        "share": made["outcome"].share,
        "spread": np.array([made["outcome"].delta_spread]),
    }


def disturbed(rows, material, embeddings, patients):
    """Other scores and other embeddings for some patients."""
    rng = np.random.default_rng(7)
    own = np.array([row["patient_id"] in patients for row in rows])
    other = np.where(own[:, None], 100 * rng.normal(size=embeddings.shape), embeddings)
    scores = 1000 * rng.random((100, 10))  # one a visit
    changed = [
        row | {"health_score": scores[int(row["patient_id"][1:]), row["day"]]} if is_own else row
        for row, is_own in zip(rows, own, strict=True)
    ]
    return changed, other.astype(np.float32)


@pytest.mark.parametrize("number", [0, 3])
def test_unseen_patients_change_nothing_that_is_fitted(tmp_path, rows, number):
    """Scores and embeddings of a fold's patients: heads, whitening and shares stay, bit for bit."""
    material = material_of(tmp_path, rows)
    split = splits_of(material)[number]
    embeddings = guessing(material).rows
    before = numbers(fitted(material, embeddings, split))
    changed, other = disturbed(rows, material, embeddings, split.unseen)
    (tmp_path / "b").mkdir()
    material = material_of(tmp_path / "b", changed)

    after = numbers(fitted(material, other, split))

    for name, expected in before.items():
        np.testing.assert_array_equal(after[name], expected, err_msg=name)


@pytest.mark.parametrize("role", ["train", "val"])
def test_patients_who_are_fitted_on_do_change_it(tmp_path, rows, role):
    """The test above can fail: one other patient altered moves every fitted number's record."""
    material = material_of(tmp_path, rows)
    split = splits_of(material)[0]
    embeddings = guessing(material).rows
    before = numbers(fitted(material, embeddings, split))
    changed, other = disturbed(rows, material, embeddings, getattr(split, role)[:1])
    (tmp_path / "b").mkdir()

    after = numbers(fitted(material_of(tmp_path / "b", changed), other, split))

    for name in ("score", "change", "white", "spread"):
        assert not np.array_equal(after[name], before[name]), name


def test_one_unseen_patient_does_not_move_the_others(tmp_path, rows):
    """Predictions of a fold's other patients do not depend on who is asked beside them."""
    material = material_of(tmp_path, rows)
    split = splits_of(material)[0]
    embeddings = guessing(material).rows
    before = run_fold(material, embeddings, split, np.ones((1, N_PATIENTS)), 0)
    gone = split.unseen[0]
    _, other = disturbed(rows, material, embeddings, (gone,))

    after = run_fold(material, other, split, np.ones((1, N_PATIENTS)), 0)

    stays = ~material.is_of((gone,))
    own = stays[material.transitions.patient[before.transitions]]
    np.testing.assert_array_equal(after.probability[own], before.probability[own])
    assert not np.array_equal(after.probability[~own], before.probability[~own])
    items = stays[material.visits.patient[before.items]]
    np.testing.assert_array_equal(after.predicted[items], before.predicted[items])


def test_tuning_patients_choose_and_are_then_fitted_on(tmp_path, rows):
    """The strength is chosen on patients the first fit has not seen."""
    material = material_of(tmp_path, rows)
    split = splits_of(material)[0]
    alone = replace(split, train=(*split.train, *split.val), val=())

    chosen = fitted(material, guessing(material).rows, split)
    middle = fitted(material, guessing(material).rows, alone)

    assert chosen["change"].strength == min(STRENGTHS)  # noise is best left out
    assert middle["change"].strength == STRENGTHS[len(STRENGTHS) // 2]


def test_a_fold_without_transitions_is_still_measured(tmp_path):
    """Its patients came once: their scores are predicted, and no change is."""
    rows = planted_rows(16, seed=2)
    material = material_of(tmp_path, rows)
    split = splits_of(material)[0]
    once = [row for row in rows if row["patient_id"] not in split.unseen or row["day"] == 0]
    (tmp_path / "b").mkdir()
    material = material_of(tmp_path / "b", once)

    found = run_fold(material, knowing(material).rows, split, np.ones((2, 16)), 0)

    assert len(found.transitions) == len(found.probability) == len(found.swapped) == 0
    assert len(found.predicted) == len(split.unseen)
    assert "within_raw" not in found.space


def test_a_class_that_training_lacks_is_never_predicted(tmp_path):
    """Patients to fit on who never improved: improved gets next to no probability."""
    rows = planted_rows(16, seed=2)
    material = material_of(tmp_path, rows)
    split = splits_of(material)[0]
    known = {*split.train, *split.val}
    falling = altered(
        rows,
        lambda row: (
            {"health_score": 50 - 10 * row["day"] * (int(row["patient_id"][1:]) % 2)}
            if row["patient_id"] in known
            else {}
        ),
    )
    (tmp_path / "b").mkdir()
    material = material_of(tmp_path / "b", falling)

    found = run_fold(material, knowing(material).rows, split, np.ones((2, 16)), 0)

    assert found.share[2] == 0
    assert (found.probability[:, 2] < 1e-5).all()
    assert 1 not in found.label


def test_missing_scores_are_predicted_by_nobody(tmp_path):
    """A visit without a score is no item, and its neighbours still make pairs of their own."""
    rows = planted_rows(16, seed=2)
    rows[1]["health_score"] = ""
    material = material_of(tmp_path, rows)
    split = next(s for s in splits_of(material) if "p00" in s.unseen)

    found = run_fold(material, knowing(material).rows, split, np.ones((2, 16)), 0)

    assert len(found.items) == 3 * len(split.unseen) - 1
    owners = material.transitions.patient[found.transitions]
    assert material.patients.index("p00") not in owners


def test_too_little_to_fit_on_is_refused(tmp_path):
    """Nobody but the unseen has a score."""
    rows = planted_rows(16, seed=2)
    material = material_of(tmp_path, rows)
    split = splits_of(material)[0]
    empty = altered(
        rows, lambda row: {} if row["patient_id"] in split.unseen else {"health_score": ""}
    )
    (tmp_path / "b").mkdir()
    material = material_of(tmp_path / "b", empty)

    with pytest.raises(NotEnoughDataError, match="to learn from"):
        run_fold(material, knowing(material).rows, split, np.ones((2, 16)), 0)


def test_shares_weigh_patients(tmp_path):
    """A patient with many transitions counts as much as one with one."""
    rows = [
        {"scan_id": f"a{day}", "patient_id": "a", "path": f"a{day}.npy", "day": day,
         "health_score": 10 * day}
        for day in range(4)
    ] + [
        {"scan_id": f"b{day}", "patient_id": "b", "path": f"b{day}.npy", "day": day,
         "health_score": 5}
        for day in range(2)
    ]  # fmt: skip
    material = material_of(tmp_path, rows)

    assert class_share(material, np.array([True, True])).tolist() == [0.0, 0.5, 0.5]
    assert np.isnan(class_share(material, np.array([False, False]))).all()
