"""What every interactive figure shares: its look, title and caption, and how it becomes a file."""

from html import escape
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from learner_index.analysis.plots.looks import BLACK, RULE
from learner_index.analysis.plots.page import marked
from learner_index.data.replace import replace_file
from learner_index.errors import RunWriteError, SettingsError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from plotly.graph_objects import Figure as Figure  # so that other layers can name the type

UPLOAD = "sendChartToCloud"  # plotly's button that sends a figure, data and all, to its maker
FONT = "Helvetica, Arial, sans-serif"
_WIDTH, _LETTERS, _TITLE_LETTERS = 860, 135, 68  # pixels; letters of a line of caption, of title
_LINE, _TITLE_LINE, _LABELS = 15, 20, 112  # pixels of a line; of axis labels and legend


def dress(
    figure: "go.Figure",
    body: int,
    *,
    title: str,
    caption: str,
    left: int = 90,
    is_simulated: bool = False,
    is_seen: bool = False,
) -> "go.Figure":
    """Gives a figure the look that the static ones have, with title above and caption below.

    Args:
        figure: changed in place.
        body: height of the panels in pixels.
        title: what is shown.
        caption: what it rests on.
        left: width of the axis labels at the left in pixels.
        is_simulated: puts the word SIMULATED before a title that lacks it.
        is_seen: puts SEEN BY ENCODER after a title that lacks it.

    Returns:
        The figure.
    """
    title = marked(title, is_simulated=is_simulated, is_seen=is_seen)
    head, foot = wrap(title, _TITLE_LETTERS), wrap(caption, _LETTERS)
    top, bottom = 46 + _TITLE_LINE * len(head), _LABELS + _LINE * len(foot)
    figure.update_layout(
        template="none",
        width=_WIDTH,
        height=body + top + bottom,
        margin={"l": left, "r": 30, "t": top, "b": bottom},
        font={"family": FONT, "size": 12, "color": BLACK},
        title={
            "text": "<br>".join(map(escape, head)), "x": 0.01, "xanchor": "left",
            "y": 1 - 12 / (body + top + bottom), "yanchor": "top", "font": {"size": 16},
        },
        legend={
            "orientation": "h", "x": 0.5, "xanchor": "center", "yanchor": "top",
            "y": -74 / body, "font": {"size": 11},
        },
        hoverlabel={"align": "left", "bgcolor": "#ffffff"},
        modebar={"remove": [UPLOAD]},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=RULE, linecolor=BLACK, zeroline=False, ticks="outside")
    figure.update_yaxes(gridcolor=RULE, linecolor=BLACK, zeroline=False, ticks="outside")
    figure.add_annotation(
        text="<br>".join(map(escape, foot)), x=0, y=0, xref="paper", yref="paper",
        xshift=10 - left, yshift=-_LABELS, xanchor="left", yanchor="top", align="left",
        showarrow=False, font={"size": 11},
    )  # fmt: skip
    return figure


def hover(*lines: str | None) -> str:
    """What a pointer shows, a line each; None is left out. Ids are text, never markup."""
    return "<br>".join(escape(line) for line in lines if line is not None)


def write_html(figure: "go.Figure", path: str | Path) -> Path:
    """Write an interactive figure as one file that opens anywhere and asks no server for anything.

    About 5 MB, nearly all of it the library that draws; whole or not at all; equal figures give
    equal bytes.

    Raises:
        SettingsError: the file's ending is not .html.
        RunWriteError: the disk refused.
    """
    path = Path(path)
    if path.suffix.lower() != ".html":
        raise SettingsError(f"{path} is no kind of interactive figure: end its name in .html")
    config = {"displaylogo": False, "plotlyServerURL": "", "modeBarButtonsToRemove": [UPLOAD]}
    text = figure.to_html(config=config, include_plotlyjs=True, div_id="figure")
    try:
        replace_file(path, [text.encode()])
    except OSError as error:
        raise RunWriteError(
            f"{path} cannot be written ({error.strerror or error}): "
            "make room, or choose another folder"
        ) from error
    return path
