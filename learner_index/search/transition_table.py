"""Transitions as rows of a search, and the question put to them.

S(q, t') = w_d cos(d, d') - w_u |u0 - u0'|²/h_u² - w_t log²(Δday/Δday')/h_t². Multiplied out, it is
a constant of the query plus the product of two vectors. A row (d'/|d'|, u0'/h_u, log Δday'/h_t,
-|u0'|²/h_u², -log² Δday'/h_t²) knows nothing of the weights; the query's vector holds them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Clock
from learner_index.errors import QueryError
from learner_index.search.metrics import Prepared
from learner_index.search.query import finite
from learner_index.search.table import SearchTable

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]
Weights = tuple[float, float, float]  # of direction, start and days: w_d, w_u and w_t

_BLOCK = 512  # rows taken at a time: a float64 block that stays in the processor's cache
_STEADY = 1e-12  # a delta this small beside the longest embedding is rounding, not direction
_FURTHEST = 1e15  # bandwidths; its square is a float32 with room to spare


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One change to find the like of, and whom to leave out.

    Attributes:
        delta: (e,) later embedding minus earlier.
        start: (e,) earlier embedding; None: unknown, and starts are not compared.
        delta_day: days between the visits, above 0; None: unknown, and spans are not compared.
        patient_ids: whom it may belong to, who are left out of the hits unless `include_self`.
        row: the table's row of this very transition, which is never a hit; None when not there.
        known: one row of columns that `match` is relative to; None: those of `row`.
    """

    delta: Floats
    start: Floats | None = None
    delta_day: float | None = None
    patient_ids: tuple[str, ...] = ()
    row: int | None = None
    known: pd.DataFrame | None = None

    @property
    def opposite(self) -> "Question":
        """The same start and span with the opposite direction."""
        return replace(self, delta=-self.delta)


class TransitionTable:
    """The transitions of a cohort, ready for searches; the first query of a kind pays.

    The rows do not change while the table lives.

    Args:
        starts: (t, e) earlier embedding of each transition.
        deltas: (t, e) later embedding minus earlier.
        obs: (t,) rows of columns; patient_id and delta_day (above 0) at least. Conditions and
            likenesses speak of these columns.
        start_bandwidth: h_u, the distance of two starts that costs w_u; 0: starts are not
            compared.
        day_bandwidth: h_t, the |log ratio| of two spans of days that costs w_t; 0: spans are not
            compared.
        clock: whether days of two patients can be compared.

    Raises:
        QueryError: the arrays do not fit together, a value is missing or not finite, or a
            bandwidth is none.
    """

    def __init__(
        self,
        starts: Reals,
        deltas: Reals,
        obs: pd.DataFrame,
        *,
        start_bandwidth: float,
        day_bandwidth: float,
        clock: Clock = "patient",
    ) -> None:
        _require_fit(starts, deltas, obs)
        self.starts, self.deltas = starts, deltas
        self.columns = SearchTable(deltas, obs, clock=clock)
        self.start_bandwidth = _bandwidth("start_bandwidth", start_bandwidth)
        self.day_bandwidth = _bandwidth("day_bandwidth", day_bandwidth)
        self.log_days: Floats = np.log(_spans_of_days(self.columns))
        start_lengths = _lengths("start embedding", starts)
        self.lengths = _lengths("delta", deltas)  # (t,) of deltas
        self.steady_below = _STEADY * max(
            start_lengths.max(initial=0.0), self.lengths.max(initial=0.0)
        )
        self._origin = _mean(starts), float(_mean(self.log_days))
        self._prepared: dict[bool, Prepared] = {}

    def __len__(self) -> int:
        """Number of transitions."""
        return len(self.starts)

    @property
    def width(self) -> int:
        """Number of values e in an embedding."""
        return int(self.starts.shape[1])

    @property
    def scales(self) -> tuple[float, float]:
        """1/h_u and 1/h_t; 0 for what is not compared."""
        return _inverse(self.start_bandwidth), _inverse(self.day_bandwidth)

    def groups(self, level: Literal["patient", "transition"]) -> tuple[NDArray[np.int64], int]:
        """(t,) number of what must be distinct among hits, and how many there may be."""
        return self.columns.groups("scan" if level == "transition" else "patient")

    def unit(self, delta: Floats) -> Floats:
        """(e,) direction of a delta; zeros where nothing moved."""
        length = float(np.sqrt(np.sum(delta * delta)))
        return delta / length if length > self.steady_below else np.zeros_like(delta)

    def cosines(self, delta: Floats, rows: NDArray[np.int64] | slice) -> Floats:
        """(m,) cosine of a delta with those of some rows; 0 where either did not move."""
        raw, lengths = self.deltas[rows].astype(np.float64), self.lengths[rows]
        lengths = np.where(lengths > self.steady_below, lengths, np.inf)
        cosines: Floats = np.sum(raw * self.unit(delta), axis=1) / lengths
        return np.clip(cosines, -1.0, 1.0, out=cosines)

    def start_gaps(self, start: Floats, rows: NDArray[np.int64] | slice) -> Floats:
        """(m,) |u0 - u0'|²/h_u² of some rows; 0 where starts are not compared."""
        moved = (self.starts[rows] - start) * self.scales[0]
        return np.asarray(np.sum(moved * moved, axis=1))

    def day_gaps(self, delta_day: float, rows: NDArray[np.int64] | slice) -> Floats:
        """(m,) log²(Δday/Δday')/h_t² of some rows; 0 where spans are not compared."""
        moved = (self.log_days[rows] - np.log(delta_day)) * self.scales[1]
        return np.asarray(moved * moved)

    def prepared(self, *, direction_only: bool) -> Prepared:
        """(t, w) rows whose products with `vector` rank by S; both kinds stay in memory.

        Args:
            direction_only: the deltas' directions alone (w = e); else all of S (w = 2e + 3).
        """
        if direction_only not in self._prepared:
            rows = self._directions() if direction_only else self._augmented()
            reach = max(
                (float(_block_lengths(block).max()) for _, block in _blocks(rows)), default=0.0
            )
            # a Prepared for its rows and its bound on rounding; the rest speaks of other metrics
            held = Prepared("cosine", np.zeros(self.width), 1.0, rows, reach * (1 + 1e-6))
            self._prepared[direction_only] = held
        return self._prepared[direction_only]

    def vector(
        self, delta: Floats, start: Floats | None, delta_day: float | None, weights: Weights
    ) -> NDArray[np.float32]:
        """(1, 2e + 3) query vector for all of S; its first e values are for directions alone.

        Products rise with S, in units of the largest weight.

        Args:
            delta: (e,) what is looked for.
            start: (e,) earlier embedding; None where its weight is 0.
            delta_day: days between the visits; None where its weight is 0.
            weights: not all 0.

        Raises:
            QueryError: the start or the span of days is too far from all others.
        """
        to_direction, to_start, to_days = (weight / max(weights) for weight in weights)
        start_scale, day_scale = self.scales
        moved = np.zeros(self.width)
        if start is not None:
            moved = (start - self._origin[0]) * start_scale
        stretched = 0.0
        if delta_day is not None:
            stretched = (np.log(delta_day) - self._origin[1]) * day_scale
        _require_near(moved, stretched)
        ends = [2 * to_days * stretched, to_start, to_days]
        parts = (to_direction * self.unit(delta), 2 * to_start * moved, np.array(ends))
        return np.concatenate(parts).astype(np.float32)[None]

    def _directions(self) -> NDArray[np.float32]:
        """(t, e) deltas of length 1, or 0 where nothing moved."""
        rows = np.empty((len(self), self.width), np.float32)
        self._fill_directions(rows)
        return rows

    def _fill_directions(self, rows: NDArray[np.float32]) -> None:
        lengths = np.where(self.lengths > self.steady_below, self.lengths, np.inf)[:, None]
        for block, raw in _blocks(self.deltas):
            rows[block] = raw / lengths[block]

    def _augmented(self) -> NDArray[np.float32]:
        """(t, 2e + 3) everything of S; moving the origin to the mean keeps float32 accurate."""
        rows = np.empty((len(self), 2 * self.width + 3), np.float32)
        self._fill_directions(rows[:, : self.width])
        start_scale, day_scale = self.scales
        stretched = (self.log_days - self._origin[1]) * day_scale
        for block, raw in _blocks(self.starts):
            moved = (raw - self._origin[0]) * start_scale
            _require_near(moved, stretched[block])
            rows[block, self.width : -3] = moved
            rows[block, -3] = stretched[block]
            rows[block, -2] = -np.sum(moved * moved, axis=1)
            rows[block, -1] = -(stretched[block] ** 2)
        return rows


def stored_question(table: TransitionTable, row: int) -> Question:
    """The question who changed as a transition of the table did.

    Raises:
        QueryError: there is no such row.
    """
    _require_row(table, row)
    return Question(
        delta=table.deltas[row].astype(np.float64),
        start=table.starts[row].astype(np.float64),
        delta_day=float(table.columns.numbers("delta_day")[row]),
        patient_ids=(str(table.columns.obs["patient_id"].iloc[row]),),
        row=int(row),
    )


def settle_question(table: TransitionTable, question: Question) -> Question:
    """The question in float64, checked against the table.

    Raises:
        QueryError: an embedding, the span of days, the row or the columns do not fit.
    """
    delta = _vector(table, "delta", question.delta)
    start = None if question.start is None else _vector(table, "start", question.start)
    delta_day = finite("the query's delta_day", question.delta_day)
    if delta_day is not None and delta_day <= 0:
        raise QueryError(f"the query spans {delta_day:g} days: name two visits of different days")
    if question.row is not None:
        _require_row(table, question.row)
    if question.known is not None and len(question.known) != 1:
        raise QueryError(f"the query has {len(question.known)} rows of columns: give one")
    return replace(question, delta=delta, start=start, delta_day=delta_day)


def _vector(table: TransitionTable, what: str, values: Any) -> Floats:
    vector = np.asarray(values, np.float64)
    if vector.shape != (table.width,):
        raise QueryError(
            f"the query's {what} is of shape {vector.shape} and the transitions are of width "
            f"{table.width}: embed both with one encoder"
        )
    if not np.isfinite(vector).all():
        raise QueryError(f"the query's {what} holds NaN or infinity: check the query's scans")
    return vector


def _require_row(table: TransitionTable, row: int) -> None:
    if not 0 <= row < len(table):
        raise QueryError(f"no transition {row!r} among {len(table)}: rows count from 0")


def _require_fit(starts: Reals, deltas: Reals, obs: pd.DataFrame) -> None:
    """Refuse arrays that do not belong together."""
    if starts.ndim != 2 or starts.shape != deltas.shape or len(starts) != len(obs):
        raise QueryError(
            f"starts of shape {starts.shape} and deltas of shape {deltas.shape} do not fit "
            f"{len(obs)} rows of columns: give one row of each a transition"
        )
    for column in ("patient_id", "delta_day"):
        if column not in obs:
            raise QueryError(f"transitions without a column {column!r}: add it, one value a row")
    missing = np.flatnonzero(obs["patient_id"].isna().to_numpy(bool))
    if len(missing):
        raise QueryError(f"transition {missing[0]} has no patient_id: name its patient")


def _spans_of_days(columns: SearchTable) -> Floats:
    """(t,) days between the visits of each transition."""
    days = columns.numbers("delta_day")
    wrong = np.flatnonzero(~((days > 0) & np.isfinite(days)))
    if len(wrong):
        raise QueryError(
            f"transition {wrong[0]} spans {days[wrong[0]]:g} days: pair visits of different days"
        )
    return days


def _bandwidth(name: str, value: float) -> float:
    if not 0 <= value < np.inf:
        raise QueryError(f"{name} is {value!r}: give a number from 0, or refit the reference")
    return float(value)


def _inverse(bandwidth: float) -> float:
    return 1.0 / bandwidth if bandwidth > 0 else 0.0


def _mean(values: Reals) -> Any:
    """Mean over rows; 0 when there is none."""
    return np.mean(values, axis=0, dtype=np.float64) if len(values) else np.zeros(values.shape[1:])


def _lengths(what: str, vectors: Reals) -> Floats:
    """(m,) Euclidean lengths of vectors, each checked to be finite."""
    lengths = np.empty(len(vectors))
    for block, raw in _blocks(vectors):
        lengths[block] = _block_lengths(raw)
        wrong = np.flatnonzero(~np.isfinite(lengths[block]))
        if len(wrong):
            raise QueryError(
                f"the {what} of transition {block.start + wrong[0]} holds NaN or infinity: "
                "run verify on the store"
            )
    return lengths


def _block_lengths(raw: Floats) -> Floats:
    return np.asarray(np.sqrt(np.sum(raw * raw, axis=1)))


def _require_near(moved: Floats, stretched: Any) -> None:
    """Refuse bandwidths so small beside the distances that float32 cannot hold their ratio."""
    furthest = max(np.abs(moved).max(initial=0.0), np.abs(stretched).max(initial=0.0))
    if furthest > _FURTHEST:
        raise QueryError(
            f"transitions lie {furthest:.0e} bandwidths from their mean: refit the reference"
        )


def _blocks(vectors: Reals) -> Iterator[tuple[slice, Floats]]:
    """(rows, float64 values) block by block."""
    for start in range(0, len(vectors), _BLOCK):
        block = slice(start, start + _BLOCK)
        yield block, vectors[block].astype(np.float64)
