"""What could be known at best of simulated changes: probabilities given the true states.

Each is taken by Monte Carlo through the simulators' own courses and score models, so no head that
sees states through an encoder can be better on average. The observed health score at the start is
not among what is given: a baseline that is told it may be better.
"""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from learner_index.analysis.change import health_changes
from learner_index.data.simulate import brain_course, lus_course
from learner_index.data.simulate.lus_course import severity
from learner_index.data.simulate.mmse import measure_mmse
from learner_index.data.simulate.sf_ratio import measure_oxygenation
from learner_index.pipeline.response.models import Pool
from tests.pipeline.progression.planted import Planted

Floats = NDArray[np.float64]

DRAWS = 2000
_MONTH_DAYS = 365.25 / 12
_OFFSET_SD = 0.15  # of the S/F ratio's own offset of each patient, as `planted.Plan` has it


def lus_oracle(pool: Pool, planted: Planted, theta: float, seed: int, n: int = DRAWS) -> Floats:
    """(t, 3) of each health change, given the true lung states and, to predict, the arm."""
    rng, by_patient = np.random.default_rng(seed), _by_patient(planted)
    found = []
    for patient, place, later in _places(pool):
        course = by_patient[patient]
        state = course[["e", "c"]].to_numpy(float)
        start, weight = state[place], np.ones(n)
        if later is None:
            end, weight = _next_states(state[: place + 1], str(course["arm"].iloc[0]), rng, n)
        else:
            end = np.tile(state[later], (n, 1))
        both = np.stack([np.tile(start, (n, 1)), end], axis=1)  # (n, 2 visits, 2)
        s = np.clip(severity(both[..., 0], both[..., 1]), 0.0, 1.0)
        offset = _OFFSET_SD * rng.standard_normal((n, 1))
        score = measure_oxygenation(s, offset, rng).sf
        found.append(_shares(score[:, 1] - score[:, 0], theta, weight))
    return np.array(found)


def brain_oracle(pool: Pool, planted: Planted, theta: float, seed: int, n: int = DRAWS) -> Floats:
    """(t, 3) of each health change, given true disease ages and, to predict, the visits so far.

    Disease age moves all states and the MMSE; the states show it less what shifts them, so this
    oracle knows a little more than the states.
    """
    rng, by_patient = np.random.default_rng(seed), _by_patient(planted)
    found = []
    for patient, place, later in _places(pool):
        course = by_patient[patient]
        psi, day = course["psi"].to_numpy(float), course["day"].to_numpy(float)
        if later is None:
            gap = _next_gaps(day[: place + 1], rng, n) / 365.25
            end = psi[place] + gap * _paces(course, place, rng, n)
        else:
            end = np.full(n, psi[later])
        both = np.column_stack([np.full(n, psi[place]), end])
        score = measure_mmse(both, rng.standard_normal((n, 1)), rng)
        found.append(_shares((score[:, 1] - score[:, 0]).astype(float), theta, np.ones(n)))
    return np.array(found)


def _by_patient(planted: Planted) -> dict[str, pd.DataFrame]:
    """The truth of each patient, a row a visit, in order of days."""
    visits = planted.truth.drop_duplicates(["patient_id", "day"]).sort_values("day")
    return {str(name): rows for name, rows in visits.groupby("patient_id")}


def _places(pool: Pool) -> list[tuple[str, int, int | None]]:
    """(t,) patient, place of the earlier visit among theirs, and of the later where it is given."""
    visits, examples = pool.material.visits, pool.examples
    first = np.searchsorted(visits.patient, visits.patient)
    place = np.arange(len(visits)) - first
    given = examples.task == "detect"
    return [
        (pool.material.patients[patient], int(place[start]), int(place[end]) if given else None)
        for patient, start, end in zip(
            examples.patient, examples.earlier, examples.later, strict=True
        )
    ]


def _shares(delta: Floats, theta: float, weight: Floats) -> Floats:
    """(3,) of worsened, stable and improved among draws; none is 0."""
    found = np.bincount(health_changes(delta, theta) + 1, weight, 3)
    return np.asarray((found + 1 / 3) / (found.sum() + 1))


def _next_states(past: Floats, arm: str, rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """(n, 2) states at the next visit, and weights: how well each draw explains the steps so far.

    Drawn are how fully the patient responds and whether they deteriorate, which no scan shows.
    """
    is_responder = rng.uniform(size=n) >= lus_course._NON_RESPONDERS
    is_deteriorating = rng.uniform(size=n) < lus_course._DETERIORATING
    response = rng.beta(4.0, 2.0, n) * is_responder
    full = lus_course._arm_trend(arm, 1.0)
    trend = response[:, None] * full + lus_course._WORSENING * is_deteriorating[:, None]
    spread, likelihood = lus_course._DRIFT_SD, np.zeros(n)
    for before, after in pairwise(past):
        likelihood += _log_density(after, before + trend, spread).sum(axis=1)
    end = np.clip(past[-1] + trend + spread * rng.standard_normal((n, 2)), 0.0, 1.0)
    weight = np.exp(likelihood - likelihood.max())
    return end, weight * (n / weight.sum())


def _log_density(value: Floats, mean: Floats, spread: float) -> Floats:
    """Of a normal held within 0..1: mass at the ends, density between."""
    found = norm.logpdf(value, mean, spread)
    found = np.where(value <= 0, norm.logcdf(0.0, mean, spread), found)
    return np.asarray(np.where(value >= 1, norm.logsf(1.0, mean, spread), found))


def _paces(course: pd.DataFrame, place: int, rng: np.random.Generator, n: int) -> Floats:
    """(n,) years of disease a year: known from two visits on, else as patients so ill have it."""
    if place:
        return np.full(n, float(course["pace"].iloc[0]))
    fit = norm.pdf(course["psi"].iloc[0], brain_course._PSI_MEAN, brain_course._PSI_SD)
    chance = fit * np.array(brain_course._GROUP_SHARES)
    group = rng.choice(3, n, p=chance / chance.sum())
    mean = np.array(brain_course._PACE_MEAN)[group]
    return np.asarray(np.exp(mean + brain_course._PACE_SD * rng.standard_normal(n)))


def _next_gaps(days: Floats, rng: np.random.Generator, n: int) -> Floats:
    """(n,) days until the next visit, as the visits so far leave it open."""
    so_far = [_nearest_month(day) for day in days]
    gaps, chances = [], []
    extras = zip(brain_course._EXTRA_VISITS, brain_course._EXTRA_SHARES, strict=True)
    for size, share in extras:
        chosen = list(combinations(brain_course._EXTRA_MONTHS, size))
        for extra in chosen:
            months = sorted({0, 24, *extra})
            if months[: len(so_far)] == so_far and len(months) > len(so_far):
                gaps.append(months[len(so_far)] * _MONTH_DAYS - days[-1])
                chances.append(share / len(chosen))
    drawn = rng.choice(gaps, n, p=np.array(chances) / sum(chances))
    late = brain_course._LATE_DAYS
    return np.asarray(drawn + rng.integers(-late, late + 1, n))


def _nearest_month(day: float) -> int:
    """The month that a visit was planned for."""
    planned = np.array([0, 6, 12, 24, 36, 48])
    return int(planned[np.argmin(np.abs(planned * _MONTH_DAYS - day))])
