"""One model in one fold: everything fitted on the patients of the inner part, tried on the rest."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.head import ChangeHead, Part, ScoreHead, fit_change_head, fit_score_head
from learner_index.data.split import PatientSplit
from learner_index.pipeline.evaluation.averages import Drawn
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.spaces import Masks, Parts, measure_space

Floats = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class FoldOutcome:
    """What a model predicted for the patients of a fold, and what its space looks like there.

    Attributes:
        transitions: (k,) which transitions are the fold's.
        probability: (k, 3) by the head on differences; None where changes are not measured.
        label: (k,) health changes by that head.
        swapped: (k,) health changes with the visits swapped.
        score_delta: (k,) later predicted score minus earlier.
        delta_spread: root mean square error of `score_delta`, of the tuning patients.
        share: (3,) of each health change among the patients fitted on.
        items: (m,) which scans or visits are the fold's.
        predicted: (m,) their predicted health scores.
        space: measures of the space, by name.
        distances: pairs of one patient's scans, as of `space.figure_one`; None where there are
            none.
    """

    transitions: NDArray[np.intp]
    items: NDArray[np.intp]
    predicted: Floats
    score_delta: Floats
    delta_spread: float
    share: Floats
    probability: Floats | None = None
    label: NDArray[np.int8] | None = None
    swapped: NDArray[np.int8] | None = None
    space: dict[str, Drawn] = field(default_factory=dict)
    distances: pd.DataFrame | None = None


def run_fold(
    material: Material,
    embeddings: NDArray[np.floating],
    split: PatientSplit,
    weights: Floats,
    seed: int,
) -> FoldOutcome:
    """Fit on a fold's training patients, predict its unseen ones, and look at their space.

    Args:
        material: the cohort.
        embeddings: (n, e) by the encoder of this fold.
        split: who is who.
        weights: (d, p) draws of all patients of the cohort.
        seed: of samples of pairs and triplets.

    Raises:
        NotEnoughDataError: there is too little to fit on.
    """
    part = Parts.of(material, split)
    known = part.train | part.tune
    visits = material.visits.pool(embeddings, known[material.visits.patient])
    score_head, items, features = _score_head(material, embeddings, visits, part)
    predicted_visits = score_head.scores(visits)
    transitions, owners = material.transitions, material.transitions.patient
    score_delta = predicted_visits[transitions.later] - predicted_visits[transitions.earlier]
    own = np.flatnonzero(part.test[owners])
    outcome = FoldOutcome(
        transitions=own,
        items=items,
        predicted=score_head.scores(features[items]),
        score_delta=score_delta[own],
        delta_spread=_delta_spread(material, score_delta, part),
        share=class_share(material, known),
    )
    if len(material.changes):
        deltas = transitions.deltas(embeddings)
        head = _change_head(material, deltas, part)
        outcome.probability = head.probabilities(deltas[own])
        outcome.label = head.labels(outcome.probability)
        outcome.swapped = head.labels(head.probabilities(-deltas[own]))
    outcome.space, outcome.distances = measure_space(material, embeddings, part, weights, seed)
    return outcome


def class_share(material: Material, known: Masks) -> Floats:
    """(3,) share of worsened, stable and improved, each of some patients weighing the same."""
    rows = known[material.transitions.patient]
    if not rows.any():
        return np.full(3, np.nan)
    part = Part(
        np.empty((rows.sum(), 0)), material.changes[rows], material.transitions.patient[rows]
    )
    shares = [part.weights[part.target == code].sum() / rows.sum() for code in (-1, 0, 1)]
    return np.array(shares)


def _score_head(
    material: Material, embeddings: NDArray[np.floating], visits: Floats, part: Parts
) -> tuple[ScoreHead, NDArray[np.intp], Floats]:
    """The read-out of the score, the fold's scored items, and the features of all items."""
    if material.about.per == "visit":
        features, score, owners = visits, material.visits.score, material.visits.patient
    else:
        known = (part.train | part.tune)[material.visits.patient]
        features = material.visits.within_views(embeddings, known)
        score, owners = material.score, material.owners
    is_known = np.isfinite(score)
    train, tune = (
        _part(features, score, owners, is_known & who[owners]) for who in (part.train, part.tune)
    )
    return fit_score_head(train, tune), np.flatnonzero(is_known & part.test[owners]), features


def _change_head(material: Material, deltas: Floats, part: Parts) -> ChangeHead:
    """The read-out of health changes from differences."""
    owners = material.transitions.patient
    train, tune = (
        _part(deltas, material.changes, owners, who[owners]) for who in (part.train, part.tune)
    )
    return fit_change_head(train, tune)


def _part(
    features: Floats, target: NDArray[np.generic], owners: NDArray[np.int64], rows: Masks
) -> Part:
    return Part(features[rows], target[rows], owners[rows])


def _delta_spread(material: Material, score_delta: Floats, part: Parts) -> float:
    """How far predicted changes are off, on the patients who tune, else on those who train."""
    owners = material.transitions.patient
    for who in (part.tune, part.train):
        rows = who[owners]
        if np.count_nonzero(rows) > 1:
            errors = material.transitions.delta_score[rows] - score_delta[rows]
            return float(max(np.sqrt(np.mean(errors**2)), 1e-9))
    return 1.0
