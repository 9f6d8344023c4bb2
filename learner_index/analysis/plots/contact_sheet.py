"""A contact sheet: each row a query scan and the scans found for it, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.page import (
    BLUE,
    GREY,
    PAGE_MM,
    SMALL_PT,
    new_page,
    refuse_nothing,
    say,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

COLUMNS = 6
"""Pictures side by side on a page; longer rows go on below, past the first column."""

_MOST_PIXELS = 256  # of a picture's longer side; printed 26 mm wide
_LINE_MM, _GAP_MM = 2.7, 2.0  # a line of a caption; white between rows
_SHADES = (0.5, 99.5)  # percentiles of a scan's values that are black and white


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One picture of the sheet.

    Attributes:
        pixels: (h, w) grey, any range; None where there is no picture.
        caption: one to four short lines; stands in for the picture's axis labels.
        is_query: whether it is what was asked about.
        aspect: height of a pixel in widths.
        missing: why there is no picture, in a few words.
    """

    pixels: NDArray[Any] | None
    caption: str
    is_query: bool = False
    aspect: float = 1.0
    missing: str = ""


def lay_out_contact_sheet(
    rows: Sequence[Sequence[Panel]],
    *,
    title: str,
    caption: str,
    is_simulated: bool = False,
    is_seen: bool = False,
) -> "Drawing":
    """Queries and their hits: a thick blue frame is a query, thin grey ones are its hits.

    Args:
        rows: each a query's panel followed by its hits, best first. More than 5 hits go on in
            the next line, below the hits; short rows share a line.
        title: what the sheet shows.
        caption: what it rests on, with n.
        is_simulated: puts the word SIMULATED into the title.
        is_seen: puts SEEN BY ENCODER into the title.

    Raises:
        NotEnoughDataError: there is no row.
    """
    refuse_nothing([row for row in rows if row], "scans")
    lines = _lines(rows)
    columns = COLUMNS if max(len(line) for line in lines) > COLUMNS // 2 else COLUMNS // 2
    most = max(panel.caption.count("\n") + 1 for row in rows for panel in row)
    side_mm = PAGE_MM / COLUMNS
    figure = new_page(
        side_mm * columns,
        (side_mm + most * _LINE_MM + _GAP_MM) * len(lines),
        title=title,
        caption=caption,
        is_simulated=is_simulated,
        is_seen=is_seen,
    )
    cells = figure.add_gridspec(len(lines), columns)
    for at, line in enumerate(lines):
        for column, panel in enumerate(line):
            if panel is not None:
                _draw_panel(figure.add_subplot(cells[at, column]), panel)
    return figure


def small(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """A picture of at most 256 pixels a side, each the mean of those it stands for.

    Args:
        pixels: (h, w).
    """
    step = -(-max(pixels.shape) // _MOST_PIXELS)
    h, w = (max(size // step, 1) for size in pixels.shape)
    whole = np.asarray(pixels[: h * step, : w * step], np.float32)
    rows = np.add.reduceat(whole, np.arange(0, len(whole), step), axis=0)[:h]
    cells = np.add.reduceat(rows, np.arange(0, whole.shape[1], step), axis=1)[:, :w]
    counts = np.outer(_counts(len(whole), step, h), _counts(whole.shape[1], step, w))
    return np.asarray(cells / counts, np.float32)


def _counts(size: int, step: int, n: int) -> NDArray[np.int64]:
    """(n,) pixels that each step stands for."""
    return np.minimum(step, size - step * np.arange(n))


def _lines(rows: Sequence[Sequence[Panel]]) -> list[list[Panel | None]]:
    """Rows cut and packed to the page's width: as many whole rows on a line as have room.

    Later lines of a long row leave the query's column empty.
    """
    lines: list[list[Panel | None]] = []
    for row in rows:
        if lines and len(lines[-1]) + len(row) <= COLUMNS:
            lines[-1] += row
            continue
        query, hits = row[:1], row[1:]
        for start in range(0, max(len(hits), 1), COLUMNS - 1):
            first = [None] if start else query
            lines.append([*first, *hits[start : start + COLUMNS - 1]])
    return lines


def _draw_panel(axis: "Axes", panel: Panel) -> None:
    """One picture below its caption; the query has a coloured frame."""
    axis.set(xticks=[], yticks=[], anchor="N")
    if panel.pixels is None:
        axis.set_facecolor("#eeeeee")
        axis.set_box_aspect(1)
        say(axis, panel.missing)
    else:
        black, white = np.percentile(panel.pixels, _SHADES)
        axis.imshow(
            small(panel.pixels), cmap="gray", vmin=black, vmax=max(white, black + 1e-6),
            aspect=panel.aspect, interpolation="nearest",
        )  # fmt: skip
    color = BLUE if panel.is_query else GREY
    for spine in axis.spines.values():
        spine.set(color=color, linewidth=2.0 if panel.is_query else 0.6)
    axis.set_title(
        panel.caption, fontsize=SMALL_PT, color=BLUE if panel.is_query else "#000000", pad=2.5,
        parse_math=False,
    )  # fmt: skip
