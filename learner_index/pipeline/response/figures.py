"""How good a head is beside its baselines: figures with intervals by patients, gains, subgroups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from learner_index.analysis.classes import DIRECTION, measure
from learner_index.analysis.conformal import coverage, coverage_by_class, set_size
from learner_index.analysis.predicted import Predicted
from learner_index.analysis.resample import draw_weights, interval
from learner_index.pipeline.response.crossfit import HEAD, CrossFit, Tried
from learner_index.pipeline.response.material import Codes, Floats, Masks
from learner_index.pipeline.response.models import Pool
from learner_index.pipeline.response.parallel import side_by_side

MEASURES = ("auroc", "nll", "macro_f1", "balanced_accuracy", "accuracy", "rps", "qwk", "ece")
COMPARED = ("nll", "auroc", "macro_f1")
_BALANCED = ("auroc", "macro_f1", "balanced_accuracy", "qwk")  # as if classes were as common
_ORDINAL = ("rps", "qwk")
_NEED_PROBABILITY = ("auroc", "nll", "rps", "ece")
_CELLS = 4_000_000  # draws times examples that intervals may cost
_FEWEST_DRAWS = 40
_PERCENTILES = 100  # draws from which on their percentiles are taken
CLINICAL, BOTH = "clinical", "clinical + embedding"
ADDED = "clinical + embedding minus clinical"
GROUPS = ("site", "view", "treatment")
_OF_GROUPS = ("auroc", "nll", "accuracy")
_GROUP_PATIENTS = 10
_GROUP_VALUES = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its 95 % interval by resampling patients; None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: float, drawn: Floats) -> "Figure":
        """A value and what was measured in each draw.

        The interval is that of percentiles; with fewer than 100 draws, which is where patients
        are so many that the two agree, 1.96 standard deviations of the draws either way.
        """
        if np.isnan(value):
            return cls(None)
        found = interval(drawn)
        if np.isnan(found.low) or found.n_draws >= _PERCENTILES:
            return cls(value, *(None if np.isnan(x) else x for x in (found.low, found.high)))
        half = 1.96 * float(np.nanstd(drawn))
        return cls(value, value - half, value + half)

    def to_dict(self) -> dict[str, float | None]:
        """JSON-ready."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Group:
    """The head on one part of the cohort.

    Attributes:
        column: that tells the parts apart.
        value: of this part.
        n_patients, n_examples: in it.
        figures: by measure, and "coverage" where there are sets.
    """

    column: str
    value: str
    n_patients: int
    n_examples: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """All that was measured on patients left out.

    Attributes:
        models: measure to figure, of the head and each baseline.
        gains: baseline to measure to head minus baseline; the way that is good is `DIRECTION`.
        sets: "coverage", "set_size", "abstaining", "accuracy_answered", and "coverage: CLASS".
        groups: the head on parts of the cohort.
        n_patients, n_examples: measured.
        n_seen: patients among them that the encoder was trained or tuned on.
        n_draws: of patients, for the intervals.
    """

    models: Mapping[str, Mapping[str, Figure]]
    gains: Mapping[str, Mapping[str, Figure]]
    sets: Mapping[str, Figure]
    groups: tuple[Group, ...]
    n_patients: int
    n_examples: int
    n_seen: int
    n_draws: int


def take_figures(
    pool: Pool, found: CrossFit, measured: Masks, is_seen: Masks, *, n_draws: int, seed: int
) -> Figures:
    """Measure all models on some examples, in the same draws of patients.

    Args:
        pool: examples with known outcomes.
        found: what each model said of them, their patients left out.
        measured: (t,) examples that count.
        is_seen: (p,) patients the encoder was trained or tuned on.
        n_draws: of patients; fewer, 40 at least, where examples are very many.
        seed: of the draws.
    """
    rows = np.flatnonzero(measured)
    owners, patient = np.unique(pool.patient[rows], return_inverse=True)
    n_draws = min(n_draws, max(_FEWEST_DRAWS, _CELLS // len(rows)))
    weights = np.vstack([np.ones(len(owners)), draw_weights(len(owners), n_draws, seed)])
    work = [partial(_measured, pool, one, rows, weights) for one in found.tried]
    names = [one.name for one in found.tried]
    drawn = dict(zip(names, side_by_side(work), strict=True))
    head = drawn[HEAD]
    gains = {
        name: {m: _figure(head[m] - own[m]) for m in COMPARED if m in own}
        for name, own in drawn.items()
        if name != HEAD
    }
    if CLINICAL in drawn and BOTH in drawn:
        gains[ADDED] = {m: _figure(drawn[BOTH][m] - drawn[CLINICAL][m]) for m in COMPARED}
    return Figures(
        models={name: {m: _figure(x) for m, x in own.items()} for name, own in drawn.items()},
        gains=gains,
        sets=_of_sets(pool, found, rows, patient, weights),
        groups=_groups(pool, found, rows, (n_draws, seed)),
        n_patients=len(owners),
        n_examples=len(rows),
        n_seen=int(is_seen[owners].sum()),
        n_draws=n_draws,
    )


def predicted(pool: Pool, one: Tried, rows: Codes, *, is_balanced: bool = False) -> Predicted:
    """What a model said of some examples, as a record of predictions.

    Args:
        pool: the examples.
        one: what the model said.
        rows: which of them.
        is_balanced: as if classes were equally common in training.
    """
    patient = np.unique(pool.patient[rows], return_inverse=True)[1]
    label, probability = one.label, one.probability
    if is_balanced:
        label, probability = one.lifted, one.balanced
    classes = tuple(range(len(pool.classes)))
    return Predicted(pool.code[rows], probability[rows], label[rows], patient, classes)


def is_better(measure_name: str, gain: Figure) -> bool | None:
    """Whether a gain is for the better; None where its interval holds 0."""
    if gain.low is None or gain.high is None or gain.low <= 0 <= gain.high:
        return None
    return (gain.low > 0) == (DIRECTION[measure_name] == "higher")


def _figure(drawn: Floats) -> Figure:
    """The first is of the cohort itself, the others of draws."""
    return Figure.of(float(drawn[0]), drawn[1:])


def _measured(
    pool: Pool,
    one: Tried,
    rows: Codes,
    weights: Floats,
    wanted: Sequence[str] = MEASURES,
) -> dict[str, Floats]:
    """(1 + draws,) by measure, the cohort itself first."""
    found: dict[str, Floats] = {}
    for is_balanced in (False, True):
        names = [
            name
            for name in wanted
            if (name in _BALANCED) == is_balanced
            and (pool.is_ordinal or name not in _ORDINAL)
            and not (one.is_certain and name in _NEED_PROBABILITY)
        ]
        said = predicted(pool, one, rows, is_balanced=is_balanced)
        found |= measure(said, weights, names)
    return {name: found[name] for name in wanted if name in found}


def _of_sets(
    pool: Pool, found: CrossFit, rows: Codes, patient: Codes, weights: Floats
) -> dict[str, Figure]:
    """Coverage, size, abstaining, and how often it is right when it answers."""
    is_silent = found.is_abstaining[rows]
    figures = {"abstaining": _figure(_mean_by_patient(is_silent, patient, weights))}
    is_right = found.tried[0].label[rows] == pool.code[rows]
    if not is_silent.all():
        answered = _ratio_by_patient(is_right & ~is_silent, ~is_silent, patient, weights)
        figures["accuracy_answered"] = _figure(answered)
    if found.sets is None:
        return figures
    sets, code = found.sets[rows], pool.code[rows]
    figures["coverage"] = _figure(coverage(sets, code, patient, weights))
    figures["set_size"] = _figure(set_size(sets, patient, weights))
    by_class = coverage_by_class(sets, code, patient, weights)
    for number, name in enumerate(pool.classes):
        figures[f"coverage: {name}"] = _figure(by_class[:, number])
    return figures


def _mean_by_patient(values: Masks, patient: Codes, weights: Floats) -> Floats:
    """(draws,) mean over patients of each patient's own mean."""
    return _ratio_by_patient(values, np.ones(len(values), bool), patient, weights)


def _ratio_by_patient(above: Masks, below: Masks, patient: Codes, weights: Floats) -> Floats:
    """(draws,) share of `below` that is `above`; a patient's examples share a weight."""
    share = 1.0 / np.bincount(patient)[patient]
    tops, bottoms = (
        weights @ np.bincount(patient, values * share, weights.shape[1])
        for values in (above, below)
    )
    found = np.full(len(tops), np.nan)
    np.divide(tops, bottoms, out=found, where=bottoms > 0)
    return found


def _groups(pool: Pool, found: CrossFit, rows: Codes, draws: tuple[int, int]) -> tuple[Group, ...]:
    """The head by site, view and treatment, where a part has enough patients."""
    columns = pool.examples.columns
    groups = []
    for column in (name for name in GROUPS if name in columns):
        texts = columns[column].astype("string").fillna("(none)").to_numpy(object)[rows]
        values = pd.Series(texts).value_counts().index[:_GROUP_VALUES]
        if len(set(texts)) < 2:
            continue
        groups += [
            group
            for value in sorted(map(str, values))
            if (group := _group(pool, found, rows[texts == value], (column, value), draws))
        ]
    return tuple(groups)


def _group(
    pool: Pool, found: CrossFit, rows: Codes, name: tuple[str, str], draws: tuple[int, int]
) -> Group | None:
    """The head on one part; None where it has fewer than five patients."""
    owners, patient = np.unique(pool.patient[rows], return_inverse=True)
    if len(owners) < _GROUP_PATIENTS:
        return None
    weights = np.vstack([np.ones(len(owners)), draw_weights(len(owners), *draws)])
    drawn = _measured(pool, found.tried[0], rows, weights, _OF_GROUPS)
    if found.sets is not None:
        drawn["coverage"] = coverage(found.sets[rows], pool.code[rows], patient, weights)
    figures = {measure_name: _figure(values) for measure_name, values in drawn.items()}
    return Group(*name, len(owners), len(rows), figures)


def figures_dict(found: Figures) -> dict[str, Any]:
    """All figures, JSON-ready."""

    def plain(one: Mapping[str, Figure]) -> dict[str, Any]:
        return {name: figure.to_dict() for name, figure in one.items()}

    return {
        "models": {name: plain(one) for name, one in found.models.items()},
        "gains": {name: plain(one) for name, one in found.gains.items()},
        "sets": plain(found.sets),
        "groups": [
            {
                "column": one.column,
                "value": one.value,
                "n_patients": one.n_patients,
                "n_examples": one.n_examples,
                "figures": plain(one.figures),
            }
            for one in found.groups
        ],
        "n_patients": found.n_patients,
        "n_examples": found.n_examples,
        "n_seen": found.n_seen,
        "n_draws": found.n_draws,
    }
