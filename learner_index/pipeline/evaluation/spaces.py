"""What the space of an encoder looks like on patients it has not seen, fitted on the others."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.by_patient import AcrossPatients, by_patient
from learner_index.analysis.ordering import (
    neighbor_score_error,
    retrieval_ndcg,
    triplet_ordinality,
)
from learner_index.analysis.probes import identity_probe, probe
from learner_index.analysis.space import (
    Whitening,
    across_agreements,
    across_patient_pairs,
    effective_rank,
    figure_one,
    fit_whitening,
    within_agreements,
)
from learner_index.analysis.within import scored_pairs
from learner_index.data.split import PatientSplit
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.evaluation.averages import Drawn, of_patients
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.models import SEVERITY, STATES

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
NEIGHBORS = 5
RETRIEVED = 5
SAMPLED = 4000  # pairs across patients, and triplets, in a fold


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Which patients of a cohort a fold uses for what.

    Attributes:
        train: (p,) heads and spaces are fitted on them.
        tune: (p,) they choose how strongly heads are regularized, and join the last fit.
        test: (p,) nothing is fitted on them.
    """

    train: Masks
    tune: Masks
    test: Masks

    @classmethod
    def of(cls, material: Material, split: PatientSplit) -> "Parts":
        """The parts a split's roles stand for."""
        return cls(*(material.is_of(names) for names in (split.train, split.val, split.unseen)))


def measure_space(
    material: Material,
    embeddings: NDArray[np.floating],
    part: Parts,
    weights: Floats,
    seed: int,
) -> tuple[dict[str, Drawn], pd.DataFrame | None]:
    """What the space of a fold's unseen patients looks like, fitted on the others.

    Measures that these patients cannot bear (too few, no repeats, one view) are left out, and all
    of them where the embeddings fitted on are equal.

    Returns:
        Measures by name, and the pairs of `space.figure_one`; None without any.
    """
    known = part.train | part.tune
    rows, fitted = part.test[material.owners], known[material.owners]
    seen = embeddings[fitted]
    try:
        whitening = fit_whitening(seen, material.owners[fitted])
    except NotEnoughDataError:
        return {}, None
    scans, own = np.flatnonzero(rows), weights[:, part.test]
    view = _Space(material, embeddings, scans, fitted, whitening, own, seed)
    found: dict[str, Drawn] = {}
    for measure in (
        view.within, view.within_truth, view.across, view.triplets, view.neighbors, view.retrieval,
        view.rank, view.identity, view.confounders,
    ):  # fmt: skip
        try:
            found |= measure()
        except NotEnoughDataError:
            continue
    return found, view.distances()


@dataclass(frozen=True, slots=True, eq=False)
class _Space:
    """The unseen patients of a fold in one space.

    Attributes:
        rows: (m,) their scans.
        fitted: (n,) scans of the others.
        weights: (d, patients of the fold) draws.
    """

    material: Material
    embeddings: NDArray[np.floating]
    rows: NDArray[np.intp]
    fitted: Masks
    whitening: Whitening
    weights: Floats
    seed: int

    @property
    def own(self) -> NDArray[np.floating]:
        """(m, e) their embeddings."""
        return self.embeddings[self.rows]

    @property
    def owners(self) -> NDArray[np.int64]:
        """(m,) their patients, as numbers of the whole cohort."""
        return self.material.owners[self.rows]

    @property
    def views(self) -> list[str]:
        """(m,) their views."""
        return [self.material.views[row] for row in self.rows.tolist()]

    def distances(self) -> pd.DataFrame | None:
        """Pairs of one patient's scans, for the figure."""
        try:
            return figure_one(
                self.own,
                self.material.score[self.rows],
                self.owners,
                self.material.visit[self.rows],
                self.views,
                whitening=self.whitening,
            )
        except NotEnoughDataError:
            return None

    def within(self) -> dict[str, Drawn]:
        """Distance and change of score within patients, raw, centred and whitened."""
        return self._agreements("within", self.material.score[self.rows])

    def within_truth(self) -> dict[str, Drawn]:
        """The same with the severity that was simulated, if it was."""
        truth = self.material.truth
        if truth is None or SEVERITY not in truth:
            return {}
        return self._agreements("within_true", truth[SEVERITY].to_numpy(np.float64)[self.rows])

    def _agreements(self, name: str, score: Floats) -> dict[str, Drawn]:
        scored = scored_pairs(score, self.owners, self.material.visit[self.rows], self.views)
        found = within_agreements(
            self.own, scored, self.whitening, n_bootstraps=len(self.weights), seed=self.seed
        )
        return {
            f"{name}_{how}": Drawn(one.rho, drawn, one.n_patients, one.n_pairs)
            for how, (one, drawn) in found.items()
        }

    def across(self) -> dict[str, Drawn]:
        """Distance and difference of score between patients."""
        score = self.material.score[self.rows]
        pairs = across_patient_pairs(
            score, self.owners, view=self.views, max_pairs=SAMPLED, seed=self.seed
        )
        found = across_agreements(self.own, pairs, self.whitening, self.weights)
        return {
            f"across_{how}": Drawn(one.rho, drawn, one.n_patients, one.n_pairs)
            for how, (one, drawn) in found.items()
        }

    def triplets(self) -> dict[str, Drawn]:
        """Whether the nearer in score is the nearer in space."""
        found = triplet_ordinality(
            self.own,
            self.material.score[self.rows],
            self.owners,
            view=self.views,
            metric="centered",
            center=self.whitening.center,
            max_triplets=SAMPLED,
            seed=self.seed,
        )
        return {"triplet_ordinality": _across(found, self.weights, 0.5)}

    def neighbors(self) -> dict[str, Drawn]:
        """Score of the nearest training patients."""
        found = neighbor_score_error(
            self.embeddings[self.fitted],
            self.material.score[self.fitted],
            self.material.owners[self.fitted],
            self.own,
            self.material.score[self.rows],
            k=NEIGHBORS,
            metric="centered",
            center=self.whitening.center,
            test_patient=self.owners,
        )
        median = by_patient(found.median_error, self.owners).mean()
        return {
            "neighbor_mae": of_patients(by_patient(found.error, self.owners), self.weights, median)
        }

    def retrieval(self) -> dict[str, Drawn]:
        """Whether transitions alike in direction have the same health change."""
        material, transitions = self.material, self.material.transitions
        own = np.flatnonzero(np.isin(transitions.patient, self.owners))
        if not len(own):
            return {}
        deltas, owners = transitions.only(own).deltas(self.embeddings), transitions.patient[own]
        changes = material.changes[own]
        relevance = (changes[:, None] == changes).astype(np.float64)
        found = {"retrieval_ndcg": self._retrieved(deltas, relevance, owners)}
        if material.truth is not None:
            found["retrieval_true_ndcg"] = self._retrieved(deltas, self._alike(own), owners)
        return found

    def _alike(self, own: NDArray[np.intp]) -> Floats:
        """(k, k) how alike the true changes of state are: cosine, 0 where they differ or oppose."""
        truth = self.material.truth
        if truth is None:
            return np.zeros((len(own), len(own)))
        states = truth[[name for name in STATES if name in truth]].to_numpy(np.float64)
        change = self.material.transitions.only(own).deltas(states)
        lengths = np.linalg.norm(change, axis=1, keepdims=True)
        unit = np.divide(change, lengths, out=np.zeros_like(change), where=lengths > 1e-9)
        return np.asarray(np.clip(unit @ unit.T, 0.0, 1.0))

    def _retrieved(self, deltas: Floats, relevance: Floats, owners: NDArray[np.int64]) -> Drawn:
        found = retrieval_ndcg(deltas, relevance, owners, k=RETRIEVED)
        places = np.searchsorted(np.unique(self.owners), np.unique(owners))
        chance = by_patient(found.chance, owners).mean()
        return of_patients(by_patient(found.ndcg, owners), self.weights[:, places], chance)

    def rank(self) -> dict[str, Drawn]:
        """Directions the space spreads in."""
        value = effective_rank(self.own, self.owners)
        n = len(np.unique(self.owners))
        return {
            "effective_rank": Drawn(value, np.full(len(self.weights), np.nan), n, len(self.rows))
        }

    def identity(self) -> dict[str, Drawn]:
        """Whether the nearest scan of another visit is the same patient's."""
        found = identity_probe(
            self.own,
            self.owners,
            self.material.visit[self.rows],
            self.views,
            metric="centered",
            center=self.whitening.center,
            n_bootstraps=0,
        )
        return {"identity": of_patients(found.hit, self.weights, found.chance.mean())}

    def confounders(self) -> dict[str, Drawn]:
        """How well site and view can be told from the space."""
        found: dict[str, Drawn] = {}
        for name, texts in self.material.labels.items():
            label = [texts[row] for row in self.rows.tolist()]
            try:
                told = probe(
                    self.own, label, self.owners, n_permutations=0, n_bootstraps=0, seed=self.seed
                )
            except NotEnoughDataError:
                continue
            draws = told.told.mean(self.weights)
            found[name] = Drawn(
                told.balanced_accuracy, draws, told.n_patients, told.n_scans, told.chance
            )
        return found


def _across(found: AcrossPatients, weights: Floats, chance: float) -> Drawn:
    """A mean over triplets, and over those of each draw."""
    return Drawn(found.mean(), found.mean(weights), found.n_patients, len(found.value), chance)
