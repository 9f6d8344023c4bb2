"""The interactive twin of LEARNER's figure 1: under the pointer, whose pair it is."""

from typing import TYPE_CHECKING

import numpy as np

from learner_index.analysis.plots.figure_one import (
    LOOKS,
    DistancePanel,
    rho_words,
    running_quartiles,
)
from learner_index.analysis.plots.interactive_page import dress, hover
from learner_index.analysis.plots.page import BLUE, SEEN, VERMILION, refuse_nothing, with_counts

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

_MANY = 5000  # above so many pairs, the browser's graphics card draws them


def distances_figure(
    panel: DistancePanel, *, unit: str, title: str, caption: str, is_simulated: bool = False
) -> "go.Figure":
    """Embedding distance, raw, centred and whitened, against the change of the health score.

    Args:
        panel: one model's pairs and ρ.
        unit: of the health score.
        title: what is shown.
        caption: what it rests on; numbers of patients and pairs are added.
        is_simulated: puts the word SIMULATED into the title.

    Raises:
        NotEnoughDataError: there is no scored pair.
    """
    from plotly.subplots import make_subplots

    frame = panel.frame.dropna(subset=["abs_delta_score"])
    refuse_nothing(range(len(frame)), "pairs")
    heads = [f"{words}<br>{rho_words(panel.rho.get(how))}" for how, words in LOOKS.items()]
    figure = make_subplots(rows=1, cols=len(LOOKS), subplot_titles=heads, horizontal_spacing=0.07)
    figure.update_annotations(font_size=12)
    for column, how in enumerate(LOOKS, 1):
        _add_pairs(figure, frame, how, column)
        figure.update_xaxes(
            title_text=f"|Δ health score|<br>({hover(unit)})", title_font_size=11, row=1, col=column
        )
    name = f"{panel.model} ({SEEN})" if panel.is_seen else panel.model
    figure.update_yaxes(title_text=f"{hover(name)}<br>distance (no unit)", row=1, col=1)
    return dress(
        figure,
        300,
        title=title,
        caption=with_counts(caption, [frame["patient"].nunique()], [len(frame)]),
        is_simulated=is_simulated,
    )


def _add_pairs(figure: "go.Figure", frame: "pd.DataFrame", how: str, column: int) -> None:
    """Pairs as points, with their running quartiles."""
    import plotly.graph_objects as go

    x = frame["abs_delta_score"].to_numpy(np.float64)
    y = frame[f"distance_{how}"].to_numpy(np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if not len(x):
        return
    is_first = column == 1
    kind = go.Scattergl if len(x) > _MANY else go.Scatter
    figure.add_trace(
        kind(
            x=x, y=y, mode="markers", name="pair of scans", legendgroup="pair",
            showlegend=is_first,
            marker={
                "color": BLUE, "size": 5,
                "opacity": float(np.clip(12 / np.sqrt(len(x)), 0.1, 0.6)),
            },
            hovertext=[
                hover(str(patient), f"change {one:.3g}", f"distance {other:.3f}")
                for patient, one, other in zip(frame["patient"][known], x, y, strict=True)
            ],
            hoverinfo="text",
        ),
        row=1, col=column,
    )  # fmt: skip
    quartiles = running_quartiles(x, y)
    if len(quartiles) < 2:
        return
    place, low, middle, high = quartiles.T
    figure.add_trace(
        go.Scatter(
            x=[*place, *place[::-1]], y=[*low, *high[::-1]], fill="toself", mode="lines",
            line={"width": 0}, fillcolor="rgba(213, 94, 0, 0.25)", hoverinfo="skip",
            name="quartiles", legendgroup="quartiles", showlegend=is_first,
        ),
        row=1, col=column,
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=place, y=middle, mode="lines+markers", line={"color": VERMILION, "width": 2.5},
            name="running median", legendgroup="median", showlegend=is_first, hoverinfo="skip",
        ),
        row=1, col=column,
    )  # fmt: skip
