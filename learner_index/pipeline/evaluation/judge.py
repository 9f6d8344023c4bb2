"""Every model on the same folds and draws of patients, beside what looks at no scan."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.head import CLASSES
from learner_index.analysis.resample import draw_weights, interval
from learner_index.config import EvaluateOptions, PretrainOptions
from learner_index.data.split import PatientSplit
from learner_index.errors import LearnerIndexError
from learner_index.pipeline.evaluation.averages import mean_of_seeds
from learner_index.pipeline.evaluation.compare import compare_all
from learner_index.pipeline.evaluation.crossfit import Contest
from learner_index.pipeline.evaluation.fold import FoldOutcome, class_share, run_fold
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.measures import (
    PRIMARY,
    Outcome,
    change_figures,
    changes_of,
    class_figures,
    seed_figures,
)
from learner_index.pipeline.evaluation.models import CONSTANTS, Model, pick_against
from learner_index.pipeline.evaluation.result import Evaluation
from learner_index.pipeline.evaluation.spaces import Parts

Floats = NDArray[np.float64]
Say = Callable[[str], None]


def measured(
    contest: Contest, options: EvaluateOptions, settings: PretrainOptions, say: Say
) -> Evaluation:
    """Every model on the same folds and the same draws of patients, then compared.

    Args:
        contest: who competes, on whom.
        options: draws, permutations and what to compare with.
        settings: of the trainings, for the record.
        say: called with a line before each model.

    Raises:
        SettingsError: the model to compare with is none of these.
        NotEnoughDataError: there is too little to fit on; names model and fold.
    """
    material, splits = contest.material, contest.splits
    names = [model.name for model in contest.models]
    if len(material.changes):
        names += list(CONSTANTS)
    against = pick_against(options.against, names)
    weights = draw_weights(material.n_patients, options.n_bootstraps, options.seed)
    outcomes = []
    for model in contest.models:
        say(f"measuring {model.name}")
        outcomes.append(_outcome(material, splits, model, weights))
    if len(material.changes):
        outcomes += [_constant(material, splits, name, weights) for name in CONSTANTS]
    return Evaluation(
        material=material,
        splits=splits,
        outcomes=tuple(outcomes),
        comparisons=tuple(
            compare_all(outcomes, against, options.n_permutations, len(splits), options.seed)
        ),
        against=against,
        options=options,
        pretraining=settings,
        notes=(*contest.notes, *_collapsed(outcomes), *_alarms(outcomes)),
        skipped=contest.skipped,
    )


def _outcome(
    material: Material, splits: Sequence[PatientSplit], model: Model, weights: Floats
) -> Outcome:
    """One model, all seeds and folds."""
    by_seed, predicted, primary, distances = [], [], [], []
    for seed in model.seeds:
        folds = []
        for number, split in enumerate(splits):
            try:
                folds.append(
                    run_fold(material, model.embeddings(seed, number), split, weights,
                             int(split.fingerprint, 16) % 2**32)
                )  # fmt: skip
            except LearnerIndexError as problem:
                problem.args = (f"{model.name}, fold {number + 1} of {len(splits)}: {problem}",)
                raise
        figures, changes = seed_figures(material, folds, weights)
        if seed == model.seeds[0]:
            distances = [fold.distances for fold in folds if fold.distances is not None]
        by_seed.append(figures)
        if changes is not None:
            predicted.append(changes)
            primary.append([_primary(material, fold) for fold in folds])
    seen = {
        patient
        for seed in model.seeds
        for number, split in enumerate(splits)
        for patient in set(split.unseen) & model.seen(seed, number)
    }
    return Outcome(
        model.name, model.kind, model.says, model.seeds, mean_of_seeds(by_seed),
        {PRIMARY: np.mean(primary, axis=0)} if primary else {}, tuple(predicted),
        len(seen), material.n_patients,
        pd.concat(distances, ignore_index=True) if distances else None,
    )  # fmt: skip


def _primary(material: Material, fold: FoldOutcome) -> float:
    """Macro-F1 of one fold, for the test over folds; NaN for a fold without transitions."""
    if not len(fold.transitions):
        return float("nan")
    one = changes_of(material, [fold])
    n = len(np.unique(one.patient))
    return float(class_figures(one, np.ones((1, n)), (PRIMARY,))[PRIMARY].value)


def _constant(
    material: Material, splits: Sequence[PatientSplit], name: str, weights: Floats
) -> Outcome:
    """A baseline that looks at no scan."""
    folds = []
    for split in splits:
        part = Parts.of(material, split)
        share = class_share(material, part.train | part.tune)
        own = np.flatnonzero(part.test[material.transitions.patient])
        label = CLASSES[np.nanargmax(share)] if name == "majority" else np.int8(0)
        folds.append(
            FoldOutcome(
                transitions=own,
                items=np.empty(0, np.intp),
                predicted=np.empty(0),
                score_delta=np.empty(0),
                delta_spread=1.0,
                share=share,
                probability=np.tile(share, (len(own), 1)),
                label=np.full(len(own), label, np.int8),
            )
        )
    predicted = changes_of(material, folds)
    figures = change_figures(material, folds, weights)
    primary = np.array([_primary(material, fold) for fold in folds])
    return Outcome(
        name, "constant", CONSTANTS[name], (0,), figures, {PRIMARY: primary}, (predicted,),
        0, material.n_patients,
    )  # fmt: skip


def _collapsed(outcomes: Sequence[Outcome]) -> list[str]:
    """Models of which the space could not be measured everywhere."""
    sizes = [one.figures["effective_rank"].n_patients if "effective_rank" in one.figures else 0
             for one in outcomes]  # fmt: skip
    return [
        f"{one.name} gives all scans of a fold the same embedding: its space is not measured there"
        for one, size in zip(outcomes, sizes, strict=True)
        if one.kind != "constant" and size < max(sizes)
    ]


def _alarms(outcomes: Sequence[Outcome]) -> list[str]:
    """Models that beat the simulated truth, which only a leak can do."""
    truth = next((one for one in outcomes if one.kind == "oracle"), None)
    if truth is None or PRIMARY not in truth.figures:
        return []
    found = []
    for one in outcomes:
        if one is truth or PRIMARY not in one.figures:
            continue
        draws = one.figures[PRIMARY].draws - truth.figures[PRIMARY].draws
        if interval(draws).low > 0:
            found.append(
                f"LEAK ALARM: {one.name} beats the oracle that knows the truth: look for patients "
                "or scores that reach the model another way"
            )
    return found
