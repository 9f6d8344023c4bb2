"""The search itself: from a query and its options to the patients who look most alike."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from learner_index.config import SimilarOptions
from learner_index.data.records import Hits
from learner_index.errors import QueryError
from learner_index.search.choose import choose_index
from learner_index.search.eligible import OUTCOMES, Eligible, Rules, find_eligible, read_rules
from learner_index.search.hits import make_hits, query_scans
from learner_index.search.index import Found, Part, Task
from learner_index.search.known import has_values
from learner_index.search.metrics import Prepared
from learner_index.search.query import Query, cut, finite, settle
from learner_index.search.rank import Meeting, rank
from learner_index.search.table import SearchTable


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """A query with everything decided but the products."""

    query: Query
    eligible: Eligible
    meetings: tuple[Meeting, ...]
    notes: tuple[str, ...]


def similar(table: SearchTable, query: Query, options: SimilarOptions | None = None) -> Hits:
    """The patients, visits or scans most like the query.

    Exact: filters act before the ranking, and rounding never hides a hit. Equal similarities are
    ranked in the order of rows.

    Args:
        table: what is searched.
        query: what is looked for.
        options: how; the defaults when None.

    Returns:
        At most k hits, fewer only when fewer are eligible or near enough.

    Raises:
        QueryError: an option does not fit the query or the table.
    """
    return similar_many(table, [query], options)[0]


def similar_many(
    table: SearchTable, queries: Sequence[Query], options: SimilarOptions | None = None
) -> list[Hits]:
    """The same as `similar` for each of many queries, in one matrix product where possible.

    `elapsed_ms` of each answer is its share of the whole.
    """
    started = time.perf_counter()
    options = _checked(options or SimilarOptions())
    rules = read_rules(table, options)
    plans = [_plan(table, query, rules) for query in queries]
    prepared = table.prepared(options.metric, rules.center)
    found = _search(table, prepared, plans, options)
    answers = [
        _answer(table, prepared, plan, rules, some) for plan, some in zip(plans, found, strict=True)
    ]
    elapsed_ms = (time.perf_counter() - started) * 1000 / max(1, len(queries))
    return [Hits(**answer, elapsed_ms=elapsed_ms) for answer in answers]


def _checked(options: SimilarOptions) -> SimilarOptions:
    """The options with plain numbers in place of NumPy's, so that the answer is JSON-ready.

    Raises:
        QueryError: one of them cannot be met.
    """
    k: Any = options.k
    distance = finite("--max-distance", options.max_distance)
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
        raise QueryError(f"k is {k!r}: ask for at least 1 hit")
    if options.level not in ("scan", "visit", "patient"):
        raise QueryError(f"no level {options.level!r}: choose scan, visit or patient")
    if options.metric not in ("centered", "cosine", "euclidean"):
        raise QueryError(f"no metric {options.metric!r}: choose centered, cosine or euclidean")
    if distance is not None and distance < 0:
        raise QueryError(f"--max-distance is {distance!r}: give a number from 0")
    return replace(
        options,
        k=int(k),
        as_of=finite("--as-of", options.as_of),
        until_day=finite("--until-day", options.until_day),
        include_self=bool(options.include_self),
        any_view=bool(options.any_view),
        max_distance=distance,
    )


def _plan(table: SearchTable, query: Query, rules: Rules) -> _Plan:
    """Cut the query, find who is eligible and which vectors meet which rows."""
    options = rules.options
    if options.until_day is not None:
        query = cut(table, query, options.until_day)
    if options.as_of is not None:
        query = _cut_as_of(table, query, options.as_of)
    meetings = _meetings(table, query, options.any_view)
    eligible = find_eligible(table, query, rules, meetings)
    return _Plan(query, eligible, meetings, _query_notes(table, query, options))


def _cut_as_of(table: SearchTable, query: Query, as_of: float) -> Query:
    """The query without what was not there yet."""
    return settle(table, cut(table, query, as_of) if query.is_stored else query, as_of)


def _meetings(table: SearchTable, query: Query, any_view: bool) -> tuple[Meeting, ...]:
    """Query vectors by the rows they are compared with: those of the same view and modality."""
    together: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for number, (view, modality) in enumerate(zip(query.views, query.modalities, strict=True)):
        strata = table.strata_of(view, modality, is_open=not query.is_stored, any_view=any_view)
        together.setdefault(table.layout.spans(strata), []).append(number)
    return tuple(Meeting(np.array(numbers), spans) for spans, numbers in together.items())


def _query_notes(table: SearchTable, query: Query, options: SimilarOptions) -> tuple[str, ...]:
    notes = [] if options.include_self else _owner_notes(query)
    for what, values in (("view", query.views), ("modality", query.modalities)):
        is_unknown = not query.is_stored and None in values and not options.any_view
        if is_unknown and has_values(table, what, options.as_of):
            notes.append(f"the query's {what} is unknown: it is compared with every {what}")
    return tuple(notes)


def _owner_notes(query: Query) -> list[str]:
    """What a reader should know of who is left out."""
    if not query.patient_ids:
        return ["the query's patient is unknown: scans of that patient are not left out"]
    owners, stored = query.owners, "the query's bytes are stored under"
    if len(owners) > 1:
        shown = ", ".join(owners[:8]) + (", …" if len(owners) > 8 else "")
        return [f"{stored} {len(owners)} patients ({shown}): all are left out"]
    if len(query.patient_ids) > 1:
        return [f"{stored} patient {owners[0]}, not {query.named}: both are left out"]
    return []


def _search(
    table: SearchTable, prepared: Prepared, plans: Sequence[_Plan], options: SimilarOptions
) -> list[Found]:
    """Contenders of each plan, from one backend."""
    work = sum(plan.eligible.n_scans * len(plan.query.vectors) for plan in plans)
    index = choose_index(table, prepared, options.backend, work)
    tasks = [_task(table, prepared, plan, options) for plan in plans]
    are_busy = [plan.eligible.n_scans > len(plan.eligible.own) for plan in plans]
    busy = [task for task, is_busy in zip(tasks, are_busy, strict=True) if is_busy]
    found = iter(index.candidates(busy))
    nothing = Found(np.empty(0, np.int64), index.name)
    return [next(found) if is_busy else nothing for is_busy in are_busy]


def _task(table: SearchTable, prepared: Prepared, plan: _Plan, options: SimilarOptions) -> Task:
    vectors = prepared.query(plan.query.vectors)
    groups, n_groups = table.groups_by_position(options.level)
    parts = tuple(Part(vectors[meeting.vectors], meeting.spans) for meeting in plan.meetings)
    slack = prepared.slack(vectors)
    return Task(parts, plan.eligible.positions, groups, n_groups, options.k, slack)


def _answer(
    table: SearchTable, prepared: Prepared, plan: _Plan, rules: Rules, found: Found
) -> dict[str, Any]:
    """Everything of `Hits` but the time."""
    options = rules.options
    groups, _ = table.groups(options.level)
    positions = np.concatenate([found.positions, plan.eligible.own])
    ranked = rank(table, prepared, plan.query, plan.meetings, positions, groups, options.k)
    hidden = OUTCOMES if options.as_of is not None else ()
    hits = make_hits(table, prepared, plan.query, ranked, hidden)
    near, notes = _near(hits, options.max_distance)
    return {
        "query": _asked(plan.query, options),
        "hits": near,
        "exact": True,
        "backend": found.backend,
        "reference": rules.fingerprint,
        "n_eligible": plan.eligible.n_scans,
        "n_eligible_patients": plan.eligible.n_patients,
        "n_scanned": plan.eligible.n_scans,
        "notes": rules.notes + plan.notes + plan.eligible.notes + notes,
        "query_scans": query_scans(table, plan.query, near, hidden),
    }


def _near(hits: tuple[Any, ...], max_distance: float | None) -> tuple[tuple[Any, ...], Any]:
    """The hits near enough, and a note when some are not."""
    near = tuple(hit for hit in hits if max_distance is None or hit.distance <= max_distance)
    if len(near) == len(hits):
        return near, ()
    return near, (f"hits further than {max_distance:g} are left out",)


def _asked(query: Query, options: SimilarOptions) -> dict[str, Any]:
    """What was asked, JSON-ready; the backend is no part of the question."""
    settings = {name: value for name, value in asdict(options).items() if name != "backend"}
    settings["where"], settings["match"] = list(options.where), list(options.match)
    return {"kind": query.kind, **query.description, "n_scans": len(query.vectors), **settings}
