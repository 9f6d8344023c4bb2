"""Who changed like the query: the parts of each hit's similarity, and what became of it."""

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

from learner_index.analysis.plots.looks import BLACK, PARTS, RULE, VERDICTS, look_of, verdict_key
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
    short_id,
    tells_seen,
)
from learner_index.data.progression import ProgressionHit, Progressions
from learner_index.errors import NotEnoughDataError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

_ROW_MM, _AXIS_MM = 4.2, 15.0  # height of a hit; of what is below all
_HATCHES = {"direction": "", "start": "/////", "days": "....."}  # for grey print
_MOST = 50  # hits of a figure that fits a page


def lay_out_progression(
    found: Progressions, *, unit: str | None = None, title: str | None = None
) -> "Drawing":
    """The hits of a progression query, a row each, the most alike above.

    Left: direction, start and days, which add up to the similarity S (a white diamond); bars to the
    right of 0 speak for the hit, those to the left against it. Right: what became of the hit, as
    the change of its health score, in the color and shape of its verdict.

    Args:
        found: what `Cohort.progression` found.
        unit: of the health score, such as "S/F ratio"; left out when None.
        title: stands above; None: what was asked.

    Raises:
        NotEnoughDataError: nobody was found, or more than 50.
    """
    check(found)
    has_scores = any_scored(found)
    figure = new_page(
        COLUMN_MM,
        _ROW_MM * len(found) + _AXIS_MM,
        title=title or default_title(found),
        caption=describe(found),
        legend=_key(found),
        is_simulated=found.is_simulated,
        is_seen=tells_seen(found.notes),
    )
    widths = [3, 2 if has_scores else 1.2] if has_outcomes(found) else [1]
    axes: Sequence[Axes] = figure.subplots(
        1, len(widths), sharey=True, squeeze=False, width_ratios=widths
    )[0]
    _draw_parts(axes[0], found)
    if has_scores:
        _draw_scores(axes[1], found.hits, unit)
    elif has_outcomes(found):
        _draw_verdicts(axes[1], found.hits)
    axes[0].set_ylim(len(found) - 0.4, -0.6)  # best above
    return figure


def default_title(found: Progressions) -> str:
    """What was asked, and whether too few started alike to say anything."""
    query = found.query
    like = {
        "direction": f"in the {query.get('direction')} direction",
        "groups": "from one group to the other",
        "vector": "in a given direction",
    }.get(query["kind"], f"like {short_id(str(query.get('patient_id')), 40)}")
    if query.get("negate"):
        like = f"opposite to {like.removeprefix('like ')}"
    if found.change is not None:
        like += f", day {found.change.from_day:g} to {found.change.to_day:g}"
    seen = f" ({SEEN})" if tells_seen(found.notes) else ""
    lack = "" if found.support.is_supported else "UNSUPPORTED: "
    return f"{lack}Who changed {like}{seen}"


def describe(found: Progressions) -> str:
    """What the figure rests on, and how sure it is."""
    counts = (
        f"n = {plural(len(found), 'hit')} among {plural(found.n_eligible, 'transition')} of "
        f"{plural(found.n_eligible_patients, 'patient')}."
    )
    parts = [counts.replace(" ", NO_BREAK).replace(f"{NO_BREAK}among", " among")]
    if not has_outcomes(found):
        parts.append("Outcomes unknown: no health score, no verdict.")
    names = shown_parts(found) or ["nothing: all weights are 0"]
    parts.append(f"S = {' + '.join(names)}; larger is more alike. d: days between the visits.")
    unsupported = next((note for note in found.notes if note.startswith("UNSUPPORTED")), None)
    if found.support.is_supported:
        started = "started alike" if found.weights[1] else "are eligible"
        parts.append(
            f"Support: {found.support.n_similar:.0f} patients {started} "
            f"(at least {found.support.minimum:g} needed)."
        )
    else:
        parts.append(f"{unsupported or 'UNSUPPORTED: too few patients started alike'}.")
    return " ".join([*parts, _chance_words(found)])


def _chance_words(found: Progressions) -> str:
    """Whether the hits have more in common than chance."""
    chance = found.chance
    if chance is None:
        is_doubted = any(note.startswith("no p for the set") for note in found.notes)
        why = ": no test of it can be trusted here" if is_doubted else ""
        return f"Not tested against chance{why}."
    return (
        f"Chance: mean S {number(chance['statistic'], 2)}, by chance "
        f"{number(chance['null_mean'], 2)}: p{NO_BREAK}={NO_BREAK}{chance['p_value']:.3g}, "
        f"B{NO_BREAK}={NO_BREAK}{chance['n_draws']:,} draws."
    )


def any_scored(found: Progressions) -> bool:
    """Whether some hit's health score is known at both visits."""
    return any(hit.change.delta_score is not None for hit in found)


def has_outcomes(found: Progressions) -> bool:
    """Whether it is known of some hit what became of it."""
    return any_scored(found) or any(hit.change.verdict in VERDICTS for hit in found)


def parts_of(hit: ProgressionHit) -> dict[str, float]:
    """The parts of S by name, in the order of drawing."""
    return {name: getattr(hit, name) for name in PARTS}


def shown_parts(found: Progressions) -> list[str]:
    """The parts that count in this answer."""
    return [name for name, weight in zip(PARTS, found.weights, strict=True) if weight]


def check(found: Progressions) -> None:
    """Refuses what cannot be drawn: no hits, or too many.

    Raises:
        NotEnoughDataError: none, or too many.
    """
    if not found.hits:
        raise NotEnoughDataError(
            f"no hit to draw: none of {plural(found.n_eligible, 'eligible transition')} was found; "
            "loosen --where and --match"
        )
    if len(found) > _MOST:
        raise NotEnoughDataError(f"{len(found)} hits have no room: ask for at most k = {_MOST}")


def _draw_parts(axis: "Axes", found: Progressions) -> None:
    """Stacked bars either side of 0, and S."""
    for row, hit in enumerate(found):
        ends = {True: 0.0, False: 0.0}  # of the bars to the right, to the left
        for name in shown_parts(found):
            value = parts_of(hit)[name]
            axis.barh(
                row, value, 0.62, left=ends[value > 0], color=PARTS[name][0],
                hatch=_HATCHES[name], edgecolor="#ffffff", lw=0.4,
            )  # fmt: skip
            ends[value > 0] += value
        axis.plot(hit.similarity, row, "D", ms=3.2, mfc="#ffffff", mec=BLACK, mew=0.9, zorder=5)
    labels = [
        f"{hit.rank}. {short_id(hit.patient_id)}, {hit.change.delta_day:g} d" for hit in found
    ]
    axis.set_yticks(range(len(labels)), labels, parse_math=False)
    _dress(axis, "similarity S and its parts\n(no unit)")


def _draw_scores(axis: "Axes", hits: Sequence[ProgressionHit], unit: str | None) -> None:
    """How the health score of each hit changed, in the look of its verdict."""
    for row, hit in enumerate(hits):
        change, look = hit.change.delta_score, look_of(hit.change.verdict)
        if change is None:
            axis.text(
                0.03, row, "no score", transform=axis.get_yaxis_transform(), va="center",
                fontsize=SMALL_PT, color=GREY,
            )  # fmt: skip
            continue
        axis.hlines(row, 0, change, color=look.color, lw=1.0)
        axis.plot(change, row, look.marker, ms=4.5, mfc=look.color, mec="#ffffff", mew=0.5)
    of = "" if unit is None else f"\n({shorten(unit, 22, placeholder='…')})"
    _dress(axis, f"Δ health score{of}\nright is healthier")


def _draw_verdicts(axis: "Axes", hits: Sequence[ProgressionHit]) -> None:
    """The verdict on each hit, where no health score is known."""
    for row, hit in enumerate(hits):
        look = look_of(hit.change.verdict)
        axis.plot(0.08, row, look.marker, ms=4.5, mfc=look.color, mec="#ffffff", mew=0.5)
        axis.text(0.2, row, hit.change.verdict, va="center", fontsize=SMALL_PT)
    axis.set(xlim=(0, 1), xticks=[])
    axis.spines[:].set_visible(False)
    axis.tick_params(axis="y", length=0, labelleft=False)
    axis.set_xlabel("verdict", fontsize=LABEL_PT)


def _dress(axis: "Axes", label: str) -> None:
    """Frame, grid, the line at 0."""
    from matplotlib.ticker import MaxNLocator

    frame_lightly(axis)
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", lw=0.4, color=RULE)
    axis.set_axisbelow(True)
    axis.use_sticky_edges = False  # else the longest bar ends at the frame
    axis.margins(x=0.06)
    axis.axvline(0, color=BLACK, lw=0.6, zorder=3)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=2))
    axis.set_xlabel(label, fontsize=LABEL_PT, parse_math=False)


def _key(found: Progressions) -> list["Artist"]:
    """What bars, diamonds and verdicts are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    key: list[Artist] = [
        Patch(
            facecolor=PARTS[name][0], hatch=_HATCHES[name], edgecolor="#ffffff", lw=0.4, label=name
        )
        for name in shown_parts(found)
    ]
    mark = Line2D([], [], ls="none", marker="D", ms=3.2, mfc="#ffffff", mec=BLACK, label="S")
    verdicts = [hit.change.verdict for hit in found] if has_outcomes(found) else []
    return [*key, mark, *verdict_key(verdicts)]
