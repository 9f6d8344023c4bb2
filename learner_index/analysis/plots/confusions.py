"""What came about against what was predicted: a confusion matrix of each model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.page import (
    LABEL_PT,
    SMALL_PT,
    new_page,
    number,
    panel_grid,
    refuse_nothing,
    row_label,
    say,
    with_counts,
    write_figure,
)
from learner_index.errors import QueryError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANGES = ("worsened", "stable", "improved")
SHADES = ("#ffffff", "#08519c")  # mixed evenly, equal steps look equal
_DARK = 0.76  # share above which white text is easier to read than black


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """One model's confusion matrix.

    Attributes:
        model: its name.
        share: (3, 3) share of transitions, patients weighing the same, as of
            `classes.confusion`: rows came about, columns were predicted; sums to 1.
        n_patients, n_pairs: what it rests on.
        is_seen: whether the encoder was trained or tuned on some of these patients.
    """

    model: str
    share: NDArray[np.floating]
    n_patients: int
    n_pairs: int
    is_seen: bool = False


def draw_confusions(
    tables: Sequence[Confusion],
    path: Path,
    *,
    title: str,
    caption: str,
    is_simulated: bool = False,
) -> None:
    """Draw what was predicted for each health change that came about, one matrix a model.

    Each row sums to 1, so the diagonal is the recall of each health change. In brackets stands
    the share of all transitions, patients weighing the same.

    Args:
        tables: models in the order to show.
        path: .png, .svg or .pdf to write, whole or not at all.
        title: what is shown, on what.
        caption: small text below; numbers of patients and pairs are added.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no model.
        QueryError: a matrix is not 3 by 3, or is not shares of a whole.
        SettingsError: the file's ending is unknown.
        RunWriteError: the disk refused.
    """
    figure = lay_out_confusions(tables, title=title, caption=caption, is_simulated=is_simulated)
    write_figure(figure, path)


def lay_out_confusions(
    tables: Sequence[Confusion], *, title: str, caption: str, is_simulated: bool = False
) -> "Figure":
    """The figure of `draw_confusions`, not yet written."""
    refuse_nothing(tables, "models")
    for table in tables:
        _check(table)
    labels = [row_label(table.model, 22, is_seen=table.is_seen) for table in tables]
    grid = panel_grid(labels, 14)
    counts = with_counts(
        f"{caption.rstrip()} Share of the row; in brackets, share of all.".lstrip(),
        [table.n_patients for table in tables],
        [table.n_pairs for table in tables],
    )
    body = grid.rows * grid.side_mm + grid.labels_mm + 8
    figure = new_page(grid.width_mm, body, title=title, caption=counts, is_simulated=is_simulated)
    cells = figure.add_gridspec(grid.rows, grid.columns)
    for place, (table, label) in enumerate(zip(tables, labels, strict=True)):
        axis = figure.add_subplot(cells[divmod(place, grid.columns)])
        axis.set_title(label, fontsize=LABEL_PT, parse_math=False)
        _draw_confusion(axis, table)
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


def _draw_confusion(axis: "Axes", table: Confusion) -> None:
    """One matrix: cells shaded by share of the row, both shares written into them."""
    from matplotlib.colors import LinearSegmentedColormap

    whole = np.asarray(table.share, np.float64)
    sums = whole.sum(axis=1, keepdims=True)
    rows = np.divide(whole, sums, out=np.full((3, 3), np.nan), where=sums > 0)
    shades = LinearSegmentedColormap.from_list("shares", SHADES).with_extremes(bad="#eeeeee")
    axis.imshow(np.ma.masked_invalid(rows), cmap=shades, vmin=0, vmax=1)
    axis.set_xticks(range(3), CHANGES)
    axis.set_yticks(range(3), CHANGES, rotation=90, va="center")
    if np.isnan(whole).any():
        say(axis, "not measured")
        return
    for (came, told), share in np.ndenumerate(rows):
        color = "#ffffff" if share > _DARK else "#000000"
        words = number(share, 2) if np.isfinite(share) else "–"
        small = f"({number(float(whole[came, told]), 2)})"
        for shown, below, size in ((words, -3, LABEL_PT), (small, 6, 5.5)):
            axis.annotate(
                shown, (told, came), (0, -below), textcoords="offset points", fontsize=size,
                color=color, ha="center", va="center",
            )  # fmt: skip


def _check(table: Confusion) -> None:
    """Refuses what is no confusion matrix; one that is NaN was not measured."""
    share = np.asarray(table.share, np.float64)
    if share.shape != (3, 3):
        raise QueryError(f"{table.model}: shares have shape {share.shape}: give a 3 by 3 matrix")
    is_whole = bool((share >= 0).all()) and abs(float(share.sum()) - 1) < 1e-6
    if not (is_whole or np.isnan(share).all()):
        raise QueryError(
            f"{table.model}: shares sum to {share.sum():.3g}, the least is {share.min():.3g}: "
            "give shares of all transitions, which sum to 1"
        )
