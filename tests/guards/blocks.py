"""The fenced blocks of a page, and what becomes of them when they are run.

`python -m tests.guards.blocks docs/tutorial.md FOLDER` runs a page in an empty folder and writes
what its commands print into the page. Blocks marked `console` and `python` are run, in order.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    language: str
    text: str


def blocks(page: str, *languages: str) -> list[Block]:
    """Blocks of these languages in the order of the page, a path below docs/."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = [Block(match[1], match[2]) for match in _BLOCK.finditer(text)]
    return [block for block in found if block.language in languages]


def typed(console: str) -> list[tuple[str, str]]:
    """Each command of a console block (after `$ `; a backslash goes on) and its output."""
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    return [_split(part) for part in parts]


def _split(part: str) -> tuple[str, str]:
    lines = part.split("\n")
    end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
    return "\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]).strip("\n")


def words(command: str) -> list[str]:
    """The words of a command."""
    return shlex.split(command.replace("\\\n", " "))


def _with_output(page: Path, folder: Path) -> str:
    """The page, with what its commands print now."""
    text = page.read_text(encoding="utf-8")
    parts: list[str] = []
    done = 0
    for match in _BLOCK.finditer(text):
        parts += [text[done : match.start()], "\n".join(_run(match, folder))]
        done = match.end()
    return "".join([*parts, text[done:]])


def _run(match: re.Match[str], folder: Path) -> Iterator[str]:
    """Run one block; its text with new output."""
    if match[1] == "python":
        done = subprocess.run([sys.executable, "-c", match[2]], cwd=folder, text=True, check=True)
    if match[1] != "console":
        yield match[0]
        return
    shown: list[str] = []
    for command, _ in typed(match[2]):
        done = subprocess.run(
            words(command),
            cwd=folder,
            env={**os.environ, "COLUMNS": "100"},
            capture_output=True,
            text=True,
        )
        said = [line for line in done.stderr.splitlines() if not line.startswith("·")]
        shown += [f"$ {command}", *done.stdout.splitlines(), *said, ""]
    yield from ["```console", *(line.rstrip() for line in shown[:-1]), "```"]


if __name__ == "__main__":
    chosen, where = Path(sys.argv[1]), Path(sys.argv[2])
    where.mkdir(parents=True)
    chosen.write_text(_with_output(chosen, where), encoding="utf-8")
