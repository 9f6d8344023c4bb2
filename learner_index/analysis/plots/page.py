"""What every figure of a report shares: its width, title, caption and legend.

Sizes are of the printed figure: 85 mm is one journal column, 170 mm the page.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

from learner_index.errors import NotEnoughDataError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

COLUMN_MM, PAGE_MM = 85.0, 170.0
TITLE_PT, LABEL_PT, SMALL_PT = 8.0, 7.0, 6.0
BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#777777"  # Okabe-Ito; grey
SEEN = "SEEN BY ENCODER"
NO_BREAK = "\N{NO-BREAK SPACE}"

BEHIND_TEXT: dict[str, Any] = {"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.8}

_MM, _PT = 1 / 25.4, 1 / 72  # in inches
_MARGIN_MM, _LINE = 1.5, 1.25  # white at the figure's edge; height of a line of text
_WIDEST_MM = 52.0  # of a panel that has the figure to itself


@dataclass(frozen=True, slots=True)
class PanelGrid:
    """Panels side by side.

    Attributes:
        width_mm: of the figure.
        columns, rows: of panels.
        side_mm: width of a panel.
        labels_mm: height of the labels above all rows.
    """

    width_mm: float
    columns: int
    rows: int
    side_mm: float
    labels_mm: float


def new_page(
    width_mm: float,
    body_mm: float,
    *,
    title: str,
    caption: str,
    legend: Sequence["Artist"] = (),
    is_simulated: bool = False,
    is_seen: bool = False,
) -> "Drawing":
    """An empty figure with its title above, and its legend and caption below the body.

    Args:
        width_mm: of the figure, `COLUMN_MM` or `PAGE_MM`.
        body_mm: height left for axes; what is drawn there is laid out inside it.
        title: what is shown; wrapped to the width, as the caption is.
        caption: what it rests on.
        legend: what to explain, as artists with labels.
        is_simulated: puts the word SIMULATED before a title that lacks it.
        is_seen: puts SEEN BY ENCODER after a title that lacks it.
    """
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from learner_index.analysis.plots.drawing import Drawing

    title = marked(title, is_simulated=is_simulated, is_seen=is_seen)
    columns = 3 if width_mm == COLUMN_MM else 7
    head = _wrapped(title, TITLE_PT, width_mm)
    foot = _wrapped(caption, SMALL_PT, width_mm)
    head_mm = _height_mm(head, TITLE_PT) + 2 * _MARGIN_MM
    foot_mm = _height_mm(foot, SMALL_PT) + 2 * _MARGIN_MM
    key_mm = -(-len(legend) // columns) * 1.5 * SMALL_PT * _PT / _MM
    full_mm = head_mm + body_mm + key_mm + foot_mm
    figure = Drawing(figsize=(width_mm * _MM, full_mm * _MM), dpi=300)
    left, bottom = _MARGIN_MM / width_mm, (foot_mm + key_mm) / full_mm
    figure.set_layout_engine(
        ConstrainedLayoutEngine(
            rect=(left, bottom, 1 - 2 * left, body_mm / full_mm),
            w_pad=0.02,
            h_pad=0.02,
            wspace=0.04,
        )
    )
    for words, y, va, size in (
        (head, 1 - _MARGIN_MM / full_mm, "top", TITLE_PT),
        (foot, _MARGIN_MM / full_mm, "bottom", SMALL_PT),
    ):
        figure.text(left, y, words, va=va, fontsize=size, parse_math=False).set_in_layout(False)
    if legend:
        key = figure.legend(
            handles=legend, ncols=columns, loc="lower center", fontsize=SMALL_PT,
            bbox_to_anchor=(0.5, foot_mm / full_mm), borderaxespad=0.0, borderpad=0.0,
            frameon=False, handlelength=2.0, columnspacing=1.4, labelspacing=0.4,
        )  # fmt: skip
        key.set_in_layout(False)
    return figure


def marked(title: str, *, is_simulated: bool, is_seen: bool) -> str:
    """A title that says what must never be left out, whatever the user calls the figure."""
    if is_simulated and "SIMULATED" not in title:
        title = f"SIMULATED DATA: {title}"
    return f"{title} ({SEEN})" if is_seen and SEEN not in title else title


def tells_seen(notes: Iterable[str]) -> bool:
    """Whether an answer's notes say that the encoder knows some of those it rests on."""
    return any(SEEN in note for note in notes)


def with_counts(caption: str, n_patients: Collection[int], n_pairs: Collection[int]) -> str:
    """A caption that says how many patients and pairs are shown; a range where models differ."""
    counts = f"n = {span(n_patients)} patients, {span(n_pairs)} pairs."
    counts = counts.replace(" ", NO_BREAK).replace(f",{NO_BREAK}", ", ")
    return f"{caption.rstrip()} {counts}".lstrip()


def row_label(name: str, width: int, *, is_seen: bool) -> str:
    """A model's name in lines of some letters, and whether its encoder knows these patients."""
    lines = fill(name.replace("_", "_ "), width).replace("_ ", "_")
    return f"{lines}\n{SEEN}" if is_seen else lines


def number(value: float, decimals: int) -> str:
    """A number as it is printed, with a true minus sign."""
    return f"{value:z.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def plural(n: int, thing: str) -> str:
    """A count with its noun."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def span(counts: Collection[int]) -> str:
    """A count, or from the least to the most of several."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def short_id(patient_id: str, letters: int = 18) -> str:
    """A patient id in as many letters as have room; longer ones lose their middle."""
    if len(patient_id) <= letters:
        return patient_id
    half = (letters - 1) // 2
    return f"{patient_id[:half]}…{patient_id[-half:]}"


def refuse_nothing(items: Collection[object], what: str) -> None:
    """Refuses a figure of nothing.

    Raises:
        NotEnoughDataError: there is no item.
    """
    if not items:
        raise NotEnoughDataError(f"no {what} to draw: evaluate at least one model")


def panel_grid(labels: Sequence[str], beside_mm: float) -> PanelGrid:
    """Where to put panels side by side, each below its label; up to six, in one or two rows.

    Args:
        labels: one a panel, of one or more lines.
        beside_mm: width that the axis labels at the left need.
    """
    n = len(labels)
    width = COLUMN_MM if n <= 2 else PAGE_MM
    columns = n if n <= 4 else 3 if n <= 6 else 4
    rows = [labels[first : first + columns] for first in range(0, n, columns)]
    lines = sum(max(label.count("\n") + 1 for label in row) for row in rows)
    return PanelGrid(
        width,
        columns,
        len(rows),
        min((width - beside_mm) / columns, _WIDEST_MM),
        lines * _LINE * LABEL_PT * _PT / _MM + 2.5 * len(rows),
    )


def frame_lightly(axis: "Axes") -> None:
    """Two spines, small ticks."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=SMALL_PT, length=2, pad=1.5)


def say(axis: "Axes", words: str) -> None:
    """Words in the middle of a panel that has nothing to show."""
    axis.text(
        0.5, 0.5, words, fontsize=SMALL_PT, color=GREY, ha="center", transform=axis.transAxes,
        bbox=BEHIND_TEXT,
    )  # fmt: skip


def _height_mm(words: str, size: float) -> float:
    return (words.count("\n") + 1) * _LINE * size * _PT / _MM


def _wrapped(words: str, size: float, width_mm: float) -> str:
    """Text in lines that fit the page, measured in the font that draws them."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    room = (width_mm - 2 * _MARGIN_MM) * _MM / _PT
    lines: list[str] = []
    for word in words.replace("\n", " ").split(" "):  # not at the no-break spaces of counts
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_to_path.get_text_width_height_descent(longer, font, False)[0] <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)
