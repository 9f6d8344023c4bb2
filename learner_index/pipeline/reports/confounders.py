"""Chooses the columns and patients of a store's confounder audit, and has them audited."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.confounders import Kind, Space, audit, most_draws
from learner_index.analysis.distance import Names, patient_mean
from learner_index.data.visits import STRATA, strata, visit_codes
from learner_index.pipeline.reports.records import Confounders

K = 5
MOST_SCANS = 4000
_NOT_ASKED = (
    *("scan_id", "patient_id", "content_hash", "health_score", "encoder_role", "rescan", "visit"),
    *("response", "event", "event_day", "last_seen_day", "split"),
)
OF_SCANS = STRATA
_FEW = 2  # numbers with so few values are categories


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Whole patients whose scans are few enough to be compared with each other.

    Attributes:
        obs: (n,) columns.
        embeddings: (n, e).
        n_left_out: patients left out by lot, in a large store.
    """

    obs: pd.DataFrame
    embeddings: NDArray[np.float32]
    n_left_out: int


def sample_patients(
    obs: pd.DataFrame,
    embeddings: NDArray[np.float32],
    *,
    most_scans: int = MOST_SCANS,
    seed: int = 0,
) -> Sample:
    """All patients, or as many of them as have so many scans together, drawn by lot.

    Args:
        obs: (n,) columns.
        embeddings: (n, e).
        most_scans: scans kept at most; one patient is kept however many they have.
        seed: of the lot.
    """
    if len(obs) <= most_scans:
        return Sample(obs.reset_index(drop=True), embeddings, 0)
    codes, names = pd.factorize(obs["patient_id"], sort=True)
    order = np.random.default_rng(seed).permutation(len(names))
    total = np.cumsum(np.bincount(codes)[order])
    kept = order[: max(1, int(np.searchsorted(total, most_scans, side="right")))]
    rows = np.flatnonzero(np.isin(codes, kept))
    return Sample(obs.iloc[rows].reset_index(drop=True), embeddings[rows], len(names) - len(kept))


def confounders_of(sample: Sample, *, n_draws: int | None = None, seed: int = 0) -> Confounders:
    """What the nearest patients of these share besides health.

    Args:
        sample: the patients.
        n_draws: shuffles; None: 999, and more for columns that few of these reach.
        seed: of the shuffles.
    """
    obs = sample.obs
    patient = obs["patient_id"].to_numpy(object)
    space = Space(
        embeddings=sample.embeddings,
        patient=patient,
        visit=visit_codes(obs),
        stratum=strata(obs),
        center=patient_mean(sample.embeddings, patient),
        score=obs["health_score"].to_numpy(np.float64),
    )
    columns = _columns(obs)
    shared, refused = audit(space, columns, of_scans=OF_SCANS, k=K, n_draws=n_draws, seed=seed)
    most = most_draws(len(columns)) if n_draws is None else n_draws
    return Confounders(shared, refused, K, most, int(obs["patient_id"].nunique()))


def _columns(obs: pd.DataFrame) -> Mapping[str, tuple[Kind, Names]]:
    """Columns to be audited: those that are neither ids, nor outcomes, nor always missing."""
    found: dict[str, tuple[Kind, Names]] = {}
    for name in obs.columns:
        if name in _NOT_ASKED or obs[name].isna().all():
            continue
        values = obs[name]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        kind: Kind = "number" if is_number and values.nunique() > _FEW else "category"
        found[str(name)] = (kind, values.to_numpy(object))
    return found
