"""What came about against what was predicted: a confusion matrix of each model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.files import write_figure
from learner_index.analysis.plots.page import (
    LABEL_PT,
    PAGE_MM,
    SMALL_PT,
    PanelGrid,
    new_page,
    number,
    panel_grid,
    refuse_nothing,
    row_label,
    say,
    with_counts,
)
from learner_index.errors import QueryError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

CHANGES = ("worsened", "stable", "improved")
SHADES = ("#ffffff", "#08519c")  # mixed evenly, equal steps look equal
_DARK = 0.76  # share above which white text is easier to read than black
_MOST = 8  # classes whose cells have room for numbers
_CELL_MM = 7.0  # side of a cell that holds numbers in full size
_SIDE_MM = 52.0  # of a matrix at its largest
_LETTER_MM, _LETTERS = 1.25, 16  # width of a letter of a class's name; letters in a line of it
_BESIDE_MM, _BELOW_MM = 14.0, 8.0  # left of and below matrices whose names run along them


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """One model's confusion matrix.

    Attributes:
        model: its name.
        share: (c, c) share of transitions, patients weighing the same, as of
            `classes.confusion`: rows came about, columns were predicted; sums to 1.
        n_patients, n_pairs: what it rests on.
        is_seen: whether the encoder was trained or tuned on some of these patients.
        classes: (c,) names, in the order of rows and columns.
    """

    model: str
    share: NDArray[np.floating]
    n_patients: int
    n_pairs: int
    is_seen: bool = False
    classes: tuple[str, ...] = CHANGES


def draw_confusions(
    tables: Sequence[Confusion],
    path: Path,
    *,
    title: str,
    caption: str,
    is_simulated: bool = False,
) -> None:
    """Draw what was predicted for each class that came about, one matrix a model.

    Each row sums to 1, so the diagonal is the recall of each class. In brackets stands the share
    of all transitions, patients weighing the same. More than 8 classes get shades only.

    Args:
        tables: models in the order to show, of the same classes.
        path: .png, .svg or .pdf to write, whole or not at all.
        title: what is shown, on what.
        caption: small text below; numbers of patients and pairs are added.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no model.
        QueryError: a matrix has not a row and a column a class, or is not shares of a whole; or
            models differ in their classes.
        SettingsError: the file's ending is unknown.
        RunWriteError: the disk refused.
    """
    figure = lay_out_confusions(tables, title=title, caption=caption, is_simulated=is_simulated)
    write_figure(figure, path)


def lay_out_confusions(
    tables: Sequence[Confusion], *, title: str, caption: str, is_simulated: bool = False
) -> "Drawing":
    """The figure of `draw_confusions`, not yet written."""
    refuse_nothing(tables, "models")
    for table in tables:
        _check(table, tables[0].classes)
    labels = [row_label(table.model, 22, is_seen=table.is_seen) for table in tables]
    names = ["\n".join(wrap(n, _LETTERS, max_lines=2, placeholder="…")) for n in tables[0].classes]
    grid, below_mm = _room(labels, names)
    key = "Share of the row; in brackets, share of all."
    if len(names) > _MOST:
        key = "Shade: share of the row, white 0 to dark 1."
    counts = with_counts(
        f"{caption.rstrip()} {key}".lstrip(),
        [table.n_patients for table in tables],
        [table.n_pairs for table in tables],
    )
    body = grid.rows * grid.side_mm + grid.labels_mm + below_mm
    figure = new_page(grid.width_mm, body, title=title, caption=counts, is_simulated=is_simulated)
    cells = figure.add_gridspec(grid.rows, grid.columns)
    for place, (table, label) in enumerate(zip(tables, labels, strict=True)):
        axis = figure.add_subplot(cells[divmod(place, grid.columns)])
        axis.set_title(label, fontsize=LABEL_PT, parse_math=False)
        _draw_confusion(axis, table, grid.side_mm / len(names))
        _name_classes(axis, names, is_turned=below_mm > _BELOW_MM)
        axis.tick_params(labelsize=SMALL_PT, length=0, pad=2)
        if place % grid.columns == 0:
            axis.set_ylabel("came about", fontsize=LABEL_PT)
        else:
            axis.tick_params(labelleft=False)
        if place + grid.columns >= len(tables):
            axis.set_xlabel("predicted", fontsize=LABEL_PT)
        else:
            axis.tick_params(labelbottom=False)
    return figure


def _room(labels: Sequence[str], names: Sequence[str]) -> tuple[PanelGrid, float]:
    """Where panels go, and the height in mm that words below them take.

    Names that are wider than a cell are turned across the axis and need room of their own: below
    the last row, and between the last two where the last is not full.
    """
    name_mm = max(len(line) for name in names for line in name.split("\n")) * _LETTER_MM
    grid, below_mm = _grid(labels, len(names), _BESIDE_MM), _BELOW_MM
    if name_mm > grid.side_mm / len(names):
        grid = _grid(labels, len(names), max(_BESIDE_MM, 8 + name_mm))
        below_mm += name_mm
        if grid.rows > 1 and len(labels) % grid.columns:
            below_mm += _BELOW_MM + name_mm
    return grid, below_mm


def _grid(labels: Sequence[str], c: int, beside_mm: float) -> PanelGrid:
    """Panels side by side, no more than three on the page where cells would be too small."""
    grid = panel_grid(labels, beside_mm)
    if grid.side_mm / c >= _CELL_MM or len(labels) == 1:
        return grid
    rows = [panel_grid(labels[first : first + 3], beside_mm) for first in range(0, len(labels), 3)]
    columns = min(len(labels), 3)
    side_mm = min((PAGE_MM - beside_mm) / columns, _SIDE_MM)
    return PanelGrid(PAGE_MM, columns, len(rows), side_mm, sum(row.labels_mm for row in rows))


def _name_classes(axis: "Axes", names: Sequence[str], *, is_turned: bool) -> None:
    """Names along the axes, or across them where they are long."""
    across, along = (90, 0) if is_turned else (0, 90)
    axis.set_xticks(range(len(names)), names, rotation=across, parse_math=False)
    axis.set_yticks(range(len(names)), names, rotation=along, va="center", parse_math=False)


def _draw_confusion(axis: "Axes", table: Confusion, cell_mm: float) -> None:
    """One matrix: cells shaded by share of the row, both shares written into them."""
    from matplotlib.colors import LinearSegmentedColormap

    whole = np.asarray(table.share, np.float64)
    sums = whole.sum(axis=1, keepdims=True)
    rows = np.divide(whole, sums, out=np.full(whole.shape, np.nan), where=sums > 0)
    shades = LinearSegmentedColormap.from_list("shares", SHADES).with_extremes(bad="#eeeeee")
    axis.imshow(np.ma.masked_invalid(rows), cmap=shades, vmin=0, vmax=1)
    if np.isnan(whole).any():
        say(axis, "not measured")
        return
    if len(whole) > _MOST:
        return
    size = min(1.0, cell_mm / _CELL_MM)  # of words and their distances
    for (came, told), share in np.ndenumerate(rows):
        color = "#ffffff" if share > _DARK else "#000000"
        words = number(share, 2) if np.isfinite(share) else "–"
        small = f"({number(float(whole[came, told]), 2)})"
        for shown, below, points in ((words, -3, LABEL_PT), (small, 6, 5.5)):
            axis.annotate(
                shown, (told, came), (0, -below * size), textcoords="offset points",
                fontsize=points * size,
                color=color, ha="center", va="center",
            )  # fmt: skip


def _check(table: Confusion, classes: tuple[str, ...]) -> None:
    """Refuses what is no confusion matrix of these classes; one that is NaN was not measured."""
    share, c = np.asarray(table.share, np.float64), len(table.classes)
    if share.shape != (c, c):
        raise QueryError(
            f"{table.model}: shares have shape {share.shape}: give a {c} by {c} matrix"
        )
    if table.classes != classes:
        raise QueryError(
            f"{table.model}: its classes are {', '.join(table.classes)}, not "
            f"{', '.join(classes)} as of the first model: draw other classes apart"
        )
    is_whole = bool((share >= 0).all()) and abs(float(share.sum()) - 1) < 1e-6
    if not (is_whole or np.isnan(share).all()):
        raise QueryError(
            f"{table.model}: shares sum to {share.sum():.3g}, the least is {share.min():.3g}: "
            "give shares of all transitions, which sum to 1"
        )
