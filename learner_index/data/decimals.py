"""Numbers as spreadsheets of many countries write them, 94,6, in tables separated by semicolons."""

import re

from learner_index.data.problems import listed
from learner_index.data.records import Problem

_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_PLAIN = re.compile(r"\s*[+-]?\d*\s*")

Column = tuple[str, list[str]]


def with_points(columns: list[Column]) -> tuple[list[Column], list[Problem]]:
    """Columns whose every number has a decimal comma, or none, get points; a note names them.

    A column with any other text stays as it is: its commas may mean something else.

    Args:
        columns: name and (n,) texts of each.

    Returns:
        The columns in the same order, and a note if any was changed.
    """
    changed = [name for name, cells in columns if _is_decimal(cells)]
    mended = [
        (name, [cell.replace(",", ".") for cell in cells] if name in changed else cells)
        for name, cells in columns
    ]
    if not changed:
        return mended, []
    message = f"commas in the numbers of {listed(changed)} are read as decimal points"
    return mended, [Problem("", "", message, is_error=False)]


def _is_decimal(cells: list[str]) -> bool:
    """Whether some cells are numbers with a comma and all others are whole numbers or empty."""
    rest = [cell for cell in cells if not _PLAIN.fullmatch(cell)]
    return bool(rest) and all(_COMMA.fullmatch(cell) for cell in rest)
