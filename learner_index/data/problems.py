"""Collects what is wrong with a manifest, turning row positions into the lines people see."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from learner_index.data.records import Problem

SHOWN_LINES = 6


@dataclass(slots=True)
class ProblemList:
    """Problems found so far in one manifest.

    Attributes:
        word: what a row is called in its file, "line" or "row".
        lines: (n,) where each row starts in the file.
        scan_ids: (n,) the rows' scan ids, None where missing.
        found: the problems, in the order they were found.
    """

    word: str
    lines: NDArray[np.int64]
    scan_ids: Sequence[str | None]
    found: list[Problem] = field(default_factory=list)

    def error(self, rows: Sequence[int], message: str) -> None:
        """Adds what must be mended; `rows` are positions in the table, none for the whole table."""
        self.found.append(self._problem(rows, message, is_error=True))

    def note(self, rows: Sequence[int], message: str) -> None:
        """Adds what is only worth knowing."""
        self.found.append(self._problem(rows, message, is_error=False))

    def _problem(self, rows: Sequence[int], message: str, *, is_error: bool) -> Problem:
        ids = {self.scan_ids[row] for row in rows}
        scan_id = (ids.pop() or "") if len(ids) == 1 else ""
        where = place(self.word, [int(self.lines[row]) for row in rows])
        return Problem(where, scan_id, message, is_error)


def place(word: str, lines: Sequence[int]) -> str:
    """Lines as words: "line 7", "lines 7 and 9", "lines 2, 3, 4, 5, 6, 7 and 40 more", or ""."""
    if not lines:
        return ""
    if len(lines) == 1:
        return f"{word} {lines[0]}"
    if len(lines) > SHOWN_LINES + 1:
        shown = ", ".join(str(line) for line in lines[:SHOWN_LINES])
        return f"{word}s {shown} and {len(lines) - SHOWN_LINES} more"
    return f"{word}s {', '.join(str(line) for line in lines[:-1])} and {lines[-1]}"


def by_line(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems in the order of their first line; those of the whole table come first."""
    return tuple(sorted(problems, key=_first_line))


def _first_line(problem: Problem) -> int:
    number = re.search(r"\d+", problem.where)
    return int(number.group()) if number else 0


def groups_of(keys: Sequence[object]) -> dict[object, list[int]]:
    """Positions of each key, in order of first appearance; None is no key."""
    groups: dict[object, list[int]] = {}
    for row, key in enumerate(keys):
        if key is not None:
            groups.setdefault(key, []).append(row)
    return groups


def listed(names: Iterable[object]) -> str:
    """Names as words: "'a', 'b' and 'c'"."""
    quoted = [repr(str(name)) for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
