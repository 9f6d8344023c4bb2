"""What the color of a scan on a map means: a number on a scale, or one of a few groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learner_index.data.suggest import close_names
from learner_index.errors import QueryError

if TYPE_CHECKING:
    import pandas as pd

GROUPS = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000",
)  # fmt: skip
"""Okabe-Ito, in an order in which neighbours differ in lightness, too."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")
OTHER, MISSING = "#777777", "#c8c8c8"
SCALE = "viridis"
"""Perceptually uniform, and read alike by the color-blind."""
_PLACES = ("x", "y", "is_fitted")  # columns that a map adds
_NAMES = ("scan_id", "patient_id")


@dataclass(frozen=True, slots=True, eq=False)
class Coloring:
    """A column as colors.

    Attributes:
        column: its name.
        numbers: (n,) values of a column of numbers, NaN where missing; None for groups.
        codes: (n,) number of each scan's group, -1 where missing; empty for numbers.
        groups: names of the groups, at most 8, and then perhaps "other".
        n_others: groups that "other" stands for.
    """

    column: str
    numbers: NDArray[np.float64] | None
    codes: NDArray[np.int64]
    groups: tuple[str, ...]
    n_others: int = 0

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """(n,) scans without a value."""
        return np.isnan(self.numbers) if self.numbers is not None else self.codes < 0

    @property
    def colors(self) -> tuple[str, ...]:
        """Of the groups."""
        own = GROUPS[: len(self.groups) - (self.n_others > 0)]
        return (*own, OTHER) if self.n_others else own


def map_columns(scans: "pd.DataFrame") -> list[str]:
    """Columns a map may be colored by."""
    return [str(name) for name in scans.columns if name not in _PLACES]


def choose_column(scans: "pd.DataFrame", wanted: str | None) -> str:
    """The column to color by; without a wish the health score, else the view, else the patient.

    Raises:
        QueryError: there is no such column.
    """
    known = map_columns(scans)
    if wanted is None:
        worth = [name for name in ("health_score", "view") if name in known]
        return next((name for name in worth if scans[name].notna().any()), "patient_id")
    if wanted not in known:
        raise QueryError(
            f"no column {wanted!r} to color by{close_names(wanted, known)}: there is "
            f"{', '.join(name for name in known if name != 'scan_id')}"
        )
    return wanted


def color_by(scans: "pd.DataFrame", column: str) -> Coloring:
    """A column's values as places on a scale, or as at most eight groups and "other".

    Numbers of which there are just two, as 0 and 1, are groups. Groups stand in alphabetical
    order; where there are more than eight, the eight most common have colors.
    """
    values = scans[column]
    numbers = _as_numbers(values)
    if numbers is not None:
        if len(np.unique(numbers[np.isfinite(numbers)])) > 2:
            return Coloring(column, numbers, np.empty(0, np.int64), ())
        texts = [None if np.isnan(value) else f"{value:g}" for value in numbers.tolist()]
    else:
        texts = [None if is_none else _word(value) for value, is_none in _cells(values)]
    return _grouped(column, texts)


def column_words(column: str, unit: str | None = None) -> str:
    """A column's name as it stands at a scale."""
    said = {"health_score": "health score (higher is healthier)", "patient_id": "patient"}
    words = said.get(column, column.replace("_", " "))
    if unit:
        return f"{words.split(' (')[0]} ({unit})"
    return words


def _grouped(column: str, texts: Sequence[str | None]) -> Coloring:
    """Texts as groups."""
    names, counts = np.unique([text for text in texts if text is not None], return_counts=True)
    order = np.argsort(-counts, kind="stable")[: len(GROUPS)]
    shown = sorted(names[order].tolist())
    n_others = len(names) - len(shown)
    place = {name: number for number, name in enumerate(shown)}
    codes = [-1 if text is None else place.get(text, len(shown)) for text in texts]
    groups = (*shown, f"{n_others} others") if n_others else tuple(shown)
    return Coloring(column, None, np.array(codes, np.int64), groups, n_others)


def _as_numbers(values: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """A column of numbers; None for text and flags."""
    if values.dtype.kind not in "iuf":
        return None
    return values.to_numpy(np.float64, na_value=np.nan)


def _cells(values: "pd.Series[Any]") -> list[tuple[Any, bool]]:
    """Each value, and whether it is missing."""
    return list(zip(values.tolist(), values.isna().tolist(), strict=True))


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
