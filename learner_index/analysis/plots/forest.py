"""One measure of all models beside each other, with intervals, chance and ceiling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Literal

import numpy as np

from learner_index.analysis.plots.files import write_figure
from learner_index.analysis.plots.page import (
    BLUE,
    COLUMN_MM,
    GREY,
    LABEL_PT,
    VERMILION,
    frame_lightly,
    new_page,
    number,
    refuse_nothing,
    row_label,
    with_counts,
)
from learner_index.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS: Mapping[str, tuple[str, str]] = {
    "trained": (BLUE, "o"),
    "frozen": (VERMILION, "s"),
    "handcrafted": ("#009e73", "D"),
    "store": ("#cc79a7", "v"),
    "constant": (GREY, "X"),
    "oracle": ("#000000", "*"),
}
"""Colour and marker of each kind of model; no two share either."""

_NAME = 21  # letters of a model's name that fit one line of a forest
_LINE_MM, _GAP_MM = 2.5, 2.0  # height of a line of a forest's row; white between rows


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One model's figure of one measure.

    Attributes:
        name: of the model.
        kind: of `KINDS`.
        value: NaN where it was not measured.
        low, high: ends of its 95 % interval; NaN where there is none.
        n_patients, n_pairs: what it rests on.
        is_seen: whether the encoder was trained or tuned on some of these patients.
    """

    name: str
    kind: str
    value: float
    low: float
    high: float
    n_patients: int
    n_pairs: int
    is_seen: bool = False


def draw_forest(
    rows: Sequence[ForestRow],
    path: Path,
    *,
    title: str,
    measure: str,
    good: Literal["higher", "lower"],
    chance: float | None,
    caption: str,
    is_simulated: bool = False,
) -> None:
    """Draw one measure of all models with 95 % intervals, one row a model, one column wide.

    The oracle is the ceiling: a dashed line and a band across all rows.

    Args:
        rows: models in the order to show.
        path: .png, .svg or .pdf to write, whole or not at all.
        title: what is shown, on what.
        measure: words of the axis, with the unit where there is one.
        good: which way is better.
        chance: what knowing nothing gives, marked by a line; None: no line.
        caption: small text below; numbers of patients and pairs are added.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no model.
        SettingsError: a kind is unknown, or the file's ending is.
        RunWriteError: the disk refused.
    """
    figure = lay_out_forest(
        rows, title=title, measure=measure, good=good, chance=chance, caption=caption,
        is_simulated=is_simulated,
    )  # fmt: skip
    write_figure(figure, path)


def lay_out_forest(
    rows: Sequence[ForestRow],
    *,
    title: str,
    measure: str,
    good: Literal["higher", "lower"],
    chance: float | None,
    caption: str,
    is_simulated: bool = False,
) -> "Figure":
    """The figure of `draw_forest`, not yet written."""
    refuse_nothing(rows, "models")
    for row in rows:
        if row.kind not in KINDS:
            raise SettingsError(
                f"model {row.name} has kind {row.kind!r}: use one of {', '.join(KINDS)}"
            )
    if not (chance is not None and np.isfinite(chance) and any(np.isfinite(r.value) for r in rows)):
        chance = None
    labels = [row_label(row.name, _NAME, is_seen=row.is_seen) for row in rows]
    heights = np.array([_LINE_MM * (label.count("\n") + 1) + _GAP_MM for label in labels])
    places = np.cumsum(heights) - heights / 2  # mm from the top
    words = f"{fill(measure, 34)}\n{good} is better"
    counts = with_counts(caption, [r.n_patients for r in rows], [r.n_pairs for r in rows])
    body = float(heights.sum()) + 6 + 3.1 * (words.count("\n") + 1)
    figure = new_page(
        COLUMN_MM,
        body,
        title=title,
        caption=counts,
        legend=_forest_key(rows, chance),
        is_simulated=is_simulated,
    )
    axis = figure.add_subplot()
    _dress_forest(axis, rows, chance)
    axis.set_ylim(heights.sum(), 0)
    axis.set_yticks(places, labels, fontsize=LABEL_PT, va="center", parse_math=False)
    axis.set_xlabel(words, fontsize=LABEL_PT, parse_math=False)
    decimals = _decimals(rows)
    for row, place in zip(rows, places, strict=True):
        _draw_row(axis, row, float(place), decimals)
    return figure


def _draw_row(axis: "Axes", row: ForestRow, place: float, decimals: int) -> None:
    """A model's point, its interval, and both in figures to the right; the oracle's band."""
    color, marker = KINDS[row.kind]
    words = "not measured"
    if np.isfinite(row.value):
        words = number(row.value, decimals)
        axis.plot(row.value, place, marker, color=color, ms=6.5 if marker == "*" else 4, mew=0)
        if row.kind == "oracle":
            axis.axvline(row.value, color=color, lw=0.8, ls=(0, (4, 2)), zorder=0.9)
        if np.isfinite([row.low, row.high]).all():
            words += f" ({number(row.low, decimals)} to {number(row.high, decimals)})"
            axis.hlines(place, row.low, row.high, color=color, lw=1.3)
            if row.kind == "oracle":
                axis.axvspan(row.low, row.high, color=color, alpha=0.08, lw=0, zorder=0.5)
    axis.text(
        1.03, place, words, transform=axis.get_yaxis_transform(), va="center", fontsize=LABEL_PT
    )


def _dress_forest(axis: "Axes", rows: Sequence[ForestRow], chance: float | None) -> None:
    """Light frame, the line at chance, and limits that hold every finite number."""
    from matplotlib.ticker import MaxNLocator

    frame_lightly(axis)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0, pad=3)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    known = np.array([number for row in rows for number in (row.value, row.low, row.high)])
    known = known[np.isfinite(known)]
    if not len(known):
        axis.set_xticks([])
        return
    axis.grid(axis="x", lw=0.4, color="#dddddd")
    axis.set_axisbelow(True)
    if chance is not None:
        known = np.append(known, chance)
        axis.axvline(chance, color=GREY, lw=0.8, zorder=0.8)
    margin = 0.05 * float(np.ptp(known)) or 0.05
    axis.set_xlim(known.min() - margin, known.max() + margin)


def _forest_key(rows: Sequence[ForestRow], chance: float | None) -> list["Artist"]:
    """What the markers and lines of a forest mean, those that are there."""
    from matplotlib.lines import Line2D

    key: list[Artist] = []
    for kind, (color, marker) in KINDS.items():
        if any(row.kind == kind for row in rows):
            ceiling = kind == "oracle"
            key.append(
                Line2D(
                    [], [], color=color, marker=marker, ms=5.5 if ceiling else 4, mew=0,
                    ls=(0, (4, 2)) if ceiling else "none", lw=0.8,
                    label="oracle: ceiling" if ceiling else kind,
                )
            )  # fmt: skip
    if chance is not None:
        words = f"chance, {number(chance, _decimals(rows))}"
        key.append(Line2D([], [], color=GREY, lw=0.8, label=words))
    return key


def _decimals(rows: Sequence[ForestRow]) -> int:
    """How many decimals a column of such values is printed with."""
    sizes = np.abs([(row.value, row.low, row.high) for row in rows])
    largest = float(sizes[np.isfinite(sizes)].max(initial=0.0))
    return 3 if 0 < largest < 0.1 else 2 if largest < 10 else 1 if largest < 100 else 0
