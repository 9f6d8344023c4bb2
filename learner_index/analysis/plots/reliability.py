"""How sure a model is against how often it is right: reliability diagrams."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.files import write_figure
from learner_index.analysis.plots.page import (
    BLUE,
    GREY,
    LABEL_PT,
    frame_lightly,
    new_page,
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

_EDGES = np.arange(11) / 10
_FEW = 10  # pairs below which a bin's point is hollow
_KEY = f"Dashed: as often as predicted; hollow: fewer than {_FEW} pairs."

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """One model's predictions of health changes, or of other classes.

    Attributes:
        model: its name.
        confidence: (t,) probability it gave the class it predicted; NaN is left out.
        is_right: (t,) whether that came about.
        weight: (t,) of each transition, such as 1 / its patient's transitions; not negative.
        n_patients: whose transitions they are.
        is_seen: whether the encoder was trained or tuned on some of these patients.
    """

    model: str
    confidence: NDArray[np.floating]
    is_right: NDArray[np.bool_]
    weight: NDArray[np.floating]
    n_patients: int
    is_seen: bool = False


def draw_reliability(
    curves: Sequence[Reliability],
    path: Path,
    *,
    title: str,
    caption: str,
    is_simulated: bool = False,
) -> None:
    """Draw how often predictions came about against how sure the model was, one panel a model.

    Ten bins of equal width, closed above, as in the expected calibration error; below each
    diagram, how many pairs are in each bin. Points below the diagonal: too sure of itself.

    Args:
        curves: models in the order to show.
        path: .png, .svg or .pdf to write, whole or not at all.
        title: what is shown, on what.
        caption: small text below; numbers of patients and pairs are added.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no model.
        QueryError: a model's columns differ in length.
        SettingsError: the file's ending is unknown.
        RunWriteError: the disk refused.
    """
    figure = lay_out_reliability(curves, title=title, caption=caption, is_simulated=is_simulated)
    write_figure(figure, path)


def lay_out_reliability(
    curves: Sequence[Reliability], *, title: str, caption: str, is_simulated: bool = False
) -> "Drawing":
    """The figure of `draw_reliability`, not yet written."""
    refuse_nothing(curves, "models")
    for curve in curves:
        if not len(curve.confidence) == len(curve.is_right) == len(curve.weight):
            raise QueryError(
                f"{curve.model}: {len(curve.confidence)} confidences, {len(curve.is_right)} "
                f"outcomes, {len(curve.weight)} weights: give one of each a transition"
            )
    labels = [row_label(curve.model, 22, is_seen=curve.is_seen) for curve in curves]
    grid = panel_grid(labels, 12)
    counts = with_counts(
        f"{caption.rstrip()} {_KEY}".lstrip(),
        [curve.n_patients for curve in curves],
        [int(np.isfinite(curve.confidence).sum()) for curve in curves],
    )
    body = grid.rows * (1.2 * grid.side_mm + 2) + grid.labels_mm + 7
    figure = new_page(grid.width_mm, body, title=title, caption=counts, is_simulated=is_simulated)
    cells = figure.add_gridspec(2 * grid.rows, grid.columns, height_ratios=[4, 1] * grid.rows)
    left = _left_edge(curves)
    for place, (curve, label) in enumerate(zip(curves, labels, strict=True)):
        row, column = divmod(place, grid.columns)
        upper = figure.add_subplot(cells[2 * row, column])
        lower = figure.add_subplot(cells[2 * row + 1, column], sharex=upper)
        upper.set_title(label, fontsize=LABEL_PT, parse_math=False)
        _draw_curve(upper, lower, curve)
        upper.set_xlim(left, 1.03)  # room for half a point at 1
        if column == 0:
            upper.set_ylabel("observed share", fontsize=LABEL_PT)
            lower.set_ylabel("pairs", fontsize=LABEL_PT)
        if place + grid.columns >= len(curves):
            lower.set_xlabel("predicted probability", fontsize=LABEL_PT)
    return figure


def reliability_bins(curve: Reliability) -> Floats:
    """Weighted means of each bin of confidence.

    Returns:
        (10, 3) mean confidence and share that was right, NaN where a bin weighs nothing, then
        how many transitions there are.
    """
    known = np.isfinite(curve.confidence)
    sure = np.asarray(curve.confidence, np.float64)[known]
    weight = np.asarray(curve.weight, np.float64)[known]
    bins = np.searchsorted(_EDGES[1:-1], sure)
    sums = np.stack(
        [np.bincount(bins, w, 10) for w in (weight * sure, weight * curve.is_right[known])]
    )
    total = np.bincount(bins, weight, 10)
    means = np.divide(sums, total, out=np.full((2, 10), np.nan), where=total > 0)
    return np.column_stack([*means, np.bincount(bins, minlength=10)])


def _draw_curve(upper: "Axes", lower: "Axes", curve: Reliability) -> None:
    """One model's diagram and the histogram below it."""
    from matplotlib.ticker import MaxNLocator

    for axis in (upper, lower):
        frame_lightly(axis)
    upper.tick_params(labelbottom=False)
    upper.set_ylim(-0.03, 1.03)
    upper.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (4, 2)))
    sure, right, count = reliability_bins(curve).T
    lower.bar(_EDGES[:-1], count, 0.1, align="edge", color="#b0b0b0", edgecolor="#ffffff", lw=0.6)
    lower.set_ylim(0, max(1.0, 1.08 * count.max()))
    lower.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True, min_n_ticks=2))
    if not np.isfinite(sure).any():
        say(upper, "not measured")
        return
    known = np.isfinite(sure)
    upper.vlines(sure[known], sure[known], right[known], color=BLUE, lw=0.8, alpha=0.5)
    upper.plot(sure[known], right[known], color=BLUE, lw=1.2)
    for is_few, fill in ((True, "#ffffff"), (False, BLUE)):
        shown = known & ((count < _FEW) == is_few)
        upper.plot(sure[shown], right[shown], "o", ms=3.5, mfc=fill, mec=BLUE, mew=0.8)


def _left_edge(curves: Sequence[Reliability]) -> float:
    """Where the axis begins: the likeliest of three is never below a third, nor of two."""
    sure = np.concatenate([np.asarray(curve.confidence, np.float64) for curve in curves])
    sure = sure[np.isfinite(sure)]
    return 0.3 if len(sure) and sure.min() >= 0.3 else 0.0
