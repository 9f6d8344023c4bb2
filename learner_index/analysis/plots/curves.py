"""Learning curves: what the losses did in training, and what validation said of it."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.data.replace import replace_file
from learner_index.errors import NotEnoughDataError, RunWriteError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
BEST = "#777777"
_FEW = 12  # up to so many epochs each has a marker


def draw_curves(
    history: Sequence[Mapping[str, float]],
    output: Path,
    *,
    title: str,
    best_epoch: int | None,
) -> Path:
    """Draw training losses on the left and validation figures on the right, by epoch.

    Args:
        history: one mapping an epoch: "epoch", and what is known of "loss", "regression",
            "contrastive", "val_spearman" and "val_mae" (score units); NaN leaves a gap.
        output: .png, .svg or .pdf to write, whole or not at all.
        title: what was trained, and on what; simulated data must be called so here.
        best_epoch: epoch whose weights were kept, marked in every panel; None: none is marked.

    Returns:
        The file written.

    Raises:
        NotEnoughDataError: there is no epoch.
        RunWriteError: the disk refused.
    """
    if not history:
        raise NotEnoughDataError("no epochs to draw: train for at least one")
    figure = lay_out_curves(history, title, best_epoch)
    picture = io.BytesIO()
    figure.savefig(picture, format=output.suffix.removeprefix("."))
    try:
        replace_file(output, [picture.getvalue()])
    except OSError as error:
        raise RunWriteError(
            f"{output} cannot be written ({error.strerror or error}): "
            "make room, then go on with --resume"
        ) from error
    return output


def lay_out_curves(
    history: Sequence[Mapping[str, float]], title: str, best_epoch: int | None
) -> "Figure":
    """The figure of `draw_curves`, not yet written."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    names = [name for name in VALIDATION if name != "val_mae" or _column(history, name) is not None]
    figure = Figure(figsize=(5.2, 2.9), dpi=300)
    figure.set_layout_engine(ConstrainedLayoutEngine(wspace=0.06))
    figure.suptitle(title, fontsize=9, parse_math=False)
    grid = figure.add_gridspec(len(names), 2)
    left = figure.add_subplot(grid[:, 0])
    _draw_losses(left, history)
    right = [figure.add_subplot(grid[row, 1]) for row in range(len(names))]
    for axis, name in zip(right, names, strict=True):
        _draw_validation(axis, history, name, best_epoch)
    for axis in (left, *right):
        _dress(axis, history, best_epoch, is_lowest=axis in (left, right[-1]))
    figure.align_ylabels(right)
    return figure


def _draw_losses(axis: "Axes", history: Sequence[Mapping[str, float]]) -> None:
    """Total loss and its two parts."""
    for name, (label, color, style) in LOSSES.items():
        _draw_line(axis, history, name, label, color, style)
    axis.set_title("training", fontsize=8, loc="left")
    axis.set_ylabel("loss (no unit)", fontsize=8)
    if axis.lines:
        axis.legend(fontsize=7, framealpha=1.0, edgecolor="none", handlelength=2.2)
    else:
        _say(axis, "no losses recorded")


def _draw_validation(
    axis: "Axes", history: Sequence[Mapping[str, float]], name: str, best_epoch: int | None
) -> None:
    """One validation figure; a ring and its value where the best epoch is."""
    label, color = VALIDATION[name]
    axis.set_ylabel(label, fontsize=8)
    if name == "val_spearman":
        kept = "" if best_epoch is None else f" (ring: best epoch {best_epoch})"
        axis.set_title(f"validation{kept}", fontsize=8, loc="left")
    values = _draw_line(axis, history, name, None, color)
    if values is None:
        _say(axis, "none recorded")
        return
    if name == "val_spearman":  # no relation at all, whatever the range
        axis.axhline(0, color="#000000", lw=0.6)
    epochs = _epochs(history)
    for row in np.flatnonzero((epochs == best_epoch) & np.isfinite(values)):
        (ring,) = axis.plot(epochs[row], values[row], "o", ms=6, mfc="none", mec="#000000")
        ring.set_clip_on(False)


def _draw_line(
    axis: "Axes",
    history: Sequence[Mapping[str, float]],
    name: str,
    label: str | None,
    color: str,
    dashes: Dashes = "-",
) -> NDArray[np.float64] | None:
    """Draws a column and returns it; None, and nothing drawn, where it has no finite value."""
    values = _column(history, name)
    if values is None:
        return None
    marked = np.flatnonzero(_is_alone(values) | (len(values) <= _FEW))
    (line,) = axis.plot(_epochs(history), values, lw=1.3, ls=dashes, color=color, label=label)
    if len(marked):
        line.set(marker="o", markersize=2.4, markevery=marked.tolist())
    return values


def _dress(
    axis: "Axes", history: Sequence[Mapping[str, float]], best_epoch: int | None, *, is_lowest: bool
) -> None:
    """Epoch axis, light frame, and a line at the best epoch."""
    from matplotlib.ticker import MaxNLocator

    epochs = _epochs(history)
    margin = max(0.5, 0.03 * float(np.ptp(epochs)))
    axis.set_xlim(float(epochs.min()) - margin, float(epochs.max()) + margin)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3, steps=[1, 2, 5, 10]))
    axis.margins(y=0.08)
    axis.tick_params(labelsize=7, labelbottom=is_lowest)
    if is_lowest:
        axis.set_xlabel("epoch", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", lw=0.4, color="#dddddd")
    axis.set_axisbelow(True)
    if best_epoch is not None:
        axis.axvline(best_epoch, color=BEST, lw=0.8, ls=(0, (4, 2)), zorder=0.9)


def _say(axis: "Axes", words: str) -> None:
    """Words in the middle of a panel that has nothing to show."""
    axis.tick_params(left=False, labelleft=False)
    axis.text(0.5, 0.5, words, fontsize=8, color=BEST, ha="center", transform=axis.transAxes)


def _epochs(history: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    return np.array([row["epoch"] for row in history], np.float64)


def _column(history: Sequence[Mapping[str, float]], name: str) -> NDArray[np.float64] | None:
    """(epochs,) figures, NaN where missing or infinite; None where nothing is finite."""
    values = np.array([row.get(name, np.nan) for row in history], np.float64)
    values[~np.isfinite(values)] = np.nan
    return values if np.isfinite(values).any() else None


def _is_alone(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(epochs,) whether neither neighbour has a value, so that no line would show this one."""
    missing = np.pad(np.isnan(values), 1, constant_values=True)
    alone: NDArray[np.bool_] = missing[:-2] & missing[2:] & ~missing[1:-1]
    return alone
