"""A contact sheet: each row a query scan and the scans found for it, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUERY, HIT = "#0072b2", "#555555"  # Okabe-Ito blue; grey


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of the sheet.

    Attributes:
        pixels: (h, w) grey, any range.
        caption: one to three short lines.
        is_query: whether it is what was asked about.
    """

    pixels: NDArray[np.generic]
    caption: str
    is_query: bool = False


def draw_contact_sheet(rows: Sequence[Sequence[Panel]], title: str, output: Path) -> Path:
    """Draw queries and their hits as a picture file.

    Args:
        rows: each a query's panel followed by its hits, best first.
        title: what the sheet shows, with n; simulated data must be called so here.
        output: .png, .svg or .pdf to write.

    Returns:
        The file written.
    """
    from matplotlib.figure import Figure

    columns = max(len(row) for row in rows)
    figure = Figure(figsize=(1.55 * columns, 2.05 * len(rows) + 0.5), layout="constrained", dpi=130)
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, panel in zip(line, row, strict=False):
            _draw_panel(axis, panel)
    figure.savefig(output)
    return output


def _draw_panel(axis: "Axes", panel: Panel) -> None:
    """One picture with its caption; the query has a coloured frame."""
    axis.set_axis_on()
    axis.imshow(panel.pixels, cmap="gray", interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    color = QUERY if panel.is_query else HIT
    for spine in axis.spines.values():
        spine.set_color(color)
        spine.set_linewidth(2.5 if panel.is_query else 0.8)
    axis.set_title(panel.caption, fontsize=7, color=color)
