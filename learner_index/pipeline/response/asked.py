"""Whom a head is asked about: the examples of a patient, of new scans, or of a whole store."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from learner_index.config.response import ResponseOptions
from learner_index.data.suggest import close_names
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.progression.reference import rows_by_modality
from learner_index.pipeline.response.examples import Examples, find_examples
from learner_index.pipeline.response.features import Encoding
from learner_index.pipeline.response.material import Masks, Material
from learner_index.search.filters import fulfils_all
from learner_index.search.table import SearchTable

LATEST = "latest"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Scans as a store has them, with the name of where they are from.

    Attributes:
        embeddings: (n, e).
        obs: (n,) their columns.
        place: name of the store or manifest.
        skipped: scans of a manifest that could not be used, with place and reason.
        notes: what a person should know of a manifest.
    """

    embeddings: NDArray[np.float32]
    obs: pd.DataFrame
    place: str
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """t examples a head is asked about.

    Attributes:
        material: what they are of.
        examples: of it.
        reasons: (t,) why the head should abstain, as far as conditions of its fit tell.
        notes: what a person should know.
    """

    material: Material
    examples: Examples
    reasons: list[tuple[str, ...]]
    notes: tuple[str, ...]

    @property
    def patients(self) -> list[str]:
        """(t,) name of each example's patient."""
        return [self.material.patients[code] for code in self.examples.patient.tolist()]


def material_of(rows: Rows, options: ResponseOptions, encoding: Encoding) -> Material:
    """The visits of scans that a head can speak of.

    Raises:
        QueryError: a column that the head needs is not there, or no scan is of its kind.
    """
    _check_modality(rows, str(options.modality))
    _check_clinical(rows, encoding)
    _check_conditions(rows, options.scans)
    return Material.of(rows.embeddings, rows.obs, modality=options.modality, scans=options.scans)


def whom_asked(
    material: Material,
    options: ResponseOptions,
    *,
    patient: str | None = None,
    where: Sequence[str] = (),
    is_whole: bool = False,
) -> Asked:
    """The examples a head is asked about.

    Args:
        material: the visits.
        options: of the head, with the visit asked about.
        patient: the one meant; None: all.
        where: conditions on the visit that is started from, beside those of the head.
        is_whole: examples that do not fulfil the head's own conditions are left out and counted.
            Else they were asked for one by one, and the head abstains.

    Raises:
        QueryError: a condition is not understood.
        SettingsError: no such visit to predict from.
        NotEnoughDataError: there is nothing to ask.
    """
    at = options.at
    if at == LATEST:
        at = f"day {math.ceil(np.nanmax(material.visits.day, initial=0.0))}"
    found = find_examples(material, replace(options, at=at, where=()))
    if patient is not None:
        code = material.patients.index(patient) if patient in material.patients else -1
        found = found.only(found.patient == code)
    if not len(found):
        raise NotEnoughDataError(_why_none(material, options, patient))
    found = found.only(_fulfils(found, where))
    if not len(found):
        raise NotEnoughDataError(f"nothing asked about fulfils {' and '.join(where)}: loosen it")
    if not is_whole:
        return Asked(material, found, _violations(found, options.where), ())
    return _only_fulfilling(material, found, options.where)


def _only_fulfilling(material: Material, found: Examples, conditions: Sequence[str]) -> Asked:
    """The examples that fulfil the head's conditions."""
    kept = _fulfils(found, conditions)
    words = " and ".join(conditions)
    if not kept.any():
        raise NotEnoughDataError(
            f"none of {len(found)} examples fulfils {words}, which all fulfilled that the head was "
            "fitted on: fit a head for these"
        )
    notes = () if kept.all() else (f"{(~kept).sum()} examples left out, not {words} as in the fit",)
    return Asked(material, found.only(kept), [()] * int(kept.sum()), notes)


def _violations(found: Examples, conditions: Sequence[str]) -> list[tuple[str, ...]]:
    """(t,) which of the head's conditions each example does not fulfil."""
    kept = [_fulfils(found, [text]) for text in conditions]
    return [
        tuple(
            f"it does not start where {text}, as all did that the head was fitted on"
            for text, mask in zip(conditions, kept, strict=True)
            if not mask[row]
        )
        for row in range(len(found))
    ]


def _fulfils(found: Examples, conditions: Sequence[str]) -> Masks:
    """(t,) True where the visit started from fulfils all conditions."""
    if not conditions:
        return np.ones(len(found), bool)
    table = SearchTable(np.zeros((len(found), 1), np.float32), found.columns)
    return fulfils_all(table, conditions)


def check_patient(rows: Rows, patient: str) -> None:
    """Refuse a patient who is not there.

    Raises:
        QueryError: nobody has this name.
    """
    names = sorted(set(rows.obs["patient_id"]))
    if patient not in names:
        raise QueryError(
            f"no patient {patient!r} among {len(names)} of {rows.place}"
            f"{close_names(patient, names)}: ids are the manifest's"
        )


def _check_modality(rows: Rows, modality: str) -> None:
    """Refuse scans of other modalities only."""
    found = rows_by_modality(rows.obs)
    if modality in found:
        return
    shown = ", ".join(name or "none" for name in found)
    raise QueryError(
        f"the head speaks of scans of modality {modality or 'none'}, and {rows.place} has "
        f"{shown}: fit a head for these"
    )


def _check_clinical(rows: Rows, encoding: Encoding) -> None:
    """Refuse scans without the clinical columns that a head is given."""
    for name in encoding.columns:
        if name == "health_score":
            continue
        if name not in rows.obs:
            raise QueryError(
                f"the head is given the clinical column {name}, which {rows.place} has not"
                f"{close_names(name, list(rows.obs.columns))}: add it"
            )
        if name in encoding.fills and not is_numeric_dtype(rows.obs[name].dtype):
            raise QueryError(
                f"column {name} holds text in {rows.place}, and numbers where the head was fitted: "
                "write numbers"
            )


def _check_conditions(rows: Rows, conditions: Sequence[str]) -> None:
    """Refuse scans of which it cannot be told whether the head speaks of them."""
    try:
        fulfils_all(SearchTable(rows.embeddings, rows.obs), conditions)
    except QueryError as problem:
        words = " and ".join(conditions)
        raise QueryError(
            f"the head was fitted on scans with {words}, which {rows.place} cannot tell: {problem}"
        ) from problem


def _why_none(material: Material, options: ResponseOptions, patient: str | None) -> str:
    """Why there is nothing to ask."""
    day = material.visits.day
    if patient is None:
        who, is_own = f"none of {len(material.patients)} patients has", np.ones(len(day), bool)
    elif patient not in material.patients:
        words = " and ".join([*options.scans, *filter(None, [f"{options.modality}"])])
        return f"patient {patient!r} has no scan of the kind the head was fitted on ({words})"
    else:
        who = f"patient {patient!r} lacks"
        is_own = material.visits.patient == material.patients.index(patient)
    n_dated = int(np.isfinite(day[is_own]).sum())
    if n_dated == 0:
        return f"{who} a dated visit: give their scans a day"
    if options.task == "detect":
        n = f" (of {n_dated} dated)" if patient else ""
        return f"{who} two visits{n} on two days that share a view, and a change needs both scans"
    if options.at == "treatment":
        return f"{who} a visit with a treatment in force: name another visit with --at"
    return (
        f"{who} a dated visit {_place(options.at)}: the first is on day {np.nanmin(day[is_own]):g}"
    )


def _place(at: str) -> str:
    """Which visits are meant, in words."""
    return f"until {at}" if at.startswith("day") else f"until day {at}"
