"""What is asked: a patient's change, a step along the severity axis, two groups, or a vector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from learner_index.analysis.transitions import MODES
from learner_index.config import ProgressionOptions, TrajectoryOptions, Transition
from learner_index.data.progression import Change
from learner_index.errors import QueryError
from learner_index.pipeline.progression.columns import scans_of
from learner_index.pipeline.progression.measure import changes, columns_of_visits
from learner_index.pipeline.progression.source import Followed
from learner_index.pipeline.progression.visits import views_of
from learner_index.search.eligible import refuse_outcomes
from learner_index.search.filters import column_kinds, fulfils_all, parse_where, unmet_hint
from learner_index.search.query import finite
from learner_index.search.table import SearchTable
from learner_index.search.transition_table import Question

Direction = Literal["improving", "worsening"]
Options = TypeVar("Options", ProgressionOptions, TrajectoryOptions)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked, as it was typed; see `Cohort.progression`."""

    patient: str | None = None
    from_day: float | None = None
    to_day: float | None = None
    direction: str | None = None
    from_where: tuple[str, ...] = ()
    to_where: tuple[str, ...] = ()
    vector: ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question with what is known of whoever it is about.

    Attributes:
        question: ready for the search.
        change: the patient's own change; None where the direction is nobody's.
        description: what was asked, JSON-ready.
        notes: what a reader should know.
    """

    question: Question
    change: Change | None
    description: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def settled(options: Options) -> Options:
    """The options with plain numbers in place of NumPy's, so that the answer is JSON-ready.

    Raises:
        QueryError: a day is no finite number, or there is no such pairing of visits.
    """
    given = {name: _plain(getattr(options, name)) for name in options.__dataclass_fields__}
    if given.get("transitions", MODES[0]) not in MODES:
        raise QueryError(f"no transitions {given['transitions']!r}: choose {', '.join(MODES)}")
    for name in ("as_of", "until_day"):
        given[name] = finite(f"--{name.replace('_', '-')}", given[name])
    return replace(options, **given)


def _plain(value: Any) -> Any:
    """A value, or a sequence of them, without NumPy's types."""
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def asked(followed: Followed, ask: Ask, options: ProgressionOptions) -> Asked:
    """The question that is meant.

    Raises:
        QueryError: nothing or too much is asked, or it cannot be answered.
    """
    ways = {
        "a direction": ask.direction is not None,
        "two groups": bool(ask.from_where or ask.to_where),
        "a vector": ask.vector is not None,
    }
    meant = [name for name, is_meant in ways.items() if is_meant]
    if len(meant) > 1 or not (meant or ask.patient):
        raise QueryError(
            "name one thing to follow: a patient, a direction, two groups (from-where and "
            "to-where) or a vector"
        )
    if not meant:
        return _own_change(followed, ask, options)
    if ask.patient is None:
        _refuse_own(meant[0], options)
    if ask.to_day is not None or (ask.from_day is not None and ask.patient is None):
        raise QueryError(
            f"a day of the patient's own change does not belong to {meant[0]}: leave it out, or "
            "name a patient and the day to start from"
        )
    if ask.direction is not None:
        found = _along_axis(followed, ask.direction)
    elif ask.vector is not None:
        found = _vector(followed, ask.vector)
    else:
        found = _between_groups(followed, ask, options)
    return found if ask.patient is None else _from_patient(followed, found, ask, options)


def _refuse_own(meant: str, options: ProgressionOptions) -> None:
    """Refuse options about a patient's own scans where no patient is named."""
    for name, is_given in (
        ("--until-day", options.until_day is not None),
        ("--include-self", options.include_self),
    ):
        if is_given:
            raise QueryError(
                f"{name} is about the patient asked about, and {meant} is nobody's: leave it out, "
                "or name a patient"
            )


def _own_change(followed: Followed, ask: Ask, options: ProgressionOptions) -> Asked:
    """A patient's own change between two of their visits."""
    patient, until_day = str(ask.patient), options.until_day
    any_pair = ask.from_day is not None and ask.to_day is not None
    mode: Transition = "all" if any_pair else options.transitions
    own = followed.of_patient(patient, mode, until_day)
    row = _chosen(own, ask, mode)
    visits, whole = own.visits, followed.of_transitions
    change = changes(own, np.array([row]))[0]
    is_same = whole["patient_id"].eq(patient) & whole["day"].eq(change.from_day)
    same = np.flatnonzero((is_same & whole["later_day"].eq(change.to_day)).to_numpy(bool))
    if len(same) > 1:  # two visits on one day
        same = same[_has_scans(followed, same, change)]
    question = Question(
        delta=visits.deltas[row].astype(np.float64),
        start=visits.embeddings[visits.earlier[row]].astype(np.float64),
        delta_day=change.delta_day,
        patient_ids=(patient,),
        row=int(same[0]) if len(same) else None,
        known=own.of_transitions.iloc[[row]],
    )
    said: dict[str, Any] = {"kind": "patient", "patient_id": patient}
    latest = float(np.nanmax(visits.day))
    notes: tuple[str, ...] = ()
    if ask.from_day is None and ask.to_day is None and latest > change.to_day:
        note = (
            f"the visit of day {latest:g} shows no view of the one before: the change meant is "
            f"that of day {change.from_day:g} to {change.to_day:g}"
        )
        notes = (note,)
    said |= {"from_day": change.from_day, "to_day": change.to_day}
    return Asked(question, change, said, notes)


def _has_scans(followed: Followed, rows: NDArray[np.int64], change: Change) -> NDArray[np.bool_]:
    """(m,) True for transitions between the very scans of a change."""
    before = scans_of(followed.obs, followed.visits, followed.visits.earlier[rows])
    after = scans_of(followed.obs, followed.visits, followed.visits.later[rows])
    meant = (change.from_scans, change.to_scans)
    return np.array([pair == meant for pair in zip(before, after, strict=True)], bool)


def _chosen(own: Followed, ask: Ask, mode: Transition) -> int:
    """The transition meant: the one between two days, else the latest that fits."""
    visits = own.visits
    days, shown = _days(own)
    for name, day in (("--from-day", ask.from_day), ("--to-day", ask.to_day)):
        _require_day(ask, name, day, days, shown)
    before, after = visits.day[visits.earlier], visits.day[visits.later]
    fits = np.ones(len(before), bool)
    if ask.from_day is not None:
        fits &= before == ask.from_day
    if ask.to_day is not None:
        fits &= after == ask.to_day
    if not fits.any():
        raise QueryError(_why_no_change(ask, mode, days, shown))
    rows = np.flatnonzero(fits)
    return int(rows[np.lexsort((before[rows], -after[rows]))[0]])


def _days(own: Followed) -> tuple[NDArray[np.float64], str]:
    """A patient's days in order, and the first of them as a person reads them."""
    days = np.unique(own.visits.day[np.isfinite(own.visits.day)])
    shown = ", ".join(f"{day:g}" for day in days[:8]) + (", …" if len(days) > 8 else "")
    return days, shown or "unknown"


def _require_day(
    ask: Ask, name: str, day: float | None, days: NDArray[np.float64], shown: str
) -> None:
    """Refuse a day on which the patient was not seen."""
    if day is not None and finite(name, day) not in days:
        raise QueryError(f"patient {ask.patient!r} has no visit on day {day:g}: days are {shown}")


def _why_no_change(ask: Ask, mode: Transition, days: NDArray[np.float64], shown: str) -> str:
    """What a patient lacks to have changed."""
    who = f"patient {ask.patient!r}"
    if len(days) == 0:
        return f"{who} has no visit with a day, so no change: ask who looks alike with `similar`"
    if len(days) == 1:
        return (
            f"{who} has one visit (day {shown}), so no change: ask who looks alike with `similar`"
        )
    if ask.from_day is not None and ask.to_day is not None and ask.from_day >= ask.to_day:
        return f"from day {ask.from_day:g} to day {ask.to_day:g} is no change: days are {shown}"
    if ask.to_day == days[0]:
        return f"nothing of {who} lies before day {days[0]:g}: days are {shown}"
    if ask.from_day == days[-1]:
        return f"nothing of {who} lies after day {days[-1]:g}: days are {shown}"
    pairs = "" if mode == "consecutive" else f" ({mode} transitions)"
    return (
        f"no two visits of {who} that are meant{pairs} show the same view: days are {shown}; name "
        "both with --from-day and --to-day"
    )


def _along_axis(followed: Followed, direction: str) -> Asked:
    """A step towards worse or better health, as the reference's embeddings go."""
    if direction not in ("improving", "worsening"):
        raise QueryError(f"no direction {direction!r}: choose improving or worsening")
    axis = followed.known.axis
    if axis is None:
        why = "; ".join(followed.known.notes) or "no severity axis was fitted"
        raise QueryError(f"no direction to follow: {why}")
    if not axis.is_informative:
        raise QueryError(
            f"the severity axis tells nothing of patients left out (R² {axis.r2:.2f}), so no "
            "direction is known: name a patient, or two groups with --from-where and --to-where"
        )
    sign = 1.0 if direction == "worsening" else -1.0
    said = {"kind": "direction", "direction": direction, "r2": axis.r2}
    return Asked(Question(delta=sign * axis.pattern), None, said)


def _vector(followed: Followed, vector: ArrayLike) -> Asked:
    """Any difference of two embeddings of the store's space."""
    try:
        delta = np.asarray(vector, np.float64)
    except (TypeError, ValueError):
        raise QueryError("a vector needs numbers: give (e,) values") from None
    width = followed.embeddings.shape[1]
    if delta.shape != (width,):
        raise QueryError(
            f"a vector of shape {delta.shape} is no direction among embeddings of width {width}: "
            f"give one difference of two embeddings, of shape ({width},)"
        )
    return Asked(Question(delta=delta), None, {"kind": "vector", "width": int(delta.size)})


def _between_groups(followed: Followed, ask: Ask, options: ProgressionOptions) -> Asked:
    """From the mean of one group of scans to the mean of another, patients weighted equally."""
    if not (ask.from_where and ask.to_where):
        raise QueryError("two groups need both: give --from-where and --to-where")
    table = SearchTable(followed.embeddings, followed.obs, clock=followed.clock)
    if options.as_of is not None:
        kinds = column_kinds(table.obs)
        refuse_outcomes(parse_where(text, kinds) for text in (*ask.from_where, *ask.to_where))
    ends, counts = [], []
    others = np.ones(len(table), bool)
    if ask.patient is not None:  # whoever is asked about, past --until-day too, is in no group
        others = (followed.obs["patient_id"] != str(ask.patient)).to_numpy(bool)
    for side, texts in (("from", ask.from_where), ("to", ask.to_where)):
        is_in = fulfils_all(table, texts) & others
        if not is_in.any():
            raise QueryError(
                f"no scan fulfils --{side}-where {' and '.join(texts)}: loosen it"
                f"{unmet_hint(table, texts)}"
            )
        ends.append(_group_mean(followed, is_in))
        n_patients = len(np.unique(table.patients.of_row[is_in]))
        counts.append({"scans": int(is_in.sum()), "patients": n_patients})
    said = {
        "kind": "groups",
        "from_where": list(ask.from_where),
        "to_where": list(ask.to_where),
        "n_from": counts[0],
        "n_to": counts[1],
    }
    few = min(count["patients"] for count in counts)
    notes = (f"a group has {few} patients: its mean is uncertain",) if few < 5 else ()
    return Asked(Question(delta=ends[1] - ends[0]), None, said, notes)


def _group_mean(followed: Followed, is_in: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(e,) mean embedding of some scans less their views' means, patients weighted equally."""
    rows = np.flatnonzero(is_in)
    obs = followed.obs.iloc[rows]
    moved = pd.DataFrame(followed.embeddings[rows] - followed.known.means_of(views_of(obs)))
    by_patient = moved.groupby(obs["patient_id"].to_numpy(object)).mean()
    return np.asarray(by_patient.mean(axis=0), np.float64)


def _from_patient(followed: Followed, found: Asked, ask: Ask, options: ProgressionOptions) -> Asked:
    """The same direction, asked from where a patient stands at their latest visit."""
    patient = str(ask.patient)
    own = followed.of_patient(patient, "all", options.until_day)
    _require_day(ask, "--from-day", ask.from_day, *_days(own))
    days: Sequence[float] = own.visits.day.tolist()
    dated = [i for i, day in enumerate(days) if np.isfinite(day)]
    chosen = dated[-1] if dated else len(days) - 1
    if ask.from_day is not None:
        chosen = days.index(float(ask.from_day))
    question = replace(
        found.question,
        start=own.visits.embeddings[chosen].astype(np.float64),
        patient_ids=(patient,),
        known=columns_of_visits(own, np.array([chosen])),
    )
    day = float(days[chosen]) if np.isfinite(days[chosen]) else None
    said = {**found.description, "patient_id": patient, "from_day": day}
    return Asked(question, None, said, found.notes)
