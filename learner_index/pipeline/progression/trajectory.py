"""One patient's path: where they stood at each visit, what changed, and who took the same path."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.alignment import Alignment, nearest_paths
from learner_index.analysis.severity import position_intervals, positions
from learner_index.config import TrajectoryOptions
from learner_index.data.progression import Likeness, Stop, Trajectory
from learner_index.errors import QueryError
from learner_index.pipeline.progression.columns import OWN, scans_of
from learner_index.pipeline.progression.measure import (
    axis_figures,
    axis_noise,
    changes,
    columns_of_visits,
    noise_figures,
    noise_notes,
)
from learner_index.pipeline.progression.question import settled
from learner_index.pipeline.progression.source import ChangeSource, Followed
from learner_index.pipeline.roles import SEEN, seen_note
from learner_index.search.eligible import refuse_outcomes
from learner_index.search.filters import column_kinds, fulfils, parse_where
from learner_index.search.hits import plain
from learner_index.search.matching import parse_match, relate_to
from learner_index.search.query import finite
from learner_index.search.table import SearchTable

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def trajectory(source: ChangeSource, patient: str, options: TrajectoryOptions) -> Trajectory:
    """A patient's path, and the patients whose paths are most like it.

    Args:
        source: the store.
        patient: whose path.
        options: how.

    Raises:
        QueryError: no such patient, or an option that does not fit.
    """
    patient = str(patient)
    started, options = time.perf_counter(), _checked(options)
    followed = source.followed("consecutive", options.modality, options.as_of)
    own = followed.of_patient(patient, "consecutive", options.until_day)
    visits, known = own.visits, own.known
    steps = changes(own, np.arange(len(visits.earlier)), options.alpha)
    likes, n_eligible, n_single, notes = _likes(followed, own, options)
    seen = _seen(own, likes)
    return Trajectory(
        query={"patient_id": patient, **_settings(options)},
        patient_id=patient,
        stops=_stops(own),
        steps=steps,
        likes=likes,
        path=visits.embeddings.astype(np.float64),
        alpha=options.alpha,
        reference=followed.fingerprint,
        n_eligible_patients=n_eligible,
        n_single=n_single,
        noise=noise_figures(known),
        axis=axis_figures(known),
        elapsed_ms=(time.perf_counter() - started) * 1000,
        notes=seen + followed.notes + _gap_notes(own) + notes + noise_notes(known, options.alpha),
    )


def _checked(options: TrajectoryOptions) -> TrajectoryOptions:
    """The options with plain numbers.

    Raises:
        QueryError: one of them is none.
    """
    options = settled(options)
    k: Any = options.k
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise QueryError(f"k is {k!r}: give a whole number from 0")
    alpha, softness = finite("--alpha", options.alpha), finite("--softness", options.softness)
    if alpha is None or not 0 < alpha < 1:
        raise QueryError(f"--alpha is {alpha!r}: give a number between 0 and 1, such as 0.1")
    if softness is None or softness <= 0:
        raise QueryError(f"--softness is {softness!r}: give a number above 0, such as 0.1")
    return replace(options, alpha=alpha, softness=softness)


def _stops(own: Followed) -> tuple[Stop, ...]:
    """The visits, with their places on the severity axis."""
    visits, known = own.visits, own.known
    n = len(visits.patient)
    places: Sequence[float | None] = [None] * n
    low: Sequence[float | None] = [None] * n
    high: Sequence[float | None] = [None] * n
    if known.axis is not None:
        places = positions(known.axis, visits.embeddings, known.whitening).tolist()
        ends = position_intervals(known.axis, visits.embeddings, known.whitening)
        low, high = (end.tolist() for end in ends)
    noise = axis_noise(known.axis, known)
    scans = scans_of(own.obs, visits, np.arange(n))
    return tuple(
        Stop(
            day=plain(float(visits.day[i])),
            scan_ids=scans[i],
            health_score=plain(float(visits.score[i])),
            position=places[i],
            low=low[i],
            high=high[i],
            noise=None if noise is None else noise * float(visits.scale[i]),
        )
        for i in range(n)
    )


def _gap_notes(own: Followed) -> tuple[str, ...]:
    """A note on visits that follow each other without a view both have, if there are any."""
    visits = own.visits
    dated = np.flatnonzero(np.isfinite(visits.day))
    earlier, later = dated[:-1], dated[1:]
    is_gap = (visits.day[later] > visits.day[earlier]) & ~np.isin(earlier, visits.earlier)
    if not is_gap.any():
        return ()
    pairs = zip(visits.day[earlier[is_gap]], visits.day[later[is_gap]], strict=True)
    days = ", ".join(f"{one:g} and {other:g}" for one, other in pairs)
    return (f"no view is shared by the visits of day {days}: no step between them",)


def _likes(
    followed: Followed, own: Followed, options: TrajectoryOptions
) -> tuple[tuple[Likeness, ...], int, int, tuple[str, ...]]:
    """The nearest paths, patients compared, patients of one visit left out, and notes."""
    if options.k == 0:
        return (), 0, 0, ()
    eligible = _eligible(followed, own, options)
    eligible[followed.patients.index(own.patients[0])] = False
    paths = [rows for i, rows in enumerate(_dated(followed)) if eligible[i]]
    n_single = sum(len(rows) == 1 for rows in paths)
    others = [rows for rows in paths if len(rows) >= 2]
    why = _why_none(followed, own, others)
    likes = () if why else _nearest(followed, own, others, options)
    return likes, len(others), n_single, why


def _dated(followed: Followed) -> list[Codes]:
    """Each patient's visits whose days are known, by day."""
    visits = followed.visits
    rows = np.flatnonzero(np.isfinite(visits.day))
    counts = np.bincount(visits.patient[rows], minlength=len(followed.patients))
    return np.split(rows, np.cumsum(counts)[:-1])


def _why_none(followed: Followed, own: Followed, others: Sequence[Codes]) -> tuple[str, ...]:
    """A note on what keeps paths from being compared, if anything does."""
    n_dated = int(np.count_nonzero(np.isfinite(own.visits.day)))
    if n_dated < 2:
        return (f"a patient with {n_dated or 'no'} dated visit has no path",)
    if not others:
        return ("no other patient who may be found has two dated visits",)
    if followed.known.start_bandwidth == 0:
        return ("paths are not compared: the reference's patients show no two starts that differ",)
    return ()


def _nearest(
    followed: Followed, own: Followed, others: Sequence[Codes], options: TrajectoryOptions
) -> tuple[Likeness, ...]:
    """The nearest of some patients' paths, each given by its visits."""
    found = nearest_paths(
        *_path(own, _dated(own)[0]),
        [_path(followed, rows) for rows in others],
        scale=followed.known.start_bandwidth,
        softness=options.softness,
        k=options.k,
    )
    firsts = followed.of_visits.iloc[[others[i][0] for i, _ in found]]
    cells = {name: firsts[name].tolist() for name in firsts.columns if name not in OWN}
    return tuple(
        _likeness(
            followed,
            others[i],
            alignment,
            rank=at + 1,
            columns={name: plain(values[at]) for name, values in cells.items()},
        )
        for at, (i, alignment) in enumerate(found)
    )


def _path(followed: Followed, rows: Codes) -> tuple[NDArray[np.float32], Floats]:
    """(a, e) embeddings and (a,) days of one patient's visits, on the patient's own clock."""
    days = followed.visits.day[rows]
    if followed.clock == "cohort":  # its day 0 is nobody's own
        days = days - days[0]
    return followed.visits.embeddings[rows], days


def _likeness(
    followed: Followed,
    rows: Codes,
    alignment: Alignment,
    *,
    rank: int,
    columns: Mapping[str, Any],
) -> Likeness:
    """The record of a path found, given by its visits."""
    visits = followed.visits
    score = visits.score[rows]
    score = score[np.isfinite(score)]
    return Likeness(
        rank=rank,
        patient_id=followed.patients[visits.patient[rows[0]]],
        distance=alignment.distance,
        day_shift=alignment.day_shift,
        shift_spread=alignment.shift_spread,
        n_visits=len(rows),
        from_day=float(visits.day[rows[0]]),
        to_day=float(visits.day[rows[-1]]),
        delta_score=float(score[-1] - score[0]) if len(score) > 1 else None,
        columns=columns,
    )


def _eligible(followed: Followed, own: Followed, options: TrajectoryOptions) -> NDArray[np.bool_]:
    """(p,) patients whose first visit fulfils every condition."""
    visits = followed.visits
    first = np.unique(visits.patient, return_index=True)[1]
    columns = columns_of_visits(followed, first).reset_index(drop=True)
    table = SearchTable(visits.embeddings[first], columns, clock=followed.clock)
    kinds = column_kinds(columns)
    conditions = [parse_where(text, kinds) for text in options.where]
    matches = [parse_match(text, kinds) for text in options.match]
    if options.as_of is not None:
        refuse_outcomes([*conditions, *matches])
    mine = columns_of_visits(own, np.array([0]))
    conditions += [relate_to(match, mine[match.column]) for match in matches]
    found = np.ones(len(first), bool)
    for condition in conditions:
        found &= fulfils(table, condition)
    return found


def _seen(own: Followed, likes: Sequence[Likeness]) -> tuple[str, ...]:
    """A first note, if the encoder has seen the patient or those found."""
    if "encoder_role" not in own.obs:
        return ()
    is_query = bool(own.obs["encoder_role"].isin(SEEN).any())
    n_likes = sum(like.columns.get("encoder_role") in SEEN for like in likes)
    return seen_note(is_query, n_likes, len(likes))


def _settings(options: TrajectoryOptions) -> Mapping[str, Any]:
    """The options, JSON-ready."""
    found = asdict(options)
    return {**found, "where": list(options.where), "match": list(options.match)}
