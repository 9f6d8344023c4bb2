"""What a question about change sees of a store: one modality, one pairing, until one day."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Clock, Transition
from learner_index.data.reference import ChangeReference, Reference
from learner_index.data.suggest import close_names
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.progression.cache import VisitCache
from learner_index.pipeline.progression.columns import transition_columns, visit_columns
from learner_index.pipeline.progression.reference import fit_whole_reference, rows_by_modality
from learner_index.pipeline.progression.visits import VisitArrays, patient_numbers, visit_arrays
from learner_index.search.eligible import OUTCOMES, require_cohort_clock
from learner_index.search.table import SearchTable
from learner_index.search.transition_table import TransitionTable

_KEPT = 3  # views of a store kept in memory, the latest used


@dataclass(frozen=True, eq=False)
class Followed:
    """Scans of one modality with their visits and transitions.

    Attributes:
        obs: (n,) rows of columns.
        embeddings: (n, e) one a scan.
        visits: their visits, and the transitions between them.
        known: what the reference knows of changes.
        fingerprint: of the reference.
        modality: "" where none is given.
        clock: whether days of two patients can be compared.
        notes: what a reader of an answer should know.
    """

    obs: pd.DataFrame
    embeddings: NDArray[np.float32]
    visits: VisitArrays
    known: ChangeReference
    fingerprint: str
    modality: str
    clock: Clock
    notes: tuple[str, ...]

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Names of the patients, by number."""
        return patient_numbers(self.obs)[1]

    @cached_property
    def of_visits(self) -> pd.DataFrame:
        """(v,) columns of the visits."""
        return visit_columns(self.obs, self.visits)

    @cached_property
    def of_transitions(self) -> pd.DataFrame:
        """(t,) columns of the transitions."""
        return transition_columns(self.of_visits, self.visits)

    @cached_property
    def table(self) -> TransitionTable:
        """The transitions, ready for searches."""
        return TransitionTable(
            self.visits.embeddings[self.visits.earlier],
            self.visits.deltas,
            self.of_transitions,
            start_bandwidth=self.known.start_bandwidth,
            day_bandwidth=self.known.day_bandwidth,
            clock=self.clock,
        )

    def of_patient(
        self, patient: str, mode: Transition, until_day: float | None = None
    ) -> "Followed":
        """One patient's scans, their visits paired in any way.

        Args:
            patient: whose.
            mode: which visits are paired.
            until_day: scans after it are left out, and scans without a day.

        Raises:
            QueryError: no such patient, or no scan until that day.
        """
        mine = (self.obs["patient_id"] == patient).to_numpy(bool)
        if not mine.any():
            guess = close_names(patient, sorted(self.patients))
            said = f" of modality {self.modality!r}" if self.modality else ""
            raise QueryError(
                f"no patient {patient!r} among {len(self.patients)}{said}{guess}: "
                "ids are the manifest's"
            )
        if until_day is not None:
            days = self.obs["day"].to_numpy(np.float64, na_value=np.nan)
            mine &= days <= until_day
        rows = np.flatnonzero(mine)
        if not len(rows):
            raise QueryError(
                f"patient {patient!r} has no scan until day {until_day:g}: choose a later day"
            )
        obs = self.obs.iloc[rows].reset_index(drop=True)
        embeddings = np.asarray(self.embeddings[rows])
        numbers = np.zeros(len(rows), np.int64)
        own = visit_arrays(embeddings, obs, numbers, self.known, mode)
        return replace(self, obs=obs, embeddings=embeddings, visits=own)


class ChangeSource:
    """A store's visits and transitions, worked out when first asked for.

    Args:
        path: the store.
        generation: of the state that is read.
        table: its rows.
        read_reference: reads the reference with all it knows.
    """

    def __init__(
        self,
        path: Path,
        generation: int,
        table: SearchTable,
        read_reference: Callable[[], Reference | None],
    ) -> None:
        self.path, self.table = path, table
        self._generation = generation
        self._read_reference = read_reference
        self._seen: dict[tuple[Any, ...], Followed] = {}

    @cached_property
    def reference(self) -> Reference:
        """The reference.

        Raises:
            QueryError: there is none, or it was fitted by a version that knew nothing of changes.
        """
        found = self._read_reference()
        if found is None:
            raise QueryError(f"{self.path.name} has no reference: `learner-index refit` fits one")
        return found

    def followed(
        self, mode: Transition, modality: str | None = None, as_of: float | None = None
    ) -> Followed:
        """Visits and transitions of one modality, as they were known on a day.

        Args:
            mode: which visits are paired.
            modality: None: the only one there is.
            as_of: on the cohort clock, later rows are hidden and the reference is refitted.

        Raises:
            QueryError: no such modality, several and none chosen, days that cannot be compared,
                or a reference that knows nothing of this modality's changes.
        """
        if as_of is not None:
            require_cohort_clock(self.table.clock)
        chosen = self._modality(modality, as_of)
        key = (mode, chosen, as_of)
        if key not in self._seen:
            for oldest in list(self._seen)[: 1 - _KEPT or None]:
                del self._seen[oldest]
            self._seen[key] = (
                self._now(mode, chosen) if as_of is None else self._then(mode, chosen, as_of)
            )
        self._seen[key] = self._seen.pop(key)
        return self._seen[key]

    def _modality(self, wanted: str | None, as_of: float | None) -> str:
        """The modality meant, of those there were on a day."""
        obs = self.table.obs
        known = list(rows_by_modality(obs if as_of is None else obs[self.table.days <= as_of]))
        if wanted is not None:
            if wanted not in known:
                raise QueryError(
                    f"no modality {wanted!r}{close_names(wanted, known)}: there is "
                    f"{', '.join(name or 'none' for name in known)}"
                )
            return wanted
        if len(known) > 1:
            raise QueryError(
                f"the store has modalities {', '.join(name or '(none)' for name in known)}, and a "
                "change is seen in one: choose it with --modality"
            )
        return known[0] if known else ""

    def _now(self, mode: Transition, modality: str) -> Followed:
        """All scans of a modality, their visits kept in the cache."""
        known = self.reference.changes.get(modality)
        if known is None:
            raise QueryError(self._why_unknown(modality))
        rows = rows_by_modality(self.table.obs)[modality]
        obs = self.table.obs.iloc[rows].reset_index(drop=True)
        embeddings = self.table.embeddings
        if len(rows) < len(embeddings):
            embeddings = np.asarray(embeddings[rows])
        fingerprint = self.reference.fingerprint
        cache = VisitCache(self.path, self._generation, fingerprint)
        visits = cache.visits(embeddings, obs, known, modality=modality, mode=mode)
        clock = self.table.clock
        return Followed(obs, embeddings, visits, known, fingerprint, modality, clock, ())

    def _then(self, mode: Transition, modality: str, as_of: float) -> Followed:
        """The scans there were on a day, with the reference as it would have been fitted then."""
        is_past = self.table.days <= as_of
        past = self.table.obs[is_past].reset_index(drop=True)
        for name in OUTCOMES:
            if name in past:
                past[name] = past[name].mask(np.ones(len(past), bool))
        embeddings = np.asarray(self.table.embeddings[is_past])
        fitted = self.reference.patients
        try:
            reference = fit_whole_reference(embeddings, past, fitted)
        except NotEnoughDataError:
            reference = None
        if reference is None or modality not in reference.changes:
            raise QueryError(
                f"fewer than two of the reference's {len(fitted)} patients were seen until day "
                f"{as_of:g}: choose a later day"
            )
        rows = rows_by_modality(past)[modality]
        obs, embeddings = past.iloc[rows].reset_index(drop=True), embeddings[rows]
        known, numbers = reference.changes[modality], patient_numbers(obs)[0]
        notes = [f"everything after day {as_of:g} is hidden, and what tells what came later"]
        undated = int(np.isnan(self.table.days).sum())
        if undated:
            notes.append(f"{undated} scans without a day are hidden too")
        return Followed(
            obs,
            embeddings,
            visit_arrays(embeddings, obs, numbers, known, mode),
            known,
            f"{reference.fingerprint}, refitted as of day {as_of:g}",
            modality,
            self.table.clock,
            tuple(notes),
        )

    def _why_unknown(self, modality: str) -> str:
        """What keeps the reference from knowing a modality's changes."""
        said = f" of modality {modality!r}" if modality else ""
        rows = rows_by_modality(self.table.obs).get(modality, np.empty(0, np.int64))
        n = int(self.table.obs["patient_id"].iloc[rows].nunique())
        if n < 2:
            who = "1 patient" if n else "no patient"
            return f"{who} is too few to ask who changed alike: build more{said} into the store"
        return (
            f"the reference of {self.path.name} knows no changes{said}: "
            f"`learner-index refit {self.path}` fits them"
        )
