"""What a head is asked about: pairs of visits to detect a change in, or visits to predict from.

The two are never mixed. Whoever predicts is given nothing that lies after the visit it predicts
from: not the later scan, not how long it was waited for, not a treatment given later.
"""

import re
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.transitions import Transitions
from learner_index.config.response import ResponseOptions, Task
from learner_index.errors import QueryError, SettingsError
from learner_index.pipeline.progression.columns import treatments
from learner_index.pipeline.response.material import Codes, Floats, Masks, Material
from learner_index.search.eligible import OUTCOMES
from learner_index.search.filters import column_kinds, fulfils_all, parse_where
from learner_index.search.table import SearchTable

_DAY = re.compile(r"(?:day\s*)?([-+]?\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """t questions to a head, with what is known when each is asked.

    Attributes:
        task: what is asked.
        patient: (t,) patient.
        earlier: (t,) the visit it starts from, as a position.
        later: (t,) the visit whose outcome is asked for; -1 where there is none (predict).
        delta: (t, e) float32 later embedding minus earlier (detect), or latest minus the one
            before it (predict), zeros where there is none.
        delta_day: (t,) days that `delta` took; NaN where there is none.
        n_before: (t,) dated visits before the earlier one.
        columns: (t,) columns of the earlier visit, without those that tell what came later.
    """

    task: Task
    patient: Codes
    earlier: Codes
    later: Codes
    delta: NDArray[np.float32]
    delta_day: Floats
    n_before: Codes
    columns: pd.DataFrame

    def __len__(self) -> int:
        """How many."""
        return len(self.patient)

    def only(self, rows: Masks | NDArray[np.intp]) -> Self:
        """Some of them, in the order wanted."""
        arrays = {
            name: getattr(self, name)[rows]
            for name in self.__dataclass_fields__
            if name not in ("task", "columns")
        }
        kept = self.columns.iloc[np.arange(len(self))[rows]].reset_index(drop=True)
        return replace(self, **arrays, columns=kept)


def find_examples(material: Material, options: ResponseOptions) -> Examples:
    """All that a cohort has to ask, in the order of patients and days.

    Args:
        material: the cohort.
        options: task, pairing, and conditions on the earlier visit.

    Raises:
        QueryError: a condition is not understood, or asks what came later.
        SettingsError: no such visit to predict from.
    """
    found = _pairs(material, options) if options.task == "detect" else _anchors(material, options)
    if not options.where:
        return found
    _refuse_outcomes(material, found, options)
    table = SearchTable(np.zeros((len(found), 1), np.float32), found.columns)
    return found.only(fulfils_all(table, options.where))


def _refuse_outcomes(material: Material, found: Examples, options: ResponseOptions) -> None:
    """Refuse conditions on what tells the future."""
    kinds = column_kinds(material.of_visits) | column_kinds(found.columns)
    for text in options.where:
        if parse_where(text, kinds).column in OUTCOMES:
            raise QueryError(f"--where {text!r} asks what came later: leave it out")


def _pairs(material: Material, options: ResponseOptions) -> Examples:
    """Both scans are given."""
    pairs = Transitions.of(material.visits, options.transitions)
    columns = _known(material, pairs.earlier)
    if "treatment" in columns:
        in_force = treatments(material.of_visits, pairs.earlier, pairs.later)
        columns["treatment"] = pd.array(np.array(in_force, object), dtype="string")
    columns["later_day"], columns["delta_day"] = material.visits.day[pairs.later], pairs.delta_day
    return Examples(
        task="detect",
        patient=pairs.patient,
        earlier=pairs.earlier,
        later=pairs.later,
        delta=material.deltas(pairs),
        delta_day=pairs.delta_day,
        n_before=_before(material)[pairs.earlier],
        columns=columns,
    )


def _anchors(material: Material, options: ResponseOptions) -> Examples:
    """Scans until one visit are given."""
    visits = material.visits
    dated = np.flatnonzero(np.isfinite(visits.day))
    anchors = dated[_is_anchor(material, dated, options.at)]
    steps = Transitions.of(visits, "consecutive")
    step = np.full(len(visits), -1, np.int64)
    step[steps.later] = np.arange(len(steps))
    own = step[anchors]
    has_past = own >= 0
    delta = np.zeros((len(anchors), material.embeddings.shape[1]), np.float32)
    delta[has_past] = material.deltas(steps.only(own[has_past]))
    delta_day = np.full(len(anchors), np.nan)
    delta_day[has_past] = steps.delta_day[own[has_past]]
    return Examples(
        task="predict",
        patient=visits.patient[anchors],
        earlier=anchors,
        later=_outcome_visits(material, dated, anchors, options.until),
        delta=delta,
        delta_day=delta_day,
        n_before=_before(material)[anchors],
        columns=_known(material, anchors),
    )


def _known(material: Material, rows: Codes) -> pd.DataFrame:
    """(t,) columns of some visits, without what tells the future."""
    names = [name for name in material.of_visits if name not in OUTCOMES]
    return material.of_visits[names].iloc[rows].reset_index(drop=True)


def _before(material: Material) -> Codes:
    """(v,) dated visits of the patient before each visit."""
    patient = material.visits.patient
    first = np.searchsorted(patient, patient)
    return np.arange(len(patient)) - first


def _is_anchor(material: Material, dated: Codes, at: str) -> Masks:
    """(d,) True for the dated visits a prediction is made at, at most one a patient but "every"."""
    owner = material.visits.patient[dated]
    if at == "every":
        return np.ones(len(dated), bool)
    if at == "first":
        return _first_of(owner, np.ones(len(dated), bool))
    if at == "treatment":
        if "treatment" not in material.of_visits:
            raise QueryError("--at treatment: there is no column treatment: take --at first")
        is_treated = material.of_visits["treatment"].notna().to_numpy(bool)[dated]
        return _first_of(owner, is_treated)
    match = _DAY.fullmatch(at.strip())
    if match is None:
        raise SettingsError(f"--at {at!r}: take first, every, treatment, or a day such as 'day 3'")
    is_until = material.visits.day[dated] <= float(match[1])
    return _first_of(owner[::-1], is_until[::-1])[::-1]


def _first_of(owner: Codes, is_wanted: Masks) -> Masks:
    """The first wanted one of each owner; rows of one owner stand together."""
    rows = np.flatnonzero(is_wanted)
    found = np.zeros(len(owner), bool)
    found[rows[np.unique(owner[rows], return_index=True)[1]]] = True
    return found


def _outcome_visits(material: Material, dated: Codes, anchors: Codes, until: str) -> Codes:
    """(t,) the patient's next visit on a later day, or the last; -1 where there is none."""
    visits = material.visits
    owner, day = visits.patient[dated], visits.day[dated]
    place = np.searchsorted(dated, anchors)
    ends = np.searchsorted(owner, owner[place], side="right")
    chosen = ends - 1
    if until == "next":
        keys = np.unique(day)
        order = owner * (len(keys) + 1) + np.searchsorted(keys, day)  # ascending
        chosen = np.searchsorted(order, order[place], side="right")
    is_there = (chosen < ends) & (day[np.minimum(chosen, len(day) - 1)] > day[place])
    found = np.full(len(anchors), -1, np.int64)
    found[is_there] = dated[chosen[is_there]]
    return found
