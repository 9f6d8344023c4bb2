"""Measures what the embeddings of a store are worth: spread, agreement with health, neighbours."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from learner_index.analysis.across import across_patient_agreement
from learner_index.analysis.distance import patient_mean
from learner_index.analysis.probes import identity_probe
from learner_index.analysis.space import effective_rank
from learner_index.analysis.within import distance_agreement
from learner_index.data.visits import strata, visit_codes
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.gain import Gain, measure_gain
from learner_index.pipeline.reports.confounders import Sample
from learner_index.pipeline.reports.page import sentence
from learner_index.pipeline.reports.records import SpaceQuality
from learner_index.pipeline.roles import SEEN, n_seen

K = 5
_LEAST = 3  # patients that a gain needs
Found = TypeVar("Found")


def space_quality(cohort: Cohort, sample: Sample) -> SpaceQuality:
    """What a store's embeddings are worth for its patients.

    Args:
        cohort: the store.
        sample: the patients that are measured; all of them unless the store is large.
    """
    missing: dict[str, str] = {}
    obs, embeddings = sample.obs, sample.embeddings
    patient, score = obs["patient_id"].to_numpy(object), obs["health_score"].to_numpy(np.float64)
    visit, view = visit_codes(obs), strata(obs)
    center = patient_mean(embeddings, patient)

    def identity() -> tuple[float, float, float, float]:
        one = identity_probe(embeddings, patient, visit, view, metric="centered", center=center)
        return one.hit.mean(), one.interval.low, one.interval.high, one.chance.mean()

    return SpaceQuality(
        effective_rank=_try(missing, "effective rank", lambda: effective_rank(embeddings, patient)),
        width=embeddings.shape[1],
        within=_try(
            missing,
            "within",
            lambda: distance_agreement(embeddings, score, patient, visit, view, center=center),
        ),
        across=_try(
            missing,
            "across",
            lambda: across_patient_agreement(embeddings, score, patient, view=view, center=center),
        ),
        gain=_try(missing, "gain", lambda: _gain(cohort, sample)),
        identity=_try(missing, "identity", identity),
        missing=missing,
        n_seen=n_seen(obs) if "encoder_role" in obs else 0,
    )


def _gain(cohort: Cohort, sample: Sample) -> Gain:
    """What looking alike is worth, for patients the encoder has not seen where there are some."""
    if sample.n_left_out:
        raise NotEnoughDataError(
            f"not measured in a report of {len(cohort):,} scans: `learner_index.measure_gain` does"
        )
    where = []
    if "encoder_role" in sample.obs:
        is_seen = sample.obs.groupby("patient_id")["encoder_role"].first().isin(SEEN)
        if is_seen.any() and (~is_seen).sum() >= _LEAST:
            where = ["encoder_role == unseen"]
    return measure_gain(cohort, k=K, where=where)


def _try(missing: dict[str, str], name: str, measure: Callable[[], Found]) -> Found | None:
    """A measure, or None with the reason noted."""
    try:
        return measure()
    except (NotEnoughDataError, QueryError) as problem:
        missing[name] = sentence(problem)
        return None
