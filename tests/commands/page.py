"""docs/bad-input.md as the tests read it: what must be said about each case of bad input.

The page is where the messages are written down; a case has its row's name and says how it arises.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is wrong.

    Attributes:
        name: the case in words; the page's row of that name is what must be said.
        words: what is typed.
        spoil: breaks something before the program runs.
        during: what else is wrong while it runs.
        code: exit code; wrong usage (2) may take several lines, everything else takes one.
        is_toy: whether builds use the toy encoder.
    """

    name: str
    words: tuple[str, ...]
    spoil: Callable[[], object] = lambda: None
    during: Callable[[], AbstractContextManager[object]] = nullcontext
    code: int = 1
    is_toy: bool = True


def page_rows() -> dict[str, dict[str, str]]:
    """Heading -> name of a case -> the line shown for it, in the order of the page."""
    found: dict[str, dict[str, str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        blocks = re.findall(r"```text\n(.*?)```", body, flags=re.DOTALL)
        found[heading] = dict(re.findall(r"^# (.+)\n(.+)$", "".join(blocks), flags=re.MULTILINE))
    return found


def in_words(line: str) -> str:
    """A line as the page has it: processes, hosts, sizes and steps are examples there."""
    line = re.sub(r"process \d+ on \S+:", "process 4711 on ward-pc:", line)
    line = re.sub(r"(4096 bytes claimed,) \d+ held", r"\1 2332 held", line)
    return re.sub(
        r"the (loss|gradient) is (nan|inf) in epoch 1, step \d, on the batch of scans .* more:",
        "the loss is nan in epoch 1, step 2, on the batch of scans p5d2, p5d1, p7d2 and 5 more:",
        line,
    )
