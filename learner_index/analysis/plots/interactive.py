"""Interactive twins of figures of change: the same look, and more to read under the pointer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from learner_index.analysis.plots import progression as hits
from learner_index.analysis.plots import trajectory as visits
from learner_index.analysis.plots.interactive_page import dress, hover
from learner_index.analysis.plots.looks import BLACK, PALE, PARTS, look_of
from learner_index.analysis.plots.page import GREY, number, short_id, tells_seen
from learner_index.data.progression import Change, ProgressionHit, Progressions, Stop, Trajectory

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROW, _PATH, _SCORE = 26, 300, 150  # pixels: a hit; the panels of a trajectory


def trajectory_figure(
    path: Trajectory, *, unit: str | None = None, title: str | None = None
) -> "go.Figure":
    """The interactive twin of `trajectory.lay_out_trajectory`.

    Args:
        path: what `Cohort.trajectory` found.
        unit: of the health score; left out when None.
        title: stands above; None: whose path it is.

    Raises:
        NotEnoughDataError: there is no visit.
    """
    from plotly.subplots import make_subplots

    visits.require_visits(path)
    has_scores = visits.any_scored(path.stops)
    heights = [_PATH, _SCORE] if has_scores else [_PATH]
    figure = make_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.06
    )
    if path.axis is None:
        _add_lengths(figure, path)
    else:
        _add_places(figure, path)
    if has_scores:
        _add_scores(figure, path, unit)
    figure.update_xaxes(title_text="day", row=len(heights), col=1)
    return dress(
        figure,
        sum(heights),
        title=title or visits.default_title(path),
        caption=visits.describe(path),
        is_simulated=path.is_simulated,
        is_seen=tells_seen(path.notes),
    )


def _add_places(figure: "go.Figure", path: Trajectory) -> None:
    """Visits on the severity axis, with doubt, noise and steps."""
    import plotly.graph_objects as go

    places = visits.placed(path.stops)
    unit = hover(str((path.axis or {}).get("unit", "no unit")))
    figure.update_yaxes(title_text=f"severity axis, higher is sicker<br>({unit})", row=1, col=1)
    _add_noise(figure, places)
    named: set[str] = set()
    for before, after, step in visits.joined(path):
        look, words = look_of(step.verdict), _step_words(step)
        x, y = (
            (before.day or 0.0, after.day or 0.0),
            (before.position or 0.0, after.position or 0.0),
        )
        figure.add_trace(
            go.Scatter(
                x=[x[0], sum(x) / 2, x[1]], y=[y[0], sum(y) / 2, y[1]],
                mode="lines+markers", line={"color": look.color, "width": 3},
                marker={
                    "symbol": look.symbol, "color": look.color, "size": [0, 13, 0], "opacity": 1
                },
                name=step.verdict, legendgroup=step.verdict, showlegend=step.verdict not in named,
                hovertext=[None, words, None], hoverinfo="text",
            ),
            row=1, col=1,
        )  # fmt: skip
        named.add(step.verdict)
    up = [place.high - place.position for place in places]
    down = [place.position - place.low for place in places]
    figure.add_trace(
        go.Scatter(
            x=[place.day for place in places], y=[place.position for place in places],
            mode="markers", marker={"color": BLACK, "size": 8}, name=visits.VISITS,
            error_y={"array": up, "arrayminus": down, "width": 0, "thickness": 1.5, "color": BLACK},
            hovertext=[_visit_words(place.stop) for place in places], hoverinfo="text",
        ),
        row=1, col=1,
    )  # fmt: skip


def _add_noise(figure: "go.Figure", places: Sequence[visits.Place]) -> None:
    """The band that scanning again would give; at a single visit, a bar."""
    import plotly.graph_objects as go

    days, low, high = visits.noise_band(places)
    if not days:
        return
    if len(days) == 1:
        days, low, high = [days[0] - 0.05, days[0] + 0.05], 2 * low, 2 * high
    figure.add_trace(
        go.Scatter(
            x=[*days, *reversed(days)], y=[*low, *reversed(high)], fill="toself",
            mode="lines", line={"width": 0}, fillcolor=PALE, opacity=0.6, name="scanning again",
            hoverinfo="skip",
        ),
        row=1, col=1,
    )  # fmt: skip


def _add_lengths(figure: "go.Figure", path: Trajectory) -> None:
    """How long each change is, from its first day to its last."""
    import plotly.graph_objects as go

    figure.update_yaxes(
        title_text="length of change ‖d‖<br>(units of the space)", rangemode="tozero", row=1, col=1
    )
    for step in path.steps:
        shape = "circle" if visits.is_long(step, path.alpha) else "circle-open"
        figure.add_trace(
            go.Scatter(
                x=[step.from_day, (step.from_day + step.to_day) / 2, step.to_day],
                y=[step.length] * 3, mode="lines+markers", line={"color": GREY, "width": 2.5},
                marker={"symbol": shape, "color": GREY, "size": [0, 9, 0], "opacity": 1},
                showlegend=False,
                hovertext=[None, _step_words(step), None], hoverinfo="text",
            ),
            row=1, col=1,
        )  # fmt: skip


def _add_scores(figure: "go.Figure", path: Trajectory, unit: str | None) -> None:
    """Health scores by day."""
    import plotly.graph_objects as go

    days, scores, known = visits.scored(path.stops)
    figure.add_trace(
        go.Scatter(
            x=days, y=scores, mode="lines+markers", line={"color": GREY, "width": 2},
            marker={"color": BLACK, "size": 7}, showlegend=False,
            hovertext=[_visit_words(stop) for stop in known], hoverinfo="text",
        ),
        row=2, col=1,
    )  # fmt: skip
    of = "" if unit is None else f" ({hover(unit)})"
    figure.update_yaxes(
        title_text=f"health score{of}<br>higher is healthier", title_font_size=11, row=2, col=1
    )


def _visit_words(stop: Stop) -> str:
    """What a pointer shows of a visit."""
    score, place = stop.health_score, stop.position
    return hover(
        f"day {stop.day:g}",
        None if place is None else f"place {number(place, 2)}",
        None if stop.low is None or stop.high is None
        else f"95 % of the axis {number(stop.low, 2)} to {number(stop.high, 2)}",
        None if stop.noise is None else f"SD of one scan {number(stop.noise, 2)}",
        "no health score" if score is None else f"health score {score:g}",
        f"scans {', '.join(stop.scan_ids)}",
    )  # fmt: skip


def _step_words(step: Change) -> str:
    """What a pointer shows of a change."""
    return hover(
        step.verdict,
        f"day {step.from_day:g} to {step.to_day:g}",
        None if step.on_axis is None else f"{step.on_axis:+.2f} along the severity axis",
        None if step.delta_score is None else f"{step.delta_score:+g} in health score",
        f"‖d‖ {step.length:.2f}"
        + ("" if step.length_p is None else f" (p {step.length_p:.3f} among repeats)"),
        None if step.treatment is None else f"treatment {step.treatment}",
        f"views {step.views}" if step.views else None,
    )


def progression_figure(
    found: Progressions, *, unit: str | None = None, title: str | None = None
) -> "go.Figure":
    """The interactive twin of `progression.lay_out_progression`.

    Args:
        found: what `Cohort.progression` found.
        unit: of the health score; left out when None.
        title: stands above; None: what was asked.

    Raises:
        NotEnoughDataError: nobody was found, or more than 50.
    """
    from plotly.subplots import make_subplots

    hits.check(found)
    has_scores = hits.any_scored(found)
    widths = [0.62, 0.38] if has_scores else [1.0]
    figure = make_subplots(
        rows=1, cols=len(widths), shared_yaxes=True, column_widths=widths, horizontal_spacing=0.04
    )
    _add_parts(figure, found)
    if has_scores:
        _add_outcomes(figure, found, unit)
    labels = [
        hover(f"{hit.rank}. {short_id(hit.patient_id)}, {hit.change.delta_day:g} d")
        for hit in found
    ]
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.4, -0.6],
        showgrid=False, col=1,
    )  # fmt: skip
    figure.update_layout(barmode="relative", bargap=0.35)
    dress(
        figure,
        _ROW * len(found) + 20,
        title=title or hits.default_title(found),
        caption=hits.describe(found),
        left=190,
        is_simulated=found.is_simulated,
        is_seen=tells_seen(found.notes),
    )
    figure.update_xaxes(zeroline=True, zerolinecolor=BLACK)
    figure.update_yaxes(ticks="", showline=False)
    return figure


def _add_parts(figure: "go.Figure", found: Progressions) -> None:
    """Stacked bars either side of 0, and S."""
    import plotly.graph_objects as go

    rows, words = list(range(len(found))), [_hit_words(hit) for hit in found]
    shapes = {"direction": "", "start": "/", "days": "."}
    for name in hits.shown_parts(found):
        figure.add_trace(
            go.Bar(
                x=[hits.parts_of(hit)[name] for hit in found], y=rows, orientation="h", name=name,
                marker={
                    "color": PARTS[name][0],
                    "pattern": {
                        "shape": shapes[name], "bgcolor": PARTS[name][0], "fgcolor": "#ffffff",
                        "size": 6, "solidity": 0.25,
                    },
                },
                hovertext=words, hoverinfo="text",
            ),
            row=1, col=1,
        )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[hit.similarity for hit in found], y=rows, mode="markers", name="S",
            marker={
                "symbol": "diamond", "size": 9, "color": "#ffffff",
                "line": {"color": BLACK, "width": 1.5},
            },
            hovertext=words, hoverinfo="text",
        ),
        row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title_text="similarity S and its parts<br>(no unit)", row=1, col=1)


def _add_outcomes(figure: "go.Figure", found: Progressions, unit: str | None) -> None:
    """How the health score of each hit changed, in the look of its verdict."""
    import plotly.graph_objects as go

    named: set[str] = set()
    for row, hit in enumerate(found):
        verdict, look = hit.change.verdict, look_of(hit.change.verdict)
        if hit.change.delta_score is None:
            continue
        figure.add_trace(
            go.Scatter(
                x=[0, hit.change.delta_score], y=[row, row], mode="lines+markers",
                line={"color": look.color, "width": 2},
                marker={"symbol": look.symbol, "color": look.color, "size": [0, 13], "opacity": 1},
                name=verdict, legendgroup=verdict, showlegend=verdict not in named,
                hovertext=[None, _hit_words(hit)], hoverinfo="text",
            ),
            row=1, col=2,
        )  # fmt: skip
        named.add(verdict)
    of = "" if unit is None else f" ({hover(unit)})"
    figure.update_xaxes(title_text=f"Δ health score{of}<br>right is healthier", row=1, col=2)


def _hit_words(hit: ProgressionHit) -> str:
    """What a pointer shows of a hit."""
    parts = [f"{name} {number(value, 2)}" for name, value in hits.parts_of(hit).items()]
    return "<br>".join(
        [
            hover(f"{hit.rank}. {hit.patient_id}"),
            hover(f"S {number(hit.similarity, 2)} = {' + '.join(parts)}"),
            _step_words(hit.change),
        ]
    )
