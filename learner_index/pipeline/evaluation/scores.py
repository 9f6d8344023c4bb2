"""How well health scores, and changes of them, are predicted for patients not fitted on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.by_patient import by_patient
from learner_index.analysis.classes import weighted_auroc
from learner_index.analysis.correlation import drawn_correlation
from learner_index.analysis.ordering import concordance_within
from learner_index.pipeline.evaluation.averages import Drawn, averaged, of_patients
from learner_index.pipeline.evaluation.fold import FoldOutcome
from learner_index.pipeline.evaluation.material import Material

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Guesses:
    """Predicted numbers of one fold, or of all.

    Attributes:
        predicted: (m,) in score units.
        true: (m,) likewise.
        owners: (m,) patients, as numbers of the whole cohort.
    """

    predicted: Floats
    true: Floats
    owners: NDArray[np.int64]

    @classmethod
    def pooled(cls, parts: "Sequence[_Guesses]") -> "_Guesses":
        """Those of all folds."""
        return cls(
            np.concatenate([part.predicted for part in parts]),
            np.concatenate([part.true for part in parts]),
            np.concatenate([part.owners for part in parts]),
        )

    @property
    def size(self) -> tuple[int, int]:
        """How many patients, and numbers."""
        return len(np.unique(self.owners)), len(self.true)

    def weights(self, drawn: Floats) -> Floats:
        """(1 + d, m) of each number: first of the cohort itself, patients weighing the same."""
        people, code, count = np.unique(self.owners, return_inverse=True, return_counts=True)
        return np.asarray((np.vstack([np.ones(len(people)), drawn[:, people]]) / count)[:, code])


def score_figures(
    material: Material, folds: Sequence[FoldOutcome], weights: Floats
) -> dict[str, Drawn]:
    """Predicted health scores, and changes of them.

    Args:
        material: the cohort.
        folds: what came out of each.
        weights: (d, p) draws of all patients.

    Returns:
        Measures by name; correlations and AUROC are means over folds.
    """
    is_visit = material.about.per == "visit"
    score = material.visits.score if is_visit else material.score
    owners = material.visits.patient if is_visit else material.owners
    parts = [_Guesses(f.predicted, score[f.items], owners[f.items]) for f in folds]
    found = _errors("score", parts, weights)
    if len(np.unique(np.concatenate([part.true for part in parts]))) == 2:
        drawn = [_two_valued(part, weights) for part in parts if len(np.unique(part.true)) == 2]
        found |= {"score_auroc": averaged(drawn)} if drawn else {}
    transitions = material.transitions
    if len(transitions):
        moved, whose = transitions.delta_score, transitions.patient
        deltas = [
            _Guesses(f.score_delta, moved[f.transitions], whose[f.transitions]) for f in folds
        ]
        of_change = _errors("change", deltas, weights)
        found |= {name: of_change[name] for name in ("change_mae", "change_spearman")}
    if is_visit:
        together = _Guesses.pooled(parts)
        one = concordance_within(together.predicted, together.true, together.owners)
        if one.n_patients:
            drawn_own = weights[:, np.unique(together.owners)]
            found["within_concordance"] = of_patients(one, drawn_own, 0.5)
    return found


def _errors(name: str, parts: Sequence[_Guesses], weights: Floats) -> dict[str, Drawn]:
    """Errors, pooled over folds, and correlations, averaged; every patient weighs the same."""
    every = _Guesses.pooled(parts)
    own = weights[:, np.unique(every.owners)]
    absolute = by_patient(np.abs(every.predicted - every.true), every.owners)
    squared = by_patient((every.predicted - every.true) ** 2, every.owners)
    root = float(np.sqrt(squared.mean())), np.sqrt(squared.mean(own))
    found = {
        f"{name}_mae": Drawn(absolute.mean(), absolute.mean(own), *every.size),
        f"{name}_rmse": Drawn(*root, *every.size),
    }
    for kind, is_ranked in (("pearson", False), ("spearman", True)):
        found[f"{name}_{kind}"] = averaged(
            [_correlated(part, weights, is_ranked=is_ranked) for part in parts if len(part.true)]
        )
    return found


def _correlated(part: _Guesses, weights: Floats, *, is_ranked: bool) -> Drawn:
    """Correlation of predicted and true numbers of a fold."""
    each = part.weights(weights)
    drawn = drawn_correlation(part.predicted, part.true, each, ranked=is_ranked)
    return Drawn(float(drawn[0]), drawn[1:], *part.size)


def _two_valued(part: _Guesses, weights: Floats) -> Drawn:
    """AUROC of a score with two values, of a fold that has both."""
    is_high = part.true == part.true.max()
    drawn = weighted_auroc(part.predicted, is_high, part.weights(weights))
    return Drawn(float(drawn[0]), drawn[1:], *part.size, 0.5)
