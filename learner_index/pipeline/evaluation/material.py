"""What encoders are judged on: the scans, visits, transitions and scores of one cohort.

It comes from a manifest, whose scans are decoded, or from stores, whose rows are embedded already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.change import IMPROVED, STABLE, WORSENED, health_changes
from learner_index.analysis.distance import patient_codes
from learner_index.analysis.transitions import Transitions, Visits
from learner_index.config import Transition
from learner_index.data.score_kinds import score_kind
from learner_index.data.simulate.write import is_simulated
from learner_index.data.split import PatientSplit
from learner_index.data.visits import strata, visit_codes
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.lesson import name_of
from learner_index.pipeline.trainingset import TrainingSet

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Item = Literal["scan", "visit"]

NAMES: Mapping[int, str] = {WORSENED: "worsened", STABLE: "stable", IMPROVED: "improved"}


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """What is predicted, and which change of it counts.

    Attributes:
        title: what is measured.
        unit: of the scores; "" where they have none.
        threshold: θ in score units; None: health changes are not measured.
        per: what a score belongs to: a scan where scans of one visit differ in it, else a visit.
    """

    title: str
    unit: str
    threshold: float | None
    per: Item


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The cohort that every model is measured on.

    Attributes:
        name: of the cohort, with the word SIMULATED if it is.
        is_simulated: whether all of it was computed.
        scan_ids: (n,) scans.
        owners: (n,) patient of each scan, as a place in `patients`.
        patients: (p,) names, sorted.
        visit: (n,) visit numbers, -1 unknown.
        views: (n,) view and modality, within which scans are compared.
        score: (n,) health scores, higher is healthier, NaN where unknown.
        labels: columns a confounder probe may ask for, by name: (n,) texts, None where missing.
        about: what the scores are.
        visits: the visits of these scans.
        transitions: those with two scores, and a θ to judge them by; else none.
        changes: (t,) health change of each.
        truth: (n,) simulated state of each scan; None for real scans.
        notes: what a person should know.
    """

    name: str
    is_simulated: bool
    scan_ids: tuple[str, ...]
    owners: Codes
    patients: tuple[str, ...]
    visit: Codes
    views: tuple[str, ...]
    score: Floats
    labels: Mapping[str, Sequence[str | None]]
    about: Score
    visits: Visits
    transitions: Transitions
    changes: NDArray[np.int8]
    truth: pd.DataFrame | None
    notes: tuple[str, ...]

    @property
    def n_scans(self) -> int:
        """Scans."""
        return len(self.scan_ids)

    @property
    def n_patients(self) -> int:
        """Patients."""
        return len(self.patients)

    def is_of(self, patients: Sequence[str]) -> NDArray[np.bool_]:
        """(p,) which patients are named; names of others are passed over."""
        named = set(patients)
        return np.array([patient in named for patient in self.patients], dtype=bool)

    @classmethod
    def from_training_set(
        cls,
        cohort: TrainingSet,
        rows: NDArray[np.intp],
        truth: pd.DataFrame | None,
        mode: Transition,
    ) -> Self:
        """The scans of a manifest that can be read.

        Args:
            cohort: decoded, so that broken scans are known.
            rows: the manifest's rows to take.
            truth: one row a scan of the manifest; None for real scans.
            mode: which visits are paired.
        """
        table, labels = cohort.manifest.table.iloc[rows], cohort.labels
        kind = labels.kind
        return cls._of(
            table.reset_index(drop=True),
            score=labels.score[rows],
            words=(name_of(cohort), kind.title, kind.unit, labels.threshold),
            is_simulated=is_simulated(cohort.manifest.folder),
            truth=None if truth is None else truth.iloc[rows].reset_index(drop=True),
            mode=mode,
        )

    @classmethod
    def from_store(
        cls,
        store: Cohort,
        scans: Sequence[str],
        *,
        kind: str,
        threshold: float | None,
        mode: Transition,
    ) -> Self:
        """Some rows of a store.

        Args:
            store: with health scores.
            scans: which.
            kind: of score, see `SCORE_KINDS`; gives θ where none is.
            threshold: θ in score units.
            mode: which visits are paired.

        Raises:
            NotEnoughDataError: no row has a health score.
        """
        obs = store.obs.set_index("scan_id", drop=False).loc[list(scans)].reset_index(drop=True)
        if "health_score" not in obs or obs["health_score"].isna().all():
            raise NotEnoughDataError(
                f"store {store.path.name} has no health scores: name them when building, with "
                "--score-column NAME"
            )
        about = score_kind(kind)
        theta = about.change_threshold if threshold is None else threshold
        is_simulated = bool(store.settings.get("is_simulated", False))
        name = f"{'SIMULATED ' if is_simulated else ''}{store.path.name}"
        return cls._of(
            obs,
            score=obs["health_score"].to_numpy(np.float64, na_value=np.nan),
            words=(name, about.title, about.unit, theta),
            is_simulated=is_simulated,
            truth=None,
            mode=mode,
        )

    @classmethod
    def _of(
        cls,
        table: pd.DataFrame,
        *,
        score: Floats,
        words: tuple[str, str, str, float | None],
        is_simulated: bool,
        truth: pd.DataFrame | None,
        mode: Transition,
    ) -> Self:
        """Visits and transitions of a table of scans."""
        name, title, unit, threshold = words
        owners = patient_codes(table["patient_id"])
        visit = visit_codes(table)
        day = np.full(len(table), np.nan)
        if "day" in table:
            day = table["day"].to_numpy(np.float64, na_value=np.nan)
        views = strata(table)
        visits = Visits.of(owners, visit, views, day, score)
        transitions = Transitions.of(visits, mode)
        is_known = np.isfinite(transitions.delta_score) & (threshold is not None)
        transitions = transitions.only(is_known)
        changes = health_changes(transitions.delta_score, 1.0 if threshold is None else threshold)
        return cls(
            name=name,
            is_simulated=is_simulated,
            scan_ids=tuple(map(str, table["scan_id"])),
            owners=owners,
            patients=tuple(sorted(set(map(str, table["patient_id"])))),
            visit=visit,
            views=tuple(views),
            score=score,
            labels={key: _texts(table, key) for key in ("site", "view") if key in table},
            about=Score(title, unit, threshold, _item(visit, score)),
            visits=visits,
            transitions=transitions,
            changes=changes,
            truth=truth,
            notes=_notes(transitions, changes, threshold),
        )


def require_changes(material: Material, splits: Sequence[PatientSplit]) -> None:
    """Refuse to measure health changes that are all the same, in the cohort or to learn from.

    A cohort without any transition passes: its health changes are not measured.

    Raises:
        NotEnoughDataError: every transition is of one class, or all that a fold learns from are.
    """
    if not len(material.changes):
        return
    advice = "give another --threshold, or patients who changed"
    at = f"at θ = {material.about.threshold:g}"
    classes = np.unique(material.changes)
    if len(classes) == 1:
        raise NotEnoughDataError(
            f"all {len(material.changes)} transitions are {NAMES[int(classes[0])]} {at}: {advice}"
        )
    for number, split in enumerate(splits, 1):
        known = material.is_of((*split.train, *split.val))[material.transitions.patient]
        if len(np.unique(material.changes[known])) < 2:
            raise NotEnoughDataError(
                f"fold {number} of {len(splits)} has no two health changes to learn from {at} in "
                f"the {np.count_nonzero(known)} transitions of its other patients: lower --folds, "
                f"{advice}"
            )


def same_scans(stores: Sequence[Cohort]) -> tuple[str, ...]:
    """Scans that all of some stores hold, in the order of the first.

    Raises:
        QueryError: there are none, or one has another patient in another store.
    """
    shared = set(stores[0].obs["scan_id"])
    for store in stores[1:]:
        shared &= set(store.obs["scan_id"])
    found = tuple(str(scan) for scan in stores[0].obs["scan_id"] if scan in shared)
    if not found:
        names = ", ".join(store.path.name for store in stores)
        raise QueryError(f"{names} share no scan: build them from the same manifest")
    owners = [store.obs.set_index("scan_id")["patient_id"].loc[list(found)] for store in stores]
    for store, owner in zip(stores[1:], owners[1:], strict=True):
        strays = np.flatnonzero(owner.to_numpy(object) != owners[0].to_numpy(object))
        if len(strays):
            row = strays[0]
            raise QueryError(
                f"scan {found[row]} is of patient {owners[0].iloc[row]} in {stores[0].path.name} "
                f"and of {owner.iloc[row]} in {store.path.name}: "
                "build them from the same manifest"
            )
    return found


def _item(visit: Codes, score: Floats) -> Item:
    """A scan, where two scans of one visit differ in score; else a visit."""
    known = (visit >= 0) & np.isfinite(score)
    groups = pd.Series(score[known]).groupby(visit[known])
    return "scan" if bool((groups.max() > groups.min()).any()) else "visit"


def _texts(table: pd.DataFrame, name: str) -> list[Any]:
    """A column with None where missing."""
    column = table[name].astype(object)
    return [None if gone else str(text) for text, gone in zip(column, column.isna(), strict=True)]


def _notes(
    transitions: Transitions, changes: NDArray[np.int8], threshold: float | None
) -> tuple[str, ...]:
    """Why health changes are not measured, or how they are distributed."""
    if threshold is None:
        return ("no θ is given, so health changes are not measured: --threshold gives one",)
    if not len(transitions):
        return ("no patient has two scored visits on two days: health changes are not measured",)
    counts = ", ".join(f"{int((changes == code).sum())} {name}" for code, name in NAMES.items())
    n = len(np.unique(transitions.patient))
    return (f"{len(changes)} transitions of {n} patients at θ = {threshold:g}: {counts}",)
