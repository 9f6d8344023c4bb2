"""Is one model better than another: differences on the same patients, with what they rest on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.classes import swapped_difference
from learner_index.analysis.resample import holm, interval, nadeau_bengio, swap_test
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.evaluation.measures import MEASURES, PRIMARY, Outcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """One model against another in one measure.

    Attributes:
        model, against: names.
        measure: see `MEASURES`.
        difference: model minus the other, means over seeds.
        low, high: ends of its 95 % interval, both measured on the same draws of patients.
        n_patients, n_pairs: it rests on.
        p_swap: of the paired permutation test by patient; None where it is not made.
        p_fold: of the t-test over folds, corrected for overlapping training sets; likewise.
        p_holm: `p_swap`, adjusted for all models that are compared; likewise.
    """

    model: str
    against: str
    measure: str
    difference: float
    low: float
    high: float
    n_patients: int
    n_pairs: int
    p_swap: float | None = None
    p_fold: float | None = None
    p_holm: float | None = None


def compare_all(
    outcomes: Sequence[Outcome], against: str, n_permutations: int, n_folds: int, seed: int
) -> list[Comparison]:
    """Every other model against one, in every measure both have; tests for the primary one.

    Models that know the truth or look at no scan are compared but not tested: that they differ is
    no hypothesis. Where one model's space collapsed in a fold, its measures are of other patients
    and are not compared.
    """
    other = next(outcome for outcome in outcomes if outcome.name == against)
    found = []
    for outcome in outcomes:
        if outcome is other:
            continue
        for name in MEASURES:
            if _is_alike(outcome, other, name):
                one = _compared(outcome, other, name)
                is_tested = name == PRIMARY and outcome.kind not in ("oracle", "constant")
                found.append(
                    _tested(one, outcome, other, n_permutations, n_folds, seed)
                    if is_tested
                    else one
                )
    return _adjusted(found)


def _is_alike(outcome: Outcome, other: Outcome, name: str) -> bool:
    """Whether both have a measure, of as many patients and pairs."""
    both = [one.figures[name] for one in (outcome, other) if name in one.figures]
    return len({(one.n_patients, one.n_pairs) for one in both}) == 1 and len(both) == 2


def _compared(outcome: Outcome, other: Outcome, name: str) -> Comparison:
    """The difference and its interval."""
    first, second = outcome.figures[name], other.figures[name]
    ends = interval(first.draws - second.draws)
    return Comparison(
        outcome.name,
        other.name,
        name,
        first.value - second.value,
        ends.low,
        ends.high,
        first.n_patients,
        first.n_pairs,
    )


def _tested(
    one: Comparison, outcome: Outcome, other: Outcome, n_permutations: int, n_folds: int, seed: int
) -> Comparison:
    """With the p-values of the primary endpoint.

    Of several seeds, each patient's predictions change hands in all of them together. A model
    with fewer seeds gives its own over and over.
    """
    n = max(len(outcome.predicted), len(other.predicted))
    pairs = [
        (outcome.predicted[at % len(outcome.predicted)], other.predicted[at % len(other.predicted)])
        for at in range(n)
    ]
    statistics = [swapped_difference(first, second, PRIMARY) for first, second in pairs]

    def difference(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.mean([statistic(masks) for statistic in statistics], axis=0))

    swap = swap_test(difference, pairs[0][0].n_patients, n_draws=n_permutations, seed=seed)
    by_fold = outcome.by_fold[PRIMARY] - other.by_fold[PRIMARY]
    try:
        fold = nadeau_bengio(by_fold, n_folds - 1, 1).p_value
    except NotEnoughDataError:
        fold = float("nan")
    return replace(one, p_swap=swap.p_value, p_fold=None if np.isnan(fold) else fold)


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """With p-values adjusted for how many models were tested."""
    tested = [one for one in found if one.p_swap is not None]
    if not tested:
        return list(found)
    adjusted = holm([one.p_swap for one in tested if one.p_swap is not None])
    by_model = {one.model: float(p) for one, p in zip(tested, adjusted, strict=True)}
    return [
        one if one.p_swap is None else replace(one, p_holm=by_model[one.model]) for one in found
    ]
