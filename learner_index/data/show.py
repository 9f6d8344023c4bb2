"""How records show themselves: a few lines of text in a shell, a small table in a notebook.

What is shown is left to each record; long answers are shown from their beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import fill

_WIDTH = 80
_MOST_TEXT, _MOST_HTML = 8, 10  # rows
_BADGE = "border:1px solid;border-radius:3px;padding:0 0.4em;margin-left:0.6em"
_SMALL = "font-size:90%;margin:0.2em 0;opacity:0.85"
_CELL = "padding:0.15em 0.7em;text-align:{};vertical-align:top;white-space:{}"
_SHORT = 40  # letters of a cell that is kept on one line, as ids are


@dataclass(frozen=True, slots=True)
class Card:
    """What is worth seeing of a record.

    Attributes:
        title: what it is, in a few words.
        columns: of the table, the most important first; none: rows are labels with their values.
        rows: of the table, best or earliest first.
        caption: what it rests on: n, exactness.
        notes: what a reader should know.
        is_simulated: whether scans were computed.
        rest: how to get at rows that are not shown.
    """

    title: str
    columns: tuple[str, ...] = ()
    rows: Sequence[Sequence[object]] = ()
    caption: str = ""
    notes: tuple[str, ...] = ()
    is_simulated: bool = False
    rest: str = "to_frame()"

    def text(self) -> str:
        """One line, the first rows, what they rest on, and the notes, in 80 columns."""
        lines = [_cut(f"SIMULATED: {self.title}" if self.is_simulated else self.title)]
        if self.rows:
            lines += self._text_rows().splitlines()
        if len(self.rows) > _MOST_TEXT:
            lines.append(f"and {len(self.rows) - _MOST_TEXT:,} more: {self.rest}")
        said = (self.caption, *(f"note: {note}" for note in self.notes))
        lines += [_wrapped(line) for line in said if line]
        return "\n".join(lines)

    def _text_rows(self) -> str:
        """The first rows, in as many columns as fit; one at least."""
        rows = [list(row) for row in self.rows[:_MOST_TEXT]]
        width = len(rows[0])
        header = list(self.columns) or [""] * width
        tables = [text_table(header[:n], [row[:n] for row in rows]) for n in range(width, 0, -1)]
        shown = [table.splitlines()[0 if self.columns else 1 :] for table in tables]
        fitting = (lines for lines in shown if max(map(len, lines)) <= _WIDTH)
        return "\n".join(map(_cut, next(fitting, shown[-1])))

    def html(self) -> str:
        """A table with its caption and notes; every text escaped, colors those of the page."""
        badge = f'<span style="{_BADGE}">SIMULATED</span>' if self.is_simulated else ""
        parts = [f'<p style="margin:0.2em 0"><strong>{escape(self.title)}</strong>{badge}</p>']
        if self.rows:
            parts.append(_html_table(self.columns, self.rows[:_MOST_HTML]))
        if len(self.rows) > _MOST_HTML:
            more = f"and {len(self.rows) - _MOST_HTML:,} more: {self.rest}"
            parts.append(f'<p style="{_SMALL}">{escape(more)}</p>')
        said = [self.caption, *(f"note: {note}" for note in self.notes)]
        parts += [f'<p style="{_SMALL}">{escape(line)}</p>' for line in said if line]
        return f'<div class="learner-index">{"".join(parts)}</div>'


class Shown:
    """A record that shows itself by its card."""

    __slots__ = ()

    def _card(self) -> Card:
        """What is worth seeing of it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """One line, the first rows, what they rest on, and the notes."""
        return self._card().text()

    def _repr_html_(self) -> str:
        """The table a notebook shows."""
        return self._card().html()


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned by their widest cell; numbers to the right, "-" for what is missing."""
    columns = [[row[i] for row in rows] for i in range(len(header))]
    cells = [[name, *_cells(values)] for name, values in zip(header, columns, strict=True)]
    padded = [
        _padded(texts, right=_is_number(values))
        for texts, values in zip(cells, columns, strict=True)
    ]
    return "\n".join("  ".join(line).rstrip() for line in zip(*padded, strict=True))


def plural(n: int, noun: str) -> str:
    """A count with its noun."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of escaped cells; numbers to the right."""
    values = [[row[i] for row in rows] for i in range(len(rows[0]))]
    words = [_cells(one) for one in values]
    styles = [
        _CELL.format(
            "right" if _is_number(one) else "left",
            "nowrap" if max(map(len, cells)) <= _SHORT else "normal",
        )
        for one, cells in zip(values, words, strict=True)
    ]
    head = "".join(
        f'<th style="{style}">{escape(name)}</th>'
        for style, name in zip(styles, columns, strict=False)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{s}">{escape(c)}</td>' for s, c in zip(styles, line, strict=True))
        + "</tr>"
        for line in zip(*words, strict=True)
    )
    above = f"<thead><tr>{head}</tr></thead>" if columns else ""
    return f"<table>{above}<tbody>{body}</tbody></table>"


def _cut(text: str) -> str:
    """A text on one line that fits a shell."""
    line = " ".join(text.split("\n"))
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _wrapped(text: str) -> str:
    """A text on lines that fit a shell; names with hyphens stay whole where they fit."""
    return fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _is_number(values: Sequence[object]) -> bool:
    """Whether a column stands to the right."""
    return all(value is None or isinstance(value, int | float) for value in values)


def _padded(texts: Sequence[str], *, right: bool) -> list[str]:
    """Texts made equally wide."""
    width = max(len(text) for text in texts)
    return [text.rjust(width) if right else text.ljust(width) for text in texts]


def _cells(values: Sequence[object]) -> list[str]:
    """One column as a person reads it: its floats share their number of decimals."""
    floats = [value for value in values if isinstance(value, float)]
    decimals = next((d for d in range(3) if all(round(v, d) == v for v in floats)), 3)
    return [_cell(value, decimals) for value in values]


def _cell(value: object, decimals: int) -> str:
    """One value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value + 0.0:.{decimals}f}" if isinstance(value, float) else str(value)
