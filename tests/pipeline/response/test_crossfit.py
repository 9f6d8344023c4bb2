"""Every patient left out once, and what is kept of it."""

from dataclasses import replace

import numpy as np
import pytest

from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response import crossfit
from learner_index.pipeline.response.baselines import BASELINES, Trial
from learner_index.pipeline.response.crossfit import HEAD, cross_fit, draw_patient_folds
from learner_index.pipeline.response.models import balanced, lifted
from learner_index.pipeline.response.procedure import fit_head
from tests.pipeline.response.fitting import OPTIONS, altered, known_by, pool_for, rows_of


@pytest.fixture(scope="module")
def rows():
    return rows_of(60)


@pytest.fixture(scope="module")
def pool(rows):
    return pool_for(rows)


@pytest.fixture(scope="module")
def folds(pool):
    return draw_patient_folds(pool, 3, 0)


@pytest.fixture(scope="module")
def found(pool, folds):
    return cross_fit(pool, folds, OPTIONS)


def test_folds_are_dealt_out_class_by_class(pool):
    """Each class is in each fold as often as in any other, give or take one; so are patients."""
    rare = replace(pool, code=np.where(pool.patient % 12 == 0, 2, pool.patient % 2))

    folds = draw_patient_folds(rare, 4, 3)

    of_patient = np.array([rare.code[rare.patient == p][0] for p in range(60)])
    table = np.array([np.bincount(folds[of_patient == c], minlength=4) for c in range(3)])
    assert (np.ptp(table, axis=1) <= 1).all()
    assert np.ptp(np.bincount(folds)) <= 1
    np.testing.assert_array_equal(table[2].max(), 2)


def test_patients_without_an_example_are_in_no_fold(pool):
    """They are -1; the seed decides the rest."""
    some = replace(
        pool,
        examples=pool.examples.only(pool.patient > 9),
        code=pool.code[pool.patient > 9],
        before=pool.before[pool.patient > 9],
    )

    first, again, other = (draw_patient_folds(some, 5, seed) for seed in (0, 0, 1))

    assert (first[:10] == -1).all()
    assert (first[10:] >= 0).all()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_example_is_answered_by_the_head_of_its_fold(pool, folds, found):
    """Each by a head of patients in other folds alone: fitted anew, it says the same."""
    for number, head in enumerate(found.heads):
        tried = folds[pool.patient] == number
        used = head.roles.fit | head.roles.temper | head.roles.calibrate
        np.testing.assert_array_equal(used, folds != number)
        again = fit_head(pool, np.flatnonzero(folds != number), OPTIONS, OPTIONS.seed)
        answer = again.answer(pool.material, pool.examples.only(tried))
        np.testing.assert_array_equal(found.tried[0].probability[tried], answer.probability)
        np.testing.assert_array_equal(found.sets[tried], answer.sets)
        np.testing.assert_array_equal(found.is_abstaining[tried], answer.is_abstaining)
    np.testing.assert_array_equal(found.fold, folds[pool.patient])
    assert found.tried[0].name == HEAD


def test_patients_left_out_change_nothing_in_their_fold(rows, pool, folds, found, monkeypatch):
    """With the folds as they are: all known of fold 0 is changed, and its head stays bit for bit.

    The heads of the other folds, which learn from these patients, do not.
    """
    out = np.flatnonzero(folds == 0)
    changed = pool_for(altered(rows, {f"P{number:03d}" for number in out}))
    monkeypatch.setattr(crossfit, "BASELINES", {})

    other = cross_fit(changed, folds, OPTIONS)

    assert known_by(other.heads[0]) == known_by(found.heads[0])
    assert known_by(other.heads[1]) != known_by(found.heads[1])
    assert (changed.code[folds[pool.patient] == 0] != pool.code[folds[pool.patient] == 0]).any()


def test_outcomes_of_those_left_out_are_not_used(pool, folds, found):
    """With outcomes alone changed, all models say the same of them, and tried in the same way."""
    tried = folds[pool.patient] == 1
    changed = replace(pool, code=np.where(tried, (pool.code + 1) % 3, pool.code))

    other = cross_fit(changed, folds, OPTIONS)

    for one, two in zip(found.tried, other.tried, strict=True):
        for name in ("probability", "balanced", "label", "lifted"):
            np.testing.assert_array_equal(getattr(one, name)[tried], getattr(two, name)[tried])
    np.testing.assert_array_equal(found.sets[tried], other.sets[tried])
    np.testing.assert_array_equal(found.is_abstaining[tried], other.is_abstaining[tried])


def test_each_model_is_told_as_it_answered(pool, folds, found):
    """Probabilities, those of equally common classes, and both ways to name a class."""
    assert [one.name for one in found.tried] == [HEAD, *list(BASELINES)[:7]]
    for number, head in enumerate(found.heads):
        tried = folds[pool.patient] == number
        trial = Trial(pool, head.roles, tried, OPTIONS, head.model)
        for one in found.tried[1:]:
            answer = BASELINES[one.name](trial)
            np.testing.assert_array_equal(one.probability[tried], answer.probability)
            even = balanced(answer.probability, answer.share)
            np.testing.assert_array_equal(one.balanced[tried], even)
            np.testing.assert_array_equal(one.label[tried], answer.probability.argmax(axis=1))
            best = lifted(answer.probability, answer.share)
            named = one.label[tried] if answer.is_certain else best
            np.testing.assert_array_equal(one.lifted[tried], named)
            assert one.is_certain == answer.is_certain


def test_majority_ranks_nobody(pool, monkeypatch):
    """Its balanced rows are equal across folds of different shares."""
    rare = replace(pool, code=np.where(pool.patient % 7 == 0, 2, np.minimum(pool.code, 1)))
    monkeypatch.setattr(crossfit, "BASELINES", {"majority": BASELINES["majority"]})

    found = cross_fit(rare, draw_patient_folds(rare, 4, 0), OPTIONS)

    majority = next(one for one in found.tried if one.name == "majority")
    assert len(np.unique(majority.probability, axis=0)) > 1
    assert len(np.unique(majority.balanced, axis=0)) == 1


def test_no_sets_unless_every_fold_has_them(pool, folds, monkeypatch):
    """One fold without sets, and there are none."""
    fit, calls = crossfit.fit_head, []

    def without_second(*args):
        head = fit(*args)
        calls.append(head)
        return replace(head, sets=None) if len(calls) == 2 else head

    monkeypatch.setattr(crossfit, "fit_head", without_second)
    monkeypatch.setattr(crossfit, "BASELINES", {})

    assert cross_fit(pool, folds, OPTIONS).sets is None
    assert len(calls) == 3


def test_a_baseline_missing_in_one_fold_is_in_no_table(pool, folds, monkeypatch):
    """Half a baseline is none."""
    calls = []
    half = {
        "majority": BASELINES["majority"],
        "moody": lambda trial: (
            calls.append(1) or (BASELINES["majority"](trial) if calls[1:] else None)
        ),
    }
    monkeypatch.setattr(crossfit, "BASELINES", half)

    found = cross_fit(pool, folds, OPTIONS)

    assert [one.name for one in found.tried] == [HEAD, "majority"]
    assert len(calls) == 3


def test_progress_is_told_after_each_fold(pool, folds, monkeypatch):
    """Done and total."""
    monkeypatch.setattr(crossfit, "BASELINES", {})
    told = []

    cross_fit(pool, folds, OPTIONS, lambda done, total: told.append((done, total)))

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_one_outcome_outside_a_fold_is_refused(pool):
    """The only patients who differ are all left out at once."""
    few = replace(pool, code=np.where(pool.patient == 3, 0, 1))

    with pytest.raises(NotEnoughDataError, match="have one outcome: lower --folds"):
        cross_fit(few, draw_patient_folds(few, 3, 0), OPTIONS)
