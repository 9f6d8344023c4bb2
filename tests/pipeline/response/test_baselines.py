"""Each baseline against a slow reading of what it is, and which can be had where."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from learner_index.analysis.head import Part, fit_score_head
from learner_index.pipeline.response import baselines
from learner_index.pipeline.response.baselines import BASELINES, nearest_rows
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.targets import UNKNOWN
from tests.pipeline.response.fitting import (
    OPTIONS,
    altered,
    pool_for,
    rows_of,
    trial_of,
    with_outcomes,
)

FIT = range(40)
PREDICT = replace(OPTIONS, task="predict", at="every")


@pytest.fixture(scope="module")
def trial():
    return trial_of(pool_for(), FIT)


def slow_share(pool, fit=FIT):
    """Mean over patients of the share of each class among a patient's examples."""
    own = [pool.code[pool.patient == patient] for patient in fit]
    return np.mean([[np.mean(codes == c) for c in range(3)] for codes in own if len(codes)], axis=0)


def test_majority_knows_shares_alone(trial):
    """Every row is the share of each class among those fitted on, patients weighing the same."""
    some = replace(trial, pool=with_outcomes(trial.pool, trial.pool.patient % 4 == 0))

    found = BASELINES["majority"](some)

    assert len(np.unique(found.probability, axis=0)) == 1
    assert len(found.probability) == 40
    np.testing.assert_allclose(found.probability[0], slow_share(some.pool), atol=1e-9)
    np.testing.assert_allclose(found.share, slow_share(some.pool))
    assert not found.is_certain


def test_no_change_says_stable(trial):
    """Of a health change it is sure of the middle class, whoever is asked about."""
    found = BASELINES["no change"](trial)

    assert found.is_certain
    np.testing.assert_array_equal(found.probability.argmax(axis=1), 1)
    np.testing.assert_allclose(found.probability[:, [0, 2]], 1e-6, rtol=1e-5)


def test_no_change_of_a_column_says_the_value_at_the_start():
    """Where that is not written, the shares stand in; where it never is, there is no baseline."""
    rows = rows_of(seed=1)
    for row in rows:
        number, day = int(row["patient_id"][1:]), int(row["day"])
        row["stage"] = None if day == 0 and number == 45 else "abc"[(number + day) % 3]
    options = replace(OPTIONS, threshold=None, target="stage")
    trial = trial_of(pool_for(rows, options), FIT, options)

    found = BASELINES["no change"](trial)

    asked = trial.pool.examples.only(trial.tried)
    for row, (patient, day) in enumerate(zip(asked.patient, asked.columns["day"], strict=True)):
        if (patient, day) == (45, 0):
            np.testing.assert_allclose(found.probability[row], slow_share(trial.pool), atol=1e-6)
        else:
            assert found.probability[row].argmax() == (patient + int(day)) % 3
    never = replace(trial.pool, before=np.full_like(trial.pool.before, UNKNOWN))
    assert BASELINES["no change"](replace(trial, pool=never)) is None


def test_score_alone_is_given_the_score_at_the_start():
    """Nothing changes with embeddings, columns or later scores; without scores it is missing."""
    plain = rows_of()
    first = trial_of(pool_for(plain), FIT)
    changed = [{**row, "embedding": (9.0, row["day"], 1.0), "age": 1.0} for row in plain]
    second = trial_of(pool_for(changed), FIT)

    one, two = (BASELINES["score alone"](trial) for trial in (first, second))

    np.testing.assert_array_equal(one.probability, two.probability)
    rows = [row | {"stage": "ab"[int(row["patient_id"][1:]) % 2]} for row in plain]
    bare = [{**row, "health_score": np.nan} for row in rows]
    options = replace(OPTIONS, threshold=None, target="stage")
    trial = trial_of(pool_for(bare, options), FIT, options)
    assert BASELINES["score alone"](trial) is None
    assert BASELINES["single scans"](trial) is None


@pytest.mark.parametrize("options", [OPTIONS, PREDICT], ids=["detect", "predict"])
def test_single_scans_against_a_slow_reading(options):
    """Read-outs of halves of the patients, each for the other half; then one number's logistic."""
    trial = trial_of(pool_for(None, options), FIT, options)
    pool, visits = trial.pool, trial.pool.material.visits

    found = BASELINES["single scans"](trial)

    rng = np.random.default_rng([0, 2])
    names = rng.permutation(np.arange(40))
    states = pool.material.states(
        np.arange(len(visits)), trial.model.encoding.means_of(visits.views)
    )
    scores = []
    for half in (names[::2], names[1::2]):
        rows = rng.permutation(np.flatnonzero(np.isin(visits.patient, half)))
        tune = np.isin(visits.patient[rows], rng.permutation(half)[: len(half) // 4])
        learned = [
            Part(states[r], visits.score[r], visits.patient[r]) for r in (rows[~tune], rows[tune])
        ]
        scores.append(fit_score_head(*learned).scores(states))
    own = []
    for visit, patient in enumerate(visits.patient):
        by = (1,) if patient in names[::2] else (0,) if patient in names[1::2] else (0, 1)
        own.append(np.mean([scores[half][visit] for half in by]))
    own = np.array(own)
    number = own[pool.examples.earlier]
    if options.task == "detect":
        number = own[pool.examples.later] - number
    known = pool.of(trial.roles.fit)
    number = ((number - number[known].mean()) / number[known].std())[:, None]
    strength = head_kind("multinomial").strengths[-1]
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000)
    model.fit(number[known], pool.code[known], sample_weight=patient_weights(pool.patient[known]))
    wanted = model.predict_proba(number[trial.tried])
    np.testing.assert_allclose(found.probability, np.maximum(wanted, 1e-6), atol=2e-3)


def test_single_scans_learn_from_scores_of_patients_left_out(monkeypatch):
    """Scores of one half move what is predicted for the other half, and not their own."""
    seen = []
    by_number = baselines._by_number
    monkeypatch.setattr(
        baselines, "_by_number", lambda trial, x: (seen.append(x), by_number(trial, x))[1]
    )
    trial = trial_of(pool_for(), FIT)
    names = np.random.default_rng([0, 2]).permutation(np.arange(40))
    visits = trial.pool.material.visits
    first = np.isin(visits.patient, names[::2])
    score = np.where(first, 90 - visits.score * (1 + visits.patient % 3), visits.score)
    changed = replace(trial.pool.material, visits=replace(visits, score=score))

    for material in (trial.pool.material, changed):
        BASELINES["single scans"](replace(trial, pool=replace(trial.pool, material=material)))

    same = seen[0] == seen[1]
    is_first = np.isin(trial.pool.patient, names[::2])
    assert same[is_first].all()
    assert not same[~is_first].any()


def test_single_scans_survive_halves_without_patients_to_tune_on():
    """Also where chance puts all who would tune, or nobody who would, into one half."""
    for seed in range(6):
        options = replace(OPTIONS, seed=seed)
        trial = trial_of(pool_for(rows_of(8), options), range(5), options)

        found = BASELINES["single scans"](trial)

        assert found is None or np.isfinite(found.probability).all()


def test_nearest_vote_against_brute_force(trial):
    """The square root of the examples vote, beside one vote cast as all are on average."""
    encoding, pool = trial.model.encoding, trial.pool

    found = BASELINES["nearest vote"](trial)

    features = encoding.features(pool.material, pool.examples).astype(float)
    known = np.flatnonzero(pool.patient < 40)
    for row, answer in zip(np.flatnonzero(trial.tried), found.probability, strict=True):
        distance = [np.sum((features[row] - features[other]) ** 2) for other in known]
        near = known[np.argsort(distance, kind="stable")[:8]]  # of 80
        votes = [np.sum(pool.code[near] == c) for c in range(3)]
        np.testing.assert_allclose(answer, (votes + slow_share(pool)) / 9, atol=1e-9)


def test_five_vote_at_least_and_all_where_there_are_fewer():
    """Of 8 examples 5 vote; of 4 examples all do, and everybody gets one answer."""
    pool = pool_for()
    for patients, k in ((4, 5), (2, 4)):
        fit = [0, 1, 2, 3][:patients]
        trial = trial_of(with_outcomes(pool, pool.patient == 1), fit)

        found = BASELINES["nearest vote"](trial)

        votes = found.probability * (k + 1) - slow_share(trial.pool, fit)
        np.testing.assert_allclose(votes, np.round(votes), atol=1e-4)
        assert votes.sum(axis=1) == pytest.approx(k)


def test_nearest_vote_remembers_a_sample(trial, monkeypatch):
    """Beyond the cap as many vote as its root, drawn by the seed."""
    monkeypatch.setattr(baselines, "_REMEMBERED", 36)
    asked = []
    rows = baselines.nearest_rows
    monkeypatch.setattr(
        baselines, "nearest_rows", lambda m, a, k: (asked.append((len(m), k)), rows(m, a, k))[1]
    )

    first, again = (BASELINES["nearest vote"](trial) for _ in range(2))

    assert asked == [(36, 6), (36, 6)]
    np.testing.assert_array_equal(first.probability, again.probability)


@pytest.mark.parametrize("block", [4096, 7])
def test_nearest_rows_are_those_of_a_sort(monkeypatch, block):
    """Nearest first, equal distances by row, however many are asked about at a time."""
    monkeypatch.setattr(baselines, "_BLOCK", block)
    rng = np.random.default_rng(0)
    memory, asked = rng.integers(0, 4, (30, 2)) * 1.0, rng.integers(0, 4, (20, 2)) * 1.0

    found = nearest_rows(memory, asked, 30)

    for row, near in zip(asked, found, strict=True):
        distance = np.sum((memory - row) ** 2, axis=1)
        np.testing.assert_array_equal(near, np.argsort(distance, kind="stable"))


def test_equally_near_rows_are_taken_by_row():
    """Also where more are as near as may vote."""
    memory = np.array([[5.0], [1.0], [1.0], [1.0], [1.0], [0.0]])

    found = nearest_rows(memory, np.zeros((1, 1)), 3)

    np.testing.assert_array_equal(found, [[5, 1, 2]])


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"clinical": ()}, set()),
        ({}, {"clinical", "clinical + embedding"}),
        ({"with_clinical": True}, {"clinical", "embedding"}),
    ],
)
def test_which_clinical_baselines_there_are(asked, wanted):
    """The head's own features are no baseline: the other choice is."""
    options = replace(OPTIONS, **asked)
    trial = trial_of(pool_for(None, options), FIT, options)

    names = ("clinical", "clinical + embedding", "embedding")
    assert {name for name in names if BASELINES[name](trial) is not None} == wanted


def test_clinical_baselines_are_given_what_they_are_called():
    """Clinical columns alone do not move with embeddings; the embedding not with columns."""
    rows = rows_of()
    moved = [{**row, "embedding": tuple(np.array(row["embedding"]) ** 2)} for row in rows]
    aged = [
        {**row, "age": row["age"] ** 2, "site": "XYZ"[int(row["patient_id"][1:]) % 3]}
        for row in rows
    ]
    options = replace(OPTIONS, with_clinical=True)
    plain, by_scan, by_column = (
        trial_of(pool_for(some, options), FIT, options) for some in (rows, moved, aged)
    )
    both = [replace(one, options=OPTIONS) for one in (plain, by_scan, by_column)]

    def same(name, first, second):
        return np.array_equal(*(BASELINES[name](t).probability for t in (first, second)))

    assert same("clinical", plain, by_scan)
    assert not same("clinical", plain, by_column)
    assert same("embedding", plain, by_column)
    assert not same("embedding", plain, by_scan)
    assert not same("clinical + embedding", *both[:2])
    assert not same("clinical + embedding", both[0], both[2])


def test_columns_that_do_not_vary_make_no_baseline():
    """Absent, not a baseline that knows nothing."""
    rows = [{**row, "age": 50.0, "site": "X"} for row in rows_of()]

    trial = trial_of(pool_for(rows), FIT)

    assert BASELINES["clinical"](trial) is None


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("options", [OPTIONS, PREDICT], ids=["detect", "predict"])
def test_no_baseline_learns_from_those_left_out(name, options):
    """Of patients neither fitted on nor tried, all is changed: answers for others stay."""
    rows = rows_of()
    changed = altered(rows, {f"P{number:03d}" for number in range(50, 60)})
    options = replace(options, with_clinical=name == "embedding")
    trials = [trial_of(pool_for(some, options), FIT, options) for some in (rows, changed)]

    asked = np.isin(trials[0].pool.patient, range(40, 50))
    first, second = (BASELINES[name](replace(trial, tried=asked)) for trial in trials)

    np.testing.assert_array_equal(first.probability, second.probability)
    np.testing.assert_array_equal(first.share, second.share)


@pytest.mark.parametrize("name", BASELINES)
def test_every_answer_is_a_distribution(trial, name):
    """Above 0, rows sum to 1, a row for each example tried."""
    options = replace(OPTIONS, with_clinical=name == "embedding")

    found = BASELINES[name](replace(trial, options=options))

    assert found.probability.shape == (40, 3)
    assert (found.probability > 0).all()
    np.testing.assert_allclose(found.probability.sum(axis=1), 1.0)
