"""What is known of each transition besides embeddings: its two visits' columns, side by side."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.pipeline.progression.visits import Codes, VisitArrays

MIXED = "mixed"
OWN = (
    "patient_id",
    "day",
    "from_day",
    "later_day",
    "to_day",
    "delta_day",
    "health_score",
    "later_health_score",
    "delta_score",
    "n_views",
    "view",
    "treatment",
)
"""Columns that every transition has, before those kept from the manifest."""
_OF_A_SCAN = ("scan_id", "content_hash", "rescan")


class Pooled(Protocol):
    """Visits as far as their columns need them."""

    @property
    def scan_visit(self) -> Codes:
        """(n,) visit of each scan, as a position."""

    @property
    def patient(self) -> Codes:
        """(v,) patient of each visit."""


def visit_columns(obs: pd.DataFrame, visits: Pooled) -> pd.DataFrame:
    """(v,) rows: the value all scans of a visit share; missing where two of them differ.

    Two treatments within one visit are "mixed"; where none is written, the one before is still
    in force.

    Args:
        obs: (n,) columns of the scans.
        visits: their visits.
    """
    order = np.argsort(visits.scan_visit, kind="stable")
    first = np.searchsorted(visits.scan_visit[order], np.arange(len(visits.patient)))
    names = [name for name in obs.columns if name not in _OF_A_SCAN]
    found = pd.DataFrame({name: _shared(obs[name], order, first) for name in names})
    if "treatment" in found and len(found):
        written = obs["treatment"].notna().to_numpy(bool)
        has_any = np.logical_or.reduceat(written[order], first)
        is_torn = has_any & found["treatment"].isna().to_numpy(bool)
        treatment = found["treatment"].astype("string").mask(is_torn, MIXED)
        found["treatment"] = treatment.groupby(visits.patient).ffill()
    return found


def transition_columns(of_visits: pd.DataFrame, visits: VisitArrays) -> pd.DataFrame:
    """(t,) rows: columns of the earlier visit, and what lies between it and the later one.

    Treatment is the one in force at the earlier visit, "mixed" when it changes before the later
    one. `view` names the views both visits share.

    Args:
        of_visits: (v,) as `visit_columns` gives them.
        visits: the visits and transitions.
    """
    earlier, later = visits.earlier, visits.later
    found = of_visits.iloc[earlier].reset_index(drop=True)
    own = {
        "patient_id": found["patient_id"],
        "day": visits.day[earlier],
        "from_day": visits.day[earlier],
        "later_day": visits.day[later],
        "to_day": visits.day[later],
        "delta_day": visits.delta_day,
        "health_score": visits.score[earlier],
        "later_health_score": visits.score[later],
        "delta_score": visits.delta_score,
        "n_views": visits.n_views.astype(np.float64),
        "view": pd.array(np.array([*visits.view_sets, ""], object)[visits.shared], dtype="string"),
        "treatment": pd.array(treatments(of_visits, earlier, later), dtype="string"),
    }
    rest = {name: found[name] for name in found.columns if name not in own}
    return pd.DataFrame({**own, **rest})


def scans_of(obs: pd.DataFrame, visits: VisitArrays, wanted: Codes) -> list[tuple[str, ...]]:
    """The scans of some visits, each in the order of rows."""
    rows = np.flatnonzero(np.isin(visits.scan_visit, wanted))
    of_visit: dict[int, list[str]] = {int(visit): [] for visit in wanted}
    for row in rows.tolist():
        of_visit[int(visits.scan_visit[row])].append(str(obs["scan_id"].iloc[row]))
    return [tuple(of_visit[int(visit)]) for visit in wanted]


def treatments(of_visits: pd.DataFrame, earlier: Codes, later: Codes) -> Sequence[str | None]:
    """(t,) treatment in force from the earlier visit until the later one, or "mixed".

    Args:
        of_visits: (v,) by patient and day, as `visit_columns` gives them.
        earlier: (t,) position of a visit.
        later: (t,) position of a later one of the same patient.
    """
    if "treatment" not in of_visits:
        return [None] * len(earlier)
    codes, names = pd.factorize(of_visits["treatment"])
    changes = np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1])])
    is_mixed = changes[later - 1] > changes[earlier]
    named: NDArray[np.object_] = np.array([*map(str, names), None], object)
    return list(np.where(is_mixed, MIXED, named[codes[earlier]]))


def _shared(column: "pd.Series[Any]", order: Codes, first: Codes) -> "pd.Series[Any]":
    """(v,) the known value of each visit's scans, missing where there are several."""
    codes, values = pd.factorize(column)
    if not len(first):
        return column.iloc[:0].reset_index(drop=True)
    sorted_codes = codes[order]
    highest = np.maximum.reduceat(sorted_codes, first)
    lowest = np.minimum.reduceat(np.where(sorted_codes < 0, len(values), sorted_codes), first)
    chosen = np.where(highest == lowest, highest, -1)
    representative = np.zeros(len(values) + 1, np.int64)
    representative[codes[::-1]] = np.arange(len(codes))[::-1]  # the first row of each value
    taken = column.iloc[representative[chosen]].reset_index(drop=True)
    return taken.mask(chosen < 0) if (chosen < 0).any() else taken
