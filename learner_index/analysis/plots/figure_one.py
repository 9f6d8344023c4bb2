"""LEARNER's figure 1: distance of embeddings against the change of the health score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.files import write_figure
from learner_index.analysis.plots.page import (
    BEHIND_TEXT,
    BLUE,
    LABEL_PT,
    PAGE_MM,
    SMALL_PT,
    VERMILION,
    frame_lightly,
    new_page,
    number,
    refuse_nothing,
    row_label,
    say,
    with_counts,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

LOOKS = {"raw": "raw cosine", "centered": "centred cosine", "whitened": "whitened cosine"}

_PER_BIN, _MOST_BINS = 15, 10  # pairs a bin of figure one has at least; how many bins at most
_MANY = 1000  # above so many points, they are a picture in vector files, too

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DistancePanel:
    """One model's row of figure one.

    Attributes:
        model: its name.
        frame: a row a pair of one patient's scans, as of `space.figure_one`.
        rho: raw, centered and whitened -> Spearman ρ and the ends of its 95 % interval.
        is_seen: whether the encoder was trained or tuned on some of these patients.
    """

    model: str
    frame: "pd.DataFrame"
    rho: Mapping[str, tuple[float, float, float]]
    is_seen: bool = False


def draw_figure_one(
    panels: Sequence[DistancePanel],
    path: Path,
    *,
    unit: str,
    title: str,
    caption: str,
    is_simulated: bool = False,
) -> None:
    """Draw LEARNER's figure 1: do scans lie further apart where health changed more?

    One row a model; raw, centred and whitened cosine distance side by side, since raw distances
    of features that are never negative are small whatever they say. Points are pairs of one
    patient's scans; line and band are median and quartiles of bins with as many pairs each.

    Args:
        panels: models in the order to show.
        path: .png, .svg or .pdf to write, whole or not at all.
        unit: of the health score.
        title: what is shown, on what.
        caption: small text below; numbers of patients and pairs are added.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no model, or none has a pair.
        SettingsError: the file's ending is unknown.
        RunWriteError: the disk refused.
    """
    figure = lay_out_figure_one(
        panels, unit=unit, title=title, caption=caption, is_simulated=is_simulated
    )
    write_figure(figure, path)


def lay_out_figure_one(
    panels: Sequence[DistancePanel],
    *,
    unit: str,
    title: str,
    caption: str,
    is_simulated: bool = False,
) -> "Drawing":
    """The figure of `draw_figure_one`, not yet written."""
    refuse_nothing(panels, "models")
    scored = [panel.frame.dropna(subset=["abs_delta_score"]) for panel in panels]
    known = [frame for frame in scored if len(frame)]
    refuse_nothing(known, "pairs")
    counts = with_counts(
        caption, [frame["patient"].nunique() for frame in known], [len(frame) for frame in known]
    )
    figure = new_page(
        PAGE_MM,
        43 * len(panels) + 8,
        title=title,
        caption=counts,
        legend=_pair_key(),
        is_simulated=is_simulated,
    )
    axes = figure.subplots(len(panels), len(LOOKS), sharex=True, sharey="col", squeeze=False)
    for line, panel in zip(axes, panels, strict=True):
        name = row_label(panel.model, 28, is_seen=panel.is_seen)
        line[0].set_ylabel(f"{name}\ndistance (no unit)", fontsize=LABEL_PT, parse_math=False)
        for axis, how in zip(line, LOOKS, strict=True):
            _draw_distances(axis, panel, how)
    for axis, words in zip(axes[0], LOOKS.values(), strict=True):
        axis.set_title(words, fontsize=LABEL_PT)
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + 0.14 * (high - low))  # room for ρ
    for axis in axes[-1]:
        axis.set_xlabel(f"|Δ health score| ({unit})", fontsize=LABEL_PT, parse_math=False)
    return figure


def running_quartiles(x: Floats, y: Floats) -> Floats:
    """How y is spread where x is small, larger, and largest.

    Pairs are cut at quantiles of x into up to 10 bins of at least 15 pairs; where many x are
    equal, there are fewer bins.

    Args:
        x: (t,) finite.
        y: (t,) finite.

    Returns:
        (bins, 4) of each bin the median of x, then the lower quartile, median and upper quartile
        of y.
    """
    n_bins = int(np.clip(len(x) // _PER_BIN, 1, _MOST_BINS))
    inner = np.unique(np.quantile(x, np.arange(1, n_bins) / n_bins))
    bins = np.searchsorted(inner, x, side="left")
    return np.array(
        [
            [np.median(x[bins == one]), *np.quantile(y[bins == one], (0.25, 0.5, 0.75))]
            for one in np.unique(bins)
        ]
    )


def _draw_distances(axis: "Axes", panel: DistancePanel, how: str) -> None:
    """Pairs as points, their running quartiles, and ρ in the corner."""
    frame_lightly(axis)
    x = panel.frame["abs_delta_score"].to_numpy(np.float64)
    y = panel.frame[f"distance_{how}"].to_numpy(np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        say(axis, "no pairs")
        return
    x, y = x[known], y[known]
    axis.set_axisbelow(True)
    axis.grid(axis="y", lw=0.4, color="#dddddd")
    axis.scatter(
        x, y, s=4, color=BLUE, lw=0, alpha=float(np.clip(12 / np.sqrt(len(x)), 0.1, 0.6)),
        rasterized=len(x) > _MANY,
    )  # fmt: skip
    quartiles = running_quartiles(x, y)
    if len(quartiles) > 1:
        place, low, middle, high = quartiles.T
        axis.fill_between(place, low, high, color=VERMILION, alpha=0.25, lw=0)
        axis.plot(place, middle, color=VERMILION, lw=1.3, marker="o", ms=2)
    axis.text(
        0.02, 0.985, rho_words(panel.rho.get(how)), transform=axis.transAxes, va="top",
        fontsize=SMALL_PT + 0.5, bbox=BEHIND_TEXT,
    )  # fmt: skip


def rho_words(rho: tuple[float, float, float] | None) -> str:
    """Spearman's ρ with its interval, where there is one."""
    if rho is None or not np.isfinite(rho[0]):
        return "ρ not measured"
    value, low, high = (number(part, 2) for part in rho)
    is_known = bool(np.isfinite(rho[1:]).all())
    return f"ρ = {value} ({low} to {high})" if is_known else f"ρ = {value}"


def _pair_key() -> list["Artist"]:
    """What points, line and band of figure one are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=BLUE, marker="o", ms=3, mew=0, ls="none", label="pair of scans"),
        Line2D([], [], color=VERMILION, lw=1.3, marker="o", ms=2, label="running median"),
        Patch(color=VERMILION, alpha=0.25, lw=0, label="quartiles"),
    ]
