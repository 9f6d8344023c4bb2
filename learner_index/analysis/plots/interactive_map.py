"""The interactive twin of a cohort's map, for a notebook; `cohort_map_html` is the page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learner_index.analysis.plots.cohort_map import (
    check_patients,
    default_title,
    describe,
    path_of,
    path_words,
    refuse_empty,
)
from learner_index.analysis.plots.interactive_page import dress, hover
from learner_index.analysis.plots.looks import BLACK
from learner_index.analysis.plots.map_colors import (
    MISSING,
    SCALE,
    SYMBOLS,
    Coloring,
    choose_column,
    color_by,
    column_words,
)
from learner_index.analysis.plots.page import tells_seen
from learner_index.data.maps import CohortMap

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

_BODY = 480  # pixels
_TOLD = ("scan_id", "patient_id", "day", "view", "health_score")


def cohort_map_figure(
    found: CohortMap,
    *,
    color: str | None = None,
    patients: Sequence[str] = (),
    unit: str | None = None,
    title: str | None = None,
) -> "go.Figure":
    """Scans on their map, whose they are under the pointer; chosen patients' paths on top.

    Args:
        found: what `Cohort.map` gives.
        color: a column; None: the health score, else the view.
        patients: up to 8 patients whose paths are drawn.
        unit: of the column; left out when None.
        title: stands above; None: what is drawn.

    Raises:
        NotEnoughDataError: no scan is drawn.
        QueryError: no such column or patient, or too many patients.
    """
    import plotly.graph_objects as go

    refuse_empty(found)
    coloring = color_by(found.scans, choose_column(found.scans, color))
    check_patients(found, patients)
    words = column_words(coloring.column, unit)
    figure = go.Figure()
    told = _told(found, coloring.column)
    for name, rows, marker in _parts(coloring, words):
        _add_scans(figure, found, rows, told, {"name": hover(name), "marker": marker})
    for patient in patients:
        _add_path(figure, found, patient)
    has_ticks = found.method == "pca"
    ticks = {
        "showticklabels": has_ticks,
        "showgrid": False,
        "ticks": "outside" if has_ticks else "",
    }
    dress(
        figure,
        _BODY,
        title=title or default_title(found, words),
        caption=f"{describe(found)} {path_words(found.method)}" if patients else describe(found),
        is_simulated=found.is_simulated,
        is_seen=tells_seen(found.notes),
    )
    figure.update_xaxes(title_text=found.axes[0], **ticks)
    return figure.update_yaxes(title_text=found.axes[1], scaleanchor="x", **ticks)


def _parts(coloring: Coloring, words: str) -> list[tuple[str, "NDArray[np.int64]", dict[str, Any]]]:
    """Name, rows and look of each trace, the missing first."""
    gone = coloring.is_missing
    found: list[tuple[str, NDArray[np.int64], dict[str, Any]]] = []
    if gone.any():
        found.append(("not known", np.flatnonzero(gone), {"color": MISSING}))
    if coloring.numbers is not None:
        bar = {"title": {"text": hover(words), "side": "right"}, "thickness": 12, "len": 0.8}
        rows = np.flatnonzero(~gone)
        look = {"color": coloring.numbers[rows], "colorscale": SCALE, "colorbar": bar}
        return [*found, (words, rows, look)]
    for number, (name, color) in enumerate(zip(coloring.groups, coloring.colors, strict=True)):
        symbol = SYMBOLS[number] if number < len(SYMBOLS) else "circle"
        rows = np.flatnonzero(coloring.codes == number)
        found.append((name, rows, {"color": color, "symbol": symbol}))
    return found


def _told(found: CohortMap, column: str) -> list[str]:
    """(n,) what the pointer shows of each scan."""
    names = list(dict.fromkeys(name for name in (*_TOLD, column) if name in found.scans))
    known = found.scans[names].notna().to_numpy(bool)
    rows = zip(*(found.scans[name].tolist() for name in names), strict=True)
    return [
        hover(
            *(
                f"{n}: {_short(v)}"
                for n, v, is_known in zip(names, row, has, strict=True)
                if is_known
            )
        )
        for row, has in zip(rows, known.tolist(), strict=True)
    ]


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _add_scans(
    figure: "go.Figure",
    found: CohortMap,
    rows: "NDArray[np.int64]",
    told: Sequence[str],
    look: dict[str, Any],
) -> None:
    """Some scans as points that the graphics card draws."""
    import plotly.graph_objects as go

    size = float(np.clip(260 / np.sqrt(len(found)), 2.5, 8))
    marker = {"size": size, "opacity": 0.8, **look["marker"]}
    figure.add_trace(
        go.Scattergl(
            x=found.scans["x"].to_numpy()[rows], y=found.scans["y"].to_numpy()[rows],
            mode="markers", marker=marker, name=f"{look['name']} ({len(rows):,})",
            hovertext=[told[row] for row in rows.tolist()], hoverinfo="text",
        )
    )  # fmt: skip


def _add_path(figure: "go.Figure", found: CohortMap, patient: str) -> None:
    """A patient's visits, joined, and an arrow for each change."""
    import plotly.graph_objects as go

    path = path_of(found, patient)
    figure.add_trace(
        go.Scatter(
            x=path.visits[:, 0], y=path.visits[:, 1], mode="lines+markers", name=hover(patient),
            line={"color": BLACK, "width": 1.2, "dash": "dot"}, hoverinfo="skip",
            marker={"size": 7, "color": "#ffffff", "line": {"color": BLACK, "width": 1.5}},
        )
    )  # fmt: skip
    for (x, y), (dx, dy) in zip(path.starts.tolist(), path.arrows.tolist(), strict=True):
        figure.add_annotation(
            x=x + dx, y=y + dy, ax=x, ay=y, xref="x", yref="y", axref="x", ayref="y", text="",
            showarrow=True, arrowhead=2, arrowwidth=1.8, arrowcolor=BLACK,
        )  # fmt: skip
