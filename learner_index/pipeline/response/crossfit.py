"""Every patient left out once: what the head and each baseline say of patients they never saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from learner_index.config.response import ResponseOptions
from learner_index.pipeline.response.baselines import BASELINES, Answer, Trial
from learner_index.pipeline.response.material import Codes, Floats, Masks
from learner_index.pipeline.response.models import Pool, balanced, lifted, likeliest
from learner_index.pipeline.response.parallel import side_by_side
from learner_index.pipeline.response.procedure import FittedHead, HeadAnswer, fit_head

HEAD = "head"


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """What one model said of every example, its patient left out of the fit.

    Attributes:
        name: of the model.
        probability: (t, c) of each class.
        balanced: (t, c) likewise, were all classes equally common in training. Folds differ in
            how common a class is among the others, which would rank a left-out patient's own
            class too low.
        label: (t,) the most probable class.
        lifted: (t,) the class whose probability exceeds its average most.
        is_certain: it names a class instead of giving probabilities.
    """

    name: str
    probability: Floats
    balanced: Floats
    label: Codes
    lifted: Codes
    is_certain: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CrossFit:
    """All models on all examples.

    Attributes:
        tried: the head first, then the baselines that can be had.
        fold: (t,) in which fold each example was left out.
        sets: (t, c) True for classes in the head's set; None where there are none in some fold.
        is_abstaining: (t,) the head gives a reason not to answer.
        heads: the head of each fold.
    """

    tried: tuple[Tried, ...]
    fold: Codes
    sets: Masks | None
    is_abstaining: Masks
    heads: tuple[FittedHead, ...]


def draw_patient_folds(pool: Pool, n_folds: int, seed: int) -> Codes:
    """(p,) fold of each patient, -1 for those without an example.

    Patients are dealt out class by class, by the class most of their examples have, so that rare
    classes are in as many folds as they can be.
    """
    names = np.unique(pool.patient)
    counts = np.zeros((len(pool.material.patients), len(pool.classes)), np.int64)
    np.add.at(counts, (pool.patient, pool.code), 1)
    mixed = np.random.default_rng([seed, 4]).permutation(names)
    ordered = mixed[np.argsort(counts[mixed].argmax(axis=1), kind="stable")]
    fold = np.full(len(pool.material.patients), -1, np.int64)
    fold[ordered] = np.arange(len(ordered)) % n_folds
    return fold


def cross_fit(
    pool: Pool,
    folds: Codes,
    options: ResponseOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CrossFit:
    """Fit on all folds but one, predict that one, for each.

    Args:
        pool: examples with known outcomes.
        folds: (p,) as of `draw_patient_folds`.
        options: as asked.
        progress: told after each fold.

    Raises:
        NotEnoughDataError: the patients outside a fold are too few, or all alike.
    """
    numbers = range(int(folds.max()) + 1)
    work = [partial(_fit_fold, pool, folds, number, options) for number in numbers]
    return _joined(pool, folds, side_by_side(work, progress))


def fit_and_try(
    pool: Pool,
    folds: Codes,
    options: ResponseOptions,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[FittedHead, CrossFit]:
    """The head fitted on all patients, and `cross_fit` of the same procedure.

    Raises:
        NotEnoughDataError: as of `cross_fit`.
    """
    numbers = [None, *range(int(folds.max()) + 1)]
    work = [partial(_fit_fold, pool, folds, number, options) for number in numbers]
    whole, *parts = side_by_side(work, progress)
    return whole.head, _joined(pool, folds, parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Fold:
    """What was fitted without one fold, and said of it; of no fold, nothing is said."""

    tried: Masks
    head: FittedHead
    found: HeadAnswer | None
    answers: dict[str, Answer]


def _fit_fold(pool: Pool, folds: Codes, number: int | None, options: ResponseOptions) -> _Fold:
    """The head and all baselines without a fold; None: the head of all folds."""
    tried = folds[pool.patient] == (-1 if number is None else number)
    patients = np.flatnonzero((folds >= 0) & (folds != number))
    head = fit_head(pool, patients, options, options.seed)
    if number is None:
        return _Fold(tried, head, None, {})
    found = head.answer(pool.material, pool.examples.only(tried))
    answers = {HEAD: Answer(found.probability, head.model.share)}
    trial = Trial(pool, head.roles, tried, options, head.model)
    for name, baseline in BASELINES.items():
        answer = baseline(trial)
        if answer is not None:
            answers[name] = answer
    return _Fold(tried, head, found, answers)


def _joined(pool: Pool, folds: Codes, parts: Sequence[_Fold]) -> CrossFit:
    """All folds' answers, of the models that every fold has."""
    names = [name for name in (HEAD, *BASELINES) if all(name in part.answers for part in parts)]
    is_abstaining = np.zeros(len(pool.code), bool)
    for part in parts:
        if part.found is not None:
            is_abstaining[part.tried] = part.found.is_abstaining
    return CrossFit(
        tried=tuple(
            _gathered(name, [(part.tried, part.answers[name]) for part in parts], pool)
            for name in names
        ),
        fold=folds[pool.patient],
        sets=_gathered_sets(
            [(part.tried, None if part.found is None else part.found.sets) for part in parts], pool
        ),
        is_abstaining=is_abstaining,
        heads=tuple(part.head for part in parts),
    )


def _gathered(name: str, parts: list[tuple[Masks, Answer]], pool: Pool) -> Tried:
    """A model's answers of all folds, in the order of examples."""
    t, c = len(pool.code), len(pool.classes)
    found = Tried(
        name, np.empty((t, c)), np.empty((t, c)), np.empty(t, np.int64), np.empty(t, np.int64)
    )
    for rows, answer in parts:
        found.probability[rows] = answer.probability
        found.balanced[rows] = balanced(answer.probability, answer.share)
        found.label[rows] = likeliest(answer.probability)
        is_named = answer.is_certain
        found.lifted[rows] = (
            found.label[rows] if is_named else lifted(answer.probability, answer.share)
        )
    return replace(found, is_certain=all(answer.is_certain for _, answer in parts))


def _gathered_sets(parts: list[tuple[Masks, Masks | None]], pool: Pool) -> Masks | None:
    """Sets of all folds; None where one has none."""
    found = np.zeros((len(pool.code), len(pool.classes)), bool)
    for rows, held in parts:
        if held is None:
            return None
        found[rows] = held
    return found
