"""Who changed like this patient: transitions ranked by direction, start state and span of days."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import ProgressionOptions
from learner_index.errors import QueryError
from learner_index.search.choose import choose_index
from learner_index.search.eligible import refuse_outcomes, require_cohort_clock, why_none
from learner_index.search.filters import (
    ColumnKind,
    Condition,
    column_kinds,
    fulfils,
    parse_where,
    unmet_hint,
)
from learner_index.search.index import Found, Part, Task
from learner_index.search.matching import Match, parse_match, relate, relate_to
from learner_index.search.query import finite
from learner_index.search.transition_table import (
    Floats,
    Question,
    TransitionTable,
    Weights,
    settle_question,
)

_BLOCK = 1024  # transitions compared at a time
_NO_ROWS = np.empty(0, np.int64)
_NOBODY = "the query's patient is unknown: transitions of that patient are not left out"
_TYPES: Mapping[ColumnKind, type] = {"text": str, "number": float, "flag": bool}


@dataclass(frozen=True, slots=True, eq=False)
class FoundChanges:
    """The transitions most like the one asked for.

    Attributes:
        rows: (m,) rows of the table, most alike first; m < k only when fewer are eligible.
        similarity: (m,) S, no unit; larger is closer. It is the sum of the three parts.
        direction: (m,) w_d times the cosine.
        start: (m,) from 0 down as start states differ.
        days: (m,) from 0 down as spans of days differ.
        cosine: (m,) of the direction looked for with the hit's, -1..1; 0 where either is steady.
        weights: of direction, start and days, as used: 0 for what could not be compared.
        n_eligible: transitions that were ranked.
        n_eligible_patients: patients they belong to.
        eligible: (t,) True for these transitions.
        backend: what computed the products.
        notes: what a reader of the answer should know.
        elapsed_ms: time taken.
    """

    rows: NDArray[np.int64]
    similarity: Floats
    direction: Floats
    start: Floats
    days: Floats
    cosine: Floats
    weights: Weights
    n_eligible: int
    n_eligible_patients: int
    eligible: NDArray[np.bool_]
    backend: str
    notes: tuple[str, ...]
    elapsed_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class _Eligible:
    """The transitions that may be found."""

    mask: NDArray[np.bool_]
    n_transitions: int
    n_patients: int
    notes: tuple[str, ...]


def find_changes(
    table: TransitionTable, question: Question, options: ProgressionOptions | None = None
) -> FoundChanges:
    """The patients or transitions that changed most like the one asked for.

    Exact: filters act before the ranking, and rounding never hides a hit. Equal similarities are
    ranked in the order of rows.

    Args:
        table: what is searched.
        question: what is looked for.
        options: how; the defaults when None. What comes before the table (transitions, modality,
            as_of, until_day) and after the ranking (min_support, n_draws, seed) is the caller's;
            of as_of, the rows whose `later_day` is after it are hidden here too.

    Raises:
        QueryError: an option or the question does not fit the table.
    """
    started = time.perf_counter()
    options = _checked(options or ProgressionOptions())
    question = settle_question(table, question)
    weights, notes = _weights_and_notes(table, question, options)
    eligible = _find_eligible(table, question, options)
    looked_for = question.opposite if options.negate else question
    found = _search(table, looked_for, weights, eligible, options)
    parts = all_parts(table, looked_for, weights, found.positions)
    groups, _ = table.groups(options.level)
    best = _best_of_groups(found.positions, parts[0] + parts[1] + parts[2], groups, options.k)
    rows = found.positions[best]
    direction, start, days = (part[best] for part in parts)
    return FoundChanges(
        rows=rows,
        similarity=direction + start + days,
        direction=direction,
        start=start,
        days=days,
        cosine=table.cosines(looked_for.delta, rows),
        weights=weights,
        n_eligible=eligible.n_transitions,
        n_eligible_patients=eligible.n_patients,
        eligible=eligible.mask,
        backend=found.backend,
        notes=notes + eligible.notes,
        elapsed_ms=(time.perf_counter() - started) * 1000,
    )


def all_parts(
    table: TransitionTable,
    question: Question,
    weights: Weights,
    rows: NDArray[np.int64] | None = None,
) -> tuple[Floats, Floats, Floats]:
    """What direction, start state and span of days add to the similarity of every transition.

    Each value depends on its row and the question alone, not on its neighbours, so that equal
    transitions tie exactly.

    Args:
        table: the transitions.
        question: what they are compared with, as it is: `negate` is the caller's
            `question.opposite`.
        weights: w_d, w_u and w_t; what the question does not know adds 0.
        rows: (m,) some transitions; None: all of them.

    Returns:
        direction, start and days, each (t,) or (m,), float64; their sum is S.
    """
    to_direction, to_start, to_days = effective_weights(table, question, weights)
    count = len(table) if rows is None else len(rows)
    direction, start, days = (np.zeros(count) for _ in range(3))
    for first in range(0, count, _BLOCK):
        block = slice(first, first + _BLOCK)
        some = block if rows is None else rows[block]
        if to_direction:
            direction[block] = to_direction * table.cosines(question.delta, some)
        if to_start and question.start is not None:
            start[block] -= to_start * table.start_gaps(question.start, some)
        if to_days and question.delta_day is not None:
            days[block] -= to_days * table.day_gaps(question.delta_day, some)
    return direction, start, days


def effective_weights(table: TransitionTable, question: Question, weights: Weights) -> Weights:
    """The weights with 0 for what the question does not know or the reference cannot scale."""
    has_start = question.start is not None and table.start_bandwidth > 0
    has_days = question.delta_day is not None and table.day_bandwidth > 0
    return weights[0], weights[1] * has_start, weights[2] * has_days


def _checked(options: ProgressionOptions) -> ProgressionOptions:
    """The options with plain numbers in place of NumPy's.

    Raises:
        QueryError: one of them cannot be met.
    """
    if options.level not in ("patient", "transition"):
        raise QueryError(f"no level {options.level!r}: choose patient or transition")
    if options.transitions not in ("consecutive", "all", "baseline"):
        raise QueryError(
            f"no transitions {options.transitions!r}: choose consecutive, all or baseline"
        )
    support = finite("--min-support", options.min_support)
    if support is None or support < 0:
        raise QueryError(f"--min-support is {options.min_support!r}: give a number from 0")
    return replace(
        options,
        k=_whole("k", options.k, 1),
        weights=_checked_weights(options.weights),
        as_of=finite("--as-of", options.as_of),
        until_day=finite("--until-day", options.until_day),
        direction_only=bool(options.direction_only),
        negate=bool(options.negate),
        include_self=bool(options.include_self),
        min_support=support,
        n_draws=_whole("--n-draws", options.n_draws, 0),
        seed=_whole("--seed", options.seed, 0),
    )


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise QueryError(f"{name} is {value!r}: give a whole number from {least}")
    return int(value)


def _checked_weights(weights: Any) -> Weights:
    error = QueryError(f"weights are {weights!r}: give three finite numbers from 0, not all 0")
    try:
        to_direction, to_start, to_days = (finite("weights", weight) for weight in weights)
    except (TypeError, ValueError) as cause:  # a QueryError is a ValueError
        raise error from cause
    if to_direction is None or to_start is None or to_days is None:
        raise error
    if min(to_direction, to_start, to_days) < 0 or max(to_direction, to_start, to_days) == 0:
        raise error
    return to_direction, to_start, to_days


def _weights_and_notes(
    table: TransitionTable, question: Question, options: ProgressionOptions
) -> tuple[Weights, tuple[str, ...]]:
    """The weights in effect, and what to say of them and of the query."""
    asked = (options.weights[0], 0.0, 0.0) if options.direction_only else options.weights
    weights = effective_weights(table, question, asked)
    if not any(weights):
        raise QueryError(
            f"nothing is left to rank by, weights are {weights} in effect: "
            "give the direction a weight above 0"
        )
    notes = [] if question.patient_ids or options.include_self else [_NOBODY]
    if weights[0] and not table.unit(question.delta).any():
        notes.append("the query did not move: it has no direction, so every cosine is 0")
    if asked[1] and not weights[1]:
        notes.append(f"{_why_not('start', question.start)}: start states are not compared")
    if asked[2] and not weights[2]:
        notes.append(f"{_why_not('delta_day', question.delta_day)}: spans are not compared")
    return weights, tuple(notes)


def _why_not(what: str, value: Any) -> str:
    if value is None:
        return f"the query's {what} is unknown"
    return f"the reference has no bandwidth of {what}"


def _find_eligible(
    table: TransitionTable, question: Question, options: ProgressionOptions
) -> _Eligible:
    """The transitions that fulfil every condition and are not the query's own."""
    mask = np.ones(len(table), bool)
    counts = [("transitions", len(table))]
    for text, kept in _steps(table, question, options):
        mask &= kept
        counts.append((text, int(np.count_nonzero(mask))))
    n_patients = _count_patients(table, mask) if len(counts) > 1 else table.groups("patient")[1]
    own = _own_rows(table, question, options)
    if len(own):
        n_patients -= _leave_out(table, mask, own)
        counts.append(("leaving out the query's own", int(np.count_nonzero(mask))))
    n_transitions = counts[-1][1]
    if n_transitions:
        return _Eligible(mask, n_transitions, n_patients, ())
    # as of a day, nothing may depend on what came later, not even a hint
    hint = unmet_hint(table.columns, options.where) if options.as_of is None else ""
    return _Eligible(mask, 0, n_patients, (why_none(tuple(counts)) + hint,))


def _count_patients(table: TransitionTable, mask: NDArray[np.bool_]) -> int:
    """Number of patients with a transition in the mask."""
    patients, n_groups = table.groups("patient")
    has_some = np.zeros(n_groups, bool)
    has_some[patients[np.flatnonzero(mask)]] = True  # numbers take a quarter of a mask's time
    return int(np.count_nonzero(has_some))


def _leave_out(table: TransitionTable, mask: NDArray[np.bool_], own: NDArray[np.int64]) -> int:
    """Take rows out of the mask; how many patients have none left through it."""
    touched = np.unique(table.groups("patient")[0][own[mask[own]]])
    mask[own] = False
    rows = [table.columns.rows_with("patient_id", touched[i : i + 1]) for i in range(len(touched))]
    return sum(not mask[some].any() for some in rows)


def _steps(
    table: TransitionTable, question: Question, options: ProgressionOptions
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What every hit fulfils, and which transitions do."""
    columns = table.columns
    kinds = columns.once(("kinds",), lambda: column_kinds(columns.obs))
    conditions = [parse_where(text, kinds) for text in options.where]
    matches = [parse_match(text, kinds) for text in options.match]
    if options.as_of is not None:
        require_cohort_clock(columns.clock)
        refuse_outcomes([*conditions, *matches])
        if "later_day" in kinds:
            yield f"until day {options.as_of:g}", columns.numbers("later_day") <= options.as_of
    conditions += [_likeness(table, question, match, kinds) for match in matches]
    for condition in conditions:
        yield condition.text, fulfils(columns, condition)


def _likeness(
    table: TransitionTable, question: Question, match: Match, kinds: Mapping[str, ColumnKind]
) -> Condition:
    """The condition that a likeness to the query means."""
    known = question.known
    if known is None:
        rows = _NO_ROWS if question.row is None else np.array([question.row])
        return relate(table.columns, match, rows)
    if match.column not in known:
        return relate_to(match, pd.Series([], dtype=object))
    condition = relate_to(match, known[match.column])
    if not all(isinstance(value, _TYPES[kinds[match.column]]) for value in condition.values):
        raise QueryError(
            f"the query's {match.column} is {condition.values[0]!r} and the column holds "
            f"{kinds[match.column]}: give the query the same kind of value"
        )
    return condition


def _own_rows(
    table: TransitionTable, question: Question, options: ProgressionOptions
) -> NDArray[np.int64]:
    """Rows that are the query itself or, unless asked for, of a patient it may belong to."""
    row = _NO_ROWS if question.row is None else np.array([question.row])
    if options.include_self:
        return row
    patients = table.columns.patients
    numbers = np.array([patients.number(name) for name in question.patient_ids], np.int64)
    return np.concatenate([row, table.columns.rows_with("patient_id", numbers)])


def _search(
    table: TransitionTable,
    question: Question,
    weights: Weights,
    eligible: _Eligible,
    options: ProgressionOptions,
) -> Found:
    """Everything that can be among the k best, from one backend."""
    direction_only = weights[1] == weights[2] == 0
    prepared = table.prepared(direction_only=direction_only)
    index = choose_index(table.columns, prepared, options.backend, eligible.n_transitions)
    if not eligible.n_transitions:
        return Found(_NO_ROWS, index.name)
    vector = table.vector(question.delta, question.start, question.delta_day, weights)
    vector = np.ascontiguousarray(vector[:, : prepared.rows.shape[1]])
    groups, n_groups = table.groups(options.level)
    part = Part(vector, ((0, len(table)),))
    slack = prepared.slack(vector)
    task = Task((part,), eligible.mask, groups, n_groups, options.k, slack)
    return index.candidates([task])[0]


def _best_of_groups(
    rows: NDArray[np.int64], similarity: Floats, groups: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """Places of the best row of each of the k nearest groups, most alike first, ties by row."""
    best_first = np.lexsort((rows, -similarity))
    firsts = np.unique(groups[rows[best_first]], return_index=True)[1]
    return best_first[np.sort(firsts)[:k]]
