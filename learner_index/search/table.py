"""What is searched: embeddings with their columns, and everything repeated queries share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Clock, Level, Metric
from learner_index.data.reference import Reference
from learner_index.data.suggest import close_names
from learner_index.data.visits import visit_codes
from learner_index.errors import QueryError
from learner_index.search.index import Index
from learner_index.search.layout import Layout, lay_out
from learner_index.search.metrics import Prepared, prepare

T = TypeVar("T")
_GUESSED = 2000  # ids looked through for a near miss
_KEPT = 2  # prepared copies of the rows kept in memory, the latest used


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """A column as whole numbers.

    Attributes:
        of_row: (n,) number of each row's value; -1 where missing.
        values: the value each number stands for.
    """

    of_row: NDArray[np.int64]
    values: "pd.Index[Any]"

    def number(self, value: str) -> int:
        """The number that stands for a value; -2 for a value that no row has."""
        return (
            int(self.values.get_indexer(pd.Index([value], dtype=object))[0])
            if value in self.values
            else -2
        )


class SearchTable:
    """One store's rows, ready for searches; the first query of a kind pays, later ones share.

    The rows do not change while the table lives: after a store grew, make another table.

    Args:
        embeddings: (n, e) float32; may be a memory map.
        obs: (n,) rows of columns, aligned with the embeddings; scan_id and patient_id at least.
        clock: whether days of two patients can be compared.
        reference: what "centered" similarity rests on; None when none was fitted.

    Raises:
        QueryError: the embeddings are no table, or do not fit the columns.
    """

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        obs: pd.DataFrame,
        *,
        clock: Clock = "patient",
        reference: Reference | None = None,
    ) -> None:
        if embeddings.ndim != 2 or len(embeddings) != len(obs):
            raise QueryError(
                f"embeddings of shape {embeddings.shape} do not fit {len(obs)} rows of columns: "
                "give one row of each a scan"
            )
        if reference is not None and reference.mean.shape != embeddings.shape[1:]:
            raise QueryError(
                f"the reference is of width {len(reference.mean)} and the embeddings of width "
                f"{embeddings.shape[1]}: refit the reference"
            )
        self.embeddings = embeddings
        self.obs = obs
        self.clock: Clock = clock
        self.reference = reference
        self._shared: dict[Any, Any] = {}  # what the first query of a kind worked out
        self._prepared: dict[Any, Prepared] = {}  # at most _KEPT, the latest used last
        self._indexes: dict[str, tuple[Prepared, Index]] = {}

    def __len__(self) -> int:
        """Number of scans."""
        return len(self.obs)

    @property
    def width(self) -> int:
        """Number of values e in an embedding."""
        return int(self.embeddings.shape[1])

    @property
    def days(self) -> NDArray[np.float64]:
        """(n,) day of each scan, NaN where missing."""
        return self.numbers("day") if "day" in self.obs else np.full(len(self), np.nan)

    @property
    def patients(self) -> Codes:
        """Patients as numbers."""
        return self.codes("patient_id")

    def once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What `make` gives, worked out for the first query that needs it."""
        if key not in self._shared:
            self._shared[key] = make()
        return cast("T", self._shared[key])

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(n,) values of a number column, NaN where missing."""
        return self.once(
            ("numbers", column), lambda: self.obs[column].to_numpy(np.float64, na_value=np.nan)
        )

    def codes(self, column: str) -> Codes:
        """A column of text as numbers; missing in every row when there is no such column."""
        return self.once(("codes", column), lambda: self._factorize(column))

    def groups(self, level: Level) -> tuple[NDArray[np.int64], int]:
        """(n,) number of each row's patient, visit or scan, and how many there may be."""
        return self.once(("groups", level), lambda: _counted(self._group(level)))

    def groups_by_position(self, level: Level) -> tuple[NDArray[np.int64], int]:
        """The same as `groups`, in order of position."""
        return self.once(
            ("positions", level), lambda: _counted(self.groups(level)[0][self.layout.order])
        )

    @property
    def layout(self) -> Layout:
        """The order in which prepared rows are kept."""
        return self.once(("layout",), self._lay_out)

    @property
    def positions(self) -> NDArray[np.int64]:
        """(n,) position of each row."""
        return self.once(("inverse",), lambda: np.argsort(self.layout.order))

    @property
    def arrays(self) -> dict[str, Any]:
        """Column name -> its cells by row."""
        return self.once(("arrays",), lambda: {str(c): _cells(self.obs[c]) for c in self.obs})

    def strata_of(
        self, view: str | None, modality: str | None, *, is_open: bool, any_view: bool
    ) -> NDArray[np.int64]:
        """Strata that a query scan is compared with.

        Args:
            view: its view; None: missing.
            modality: its modality; None: missing.
            is_open: whether None means "could be any" rather than "missing, as in the rows".
            any_view: compare with every stratum.
        """
        views, modalities = self.codes("view"), self.codes("modality")
        chosen_views = _numbers_of(views, view, is_open, any_view)
        chosen_modalities = _numbers_of(modalities, modality, is_open, any_view)
        grid = chosen_views[:, None] * (len(modalities.values) + 1) + chosen_modalities
        return grid.ravel()

    def row_of(self, scan_id: str) -> int:
        """Row of a scan.

        Raises:
            QueryError: no scan has this id.
        """
        known = self.once(("scans",), lambda: pd.Index(self.obs["scan_id"].to_numpy(object)))
        if scan_id not in known:
            raise _unknown("scan", scan_id, known)
        return int(known.get_indexer(pd.Index([scan_id], dtype=object))[0])

    def rows_of(self, patient_id: str) -> NDArray[np.int64]:
        """Rows of a patient, in order.

        Raises:
            QueryError: no patient has this id.
        """
        number = self.patients.number(patient_id)
        if number < 0:
            raise _unknown("patient", patient_id, self.patients.values)
        return np.flatnonzero(self.patients.of_row == number)

    def rows_with(self, column: str, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows whose value in a column of text has one of these numbers, in order."""
        order, ordered = self.once(("sorted", column), lambda: _sorted(self.codes(column)))
        starts = np.searchsorted(ordered, numbers, "left")
        stops = np.searchsorted(ordered, numbers, "right")
        rows = [order[start:stop] for start, stop in zip(starts, stops, strict=True)]
        return np.sort(np.concatenate([np.empty(0, np.int64), *rows]))

    def prepared(self, metric: Metric, center: NDArray[np.float64]) -> Prepared:
        """Rows prepared for a metric, in order of position; the latest two stay in memory."""
        key = (metric, center.tobytes() if metric == "centered" else b"")
        if key not in self._prepared:
            for oldest in list(self._prepared)[: 1 - _KEPT or None]:
                del self._prepared[oldest]
            self._prepared[key] = prepare(self.embeddings, self.layout.order, metric, center)
        self._prepared[key] = self._prepared.pop(key)
        return self._prepared[key]

    def index(self, name: str, prepared: Prepared, make: Callable[[], Index]) -> Index:
        """The index of a backend over prepared rows; the latest of each backend stays in memory."""
        rows, index = self._indexes.get(name, (None, None))
        if index is None or rows is not prepared:
            index = make()
            self._indexes[name] = (prepared, index)
        return index

    def _lay_out(self) -> Layout:
        views, modalities = self.codes("view"), self.codes("modality")
        per_view = len(modalities.values) + 1  # number 0 stands for a missing one
        strata = (views.of_row + 1) * per_view + modalities.of_row + 1
        return lay_out(strata, self.patients.of_row, (len(views.values) + 1) * per_view)

    def _factorize(self, column: str) -> Codes:
        if column not in self.obs:
            return Codes(np.full(len(self), -1, np.int64), pd.Index([], dtype=object))
        numbers, values = pd.factorize(self.obs[column].to_numpy(object), use_na_sentinel=True)
        return Codes(numbers.astype(np.int64), pd.Index(values, dtype=object))

    def _group(self, level: Level) -> NDArray[np.int64]:
        if level == "scan":
            return np.arange(len(self))
        patients = self.patients.of_row
        if level == "patient":
            return patients
        visits = self.codes("visit").of_row
        said = {"visit": np.where(visits < 0, np.nan, visits), "day": self.days}
        numbers = visit_codes(pd.DataFrame({"patient_id": patients} | said))
        alone = numbers < 0  # a scan with neither visit id nor day
        numbers[alone] = numbers.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
        return numbers


def _sorted(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) rows in the order of their numbers, and those numbers."""
    order = np.argsort(codes.of_row, kind="stable")
    return order, codes.of_row[order]


def _cells(column: "pd.Series[Any]") -> Any:
    """A column's values, as a plain array where it is one."""
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def _numbers_of(codes: Codes, value: str | None, is_open: bool, is_any: bool) -> NDArray[np.int64]:
    """Numbers, from 0 for missing, of the values that a query's value is compared with."""
    if is_any or (is_open and value is None):
        return np.arange(len(codes.values) + 1)
    number = -1 if value is None else codes.number(value)
    return np.array([number + 1] if number > -2 else [], np.int64)


def _counted(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Numbers and one more than the largest."""
    return numbers, int(numbers.max(initial=-1)) + 1


def _unknown(what: str, wanted: str, known: "pd.Index[Any]") -> QueryError:
    """The error for an id that no row has."""
    near = known[known.str.startswith(wanted[: len(wanted) // 2])][:_GUESSED]
    guess = close_names(wanted, known if len(known) <= _GUESSED else near)
    return QueryError(f"no {what} {wanted!r} among {len(known)}{guess}: ids are the manifest's")
