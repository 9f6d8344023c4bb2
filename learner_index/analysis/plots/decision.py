"""What acting on a prediction is worth: decision curves, one panel for each class acted on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.files import write_figure
from learner_index.analysis.plots.page import (
    BLUE,
    COLUMN_MM,
    GREY,
    LABEL_PT,
    NO_BREAK,
    SMALL_PT,
    VERMILION,
    frame_lightly,
    new_page,
    panel_grid,
    refuse_nothing,
    row_label,
    say,
    with_counts,
)
from learner_index.errors import QueryError, SettingsError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dashes = str | tuple[float, tuple[float, ...]]

STYLES: tuple[tuple[str, Dashes], ...] = (
    (BLUE, "-"),
    (VERMILION, (0, (6, 1.5))),
    ("#009e73", (0, (3, 1, 1, 1))),
    ("#cc79a7", (0, (1.2, 1.2))),
)
"""Colour and dashes of the first models of a figure; no two share either."""
_ALL: Dashes = (0, (4, 3))
_KEY = "Patients weigh the same; what lies far below 0 is cut."
_BAND = f"Bands: 95{NO_BREAK}% intervals over patients."
_LINE_MM, _GAP_MM = 2.9, 1.5  # height of a line of the legend; white above it

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DecisionCurve:
    """Net benefit of acting on one model's probability of one class.

    Attributes:
        model: its name.
        outcome: the class acted on.
        threshold: (x,) probabilities from which on one acts, rising, below 1.
        benefit: (x,) of `decision_curve.net_benefit`, events per transition; NaN where it was not
            measured.
        low, high: (x,) ends of its interval over patients; NaN where there is none. The bands of
            more than two models hide each other.
        treat_all: (x,) of `decision_curve.treat_all`, from the same transitions.
        n_patients, n_pairs: what it rests on.
        is_seen: whether the encoder was trained or tuned on some of these patients.
    """

    model: str
    outcome: str
    threshold: NDArray[np.floating]
    benefit: NDArray[np.floating]
    low: NDArray[np.floating]
    high: NDArray[np.floating]
    treat_all: NDArray[np.floating]
    n_patients: int
    n_pairs: int
    is_seen: bool = False


def draw_decision_curve(
    curves: Sequence[DecisionCurve],
    path: Path,
    *,
    title: str,
    caption: str,
    is_simulated: bool = False,
) -> None:
    """Draw net benefit against threshold probability, one panel for each class acted on.

    Beside the models stand acting on everybody and on nobody. A model is of use at the thresholds
    where it lies above both. Each panel has its own scale: no benefit exceeds the share of
    patients' transitions with the event.

    Args:
        curves: classes in the order to show, and of each its models.
        path: .png, .svg or .pdf to write, whole or not at all.
        title: what is shown, on what.
        caption: small text below; numbers of patients and pairs are added.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no model.
        QueryError: a curve's columns differ in length, or models of one class were measured on
            other transitions.
        SettingsError: more than four models, or the file's ending is unknown.
        RunWriteError: the disk refused.
    """
    figure = lay_out_decision_curve(curves, title=title, caption=caption, is_simulated=is_simulated)
    write_figure(figure, path)


def lay_out_decision_curve(
    curves: Sequence[DecisionCurve], *, title: str, caption: str, is_simulated: bool = False
) -> "Figure":
    """The figure of `draw_decision_curve`, not yet written."""
    refuse_nothing(curves, "models")
    panels = _panels(curves)
    styles = _styles(curves)
    labels = [row_label(outcome, 22, is_seen=False) for outcome in panels]
    grid = panel_grid(labels, 16)
    key = _key(curves, styles)
    columns = 2 if grid.width_mm == COLUMN_MM else 4
    key_mm = _height_mm(key, columns)
    has_band = any(np.isfinite(curve.low).any() for curve in curves)
    counts = with_counts(
        f"{caption.rstrip()} {_KEY}{f' {_BAND}' if has_band else ''}".lstrip(),
        [curve.n_patients for curve in curves],
        [curve.n_pairs for curve in curves],
    )
    body = grid.rows * 0.9 * grid.side_mm + grid.labels_mm + 8 + key_mm
    figure = new_page(grid.width_mm, body, title=title, caption=counts, is_simulated=is_simulated)
    cells = figure.add_gridspec(
        grid.rows + 1, grid.columns, height_ratios=[0.9 * grid.side_mm] * grid.rows + [key_mm]
    )
    for place, (own, label) in enumerate(zip(panels.values(), labels, strict=True)):
        axis = figure.add_subplot(cells[divmod(place, grid.columns)])
        axis.set_title(label, fontsize=LABEL_PT, parse_math=False)
        _draw_panel(axis, own, styles)
        if place % grid.columns == 0:
            axis.set_ylabel("net benefit\n(events per pair)", fontsize=LABEL_PT)
        if place + grid.columns >= len(panels):
            axis.set_xlabel("threshold probability", fontsize=LABEL_PT)
        else:
            axis.tick_params(labelbottom=False)
    _place_key(figure.add_subplot(cells[-1, :]), key, columns)
    return figure


def _panels(curves: Sequence[DecisionCurve]) -> dict[str, list[DecisionCurve]]:
    """Curves by the class acted on, checked."""
    panels: dict[str, list[DecisionCurve]] = {}
    for curve in curves:
        columns = (curve.threshold, curve.benefit, curve.low, curve.high, curve.treat_all)
        lengths = [len(column) for column in columns]
        if len(set(lengths)) > 1:
            raise QueryError(
                f"{curve.model}: threshold, benefit, low, high and treat_all have lengths "
                f"{', '.join(map(str, lengths))}: give one of each a threshold"
            )
        first = panels.setdefault(curve.outcome, [curve])[0]
        if first is curve:
            continue
        panels[curve.outcome].append(curve)
        if not (
            np.array_equal(curve.threshold, first.threshold)
            and np.allclose(curve.treat_all, first.treat_all, equal_nan=True)
        ):
            raise QueryError(
                f"{curve.model} and {first.model} differ in thresholds or in acting on everybody "
                f"for {curve.outcome}: compare them on the same transitions"
            )
    return panels


def _styles(curves: Sequence[DecisionCurve]) -> dict[str, tuple[str, Dashes]]:
    """Colour and dashes of each model, in order of first appearance."""
    models = list(dict.fromkeys(curve.model for curve in curves))
    if len(models) > len(STYLES):
        raise SettingsError(
            f"{len(models)} models are too many to tell apart: choose up to {len(STYLES)}"
        )
    return dict(zip(models, STYLES, strict=False))


def _draw_panel(
    axis: "Axes", curves: Sequence[DecisionCurve], styles: dict[str, tuple[str, Dashes]]
) -> None:
    """All models of one class, below them acting on everybody and on nobody."""
    from matplotlib.ticker import MaxNLocator

    frame_lightly(axis)
    cuts, everybody = curves[0].threshold, np.asarray(curves[0].treat_all, np.float64)
    axis.axhline(0, color="#000000", lw=0.8)
    axis.plot(cuts, everybody, color=GREY, lw=1.0, ls=_ALL)
    for curve in curves:
        color, dashes = styles[curve.model]
        axis.fill_between(cuts, curve.low, curve.high, color=color, alpha=0.15, lw=0)
        axis.plot(cuts, curve.benefit, color=color, lw=1.3, ls=dashes)
    known = np.concatenate([[0.0], everybody, *(x for c in curves for x in (c.benefit, c.high))])
    top = float(known[np.isfinite(known)].max()) or 0.1
    axis.set_xlim(0, 1)
    axis.set_xticks(np.arange(6) / 5)
    axis.set_ylim(-0.2 * top, 1.06 * top)
    axis.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    if not any(np.isfinite(curve.benefit).any() for curve in curves):
        say(axis, "not measured")


def _key(curves: Sequence[DecisionCurve], styles: dict[str, tuple[str, Dashes]]) -> list["Artist"]:
    """What the lines mean; a model that has seen some of its patients says so."""
    from matplotlib.lines import Line2D

    seen = {curve.model for curve in curves if curve.is_seen}
    key: list[Artist] = [
        Line2D(
            [], [], color=color, ls=dashes, lw=1.3,
            label=row_label(model, 24, is_seen=model in seen),
        )
        for model, (color, dashes) in styles.items()
    ]  # fmt: skip
    key.append(Line2D([], [], color=GREY, ls=_ALL, lw=1.0, label="act on everybody"))
    key.append(Line2D([], [], color="#000000", lw=0.8, label="act on nobody"))
    return key


def _height_mm(key: Sequence["Artist"], columns: int) -> float:
    """Height of the legend, which fills one column after the other."""
    lines = [str(artist.get_label()).count("\n") + 1 for artist in key]
    return _GAP_MM + _LINE_MM * max(int(part.sum()) for part in np.array_split(lines, columns))


def _place_key(axis: "Axes", key: Sequence["Artist"], columns: int) -> None:
    """The legend in a row of its own below the panels."""
    axis.set_axis_off()
    axis.set(xticks=[], yticks=[])
    legend = axis.legend(
        handles=key, ncols=columns, loc="lower center", fontsize=SMALL_PT, frameon=False,
        borderaxespad=0.0, borderpad=0.0, handlelength=2.6, columnspacing=1.4, labelspacing=0.4,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
