"""Tables of answers: whole in a pipe or file, no wider than the window at a terminal."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

import typer

from learner_index.data.show import text_table

_NARROWEST = 60  # columns; below this a terminal wraps by itself
_PROSE = 20  # characters; texts with blanks are wrapped down to this


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; at a terminal it is fitted to the window."""
    width = max(_NARROWEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    typer.echo(fitted(header, rows, width))


def fitted(
    header: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None
) -> str:
    """A table no wider than the window, with every cell whole, for ids are there to be copied.

    A last column of prose is wrapped; other columns that do not fit stand in a second table
    below, behind the first column again.

    Args:
        header: names of the columns.
        rows: their cells.
        width: characters a line; None: as wide as it comes.
    """
    whole = text_table(header, rows)
    if width is None or _width(whole) <= width:
        return whole
    wrapped = _wrapped(header, rows, width)
    if wrapped is not None:
        return wrapped
    fitting = _n_fitting(header, rows, width)
    if fitting == len(header):
        return whole
    first = text_table(header[:fitting], [row[:fitting] for row in rows])
    rest = [[row[0], *row[fitting:]] for row in rows]
    return f"{first}\n\n{fitted([header[0], *header[fitting:]], rest, width)}"


def _n_fitting(header: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> int:
    """How many columns fit side by side: two at least, for the first one stands in every part."""
    n = 2
    while n < len(header):
        if _width(text_table(header[: n + 1], [row[: n + 1] for row in rows])) > width:
            break
        n += 1
    return n


def _wrapped(header: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> str | None:
    """The table with its last column wrapped, where that is prose and has room; else None."""
    last = [row[-1] for row in rows]
    is_prose = all(text is None or isinstance(text, str) for text in last) and any(
        str(text).count(" ") > 1 for text in last
    )
    rest = _width(text_table(header[:-1], [row[:-1] for row in rows])) + 2
    if not is_prose or width - rest < _PROSE:
        return None
    parts = [textwrap.wrap(str(text or "-"), width - rest) or [""] for text in last]
    lines = text_table(header[:-1], [row[:-1] for row in rows]).splitlines()
    shown = [f"{lines[0]:<{rest}}{header[-1]}"]
    for line, texts in zip(lines[1:], parts, strict=True):
        shown.append(f"{line:<{rest}}{texts[0]}".rstrip())
        shown += [f"{'':<{rest}}{text}" for text in texts[1:]]
    return "\n".join(shown)


def _width(table: str) -> int:
    """Characters of the longest line."""
    return max(map(len, table.splitlines()))
