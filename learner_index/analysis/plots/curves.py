"""Learning curves: what the losses did in training, and what validation said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.files import write_figure
from learner_index.analysis.plots.looks import BLACK, RULE
from learner_index.analysis.plots.page import (
    GREY,
    LABEL_PT,
    PAGE_MM,
    SMALL_PT,
    frame_lightly,
    new_page,
    say,
)
from learner_index.errors import NotEnoughDataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

History = Sequence[Mapping[str, float]]
Dashes = str | tuple[float, tuple[float, ...]]

# Okabe-Ito colours; line styles tell the curves apart in grey print, too.
LOSSES: dict[str, tuple[str, str, Dashes]] = {
    "loss": ("total", "#000000", "-"),
    "regression": ("regression", "#0072b2", (0, (4, 1.2))),
    "contrastive": ("contrastive", "#d55e00", (0, (1.2, 0.9))),
}
VALIDATION = {
    "val_spearman": ("Spearman ρ\nwithin patients", "#009e73"),
    "val_mae": ("score MAE\n(score units)", "#cc79a7"),
}
_FEW = 12  # up to so many epochs each has a marker
_BODY_MM = 62.0


@dataclass(frozen=True, slots=True)
class Curves:
    """What one training measured.

    Attributes:
        history: one mapping an epoch: "epoch", and what is known of "loss", "regression",
            "contrastive", "val_spearman" and "val_mae" (score units); NaN leaves a gap.
        best_epoch: epoch whose weights were kept; None: none is marked.
    """

    history: History
    best_epoch: int | None = None


def draw_curves(history: History, output: Path, *, title: str, best_epoch: int | None) -> Path:
    """Draw training losses on the left and validation figures on the right, by epoch.

    Args:
        history: as in `Curves`, like best_epoch.
        output: .png, .svg or .pdf to write, whole or not at all.
        title: what was trained, and on what; simulated data must be called so here.
        best_epoch: marked in every panel.

    Returns:
        The file written.

    Raises:
        NotEnoughDataError: there is no epoch.
        RunWriteError: the disk refused.
    """
    write_figure(lay_out_curves([Curves(history, best_epoch)], title=title), output)
    return output


def lay_out_curves(
    runs: Sequence[Curves], *, title: str, caption: str = "", is_simulated: bool = False
) -> "Drawing":
    """Training losses on the left and validation figures on the right, by epoch.

    Args:
        runs: one training, or one a fold; folds are thin lines in the same panels.
        title: what was trained, and on what.
        caption: what it rests on, with n.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no epoch.
    """
    runs = [run for run in runs if run.history]
    if not runs:
        raise NotEnoughDataError("no epochs to draw: train for at least one")
    names = [name for name in VALIDATION if name != "val_mae" or _is_known(runs, name)]
    figure = new_page(PAGE_MM, _BODY_MM, title=title, caption=caption, is_simulated=is_simulated)
    grid = figure.add_gridspec(len(names), 2)
    left = figure.add_subplot(grid[:, 0])
    _draw_losses(left, runs)
    right = [figure.add_subplot(grid[row, 1]) for row in range(len(names))]
    for axis, name in zip(right, names, strict=True):
        _draw_validation(axis, runs, name)
    for axis in (left, *right):
        _dress(axis, runs, is_lowest=axis in (left, right[-1]))
    figure.align_ylabels(right)
    return figure


def _is_known(runs: Sequence[Curves], name: str) -> bool:
    """Whether some run has a finite figure of a name."""
    return any(_column(run.history, name) is not None for run in runs)


def _draw_losses(axis: "Axes", runs: Sequence[Curves]) -> None:
    """Total loss and its two parts."""
    for name, look in LOSSES.items():
        _draw_lines(axis, runs, name, look)
    axis.set_title("training", fontsize=LABEL_PT, loc="left")
    axis.set_ylabel("loss (no unit)", fontsize=LABEL_PT)
    if axis.lines:
        axis.legend(fontsize=SMALL_PT, framealpha=1.0, edgecolor="none", handlelength=2.2)
    else:
        _say(axis, "no losses recorded")


def _draw_validation(axis: "Axes", runs: Sequence[Curves], name: str) -> None:
    """One validation figure; a ring where each run's best epoch is."""
    label, color = VALIDATION[name]
    axis.set_ylabel(label, fontsize=LABEL_PT)
    if name == "val_spearman":
        best = sorted({run.best_epoch for run in runs if run.best_epoch is not None})
        word = "epoch" if len(best) == 1 else "epochs"
        kept = f" (ring: best {word} {', '.join(map(str, best))})" if best else ""
        axis.set_title(f"validation{kept}", fontsize=LABEL_PT, loc="left")
    if not _draw_lines(axis, runs, name, (None, color, "-")):
        _say(axis, "none recorded")
        return
    if name == "val_spearman":  # no relation at all, whatever the range
        axis.axhline(0, color=BLACK, lw=0.6)
    for run in runs:
        epochs, values = _epochs(run.history), _column(run.history, name)
        if values is None:
            continue
        for row in np.flatnonzero((epochs == run.best_epoch) & np.isfinite(values)):
            (ring,) = axis.plot(epochs[row], values[row], "o", ms=6, mfc="none", mec=BLACK)
            ring.set_clip_on(False)


def _draw_lines(
    axis: "Axes", runs: Sequence[Curves], name: str, look: tuple[str | None, str, Dashes]
) -> bool:
    """Draws a column of every run that has it; False, and nothing drawn, where none has."""
    label, color, dashes = look
    width, alpha = (1.3, 1.0) if len(runs) == 1 else (0.9, 0.7)
    is_drawn = False
    for run in runs:
        values = _column(run.history, name)
        if values is None:
            continue
        marked = np.flatnonzero(_is_alone(values) | (len(values) <= _FEW))
        (line,) = axis.plot(
            _epochs(run.history), values, lw=width, alpha=alpha, ls=dashes, color=color,
            label=None if is_drawn else label,
        )  # fmt: skip
        is_drawn = True
        if len(marked):
            line.set(marker="o", markersize=2.4, markevery=marked.tolist())
    return is_drawn


def _dress(axis: "Axes", runs: Sequence[Curves], *, is_lowest: bool) -> None:
    """Epoch axis, light frame, and a line at the best epoch of a single run."""
    from matplotlib.ticker import MaxNLocator

    epochs = np.concatenate([_epochs(run.history) for run in runs])
    margin = max(0.5, 0.03 * float(np.ptp(epochs)))
    axis.set_xlim(float(epochs.min()) - margin, float(epochs.max()) + margin)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3, steps=[1, 2, 5, 10]))
    axis.margins(y=0.08)
    frame_lightly(axis)
    axis.tick_params(labelbottom=is_lowest)
    if is_lowest:
        axis.set_xlabel("epoch", fontsize=LABEL_PT)
    axis.grid(axis="y", lw=0.4, color=RULE)
    axis.set_axisbelow(True)
    best = runs[0].best_epoch
    if len(runs) == 1 and best is not None:
        axis.axvline(best, color=GREY, lw=0.8, ls=(0, (4, 2)), zorder=0.9)


def _say(axis: "Axes", words: str) -> None:
    """Words in the middle of a panel that has nothing to show, and no scale."""
    axis.tick_params(left=False, labelleft=False)
    say(axis, words)


def _epochs(history: History) -> NDArray[np.float64]:
    return np.array([row["epoch"] for row in history], np.float64)


def _column(history: History, name: str) -> NDArray[np.float64] | None:
    """(epochs,) figures, NaN where missing or infinite; None where nothing is finite."""
    values = np.array([row.get(name, np.nan) for row in history], np.float64)
    values[~np.isfinite(values)] = np.nan
    return values if np.isfinite(values).any() else None


def _is_alone(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(epochs,) whether neither neighbour has a value, so that no line would show this one."""
    missing = np.pad(np.isnan(values), 1, constant_values=True)
    alone: NDArray[np.bool_] = missing[:-2] & missing[2:] & ~missing[1:-1]
    return alone
