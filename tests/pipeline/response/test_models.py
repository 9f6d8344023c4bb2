"""One model: how its strength is chosen, and what class weights, temperature and floor do to it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from learner_index.analysis.softmax import softmax
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response import models
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.models import (
    above_floor,
    balanced,
    fit_model,
    lifted,
    likeliest,
)
from tests.pipeline.response.fitting import (
    OPTIONS,
    parts,
    pool_for,
    recorded,
    rows_of,
    with_outcomes,
)

BLOCKS = ("delta", "start")


@pytest.fixture(scope="module")
def pool():
    return pool_for()


def shares(lesson, strength):
    """A head that answers every row alike: class shares, drawn to equal ones by the strength."""
    found = np.bincount(lesson.target, lesson.weight, lesson.n_classes) / lesson.weight.sum()
    logits = np.log(np.maximum(found + strength, 1e-9))
    return SimpleNamespace(logits=lambda features: np.tile(logits, (len(features), 1)))


def fitted(pool, kind, fit=range(40), temper=(), seed=0, **asked):
    return fit_model(pool, parts(pool, fit, temper), kind, BLOCKS, seed=seed, **asked)


def test_the_strength_is_the_best_on_patients_left_out(pool):
    """Four quarters of the patients are left out in turn; log losses, patients alike, add up."""
    kind, lessons = recorded(shares, strengths=(0.05, 0.2, 3.0))
    rare = with_outcomes(pool, pool.patient % 5 > 0, shift=0)
    rare = replace(rare, code=np.where(pool.patient % 7 == 0, 2, np.minimum(rare.code, 1)))

    model = fitted(rare, kind, fit=range(23))

    rows = np.flatnonzero(rare.patient < 23)
    names = np.random.default_rng([0, 1]).permutation(23)
    losses = np.zeros(3)
    for fold in range(4):
        tune = np.isin(rare.patient[rows], names[fold::4])
        for number, strength in enumerate(kind.strengths):
            share = np.array(
                [
                    np.average(
                        rare.code[rows[~tune]] == c,
                        weights=patient_weights(rare.patient[rows[~tune]]),
                    )
                    for c in range(3)
                ]
            )
            chance = softmax(np.log(share + strength)[None])[0]
            loss = 0.0
            for patient in names[fold::4]:
                own = rare.code[rows[rare.patient[rows] == patient]]
                loss += np.mean([-np.log(chance[c]) for c in own]) / len(names[fold::4])
            losses[number] += loss
    assert model.strength == kind.strengths[int(np.argmin(losses))]
    assert model.strength != 3.0
    assert [len(lesson.target) for lesson, _ in lessons[-1:]] == [len(rows)]
    assert len(lessons) == 4 * 3 + 1


@pytest.mark.parametrize("best", [0.1, 1.0, 10.0])
def test_any_strength_can_be_chosen(pool, best):
    """The head of the last fit has the one that predicts best."""
    kind, lessons = recorded(lambda lesson, s: shares(lesson, 0.0 if s == best else 50.0))
    some = replace(pool, code=np.where(pool.patient % 9 == 0, 0, 1))

    assert fitted(some, kind).strength == best
    assert lessons[-1][1] == best


def test_the_strength_suits_patients_not_examples():
    """15 patients with two examples each are fewer than 20 with one each."""
    rows = [row for row in rows_of(35) if row["day"] < 2 or int(row["patient_id"][1:]) < 15]
    uneven = pool_for(rows)
    uneven = replace(uneven, code=(uneven.patient >= 15).astype(np.int64))

    def partial_to(lesson, strength):
        logits = np.array([strength < 1, strength > 1, -9.0])
        return SimpleNamespace(logits=lambda features: np.tile(logits, (len(features), 1)))

    kind, _ = recorded(partial_to, strengths=(0.5, 2.0))

    assert fitted(uneven, kind, fit=range(35)).strength == 2.0


def test_many_examples_are_tried_on_one_quarter_of_a_sample(pool, monkeypatch):
    """Beyond `_MANY` examples one quarter is left out, beyond `_CAP` a share of the patients is."""
    kind, lessons = recorded(shares)

    monkeypatch.setattr(models, "_MANY", 50)
    fitted(pool, kind)
    once = [len(lesson.target) for lesson, _ in lessons]
    lessons.clear()
    monkeypatch.setattr(models, "_CAP", 40)
    fitted(pool, kind)

    assert once == [60, 60, 60, 80]
    assert [len(lesson.target) for lesson, _ in lessons] == [30, 30, 30, 80]


def test_every_lesson_weighs_its_patients_alike(pool):
    """Weights add up to the rows, also of a part, whatever visits the patients have."""
    kind, lessons = recorded(shares)
    rows = [row for row in rows_of() if row["day"] < 2 or row["patient_id"] < "P020"]

    fitted(pool_for(rows), kind)

    for lesson, _ in lessons:
        assert lesson.weight.sum() == pytest.approx(len(lesson.weight))
    assert len(np.unique(lessons[-1][0].weight.round(9))) == 2


def test_balanced_classes_weigh_the_same_and_are_turned_back(pool):
    """Half of the weight is each of two classes'; probabilities are as common as in training."""
    rare = replace(pool, code=np.where(pool.patient % 6 == 0, 0, 1), classes=("a", "b"))
    kind, lessons = recorded(shares, strengths=(0.0,))
    logistic = head_kind("multinomial")

    flat = fitted(rare, kind, class_weight="balanced")
    even, plain = (fitted(rare, logistic, class_weight=how) for how in ("balanced", "none"))

    lesson = lessons[-1][0]
    sums = np.bincount(lesson.target, lesson.weight)
    np.testing.assert_allclose(sums, len(lesson.target) / 2)
    share = flat.share
    assert share[0] == pytest.approx(7 / 40)
    np.testing.assert_allclose(flat.probability_of(np.zeros((1, 6), np.float32))[0], share)
    used = rare.examples.only(rare.patient < 40)
    for model, error in ((plain, 0.01), (even, 0.08)):
        mean = model.probability(rare.material, used).mean(axis=0)
        np.testing.assert_allclose(mean, share, atol=error)
    untouched = even.head.logits(even.encoding.features(rare.material, used))
    assert abs(softmax(untouched)[:, 0].mean() - share[0]) > 0.15


def test_a_class_nobody_has_keeps_the_floor(pool):
    """Balanced or not: its probability is the floor, no number is lost, and its share is 0."""
    some = replace(pool, code=np.minimum(pool.code, 1))
    for how in ("none", "balanced"):
        model = fitted(some, head_kind("multinomial"), class_weight=how)

        chance = model.probability(some.material, some.examples)

        np.testing.assert_allclose(chance[:, 2], 1e-6, rtol=1e-3)
        np.testing.assert_allclose(chance.sum(axis=1), 1.0)
        assert model.share[2] == 0.0
        np.testing.assert_array_equal(balanced(chance, model.share)[:, 2], 0.0)


def test_the_temperature_is_of_its_own_patients(pool):
    """It changes with their outcomes and divides the logits; with nobody it stays 1."""
    kind = head_kind("multinomial")
    temper = range(40, 55)

    first = fitted(pool, kind, temper=temper)
    wrong = fitted(with_outcomes(pool, np.isin(pool.patient, range(40, 48))), kind, temper=temper)
    none = fitted(pool, kind)

    assert first.temperature.n_patients == 15
    assert wrong.temperature.value > first.temperature.value
    assert (none.temperature.value, none.temperature.n_patients) == (1.0, 0)
    np.testing.assert_array_equal(
        first.head.arrays()["coefficient"], none.head.arrays()["coefficient"]
    )
    features = none.encoding.features(pool.material, pool.examples)
    np.testing.assert_allclose(
        wrong.probability_of(features),
        above_floor(softmax(none.logits(features) / wrong.temperature.value)),
    )


def test_one_outcome_among_those_fitted_on_is_refused(pool):
    """In one line with how many patients there are."""
    alike = replace(pool, code=np.where(pool.patient < 40, 1, pool.code))

    with pytest.raises(NotEnoughDataError, match="the 40 patients to learn from have one outcome"):
        fitted(alike, head_kind("multinomial"))


def test_an_antisymmetric_head_has_a_share_that_reads_both_ways(pool):
    """Worsened and improved are as common in the prior, or swapping visits would not swap them."""
    some = replace(pool, code=np.where(pool.patient % 5 == 0, 2, pool.code))
    kind = head_kind("antisymmetric")

    model = fit_model(
        some, parts(some, range(40)), kind, ("delta", "middle"), class_weight="balanced", seed=0
    )

    assert model.share[0] == model.share[2]
    assert model.prior[0] == model.prior[2]
    assert model.share.sum() == pytest.approx(1.0)


def test_shares_of_classes_weigh_patients_alike(pool):
    """A loop over patients gives the same."""
    rows = pool.patient % 4 > 0
    rows[::5] = False

    found = pool.share(rows)

    means = []
    for patient in np.unique(pool.patient[rows]):
        own = pool.code[rows & (pool.patient == patient)]
        means.append([np.mean(own == c) for c in range(3)])
    np.testing.assert_allclose(found, np.mean(means, axis=0))


def test_balanced_and_lifted_against_loops():
    """Probability over share, rows adding up to 1; the class likeliest beside its share."""
    rng = np.random.default_rng(0)
    probability, share = rng.dirichlet([1, 1, 1], 50), np.array([0.7, 0.2, 0.1])

    found, label = balanced(probability, share), lifted(probability, share)

    for row, even, best in zip(probability, found, label, strict=True):
        lift = [p / s for p, s in zip(row, share, strict=True)]
        np.testing.assert_allclose(even, np.array(lift) / sum(lift), atol=1e-11)
        assert best == max(range(3), key=lambda c: lift[c])
    assert (lifted(probability, share) != likeliest(probability)).any()


def test_equal_lifts_go_to_the_commonest_class():
    """Shares themselves lift nothing; neither does an error as small as a solver's."""
    share = np.array([0.2, 0.5, 0.3])
    rows = share + np.array([[0, 0, 0], [3e-6, -6e-6, 3e-6], [0.01, -0.02, 0.01]])

    np.testing.assert_array_equal(lifted(rows, share), [1, 1, 0])


def test_balanced_rows_that_are_alike_are_equal():
    """Shares of different folds become one and the same row: rounding ranks nobody."""
    rng = np.random.default_rng(1)
    found = [balanced(above_floor(share[None]), share) for share in rng.dirichlet([3, 2, 1], 40)]

    assert len(np.unique(np.concatenate(found), axis=0)) == 1


def test_no_probability_is_below_the_floor():
    """Rows still sum to 1, and what was above keeps its order."""
    found = above_floor(np.array([[1.0, 0.0, 0.0], [0.5, 0.5 - 1e-9, 1e-9]]))

    assert found.min() == pytest.approx(1e-6, rel=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_columns_are_given_only_where_asked(pool):
    """Clinical columns belong to the encoding when the block is named."""
    kind = head_kind("multinomial")

    with_them = fitted(pool, kind, clinical=OPTIONS.clinical)
    model = fit_model(
        pool, parts(pool, range(40)), kind, [*BLOCKS, "clinical"], clinical=OPTIONS.clinical, seed=0
    )

    assert with_them.encoding.columns == ()
    assert model.encoding.columns == ("age", "site")
