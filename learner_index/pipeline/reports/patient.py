"""Gathers what a report tells of one patient: who, the path, who is alike, what a head says."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from learner_index.data.suggest import close_names
from learner_index.data.visits import visit_codes
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline import plot
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.reports.base import base_of
from learner_index.pipeline.reports.page import sentence
from learner_index.pipeline.reports.records import PatientReport, Visit
from learner_index.pipeline.response.predict import predict_response
from learner_index.pipeline.roles import SEEN
from learner_index.search.hits import plain

NO_HEAD = (
    "No response head was named: fit one with `learner-index response fit`, and name its folder "
    "with --head."
)
NO_THUMBNAILS = "Scans are shown only when asked for: name the manifest with --thumbnails."
_OWN = ("scan_id", "patient_id", "content_hash", "day", "visit", "view", "health_score")
_NOT_TOLD = ("rescan", "encoder_role")
_MOST_VALUES = 6
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a patient's report is to hold.

    Attributes:
        patient: whose.
        k: patients alike, of each kind.
        head: folder of a response head; None: no prediction.
        thumbnails: manifest of the scans to show small; None: none.
        modality: the one that path, changes and look-alikes are of; None: the store's only one.
    """

    patient: str
    k: int
    head: Path | None
    thumbnails: Path | None
    modality: str | None = None


def gather_patient(cohort: Cohort, asked: Asked) -> PatientReport:
    """All answers about a patient; what cannot be answered is told by its reason.

    Raises:
        QueryError: no such patient or modality, or k below 1.
        HeadFormatError, SpaceMismatchError: the head cannot be used with this store.
        ManifestError: the manifest of the thumbnails cannot be read.
    """
    obs = cohort.table.obs
    own = obs[obs["patient_id"] == asked.patient]
    _check(asked, own, obs)
    missing: dict[str, str] = {}
    patient, k, modality = asked.patient, asked.k, asked.modality
    where = () if modality is None else (f"modality == {modality}",)
    similar = _try(missing, "similar", lambda: cohort.similar(patient=patient, k=k, where=where))
    trajectory = _try(
        missing, "trajectory", lambda: cohort.trajectory(patient, k=k, modality=modality)
    )
    progression = _try(
        missing,
        "progression",
        lambda: cohort.progression(patient=patient, k=k, modality=modality),
    )
    predictions = None
    if asked.head is None:
        missing["predictions"] = NO_HEAD
    else:
        head = asked.head
        predictions = _try(
            missing,
            "predictions",
            lambda: predict_response(head, cohort.path, patient=asked.patient, k=asked.k),
        )
    sheet, manifest = None, asked.thumbnails
    if manifest is None:
        missing["sheet"] = NO_THUMBNAILS
    elif similar is not None:
        hits = similar
        sheet = _try(missing, "sheet", lambda: plot.contact_sheet(hits, manifest))
    return PatientReport(
        base=base_of(cohort),
        patient_id=asked.patient,
        is_seen="encoder_role" in own and bool(own["encoder_role"].isin(SEEN).any()),
        visits=_visits(own),
        columns=_columns(own),
        similar=similar,
        trajectory=trajectory,
        progression=progression,
        predictions=predictions,
        sheet=sheet,
        missing=missing,
        k=asked.k,
    )


def _check(asked: Asked, own: pd.DataFrame, obs: pd.DataFrame) -> None:
    """The patient is there, and k can be asked for.

    Raises:
        QueryError: not so.
    """
    k: Any = asked.k
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise QueryError(f"k is {k!r}: give a whole number from 1")
    if own.empty:
        known = sorted(set(obs["patient_id"]))
        raise QueryError(
            f"no patient {asked.patient!r} among {len(known)}{close_names(asked.patient, known)}: "
            "ids are the manifest's"
        )
    present = sorted(set(own["modality"].dropna())) if "modality" in own else []
    if asked.modality is not None and asked.modality not in present:
        raise QueryError(
            f"{asked.patient} has no scan of modality {asked.modality!r}"
            f"{close_names(asked.modality, present)}: there are {', '.join(present) or 'none'}"
        )


def _try(missing: dict[str, str], part: str, ask: Callable[[], Answer]) -> Answer | None:
    """An answer, or None with the reason noted."""
    try:
        return ask()
    except (QueryError, NotEnoughDataError) as problem:
        missing[part] = sentence(problem)
        return None


def _visits(own: pd.DataFrame) -> tuple[Visit, ...]:
    """The patient's visits by day; scans of unknown visit are one each, and come last."""
    codes = visit_codes(own.reset_index(drop=True))
    unknown = codes < 0
    codes[unknown] = codes.max(initial=-1) + 1 + range(int(unknown.sum()))
    found = []
    for _, scans in own.groupby(codes, sort=True):
        day = plain(float(scans["day"].iloc[0])) if "day" in scans else None
        found.append(
            Visit(
                day=day,
                views=", ".join(sorted(set(scans["view"].dropna().astype(str)))),
                n_scans=len(scans),
                health_score=plain(float(scans["health_score"].mean())),
                treatment=_joined(scans, "treatment"),
            )
        )
    return tuple(sorted(found, key=lambda v: float("inf") if v.day is None else v.day))


def _joined(scans: pd.DataFrame, name: str) -> str | None:
    """The values of some scans, in words; None where none is known."""
    if name not in scans:
        return None
    return ", ".join(dict.fromkeys(scans[name].dropna().astype(str))) or None


def _columns(own: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Other columns with the patient's values, those known of no scan left out."""
    found = {}
    for name in own.columns:
        if name in _OWN + _NOT_TOLD:
            continue
        values = list(dict.fromkeys(_text(value) for value in own[name].dropna()))
        if values:
            more = [f"and {len(values) - _MOST_VALUES} more"] if len(values) > _MOST_VALUES else []
            found[str(name)] = tuple(values[:_MOST_VALUES] + more)
    return found


def _text(value: object) -> str:
    """A value as a person writes it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
