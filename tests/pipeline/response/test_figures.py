"""What is measured of models on patients left out, against measures taken one at a time."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from learner_index.analysis.resample import draw_weights, interval
from learner_index.pipeline.response import figures
from learner_index.pipeline.response.crossfit import HEAD
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.figures import (
    COMPARED,
    MEASURES,
    Figure,
    figures_dict,
    is_better,
    predicted,
    take_figures,
)
from tests.pipeline.response.fitting import crossfit_of, pool_for, rows_of, tried_of

DRAWS, SEED = 60, 4


@pytest.fixture(scope="module")
def pool():
    rows = [row for row in rows_of(45) if row["day"] < 2 or row["patient_id"] < "P020"]
    for row in rows:
        number = int(row["patient_id"][1:])
        row["view"] = "L1" if number % 3 else "R1"
        row["site"] = None if number in (1, 2) else "XYZ"[number % 2 + (number > 41)]
    return pool_for(rows)


@pytest.fixture(scope="module")
def found(pool):
    models = [tried_of(HEAD, pool, 0, 1.0), tried_of("weak", pool, 1, 0.0)]
    models += [tried_of("strong", pool, 2, 3.0), tried_of("sure", pool, 3, is_certain=True)]
    return crossfit_of(pool, models)


def take(pool, found, measured=None, is_seen=None, n_draws=DRAWS):
    measured = np.ones(len(pool.code), bool) if measured is None else measured
    is_seen = np.zeros(len(pool.material.patients), bool) if is_seen is None else is_seen
    return take_figures(pool, found, measured, is_seen, n_draws=n_draws, seed=SEED)


@pytest.fixture(scope="module")
def taken(pool, found):
    return take(pool, found)


def slow(name, pool, one, rows=slice(None), times=None):
    """A measure by scikit-learn; `times` is how often each patient counts."""
    weight = patient_weights(pool.patient[rows])
    if times is not None:
        weight = weight * times[pool.patient[rows]]
    used, code = weight > 0, pool.code[rows]
    code, weight = code[used], weight[used]
    chance, even = one.probability[rows][used], one.balanced[rows][used]
    labels = range(len(pool.classes))
    if name == "nll":
        return log_loss(code, chance, sample_weight=weight, labels=labels)
    if name == "accuracy":
        return accuracy_score(code, one.label[rows][used], sample_weight=weight)
    if name == "macro_f1":
        lifted = one.lifted[rows][used]
        return f1_score(code, lifted, average="macro", sample_weight=weight, zero_division=0)
    return np.mean([roc_auc_score(code == c, even[:, c], sample_weight=weight) for c in labels])


@pytest.mark.parametrize("name", ["nll", "auroc", "macro_f1", "accuracy"])
def test_values_and_intervals_against_scikit_learn(pool, found, taken, name):
    """AUROC and macro-F1 as if classes were equally common, others as they are, in every draw."""
    one = found.tried[0]
    draws = draw_weights(45, DRAWS, SEED)

    figure = taken.models[HEAD][name]

    half = 1.96 * np.std([slow(name, pool, one, times=times) for times in draws])
    assert figure.value == pytest.approx(slow(name, pool, one), abs=1e-9)
    ends = (figure.value - half, figure.value + half)
    assert (figure.low, figure.high) == pytest.approx(ends, abs=1e-9)


def test_many_draws_give_percentiles(pool, found):
    """From 1,000 draws on."""
    right = found.tried[0].label == pool.code
    own = np.array([right[pool.patient == patient].mean() for patient in range(45)])

    figure = take(pool, found, n_draws=1000).models[HEAD]["accuracy"]

    wanted = interval(draw_weights(45, 1000, SEED) @ own / 45)
    assert (figure.low, figure.high) == pytest.approx((wanted.low, wanted.high))


def test_gains_are_of_the_same_draws(pool, found, taken):
    """Head minus baseline in each draw, so a model against itself gains exactly nothing."""
    draws = draw_weights(45, DRAWS, SEED)
    head, weak = found.tried[:2]
    drawn = [slow("nll", pool, head, times=t) - slow("nll", pool, weak, times=t) for t in draws]

    gain = taken.gains["weak"]["nll"]
    twin = take(pool, crossfit_of(pool, [head, replace(head, name="twin")]))

    half = 1.96 * np.std(drawn)
    assert (gain.low, gain.high) == pytest.approx((gain.value - half, gain.value + half), abs=1e-9)
    assert gain.value == pytest.approx(
        taken.models[HEAD]["nll"].value - taken.models["weak"]["nll"].value
    )
    assert set(twin.gains["twin"].values()) == {Figure(0.0, 0.0, 0.0)}
    assert HEAD not in taken.gains


def test_which_gains_are_for_the_better(taken):
    """Less log loss, more of the others; an interval that holds or touches 0 says nothing."""
    assert [is_better(name, taken.gains["weak"][name]) for name in COMPARED] == [True] * 3
    assert [is_better(name, taken.gains["strong"][name]) for name in COMPARED] == [False] * 3
    assert is_better("nll", Figure(-0.1, -0.2, 0.0)) is None
    assert is_better("auroc", Figure(0.1, 0.0, 0.2)) is None
    assert is_better("auroc", Figure(0.1)) is None


def test_a_model_that_is_certain_has_no_figures_of_probability(taken):
    """It names classes; what asks for probabilities is absent, not 0."""
    assert set(taken.models["sure"]) == {"macro_f1", "balanced_accuracy", "accuracy", "qwk"}
    assert set(taken.gains["sure"]) == {"macro_f1"}
    assert tuple(taken.models[HEAD]) == MEASURES


def test_classes_without_an_order_have_no_ordinal_figures(pool, found):
    """Neither ranked probability score nor quadratic kappa."""
    taken = take(replace(pool, is_ordinal=False), found)

    assert set(MEASURES) - set(taken.models[HEAD]) == {"rps", "qwk"}


def test_sets_and_silence_against_loops(pool, found, taken):
    """Means over patients: coverage, also by class, size, abstaining, and how often it is right."""
    patients = np.unique(pool.patient)
    rows = [np.flatnonzero(pool.patient == patient) for patient in patients]
    held = found.sets[np.arange(len(pool.code)), pool.code]
    silent, right = found.is_abstaining, found.tried[0].label == pool.code

    def mean(values):
        return np.mean([np.mean(values[own]) for own in rows])

    wanted = {
        "abstaining": mean(silent),
        "coverage": mean(held),
        "set_size": mean(found.sets.sum(axis=1)),
        "accuracy_answered": mean(right & ~silent) / mean(~silent),
    }
    for number, name in enumerate(pool.classes):
        own = pool.code == number
        weight = 1 / np.bincount(pool.patient)[pool.patient]
        wanted[f"coverage: {name}"] = [
            np.average(held[own], weights=weight[own]),
            np.mean([np.mean(held[r][own[r]]) for r in rows if own[r].any()]),
        ]
    assert set(taken.sets) == set(wanted)
    for name, value in wanted.items():
        near = np.abs(np.array(value) - taken.sets[name].value).min()
        assert near < 1e-9, name
    assert taken.sets["coverage"].low < taken.sets["coverage"].value < taken.sets["coverage"].high


def test_without_sets_and_answers(pool, found):
    """No coverage without sets, and no accuracy of answers where none is given."""
    silent = replace(found, sets=None, is_abstaining=np.ones(len(pool.code), bool))

    taken = take(pool, silent)

    assert set(taken.sets) == {"abstaining"}
    assert taken.sets["abstaining"].value == 1.0
    assert all("coverage" not in group.figures for group in taken.groups)


def test_parts_of_the_cohort(pool, found, taken):
    """By site, view and treatment with five patients or more; each is measured by itself."""
    names = [(group.column, group.value) for group in taken.groups]
    wanted = [("site", "X"), ("site", "Y"), ("view", "L1"), ("view", "R1")]

    assert names == [*wanted, ("treatment", "A"), ("treatment", "B")]
    for group in taken.groups:
        own = (pool.examples.columns[group.column] == group.value).to_numpy(bool, na_value=False)
        alone = take(pool, found, measured=own)
        assert group.n_examples == own.sum() == alone.n_examples
        assert group.n_patients == len(np.unique(pool.patient[own])) == alone.n_patients
        for name in ("auroc", "nll", "accuracy"):
            assert group.figures[name] == alone.models[HEAD][name]
        assert group.figures["coverage"] == alone.sets["coverage"]


def test_a_column_with_one_value_makes_no_parts(pool, found):
    """Nor does one that is not there."""
    columns = pool.examples.columns.assign(site="X").drop(columns="view")
    alike = replace(pool, examples=replace(pool.examples, columns=columns))

    assert {group.column for group in take(alike, found).groups} == {"treatment"}


def test_a_missing_value_is_a_part_of_its_own(pool, found):
    """Called (none)."""
    columns = pool.examples.columns.copy()
    columns.loc[pool.patient < 20, "site"] = None
    some = replace(pool, examples=replace(pool.examples, columns=columns))

    assert "(none)" in [group.value for group in take(some, found).groups]


def test_measures_some_examples_alone(pool, found):
    """Others' outcomes and answers do not count; patients seen are counted among those measured."""
    measured, is_seen = pool.patient % 2 == 0, np.arange(45) < 10
    other = replace(pool, code=np.where(measured, pool.code, 0))

    one, two = (take(each, found, measured, is_seen) for each in (pool, other))

    assert one.models == two.models
    assert (one.n_patients, one.n_examples, one.n_seen) == (23, measured.sum(), 5)
    assert one.models[HEAD]["nll"].value == pytest.approx(
        slow("nll", pool, found.tried[0], np.flatnonzero(measured))
    )


def test_draws_are_fewer_where_examples_are_many(pool, found, monkeypatch):
    """As many as the cells pay for, never fewer than the least; the number is told."""
    n = len(pool.code)
    monkeypatch.setattr(figures, "_FEWEST_DRAWS", 10)
    monkeypatch.setattr(figures, "_CELLS", 30 * n)
    some = take(pool, found)
    monkeypatch.setattr(figures, "_CELLS", n)

    assert (some.n_draws, take(pool, found).n_draws) == (30, 10)
    assert take(pool, found, n_draws=5).n_draws == 5


def test_nothing_in_the_dictionary_is_unknown_to_json(pool, found):
    """A class that nobody measured has makes no NaN."""
    one = replace(pool, classes=("a", "b", "c"), code=np.minimum(pool.code, 1))

    text = json.dumps(figures_dict(take(one, found)), allow_nan=False)

    read = json.loads(text)
    assert read["sets"]["coverage: c"] == {"value": None, "low": None, "high": None}
    assert read["n_draws"] == DRAWS
    assert read["groups"][0]["column"] == "site"


def test_a_value_without_enough_draws_has_no_interval():
    """NaN is no number: the value may be known where its interval is not."""
    assert Figure.of(np.nan, np.ones(5)) == Figure(None)
    assert Figure.of(0.5, np.array([np.nan, np.nan, np.nan, 0.5])) == Figure(0.5)
    some = Figure.of(0.5, np.array([np.nan, 0.4, 0.6]))
    assert (some.low, some.high) == pytest.approx((0.304, 0.696))


def test_a_record_of_predictions_numbers_patients_anew(pool, found):
    """From 0 without gaps, with balanced probabilities and lifted classes where asked."""
    rows = np.flatnonzero(pool.patient > 30)

    plain, even = (predicted(pool, found.tried[0], rows, is_balanced=b) for b in (False, True))

    assert plain.patient.max() == 13
    np.testing.assert_array_equal(plain.label, found.tried[0].label[rows])
    np.testing.assert_array_equal(even.label, found.tried[0].lifted[rows])
    np.testing.assert_array_equal(even.probability, found.tried[0].balanced[rows])
    np.testing.assert_array_equal(plain.true, pool.code[rows])
