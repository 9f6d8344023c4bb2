"""What is measured of every model, in the order of the report, and how folds and seeds add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.by_patient import ByPatient, by_patient
from learner_index.analysis.classes import (
    DIRECTION,
    TITLES,
    Predicted,
    inversion_consistency,
    measure,
)
from learner_index.analysis.correlation import drawn_correlation
from learner_index.analysis.ordering import concordance_within
from learner_index.analysis.resample import interval
from learner_index.pipeline.evaluation.fold import FoldOutcome
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.spaces import Drawn

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
    "score_pearson": Measure("Pearson r", SCORE, "higher", "correlation", "patients weigh alike"),
    "score_spearman": Measure("Spearman ρ", SCORE, "higher", "correlation", "likewise"),
    "score_auroc": Measure(
        "AUROC", SCORE, "higher", "share", "of a score that has two values alone"
    ),
    "change_mae": Measure(
        "mean absolute error of changes", SCORE, "lower", "score",
        "of later minus earlier predicted score",
    ),
    "change_spearman": Measure(
        "Spearman ρ of changes", SCORE, "higher", "correlation",
        "of predicted and observed change of score",
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

    @cached_property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """Measure -> ends of its 95 % interval by patient."""
        found = {name: interval(figure.draws) for name, figure in self.figures.items()}
        return {name: (one.low, one.high) for name, one in found.items()}


def seed_figures(
    material: Material, folds: Sequence[FoldOutcome], weights: Floats
) -> tuple[dict[str, Drawn], Predicted | None]:
    """Every measure of one training, all folds together, and its predicted health changes.

    Predictions are pooled over folds, since each patient is unseen in exactly one of them; what
    depends on the distances of a space is measured in each fold and averaged over its patients.

    Args:
        material: the cohort.
        folds: what came out of each.
        weights: (d, p) draws of all patients.
    """
    found = _scores(material, folds, weights)
    predicted = None
    if folds[0].probability is not None:
        predicted = changes_of(material, folds)
        found |= _changes(material, folds, predicted, weights)
    for name in dict.fromkeys(name for fold in folds for name in fold.space):
        found[name] = _averaged([fold.space[name] for fold in folds if name in fold.space])
    return {name: found[name] for name in MEASURES if name in found}, predicted


def mean_of_seeds(figures: Sequence[Mapping[str, Drawn]]) -> dict[str, Drawn]:
    """The mean of several trainings, in the figure and in each draw of patients."""
    found = {}
    for name in figures[0]:
        own = [one[name] for one in figures if name in one]
        chances = [one.chance for one in own if one.chance is not None]
        found[name] = Drawn(
            float(np.mean([one.value for one in own])),
            np.mean([one.draws for one in own], axis=0),
            own[0].n_patients,
            own[0].n_pairs,
            float(np.mean(chances)) if chances else None,
        )
    return found


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
    found = class_figures(predicted, own)
    changed = predicted.true != 0
    if changed.any():
        lead = predicted.probability[:, 2] - predicted.probability[:, 0]
        right = np.where(lead == 0, 0.5, np.sign(lead) == predicted.true)
        owners = predicted.patient
        found["order_accuracy"] = _of_patients(
            by_patient(np.where(changed, right, np.nan), owners), own, 0.5
        )
    swapped = np.concatenate([fold.swapped for fold in folds if fold.swapped is not None])
    rows = np.concatenate([fold.transitions for fold in folds])
    swapped = swapped[np.argsort(rows, kind="stable")]
    value, draws = (
        inversion_consistency(predicted.probability, swapped, predicted.patient, drawn)
        for drawn in (np.ones((1, own.shape[1])), own)
    )
    n = own.shape[1], len(predicted.true)
    found["inversion_consistency"] = Drawn(float(value[0]), draws, *n)
    by_scores = class_figures(_by_scores(material, folds), own, _OF_DIFFERENCE)
    return found | {f"difference_{name}": figure for name, figure in by_scores.items()}


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
    from learner_index.analysis.head import change_probabilities

    theta = material.about.threshold or 1.0
    rows = np.concatenate([fold.transitions for fold in folds])
    delta = np.concatenate([fold.score_delta for fold in folds])
    spread = np.concatenate([np.full(len(f.transitions), f.delta_spread) for f in folds])
    label = (delta >= theta).astype(np.int8) - (delta <= -theta).astype(np.int8)
    return _predicted(material, rows, change_probabilities(delta, spread, theta), label)


def _scores(material: Material, folds: Sequence[FoldOutcome], weights: Floats) -> dict[str, Drawn]:
    """Predicted health scores, and changes of them."""
    is_visit = material.about.per == "visit"
    score = material.visits.score if is_visit else material.score
    owners = material.visits.patient if is_visit else material.owners
    items = np.concatenate([fold.items for fold in folds])
    predicted = np.concatenate([fold.predicted for fold in folds])
    true, whose = score[items], owners[items]
    found = _errors("score", predicted, true, whose, weights)
    if len(np.unique(true)) == 2:
        value, draws = _two_valued(predicted, true, whose, weights)
        found["score_auroc"] = Drawn(value, draws, len(np.unique(whose)), len(true), 0.5)
    rows = np.concatenate([fold.transitions for fold in folds])
    if len(rows) > 2:
        delta = np.concatenate([fold.score_delta for fold in folds])
        of_change = _errors(
            "change", delta, material.transitions.delta_score[rows],
            material.transitions.patient[rows], weights,
        )  # fmt: skip
        found |= {name: of_change[name] for name in ("change_mae", "change_spearman")}
    if is_visit:
        one = concordance_within(predicted, true, whose)
        if one.n_patients:
            own = weights[:, np.unique(whose)]
            found["within_concordance"] = _of_patients(one, own, 0.5)
    return found


def _errors(
    name: str, predicted: Floats, true: Floats, owners: NDArray[np.int64], weights: Floats
) -> dict[str, Drawn]:
    """Errors and correlations, every patient weighing the same."""
    people, code, count = np.unique(owners, return_inverse=True, return_counts=True)
    own, n = weights[:, people], (len(people), len(true))
    absolute = by_patient(np.abs(predicted - true), owners)
    squared = by_patient((predicted - true) ** 2, owners)
    found = {
        f"{name}_mae": Drawn(absolute.mean(), absolute.mean(own), *n),
        f"{name}_rmse": Drawn(np.sqrt(squared.mean()), np.sqrt(squared.mean(own)), *n),
    }
    each = (np.vstack([np.ones(len(people)), own]) / count)[:, code]
    for kind, is_ranked in (("pearson", False), ("spearman", True)):
        drawn = drawn_correlation(predicted, true, each, ranked=is_ranked)
        found[f"{name}_{kind}"] = Drawn(float(drawn[0]), drawn[1:], *n)
    return found


def _two_valued(
    predicted: Floats, true: Floats, owners: NDArray[np.int64], weights: Floats
) -> tuple[float, Floats]:
    """AUROC of a score with two values; every patient weighs the same."""
    from learner_index.analysis.classes import weighted_auroc

    people, code, count = np.unique(owners, return_inverse=True, return_counts=True)
    each = (np.vstack([np.ones(len(people)), weights[:, people]]) / count)[:, code]
    drawn = weighted_auroc(predicted, true == true.max(), each)
    return float(drawn[0]), drawn[1:]


def _of_patients(found: ByPatient, weights: Floats, chance: float | None = None) -> Drawn:
    """A mean over patients."""
    return Drawn(
        found.mean(), found.mean(weights), found.n_patients, int(found.count.sum()), chance
    )


def _averaged(folds: Sequence[Drawn]) -> Drawn:
    """Mean over folds by their patients; a fold in which a draw is undefined is left out of it."""
    sizes = np.array([fold.n_patients for fold in folds], np.float64)
    values = np.array([fold.value for fold in folds])
    draws = np.stack([fold.draws for fold in folds])  # (folds, d)
    known = [(one.chance, one.n_patients) for one in folds if one.chance is not None]
    return Drawn(
        float(_weighted(values[:, None], sizes)[0]),
        _weighted(draws, sizes),
        int(sizes.sum()),
        sum(fold.n_pairs for fold in folds),
        sum(chance * n for chance, n in known) / sum(n for _, n in known) if known else None,
    )


def _weighted(values: Floats, sizes: Floats) -> Floats:
    """(d,) mean over the first axis of what is defined."""
    is_defined = ~np.isnan(values)
    total = sizes @ is_defined
    summed = sizes @ np.where(is_defined, values, 0.0)
    found = np.full(values.shape[1], np.nan)
    np.divide(summed, total, out=found, where=total > 0)
    return found
