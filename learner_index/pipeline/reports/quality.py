"""Counts what a store's columns hold and lack."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from learner_index.data.visits import visit_codes
from learner_index.pipeline.reports.records import Quality

_OWN = ("scan_id", "patient_id", "content_hash", "encoder_role")
_MOST_BINS = 12


def quality_of(obs: pd.DataFrame) -> Quality:
    """What the columns of a store hold, and what they lack.

    Args:
        obs: one row a scan, at least one.
    """
    visits = visit_codes(obs)
    dated = obs.assign(_visit=visits)[visits >= 0]
    per_patient = dated.groupby("patient_id")["_visit"].nunique()
    repeats = _repeats(dated)
    scores = obs["health_score"].dropna().to_numpy(np.float64)
    return Quality(
        n_single=int((per_patient == 1).sum()),
        n_undated=int(obs["day"].isna().sum()) if "day" in obs else len(obs),
        days_between=_days_between(dated),
        visits=_spread(per_patient) or (0.0, 0.0, 0.0),
        modalities=_counts(obs, "modality"),
        n_repeats=int(repeats.sum()),
        n_independent=int(repeats[dated["rescan"].eq(True)].sum()) if "rescan" in dated else 0,
        n_shared=int(obs["content_hash"].dropna().duplicated().sum())
        if "content_hash" in obs
        else 0,
        missing=_missing(obs),
        score=_quartiles(scores),
        histogram=_histogram(scores),
    )


def _repeats(dated: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each scan comes after the first of its patient, visit, view and modality."""
    names = [name for name in ("patient_id", "_visit", "view", "modality") if name in dated]
    return dated[names].astype("string").fillna("").duplicated()


def _days_between(dated: pd.DataFrame) -> tuple[float, float, float] | None:
    """Least, median and most days from one visit of a patient to the next."""
    if "day" not in dated:
        return None
    days = dated.dropna(subset=["day"]).groupby(["patient_id", "_visit"])["day"].min()
    gaps = days.sort_values().groupby("patient_id").diff().dropna()
    return _spread(gaps[gaps > 0])


def _spread(values: Iterable[float]) -> tuple[float, float, float] | None:
    """Least, median and most; None of nothing."""
    found = np.asarray(list(values), np.float64)
    if not len(found):
        return None
    return float(found.min()), float(np.median(found)), float(found.max())


def _counts(obs: pd.DataFrame, name: str) -> dict[str, int]:
    """How many scans have each value."""
    if name not in obs:
        return {}
    return {str(k): int(v) for k, v in obs[name].value_counts().sort_index().items()}


def _missing(obs: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Column -> scans without a value, patients without any; complete columns are left out."""
    found = {}
    for name in obs.columns:
        is_missing = obs[name].isna()
        if name in _OWN or not is_missing.any():
            continue
        never = is_missing.groupby(obs["patient_id"]).all()
        found[str(name)] = (int(is_missing.sum()), int(never.sum()))
    return found


def _quartiles(scores: np.ndarray) -> tuple[float, float, float, float, float] | None:
    """Least, quartiles and most."""
    if not len(scores):
        return None
    low, first, middle, third, high = (
        float(q) for q in np.quantile(scores, [0, 0.25, 0.5, 0.75, 1])
    )
    return low, first, middle, third, high


def _histogram(scores: np.ndarray) -> tuple[tuple[float, float, int], ...]:
    """Ends of each bin and scans in it; a bin a value where there are few."""
    values, counts = np.unique(scores, return_counts=True)
    if len(values) <= _MOST_BINS:
        return tuple((float(v), float(v), int(n)) for v, n in zip(values, counts, strict=True))
    counts, edges = np.histogram(scores, bins=_edges(float(values[0]), float(values[-1])))
    ends = zip(edges[:-1], edges[1:], counts, strict=True)
    return tuple((float(low), float(high), int(n)) for low, high, n in ends)


def _edges(low: float, high: float) -> np.ndarray:
    """Round ends of at most `_MOST_BINS` bins that hold all from low to high."""
    rough = (high - low) / (_MOST_BINS - 2)
    unit = 10.0 ** np.floor(np.log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * (1 - 1e-9))
    first, last = np.floor(low / step), np.floor(high / step) + 1
    return np.asarray(np.arange(first, last + 1) * step)
