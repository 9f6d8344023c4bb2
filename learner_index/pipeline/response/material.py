"""A cohort's visits as response heads see them: pooled, with their columns, nothing fitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.transitions import Transitions, Visits
from learner_index.data.suggest import close_names
from learner_index.data.visits import visit_codes
from learner_index.errors import QueryError
from learner_index.pipeline.progression.columns import visit_columns
from learner_index.pipeline.progression.reference import column_or, rows_by_modality
from learner_index.pipeline.progression.visits import views_of
from learner_index.search.eligible import OUTCOMES
from learner_index.search.filters import fulfils_all, unmet_hint
from learner_index.search.table import SearchTable

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Material:
    """v visits of p patients, in the order of patients and days.

    Attributes:
        visits: who was examined when.
        groups: (g, e) mean embedding of what a visit has of one view.
        of_visits: (v,) columns that all scans of a visit share.
        embeddings: (n, e) of the scans.
        patients: (p,) names by number, in alphabetical order: what is drawn by lot does not
            depend on the order of rows.
        modality: of the scans; "" where none is given.
    """

    visits: Visits
    groups: Floats
    of_visits: pd.DataFrame
    embeddings: NDArray[np.float32]
    patients: tuple[str, ...]
    modality: str

    @classmethod
    def of(
        cls,
        embeddings: NDArray[np.float32],
        obs: pd.DataFrame,
        *,
        modality: str | None = None,
        scans: Sequence[str] = (),
    ) -> Self:
        """The visits of some scans.

        Args:
            embeddings: (n, e).
            obs: (n,) their columns, as in a store.
            modality: the one meant, where there are several.
            scans: conditions on the scans that are used at all.

        Raises:
            QueryError: a condition is not understood or nothing fulfils them all, no such
                modality, or several and none named.
        """
        chosen, rows = _rows(embeddings, obs, modality, scans)
        whole = obs
        if len(rows) < len(obs):
            embeddings, obs = np.asarray(embeddings[rows]), obs.iloc[rows].reset_index(drop=True)
        found, numbers = np.unique(obs["patient_id"].to_numpy(str), return_inverse=True)
        names = tuple(map(str, found))
        visits = Visits.of(
            numbers,
            visit_codes(obs),
            views_of(obs),
            np.asarray(column_or(obs, "day", np.nan), np.float64),
            np.asarray(column_or(obs, "health_score", np.nan), np.float64),
        )
        groups, columns = visits.group_means(embeddings), visit_columns(obs, visits)
        if len(rows) < len(whole):
            columns = columns.assign(**_of_all_scans(whole, rows, visits))
        columns = columns.assign(
            day=visits.day,
            health_score=visits.score,
            view=pd.array(_views_seen(visits), dtype="string"),
        )
        return cls(visits, groups, columns, embeddings, names, chosen)

    @property
    def is_scored(self) -> bool:
        """Whether any visit has a health score."""
        return bool(np.isfinite(self.visits.score).any())

    @cached_property
    def pooled(self) -> NDArray[np.float32]:
        """(v, e) visit embeddings: means over repeats, then over views."""
        return self.visits.average(self.groups).astype(np.float32)

    @cached_property
    def view_shares(self) -> NDArray[np.float32]:
        """(v, w) share of each of `visits.views` in each visit; rows sum to 1."""
        has = np.eye(len(self.visits.views))[self.visits.group_view]
        return self.visits.average(has).astype(np.float32)

    def states(self, visits: Codes, view_means: Floats) -> NDArray[np.float32]:
        """(t, e) embeddings of some visits less (w, e) means, in the order of `visits.views`.

        To the last bit the same, whichever other visits and views there are.
        """
        found, shares = self.pooled[visits], self.view_shares[visits]
        for view, mean in enumerate(view_means.astype(np.float32)):
            has = shares[:, view] > 0
            found[has] -= shares[has, view, None] * mean
        return found

    def fit_view_means(self, patients: Masks) -> Floats:
        """(m, e) mean of each view over some of the (p,) patients, each weighing the same."""
        return self.visits.means_by_view(self.groups, patients[self.visits.patient])

    def deltas(self, transitions: Transitions) -> NDArray[np.float32]:
        """(t, e) later minus earlier embedding, over shared views."""
        return transitions.deltas(self.embeddings).astype(np.float32)


def _of_all_scans(
    obs: pd.DataFrame, rows: NDArray[np.int64], visits: Visits
) -> dict[str, "pd.Series[Any]"]:
    """Columns that hold for a patient whichever scans are used: treatment, and what came later.

    A treatment may be written beside a scan that is not used, and is in force all the same.

    Args:
        obs: all scans.
        rows: those used.
        visits: of those.
    """
    names = [name for name in ("treatment", *OUTCOMES) if name in obs]
    numbers = np.unique(obs["patient_id"].to_numpy(str), return_inverse=True)[1]
    days = np.asarray(column_or(obs, "day", np.nan), np.float64)
    every = Visits.of(numbers, visit_codes(obs), None, days, np.full(len(obs), np.nan))
    columns = visit_columns(obs[["patient_id", *names]], every)
    first = np.unique(visits.scan_visit, return_index=True)[1]
    taken = columns[names].iloc[every.scan_visit[rows[first]]].reset_index(drop=True)
    return {name: taken[name] for name in names}


def _rows(
    embeddings: NDArray[np.float32],
    obs: pd.DataFrame,
    modality: str | None,
    scans: Sequence[str],
) -> tuple[str, NDArray[np.int64]]:
    """The modality meant, and the rows of it that fulfil all conditions."""
    by_modality = rows_by_modality(obs)
    shown = ", ".join(name or "(none)" for name in by_modality)
    if modality is None and len(by_modality) > 1:
        raise QueryError(
            f"there are modalities {shown}, and a head speaks of one: choose it with --modality"
        )
    chosen = next(iter(by_modality), "") if modality is None else modality
    if chosen not in by_modality:
        near = close_names(chosen, list(by_modality))
        raise QueryError(f"no modality {chosen!r}{near}: there is {shown}")
    rows = by_modality[chosen]
    if scans:
        rows = rows[fulfils_all(SearchTable(embeddings, obs), scans)[rows]]
    if not len(rows):
        raise QueryError(
            f"no scan fulfils {' and '.join(scans) or 'what is asked'}: loosen it"
            f"{unmet_hint(SearchTable(embeddings, obs), scans)}"
        )
    return chosen, rows


def _views_seen(visits: Visits) -> list[str | None]:
    """(v,) names of each visit's views, joined by " + "; None where no view is named."""
    has = visits.groups >= 0
    _, first, codes = np.unique(
        np.packbits(has, axis=1), axis=0, return_index=True, return_inverse=True
    )
    names = [
        " + ".join(visits.views[column] for column in np.flatnonzero(has[row])) or None
        for row in first
    ]
    return [names[code] for code in codes.ravel().tolist()]
