"""Is looking alike worth anything: health scores of the nearest patients against random ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.records import Hit
from learner_index.data.show import Card, Shown, plural
from learner_index.data.visits import strata
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.roles import MARK, SEEN
from learner_index.search.filters import fulfils_all

BOOTSTRAPS = 2000


@dataclass(frozen=True, slots=True, repr=False)
class Gain(Shown):
    """How much closer in health score the nearest patients are than random ones.

    Attributes:
        near: mean difference between a scan's health score and those of its nearest patients'
            scans, in score units, over patients.
        chance: mean difference between the same scans and other patients' scans of that view.
        low: lower end of the 95 % bootstrap interval, by patient, of chance minus near.
        high: its upper end; an interval that holds 0 shows nothing.
        n_patients: patients all of it rests on.
        n_scans: scans with a health score.
        n_seen: patients among them that the encoder was trained or tuned on; a figure for new
            patients has none.
        by_patient: chance minus near of each patient.
        is_simulated: whether the store's scans were computed.
    """

    near: float
    chance: float
    low: float
    high: float
    n_patients: int
    n_scans: int
    n_seen: int = 0
    by_patient: Mapping[str, float] = field(default_factory=dict)
    is_simulated: bool = False

    def _card(self) -> Card:
        """How much closer, and how sure."""
        seen = f"; {self.n_seen} patients {MARK}" if self.n_seen else ""
        title = f"Nearest patients {self.chance - self.near:.3g} closer in health score than others"
        caption = (
            f"95 % {self.low:.3g} to {self.high:.3g}; nearest {self.near:.3g} apart, others "
            f"{self.chance:.3g}; {plural(self.n_patients, 'patient')}, "
            f"{plural(self.n_scans, 'scan')}{seen}"
        )
        return Card(title, caption=caption, is_simulated=self.is_simulated)


@dataclass(frozen=True, slots=True, repr=False)
class GainDifference(Shown):
    """How much more one store's answers are worth than another's, for the same patients.

    Attributes:
        mean: first gain minus second, in score units, over patients.
        low: lower end of its 95 % bootstrap interval, by patient.
        high: its upper end; an interval that holds 0 shows nothing.
        n_patients: patients both gains rest on.
        is_simulated: whether these patients' scans were computed.
    """

    mean: float
    low: float
    high: float
    n_patients: int
    is_simulated: bool = False

    def _card(self) -> Card:
        """How much more, and how sure."""
        title = f"First gain minus second: {self.mean:+.3g} in health score"
        caption = f"95 % {self.low:+.3g} to {self.high:+.3g}; {plural(self.n_patients, 'patient')}"
        return Card(title, caption=caption, is_simulated=self.is_simulated)


def compare_gains(first: Gain, second: Gain, *, seed: int = 0) -> GainDifference:
    """Difference of two gains, paired by patient.

    Raises:
        NotEnoughDataError: they share fewer than three patients.
    """
    shared = sorted(first.by_patient.keys() & second.by_patient.keys())
    if len(shared) < 3:
        raise NotEnoughDataError(f"the two gains share {len(shared)} patients: three are needed")
    both = np.array([first.by_patient[name] - second.by_patient[name] for name in shared])
    low, high = _interval(both, seed)
    is_simulated = first.is_simulated or second.is_simulated
    return GainDifference(float(both.mean()), low, high, len(shared), is_simulated)


def measure_gain(cohort: Cohort, *, k: int = 5, seed: int = 0, where: Sequence[str] = ()) -> Gain:
    """What looking alike is worth in health score, with an interval by patient.

    Each scan with a health score is asked about; its k nearest patients are compared with all
    scans of other patients in the same view and modality, so that a view that tells the score
    alone (films taken in an ICU are all "ap") earns nothing. Scans are averaged within patients,
    on both sides, so that patients weigh equally.

    Args:
        cohort: a store with health scores.
        k: nearest patients a scan.
        seed: of the bootstrap.
        where: conditions on the scans asked about and on those found. What an encoder is worth
            for new patients is measured where "encoder_role == unseen".

    Raises:
        NotEnoughDataError: fewer than three patients have a health score.
        QueryError: a condition is not understood.

    Example:
        >>> import learner_index as li
        >>> li.measure_gain(li.open_store("demo/cohort.zarr"))  # doctest: +SKIP
    """
    conditions = [where] if isinstance(where, str) else list(where)
    obs = _chosen(cohort, conditions).dropna(subset=["health_score"])
    if obs["patient_id"].nunique() < 3:
        words = f" where {' and '.join(conditions)}" if conditions else ""
        raise NotEnoughDataError(
            f"{obs['patient_id'].nunique()} patients have a health score{words}: three are needed"
        )
    near, chance, n_seen = {}, {}, 0
    stratum = strata(obs)
    scores, patients = obs["health_score"].to_numpy(), obs["patient_id"].to_numpy(dtype=object)
    for patient in sorted(set(patients)):
        found, others = [], []
        for row in np.flatnonzero(patients == patient):
            rivals = (patients != patient) & (stratum == stratum[row])
            wanted = [*conditions, "health_score is present"]
            hits = cohort.similar(scan=obs["scan_id"].iloc[row], k=k, where=wanted)
            if len(hits):
                found.append(np.mean(np.abs(scores[row] - [health_score(hit) for hit in hits])))
                others.append(_mean_by_patient(np.abs(scores[row] - scores), patients, rivals))
        if found:
            n_seen += bool(obs["encoder_role"][patients == patient].isin(SEEN).any())
            near[str(patient)] = float(np.mean(found))
            chance[str(patient)] = float(np.mean(others))
    if len(near) < 3:
        raise NotEnoughDataError(f"{len(near)} patients share a view with others: three are needed")
    gains = {patient: chance[patient] - near[patient] for patient in near}
    low, high = _interval(np.array(list(gains.values())), seed)
    return Gain(
        near=float(np.mean(list(near.values()))),
        chance=float(np.mean(list(chance.values()))),
        low=low,
        high=high,
        n_patients=len(gains),
        n_scans=len(obs),
        n_seen=n_seen,
        by_patient=gains,
        is_simulated=bool(cohort.settings.get("is_simulated", False)),
    )


def _interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of a mean over patients."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (BOOTSTRAPS, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _chosen(cohort: Cohort, conditions: Sequence[str]) -> pd.DataFrame:
    """Rows that fulfil all conditions."""
    table = cohort.table
    return table.obs[fulfils_all(table, conditions)]


def _mean_by_patient(
    values: NDArray[np.float64], patients: NDArray[np.object_], chosen: NDArray[np.bool_]
) -> float:
    """Mean over patients of the mean over a patient's chosen scans."""
    _, codes = np.unique(patients[chosen].astype(str), return_inverse=True)
    return float(np.mean(np.bincount(codes, values[chosen]) / np.bincount(codes)))


def health_score(hit: Hit) -> float:
    """A hit's health score; NaN when unknown."""
    return np.nan if hit.health_score is None else hit.health_score
