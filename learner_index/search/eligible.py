"""Who may be a hit: conditions, likenesses, as-of days, the query's own patient, its views."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Clock, SimilarOptions
from learner_index.errors import QueryError
from learner_index.search.filters import (
    Condition,
    column_kinds,
    fulfils,
    parse_where,
    unmet_hint,
)
from learner_index.search.matching import Match, parse_match, relate
from learner_index.search.query import Query
from learner_index.search.rank import Meeting, in_spans
from learner_index.search.reference import balanced_mean, fingerprint
from learner_index.search.table import SearchTable

# Columns that tell what came later; as of a day they are neither shown nor filtered by.
OUTCOMES = ("response", "event", "event_day", "last_seen_day")


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """What all queries of one call share.

    Attributes:
        options: as asked.
        rows: (n,) True for rows that fulfil the as-of day and every condition.
        counts: rows left after each step, with the step's name.
        matches: likenesses to each query's patient.
        center: (e,) what "centered" subtracts.
        fingerprint: of the reference; "" when none is used.
        notes: what a reader of any of the answers should know.
        shared: who is eligible by views and likenesses, worked out once for all queries.
    """

    options: SimilarOptions
    rows: NDArray[np.bool_]
    counts: tuple[tuple[str, int], ...]
    matches: tuple[Match, ...]
    center: NDArray[np.float64]
    fingerprint: str
    notes: tuple[str, ...]
    shared: dict[Any, "Eligible"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Eligible:
    """The rows that one query may find.

    Attributes:
        positions: (n,) by position, True where eligible; the query's own scans are not.
        n_scans: how many.
        n_patients: patients they belong to.
        counts: rows left after each step, with the step's name.
        notes: why nothing is eligible.
        own: (m,) positions of the query's own scans that may be hits, each by its likeness to
            another of them: a stored scan is never compared with itself.
    """

    positions: NDArray[np.bool_]
    n_scans: int
    n_patients: int
    counts: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()
    own: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


def read_rules(table: SearchTable, options: SimilarOptions) -> Rules:
    """Read and apply everything in the options that does not depend on the query.

    Raises:
        QueryError: a condition or day that these data cannot answer, or no reference to centre on.
    """
    kinds = table.once(("kinds",), lambda: column_kinds(table.obs))
    conditions = [parse_where(text, kinds) for text in options.where]
    matches = tuple(parse_match(text, kinds) for text in options.match)
    rows, notes = _visible(table, options.as_of)
    first = "scans" if options.as_of is None else f"scans until day {options.as_of:g}"
    counts = [(first, int(np.count_nonzero(rows)))]
    if options.as_of is not None:
        refuse_outcomes([*conditions, *matches])
    for condition in conditions:
        rows = rows & fulfils(table, condition)
        counts.append((condition.text, int(np.count_nonzero(rows))))
    center, name = _center(table, options)
    return Rules(options, rows, tuple(counts), matches, center, name, notes)


def find_eligible(
    table: SearchTable, query: Query, rules: Rules, meetings: tuple[Meeting, ...]
) -> Eligible:
    """Apply what depends on the query: likenesses, its views, its own patient.

    Args:
        table: what is searched.
        query: already cut to its days.
        rules: what is the same for every query.
        meetings: which of its vectors are compared with which rows.

    Raises:
        QueryError: a likeness that the query's patient does not settle.
    """
    likenesses = tuple(relate(table, match, query.rows) for match in rules.matches)
    spans = tuple(span for meeting in meetings for span in meeting.spans)
    key = (spans, likenesses)
    if key not in rules.shared:
        rules.shared[key] = _everyone(table, rules, spans, likenesses)
    everyone = rules.shared[key]
    found = everyone
    if rules.options.include_self and query.is_stored:
        found = _without_itself(table, everyone, query, meetings)
    elif query.patient_ids and not rules.options.include_self:
        found = _without(table, everyone, query.patient_ids)
    if found.n_scans:
        return found
    # as of a day, nothing may depend on what came later, not even a hint
    hint = unmet_hint(table, rules.options.where) if rules.options.as_of is None else ""
    return replace(found, notes=(why_none(found.counts) + hint,))


def _everyone(
    table: SearchTable,
    rules: Rules,
    spans: tuple[tuple[int, int], ...],
    likenesses: tuple[Condition, ...],
) -> Eligible:
    """Who is eligible before the query's own patient is left out."""
    rows, counts = rules.rows, list(rules.counts)
    for condition in likenesses:
        rows = rows & fulfils(table, condition)
        counts.append((condition.text, int(np.count_nonzero(rows))))
    positions = np.zeros(len(table), bool)
    for start, stop in spans:
        positions[start:stop] = rows[table.layout.order[start:stop]]
    n_scans = int(np.count_nonzero(positions))
    counts.append(("same view and modality", n_scans))
    patients, n_groups = table.groups_by_position("patient")
    scans_each = np.bincount(patients, weights=positions, minlength=n_groups)
    return Eligible(positions, n_scans, int(np.count_nonzero(scans_each)), tuple(counts))


def _without(table: SearchTable, everyone: Eligible, patient_ids: tuple[str, ...]) -> Eligible:
    """The eligible rows but some patients'."""
    positions, n_patients = everyone.positions.copy(), everyone.n_patients
    for patient_id in patient_ids:
        own = table.positions[table.rows_of(patient_id)]
        n_patients -= bool(np.any(positions[own]))
        positions[own] = False
    n_scans = int(np.count_nonzero(positions))
    return Eligible(positions, n_scans, n_patients, (*everyone.counts, ("other patients", n_scans)))


def _without_itself(
    table: SearchTable, everyone: Eligible, query: Query, meetings: tuple[Meeting, ...]
) -> Eligible:
    """The eligible rows, of the query's own scans only those that meet another of them."""
    own = table.positions[query.rows]
    meets = np.zeros(len(own), bool)
    for meeting in meetings:
        is_asked = np.isin(np.arange(len(own)), meeting.vectors)
        meets |= in_spans(own, meeting.spans) & (len(meeting.vectors) > is_asked)
    eligible = everyone.positions[own]
    positions = everyone.positions.copy()
    positions[own] = False
    n_scans = everyone.n_scans - int(np.count_nonzero(eligible & ~meets))
    own = own[eligible & meets]
    patient = table.positions[table.rows_of(str(query.named))]
    is_gone = bool(np.any(everyone.positions[patient])) and not (
        len(own) or positions[patient].any()
    )
    counts = (*everyone.counts, ("the query itself", n_scans))
    return Eligible(positions, n_scans, everyone.n_patients - is_gone, counts, own=own)


def _visible(table: SearchTable, as_of: float | None) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Rows that were there on a day, and what to say about it."""
    if as_of is None:
        return np.ones(len(table), bool), ()
    require_cohort_clock(table.clock)
    notes = [f"scans after day {as_of:g} are hidden, and so are columns that tell what came later"]
    undated = int(np.isnan(table.days).sum())
    if undated:
        notes.append(f"{undated} scans without a day are hidden too")
    return table.days <= as_of, tuple(notes)


def require_cohort_clock(clock: Clock) -> None:
    """Refuse to hide what came after a day where days of two patients cannot be compared.

    Raises:
        QueryError: each patient's days are counted from a start of their own.
    """
    if clock != "cohort":
        raise QueryError(
            "--as-of needs days that can be compared between patients, and this store counts "
            "each patient's own (clock 'patient'): cut the query with --until-day"
        )


def refuse_outcomes(asked: Iterable[Condition | Match]) -> None:
    """Refuse conditions, in a search as of a day, on what came later.

    Raises:
        QueryError: one of them asks for an outcome.
    """
    for condition in asked:
        if condition.column in OUTCOMES:
            raise QueryError(
                f"{condition.text!r} asks what came later, which --as-of hides: "
                "leave one of the two out"
            )


def _center(table: SearchTable, options: SimilarOptions) -> tuple[NDArray[np.float64], str]:
    """What is subtracted, and the name of the reference it comes from."""
    if options.metric != "centered":
        return np.zeros(table.width), ""
    if table.reference is None:
        raise QueryError(
            "no reference to centre on: run refit, or choose --metric cosine or euclidean"
        )
    if options.as_of is None:
        return table.reference.mean, table.reference.fingerprint
    as_of = options.as_of
    return table.once(("center", as_of), lambda: _refit(table, as_of))


def _refit(table: SearchTable, as_of: float) -> tuple[NDArray[np.float64], str]:
    """The reference's mean over its patients' scans until a day, named as such."""
    known = () if table.reference is None else table.reference.patients
    numbers = [table.patients.number(patient) for patient in known]
    rows = np.flatnonzero(np.isin(table.patients.of_row, numbers) & (table.days <= as_of))
    if len(rows) == 0:
        raise QueryError(
            f"no scan of the reference's {len(known)} patients until day {as_of:g}: "
            "choose a later day, or --metric cosine"
        )
    mean = balanced_mean(table.embeddings, rows, table.patients.of_row[rows])
    names = sorted(str(table.patients.values[i]) for i in set(table.patients.of_row[rows]))
    return mean, f"{fingerprint(mean, {}, tuple(names), len(rows))}, refitted as of day {as_of:g}"


def why_none(counts: tuple[tuple[str, int], ...]) -> str:
    """How many rows were left after each step, for a reader who wonders why none is.

    Args:
        counts: what there was and how many, then what was left after each step.
    """
    (what, n_all), *steps = counts
    left = ", ".join(f"{count} after {step}" for step, count in steps)
    return f"nothing is eligible: {n_all} {what}" + (f", {left}" if left else "")
