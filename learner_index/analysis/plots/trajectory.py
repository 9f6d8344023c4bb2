"""One patient's visits along the severity axis, against the days, with doubt and noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from learner_index.analysis.plots.looks import BLACK, PALE, RULE, look_of, verdict_key
from learner_index.analysis.plots.page import (
    COLUMN_MM,
    GREY,
    LABEL_PT,
    NO_BREAK,
    SEEN,
    SMALL_PT,
    frame_lightly,
    new_page,
    number,
    plural,
    say,
    short_id,
    tells_seen,
)
from learner_index.data.progression import Change, Stop, Trajectory
from learner_index.errors import NotEnoughDataError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

NORMAL_95 = 1.96
"""Standard deviations either side that hold 95 % of a normal distribution."""
TWO_SCANS = 2.0**0.5
"""Standard deviations of one scan in that of the difference of two; both are noisy."""

VISITS = "visit, 95 % interval of the axis"
"""What the key calls a visit: its bar is the doubt of the axis alone, without noise."""

_PATH_MM, _SCORE_MM, _DAYS_MM = 42.0, 21.0, 8.0  # heights of panels; of what is below the last
_ROOMY = 15  # visits above which points shrink


@dataclass(frozen=True, slots=True)
class Place:
    """A visit that can be drawn on the severity axis; NaN where a number is unknown."""

    stop: Stop
    day: float
    position: float
    low: float
    high: float
    noise: float


def lay_out_trajectory(
    path: Trajectory, *, unit: str | None = None, title: str | None = None
) -> "Drawing":
    """One patient's path: place on the severity axis by day, and the health score below.

    Higher is sicker in the upper panel, healthier in the lower one. A visit's bar is the 95 %
    interval over draws of the axis (doubt of the axis), the pale band what scanning it again
    would give (noise); a step has the color and the shape of its verdict. Without an axis, the
    upper panel shows how long each change is, which has no direction.

    Args:
        path: what `Cohort.trajectory` found.
        unit: of the health score, such as "S/F ratio"; left out when None.
        title: stands above; None: whose path it is.

    Raises:
        NotEnoughDataError: there is no visit.
    """
    require_visits(path)
    has_scores = any_scored(path.stops)
    figure = new_page(
        COLUMN_MM,
        _PATH_MM + _SCORE_MM * has_scores + _DAYS_MM,
        title=title or default_title(path),
        caption=describe(path),
        legend=_key(path),
        is_simulated=path.is_simulated,
        is_seen=tells_seen(path.notes),
    )
    heights = [_PATH_MM, _SCORE_MM] if has_scores else [_PATH_MM]
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    axes: list[Axes] = grid[:, 0].tolist()
    if path.axis is None:
        _draw_lengths(axes[0], path)
    else:
        _draw_places(axes[0], path)
    if has_scores:
        _draw_scores(axes[1], path.stops, unit)
    _dress(axes, path)
    figure.align_ylabels(axes)
    return figure


def require_visits(path: Trajectory) -> None:
    """Refuses a path without any visit.

    Raises:
        NotEnoughDataError: there is none.
    """
    if not path.stops:
        raise NotEnoughDataError(f"no visit of {path.patient_id} to draw: build its scans first")


def any_scored(stops: Sequence[Stop]) -> bool:
    """Whether some visit with a day has a health score."""
    return bool(scored(stops)[0])


def default_title(path: Trajectory) -> str:
    """Whose path it is, and whether the encoder knows some of those it rests on."""
    seen = f" ({SEEN})" if tells_seen(path.notes) else ""
    return f"Trajectory of {short_id(path.patient_id, 40)}{seen}"


def describe(path: Trajectory) -> str:
    """What the figure rests on, and what its parts mean."""
    n, n_undated = len(path.stops), len(path.stops) - len(dated(path.stops))
    parts = [f"n = {plural(n, 'visit')} of 1 patient.".replace(" ", NO_BREAK)]
    if n_undated:
        parts.append(f"{plural(n_undated, 'visit')} without a day: not drawn.")
    if path.axis is None:
        parts.append(
            "No severity axis, so changes have a length but no direction. Filled: longer than "
            f"repeats, p ≤ {path.alpha:g}; hollow: not."
        )
    else:
        parts.append(
            f"Bars: 95 % interval over {path.axis['n_draws']} draws of the axis, fitted on "
            f"{plural(path.axis['n_patients'], 'patient')}, R² {number(path.axis['r2'], 2)} for "
            "patients left out."
        )
        if path.steps and all(step.verdict == "no severity axis" for step in path.steps):
            parts.append("It tells nothing of patients left out: no step has a verdict.")
    if path.noise is None:
        parts.append("No noise floor: no repeats.")
    else:
        bound = "" if path.noise["is_independent"] else ", a lower bound: repeats of one session"
        band = (
            "Band: 95 % of where scanning again would put it" if has_noise(path) else "Noise floor"
        )
        parts.append(
            f"{band}, from {plural(path.noise['n_repeats'], 'repeat')} of "
            f"{plural(path.noise['n_patients'], 'patient')}{bound}."
        )
    return " ".join(parts)


def dated(stops: Sequence[Stop]) -> list[Stop]:
    """The visits whose day is known."""
    return [stop for stop in stops if stop.day is not None]


def has_noise(path: Trajectory) -> bool:
    """Whether some visit drawn has a place and a noise floor."""
    return any(np.isfinite(place.noise) for place in placed(path.stops))


def placed(stops: Sequence[Stop]) -> list[Place]:
    """The visits that can be drawn on the severity axis."""
    nan = float("nan")
    return [
        Place(
            stop,
            stop.day,
            stop.position,
            nan if stop.low is None else stop.low,
            nan if stop.high is None else stop.high,
            nan if stop.noise is None else stop.noise,
        )
        for stop in stops
        if stop.day is not None and stop.position is not None
    ]


def joined(path: Trajectory) -> list[tuple[Place, Place, Change]]:
    """The steps whose two visits are drawn, with these."""
    owner = {scan_id: place for place in placed(path.stops) for scan_id in place.stop.scan_ids}
    found = []
    for step in path.steps:
        before, after = owner.get(step.from_scans[0]), owner.get(step.to_scans[0])
        if before is not None and after is not None:
            found.append((before, after, step))
    return found


def noise_band(places: Sequence[Place]) -> tuple[list[float], list[float], list[float]]:
    """Days, and the lower and upper end of where scanning again would put 95 % of scans."""
    noisy = [place for place in places if np.isfinite(place.noise)]
    return (
        [place.day for place in noisy],
        [place.position - TWO_SCANS * NORMAL_95 * place.noise for place in noisy],
        [place.position + TWO_SCANS * NORMAL_95 * place.noise for place in noisy],
    )


def scored(stops: Sequence[Stop]) -> tuple[list[float], list[float], list[Stop]]:
    """Days, health scores and visits, where both numbers are known."""
    found = [
        (stop.day, stop.health_score, stop)
        for stop in stops
        if stop.day is not None and stop.health_score is not None
    ]
    return [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]


def is_long(step: Change, alpha: float) -> bool:
    """Whether a change is longer than repeats differ by."""
    return step.length_p is not None and step.length_p <= alpha


def _draw_places(axis: "Axes", path: Trajectory) -> None:
    """Visits on the severity axis, with doubt, noise and steps."""
    unit = (path.axis or {}).get("unit", "no unit")
    axis.set_ylabel(f"severity axis, higher is sicker\n({unit})", fontsize=LABEL_PT)
    places = placed(path.stops)
    if not places:
        say(axis, "no visit has a day")
        return
    size = _shrunk(len(places))
    days, low, high = noise_band(places)
    if days:
        axis.fill_between(days, low, high, color=PALE, alpha=0.6, lw=0, zorder=1)
        axis.vlines(days, low, high, color=PALE, lw=5 * size, zorder=1)
    for before, after, step in joined(path):
        look = look_of(step.verdict)
        x, y = (before.day, after.day), (before.position, after.position)
        axis.plot(x, y, color=look.color, lw=1.4, solid_capstyle="butt", zorder=2)
        axis.plot(
            sum(x) / 2, sum(y) / 2, look.marker, ms=4.5 * size, mfc=look.color, mec="#ffffff",
            mew=0.5, zorder=4,
        )  # fmt: skip
    x_all = [place.day for place in places]
    ends = [place.low for place in places], [place.high for place in places]
    axis.vlines(x_all, *ends, color=BLACK, lw=0.8, zorder=3)
    axis.plot(
        x_all, [place.position for place in places], "o", ms=3.2 * size, color=BLACK, zorder=5
    )


def _shrunk(n: int) -> float:
    """Size of a point among n, so that many have room."""
    return min(1.0, max(0.4, _ROOMY / n))


def _draw_lengths(axis: "Axes", path: Trajectory) -> None:
    """How long each change is, from its first day to its last."""
    axis.set_ylabel("length of change ‖d‖\n(units of the space)", fontsize=LABEL_PT)
    if not path.steps:
        say(axis, "no severity axis, and no step between visits")
        return
    for step in path.steps:
        axis.hlines(step.length, step.from_day, step.to_day, color=GREY, lw=1.4)
        fill_color = GREY if is_long(step, path.alpha) else "#ffffff"
        middle = (step.from_day + step.to_day) / 2
        axis.plot(middle, step.length, "o", ms=4, mfc=fill_color, mec=GREY, mew=0.9)
    axis.set_ylim(0, 1.15 * max(step.length for step in path.steps) or 1.0)


def _draw_scores(axis: "Axes", stops: Sequence[Stop], unit: str | None) -> None:
    """Health scores by day."""
    words = "health score" if unit is None else f"health score\n({fill(unit, 18)})"
    axis.set_ylabel(f"{words}\nhigher is healthier", fontsize=SMALL_PT, parse_math=False)
    days, scores, _ = scored(stops)
    size = 3 * _shrunk(len(days))
    axis.plot(days, scores, color=GREY, lw=0.9, marker="o", ms=size, mfc=BLACK, mec=BLACK)


def _dress(axes: Sequence["Axes"], path: Trajectory) -> None:
    """Frames, grids, and days that are whole numbers."""
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        frame_lightly(axis)
        axis.grid(axis="y", lw=0.4, color=RULE)
        axis.set_axisbelow(True)
        axis.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=2))
    days = [stop.day for stop in dated(path.stops) if stop.day is not None] or [0.0]
    margin = max(0.5, 0.05 * (max(days) - min(days)))
    axes[-1].set_xlim(min(days) - margin, max(days) + margin)
    axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes[-1].set_xlabel("day", fontsize=LABEL_PT)


def _key(path: Trajectory) -> list["Artist"]:
    """What points, bars, band and steps are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if path.axis is None or not placed(path.stops):
        return []
    found: list[Artist] = [Line2D([], [], color=BLACK, marker="o", ms=3.2, lw=0.8, label=VISITS)]
    if has_noise(path):
        found.append(Patch(color=PALE, lw=0, label="scanning again"))
    return [*found, *verdict_key(step.verdict for _, _, step in joined(path))]
