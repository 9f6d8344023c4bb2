"""What is measured of every model, in the order of the report, and how folds and seeds add up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.by_patient import by_patient
from learner_index.analysis.classes import (
    DIRECTION,
    TITLES,
    Predicted,
    measure,
)
from learner_index.analysis.head import change_probabilities
from learner_index.analysis.resample import interval
from learner_index.pipeline.evaluation.averages import Drawn, averaged, of_patients
from learner_index.pipeline.evaluation.fold import FoldOutcome
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.scores import score_figures

Floats = NDArray[np.float64]
Good = Literal["higher", "lower", "none"]
PRIMARY = "macro_f1"


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the report.

    Attributes:
        title: as people call it.
        section: of the report.
        good: which way is better; "none" for what only describes.
        unit: "share", "score", "correlation" or "number".
        meaning: one sentence for the legend.
    """

    title: str
    section: str
    good: Good
    unit: str
    meaning: str


CHANGE = "Health change, read from the difference of two embeddings"
DIFFERENCE = "Health change, read from two predicted scores"
SCORE = "Health score"
SPACE = "Space"
TRUE = "Space against simulated truth"
CONFOUNDERS = "What else the space shows"

_CLASSES = {
    name: Measure(title, CHANGE, DIRECTION[name], "number", "") for name, title in TITLES.items()
}
_OF_DIFFERENCE = ("macro_f1", "accuracy", "balanced_accuracy", "auroc", "rps")
_LOOKS = {"raw": "raw cosine", "centered": "centred cosine", "whitened": "whitened cosine"}

MEASURES: Mapping[str, Measure] = {
    **_CLASSES,
    "order_accuracy": Measure(
        "order accuracy", CHANGE, "higher", "share",
        "share of changed transitions whose direction is told right; 0.5 knows nothing",
    ),
    "inversion_consistency": Measure(
        "inversion consistency", CHANGE, "higher", "share",
        "share of transitions whose predicted change turns round when visits are swapped",
    ),
    **{
        f"difference_{name}": Measure(TITLES[name], DIFFERENCE, DIRECTION[name], "number", "")
        for name in _OF_DIFFERENCE
    },
    "score_mae": Measure("mean absolute error", SCORE, "lower", "score", "of predicted scores"),
    "score_rmse": Measure("root mean squared error", SCORE, "lower", "score", "likewise"),
    "score_pearson": Measure(
        "Pearson r", SCORE, "higher", "correlation", "in each fold; patients weigh alike"
    ),
    "score_spearman": Measure("Spearman ρ", SCORE, "higher", "correlation", "likewise"),
    "score_auroc": Measure(
        "AUROC", SCORE, "higher", "share", "of a score that has two values alone, in each fold"
    ),
    "change_mae": Measure(
        "mean absolute error of changes", SCORE, "lower", "score",
        "of later minus earlier predicted score",
    ),
    "change_spearman": Measure(
        "Spearman ρ of changes", SCORE, "higher", "correlation",
        "of predicted and observed change of score, in each fold",
    ),
    "within_concordance": Measure(
        "concordance within patients", SCORE, "higher", "share",
        "how often the better of a patient's two visits is predicted to be the better",
    ),
    **{
        f"within_{how}": Measure(
            f"ρ within patients, {words}", SPACE, "higher", "correlation",
            "Spearman of embedding distance and |Δ score| over pairs of one patient's scans",
        )
        for how, words in _LOOKS.items()
    },
    **{
        f"across_{how}": Measure(
            f"ρ across patients, {words}", SPACE, "higher", "correlation",
            "the same over pairs of two patients' scans",
        )
        for how, words in _LOOKS.items()
    },
    "triplet_ordinality": Measure(
        "triplet ordinality", SPACE, "higher", "share",
        "how often the nearer in score is the nearer in space",
    ),
    "neighbor_mae": Measure(
        "error of the nearest patients' score", SPACE, "lower", "score",
        "mean score of the 5 nearest training patients; chance is the training median",
    ),
    "retrieval_ndcg": Measure(
        "nDCG@5 of alike changes", SPACE, "higher", "share",
        "other patients' transitions ranked by cosine; relevant is the same health change",
    ),
    "effective_rank": Measure(
        "effective rank", SPACE, "none", "number", "directions the space spreads in"
    ),
    **{
        f"within_true_{how}": Measure(
            f"ρ within patients, {words}", TRUE, "higher", "correlation",
            "Spearman of embedding distance and |Δ simulated severity|",
        )
        for how, words in _LOOKS.items()
    },
    "retrieval_true_ndcg": Measure(
        "nDCG@5 of true changes", TRUE, "higher", "share",
        "relevance is the cosine of simulated changes of state, 0 where they oppose",
    ),
    "identity": Measure(
        "same patient is nearest", CONFOUNDERS, "none", "share",
        "share of scans whose nearest scan of other visits shows the same patient",
    ),
    "site": Measure("site", CONFOUNDERS, "none", "share", "balanced accuracy of a linear probe"),
    "view": Measure("view", CONFOUNDERS, "none", "share", "balanced accuracy of a linear probe"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a model came to: every measure, and what each rests on.

    Attributes:
        name, kind, says: as of the model.
        seeds: trainings the measures are means of.
        figures: measure -> mean over seeds; draws are of the same patients for every model.
        by_fold: measure -> (folds,) means over seeds, for the corrected t-test.
        predicted: health changes by seed; () where they are not measured.
        n_seen: patients measured although the encoder was trained or tuned on them.
        n_measured: patients measured.
        distances: pairs of one patient's scans of the first seed, as of `space.figure_one`.
    """

    name: str
    kind: str
    says: str
    seeds: tuple[int, ...]
    figures: Mapping[str, Drawn]
    by_fold: Mapping[str, Floats]
    predicted: tuple[Predicted, ...]
    n_seen: int
    n_measured: int
    distances: pd.DataFrame | None = None

    @cached_property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """Measure -> ends of its 95 % interval by patient."""
        found = {name: interval(figure.draws) for name, figure in self.figures.items()}
        return {name: (one.low, one.high) for name, one in found.items()}


def seed_figures(
    material: Material, folds: Sequence[FoldOutcome], weights: Floats
) -> tuple[dict[str, Drawn], Predicted | None]:
    """Every measure of one training, all folds together, and its predicted health changes.

    Predictions are pooled over folds, since each patient is unseen in exactly one of them. What
    ranks them (correlations, AUROC) or depends on the distances of a space is measured in each
    fold and averaged by its patients: a fold's read-out leans away from the patients it has not
    seen, so that ranks across folds put models that know nothing below chance.

    Args:
        material: the cohort.
        folds: what came out of each.
        weights: (d, p) draws of all patients.
    """
    found = score_figures(material, folds, weights)
    predicted = None
    if folds[0].probability is not None:
        predicted = changes_of(material, folds)
        found |= _changes(material, folds, predicted, weights)
    for name in dict.fromkeys(name for fold in folds for name in fold.space):
        found[name] = averaged([fold.space[name] for fold in folds if name in fold.space])
    return {name: found[name] for name in MEASURES if name in found}, predicted


def changes_of(material: Material, folds: Sequence[FoldOutcome]) -> Predicted:
    """Predicted health changes of all folds."""
    rows = np.concatenate([fold.transitions for fold in folds])
    probability = np.concatenate(
        [fold.probability for fold in folds if fold.probability is not None]
    )
    label = np.concatenate([fold.label for fold in folds if fold.label is not None])
    return _predicted(material, rows, probability, label)


def _predicted(
    material: Material, rows: NDArray[np.intp], probability: Floats, label: NDArray[np.int8]
) -> Predicted:
    """Predictions in the order of transitions, patients numbered as they come."""
    order = np.argsort(rows, kind="stable")
    owners = material.transitions.patient[rows[order]]
    codes = np.unique(owners, return_inverse=True)[1]
    return Predicted(material.changes[rows[order]], probability[order], label[order], codes)


def transition_patients(material: Material) -> NDArray[np.int64]:
    """Patients that have a transition, as `Predicted` numbers them."""
    return np.unique(material.transitions.patient)


def _changes(
    material: Material, folds: Sequence[FoldOutcome], predicted: Predicted, weights: Floats
) -> dict[str, Drawn]:
    """Health changes read from differences, and from two predicted scores."""
    own = weights[:, transition_patients(material)]
    found = change_figures(material, folds, weights)
    changed = predicted.true != 0
    if changed.any():
        lead = predicted.probability[:, 2] - predicted.probability[:, 0]
        right = np.where(lead == 0, 0.5, np.sign(lead) == predicted.true)
        owners = predicted.patient
        found["order_accuracy"] = of_patients(
            by_patient(np.where(changed, right, np.nan), owners), own, 0.5
        )
    swapped = np.concatenate([fold.swapped for fold in folds if fold.swapped is not None])
    rows = np.concatenate([fold.transitions for fold in folds])
    is_turned = predicted.label == -swapped[np.argsort(rows, kind="stable")]
    found["inversion_consistency"] = of_patients(
        by_patient(is_turned.astype(np.float64), predicted.patient), own
    )
    by_scores = change_figures(material, folds, weights, _OF_DIFFERENCE, _by_scores)
    return found | {f"difference_{name}": figure for name, figure in by_scores.items()}


def change_figures(
    material: Material,
    folds: Sequence[FoldOutcome],
    weights: Floats,
    names: Sequence[str] = tuple(TITLES),
    read: Callable[[Material, Sequence[FoldOutcome]], Predicted] = changes_of,
) -> dict[str, Drawn]:
    """Measures of predicted health changes, pooled over folds but for AUROC, which is averaged.

    Args:
        material: the cohort.
        folds: what came out of each.
        weights: (d, p) draws of all patients.
        names: which measures.
        read: which predictions of some folds are measured.
    """
    pooled = [name for name in names if name != "auroc"]
    found = class_figures(read(material, folds), weights[:, transition_patients(material)], pooled)
    if "auroc" in names:
        owners = [np.unique(material.transitions.patient[fold.transitions]) for fold in folds]
        parts = [
            class_figures(read(material, [fold]), weights[:, own], ("auroc",))["auroc"]
            for fold, own in zip(folds, owners, strict=True)
            if len(own)
        ]
        found["auroc"] = averaged(parts)
    return {name: found[name] for name in names}


def class_figures(
    predicted: Predicted, weights: Floats, names: Sequence[str] = tuple(TITLES)
) -> dict[str, Drawn]:
    """Measures of predicted health changes; weights are of their patients alone."""
    values = measure(predicted, np.ones((1, weights.shape[1])), names)
    draws = measure(predicted, weights, names)
    if "ece" in draws:  # drawing patients again widens the gaps it adds up: its interval would lie
        draws["ece"] = np.full(len(weights), np.nan)
    n = weights.shape[1], len(predicted.true)
    return {name: Drawn(float(values[name][0]), draws[name], *n) for name in names}


def _by_scores(material: Material, folds: Sequence[FoldOutcome]) -> Predicted:
    """Health changes by θ from the difference of two predicted scores.

    Probabilities take the error of that difference for normal, with the spread it has on the
    tuning patients.
    """
    theta = material.about.threshold or 1.0
    rows = np.concatenate([fold.transitions for fold in folds])
    delta = np.concatenate([fold.score_delta for fold in folds])
    spread = np.concatenate([np.full(len(f.transitions), f.delta_spread) for f in folds])
    label = (delta >= theta).astype(np.int8) - (delta <= -theta).astype(np.int8)
    return _predicted(material, rows, change_probabilities(delta, spread, theta), label)
