"""A column that tells the outcome is found, however it is written; honest ones are not."""

import math

import numpy as np
import pytest

from learner_index.pipeline.response.leaks import Leak, find_leaks
from tests.pipeline.response.response_toy import pool_of, scan, trial_rows

IS_WORSE = ("worse", "better")


def trial(patients=40, seed=0, n_visits=2, **columns):
    """Patients with an outcome by turns; each column is a function of who, and whether better."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        is_better = bool(number % 2)
        own = {name: of(number, is_better, rng) for name, of in columns.items()}
        for day in range(n_visits):
            row = scan(f"P{number}", float(day), *rng.standard_normal(2))
            rows.append(row | {"outcome": IS_WORSE[is_better]} | own)
    return rows


def told(rows, **options):
    """Names of columns reported, in order."""
    options = {"target": "outcome", **options}
    pool = pool_of(rows, **options)
    return [leak.column for leak in find_leaks(pool, options["target"])]


TWINS = {
    "text": lambda n, better, rng: "alive" if better else "dead",
    "flag": lambda n, better, rng: better,
    "several texts": lambda n, better, rng: f"{'home' if better else 'icu'} {n % 3}",
    "number": lambda n, better, rng: float(better),
    "number turned": lambda n, better, rng: 5.0 - float(better),
    "noisy number": lambda n, better, rng: 3.3 * better + rng.standard_normal(),
    "missing text": lambda n, better, rng: "sepsis" if better else None,
    "missing number": lambda n, better, rng: rng.random() if better else math.nan,
}


@pytest.mark.parametrize("kind", TWINS)
def test_a_twin_is_reported(kind):
    """Text, flag or number, either way, noisy, or by being there at all."""
    assert told(trial(twin=TWINS[kind])) == ["twin"]


HONEST = {
    "number": lambda n, better, rng: 1.2 * better + rng.standard_normal(),
    "flag": lambda n, better, rng: bool(rng.random() < (0.8 if better else 0.2)),
    "name": lambda n, better, rng: f"name {n}",
    "twenty names": lambda n, better, rng: f"name {n // 2}",
    "chance": lambda n, better, rng: rng.random(),
    "one value": lambda n, better, rng: "same",
    "nothing": lambda n, better, rng: math.nan,
}


@pytest.mark.parametrize("kind", HONEST)
def test_honest_columns_are_not_reported(kind):
    """What helps to tell (AUROC .8), names of patients, chance, and what does not vary."""
    assert told(trial(80 if kind == "number" else 40, column=HONEST[kind])) == []


def test_many_texts_may_tell():
    """Codes that several patients share, each of one outcome, are a twin like any other."""
    rows = trial(130, code=lambda n, better, rng: f"{better} {n // 2 % 13}")

    assert told(rows) == ["code"]


def test_what_is_said():
    """Name, how well it tells, and what to do."""
    found = find_leaks(pool_of(trial(twin=TWINS["flag"]), target="outcome"), "outcome")

    assert found == (Leak("twin", 1.0, is_number=False),)
    assert str(found[0]) == (
        "column 'twin' tells the outcome by itself (balanced accuracy 1.00): was it known when "
        "the question is asked? If not, drop it from the manifest"
    )
    number = find_leaks(pool_of(trial(twin=TWINS["number"]), target="outcome"), "outcome")
    assert "(AUROC 1.00)" in str(number[0])


def test_the_outcome_itself_is_passed_over():
    """By its own name; under another one it is a twin."""
    pool = pool_of(trial(), target="outcome")

    assert find_leaks(pool, "outcome") == ()
    assert [leak.column for leak in find_leaks(pool, None)] == ["outcome"]


def test_auroc_is_that_of_a_loop():
    """Pairs of a better and a worse one in the right order, patients weighing the same."""
    rows = trial(14, n_visits=2, level=lambda n, better, rng: float(n + 10 * better))
    rows += [{**row, "day": 7.0 + day, "level": 12.5} for row in rows[:1] for day in range(6)]
    pool = pool_of(rows, target="outcome", task="predict", at="every")
    values = pool.examples.columns["level"].to_numpy()
    own = {code: np.count_nonzero(pool.patient == code) for code in pool.patient.tolist()}

    found = find_leaks(pool, "outcome")

    right = total = 0.0
    for i in np.flatnonzero(pool.code == 0):
        for j in np.flatnonzero(pool.code == 1):
            weight = 1 / own[pool.patient[i]] / own[pool.patient[j]]
            right += weight * ((values[i] < values[j]) + 0.5 * (values[i] == values[j]))
            total += weight
    area = max(right, total - right) / total
    assert [leak.column for leak in found] == ["level"]
    assert found[0].found == pytest.approx(area)


@pytest.mark.parametrize("order", ["by turns", "in two blocks", "in fours"])
def test_a_twin_is_found_in_any_order_of_patients(order):
    """Patients listed by outcome, or a case beside each control, hide nothing."""
    rows = trial(24, twin=TWINS["flag"])
    of = {
        "by turns": lambda n: n,
        "in two blocks": lambda n: (n % 2, n),
        "in fours": lambda n: (n // 8, n % 2, n),
    }[order]

    rows.sort(key=lambda row: of(int(row["patient_id"][1:])))

    assert told(rows) == ["twin"]


@pytest.mark.parametrize(
    "tells",
    [lambda n: n % 3 == 2, lambda n: float(n % 3 == 2), lambda n: -float(n % 3 == 2)],
    ids=["flag", "number", "number turned"],
)
def test_one_class_of_three(tells):
    """It is enough to tell one class from the rest."""
    assert told(trial_rows(30, twin=tells), target=None, threshold=5.0) == ["twin"]


def test_few_patients_are_not_judged():
    """With five of a class chance would make twins; with six it hardly does."""
    assert told(trial(10, twin=TWINS["number"], other=TWINS["flag"])) == []
    assert told(trial(12, twin=TWINS["number"], other=TWINS["flag"])) == ["twin", "other"]


def test_visits_do_not_stand_in_for_patients():
    """Five patients with many visits are five."""
    assert told(trial(10, n_visits=9, twin=TWINS["number"]), transitions="all") == []


@pytest.mark.parametrize("patients", [12, 20])
def test_chance_is_hardly_ever_reported(patients):
    """Of random columns with one value a patient, fewer than one in a hundred."""
    columns = {
        "number": lambda n, better, rng: rng.random(),
        "flag": lambda n, better, rng: bool(rng.integers(2)),
        "text": lambda n, better, rng: "abcdef"[rng.integers(6)],
        "gaps": lambda n, better, rng: rng.random() if rng.random() < 0.5 else math.nan,
        "grade": lambda n, better, rng: float(rng.integers(4)),
    }

    n_found = sum(len(told(trial(patients, seed, **columns))) for seed in range(40))

    assert n_found < 0.01 * 40 * len(columns)
