"""Is looking alike worth anything: health scores of the nearest patients against random ones."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.records import Hit
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.cohort import Cohort

BOOTSTRAPS = 2000


@dataclass(frozen=True, slots=True)
class Gain:
    """How much closer in health score the nearest patients are than random ones.

    Attributes:
        near: mean difference between a scan's health score and those of its nearest patients'
            scans, in score units, over patients.
        chance: mean difference between the same scans and other patients' scans of that view.
        low: lower end of the 95 % bootstrap interval, by patient, of chance minus near.
        high: its upper end; an interval that holds 0 shows nothing.
        n_patients: patients all of it rests on.
        n_scans: scans with a health score.
    """

    near: float
    chance: float
    low: float
    high: float
    n_patients: int
    n_scans: int


def measure_gain(cohort: Cohort, *, k: int = 5, seed: int = 0) -> Gain:
    """What looking alike is worth in health score, with an interval by patient.

    Each scan with a health score is asked about; its k nearest patients are compared with all
    scans of other patients in the same view and modality, so that a view that tells the score
    alone (films taken in an ICU are all "ap") earns nothing. Scans are averaged within patients,
    on both sides, so that patients weigh equally.

    Args:
        cohort: a store with health scores.
        k: nearest patients a scan.
        seed: of the bootstrap.

    Raises:
        NotEnoughDataError: fewer than three patients have a health score.

    Example:
        >>> import learner_index as li
        >>> li.measure_gain(li.open_store("demo/cohort.zarr"))  # doctest: +SKIP
    """
    obs = cohort.obs.dropna(subset=["health_score"])
    if obs["patient_id"].nunique() < 3:
        raise NotEnoughDataError(
            f"{obs['patient_id'].nunique()} patients have a health score: three are needed"
        )
    near, chance = [], []
    strata = _strata(obs)
    scores, patients = obs["health_score"].to_numpy(), obs["patient_id"].to_numpy(dtype=object)
    for patient in sorted(set(patients)):
        found, others = [], []
        for row in np.flatnonzero(patients == patient):
            rivals = (patients != patient) & (strata == strata[row])
            hits = cohort.similar(
                scan=obs["scan_id"].iloc[row], k=k, where=["health_score is present"]
            )
            if len(hits):
                found.append(np.mean(np.abs(scores[row] - [health_score(hit) for hit in hits])))
                others.append(_mean_by_patient(np.abs(scores[row] - scores), patients, rivals))
        if found:
            near.append(np.mean(found))
            chance.append(np.mean(others))
    if len(near) < 3:
        raise NotEnoughDataError(f"{len(near)} patients share a view with others: three are needed")
    gains = np.array(chance) - np.array(near)
    drawn = np.random.default_rng(seed).integers(0, len(gains), (BOOTSTRAPS, len(gains)))
    low, high = np.quantile(gains[drawn].mean(axis=1), [0.025, 0.975])
    return Gain(
        float(np.mean(near)),
        float(np.mean(chance)),
        float(low),
        float(high),
        len(gains),
        len(obs),
    )


def _strata(obs: pd.DataFrame) -> NDArray[np.object_]:
    """(n,) what scans are compared within: view and modality."""
    parts = [obs[name].astype(object).fillna("") for name in ("view", "modality") if name in obs]
    return np.array(["\0".join(map(str, row)) for row in zip(*parts, strict=True)], dtype=object)


def _mean_by_patient(
    values: NDArray[np.float64], patients: NDArray[np.object_], chosen: NDArray[np.bool_]
) -> float:
    """Mean over patients of the mean over a patient's chosen scans."""
    _, codes = np.unique(patients[chosen].astype(str), return_inverse=True)
    return float(np.mean(np.bincount(codes, values[chosen]) / np.bincount(codes)))


def health_score(hit: Hit) -> float:
    """A hit's health score; NaN when unknown."""
    return np.nan if hit.health_score is None else hit.health_score
