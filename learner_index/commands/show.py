"""How answers look in a terminal: aligned columns, progress on stderr, JSON on demand."""

import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import typer

from learner_index.data.show import plural, text_table
from learner_index.data.show_change import noise_floor_words

__all__ = [
    "chosen_columns", "labelled", "noise_floor_words", "plural", "print_json",
    "print_json_text", "progress_bar", "say", "text_table", "training_bar",
]  # fmt: skip
QUIET_S = 2.0


def labelled(lines: Sequence[tuple[str, str]]) -> str:
    """A label and its text a line, the texts aligned and wrapped to the terminal's width."""
    indent = max(len(label) for label, _ in lines) + 2
    width = max(60, shutil.get_terminal_size().columns)
    return "\n".join(
        textwrap.fill(
            text,
            width,
            initial_indent=f"{label:>{indent - 2}}  ",
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for label, text in lines
    )


def chosen_columns(asked: str | None, always: Sequence[str], known: Sequence[str]) -> list[str]:
    """The columns of a table of hits: always these, then those asked for.

    Raises:
        QueryError: a hit has no such column.
    """
    from learner_index.data.suggest import close_names, some_of
    from learner_index.errors import QueryError

    names = [name.strip() for name in (asked or "").split(",") if name.strip()]
    offered = [name for name in dict.fromkeys(known) if name != "content_hash"]
    for name in names:
        if name not in offered:
            raise QueryError(
                f"--columns {name}: no such column{close_names(name, offered)}; "
                f"there are {some_of(offered)}"
            )
    return list(dict.fromkeys([*always, *names]))


def say(line: str) -> None:
    """A line on stderr, wrapped between words where it is longer than a terminal is wide."""
    if sys.stderr.isatty():
        width = max(60, shutil.get_terminal_size().columns)
        line = "\n".join(
            textwrap.fill(
                part,
                width,
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            if len(part) > width
            else part
            for part in line.split("\n")
        )
    typer.echo(line, err=True)


def print_json(value: Any) -> None:
    """A JSON document on stdout."""
    print_json_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_json_text(text: str) -> None:
    """A document that is JSON already, on stdout; whole whatever letters a terminal has."""
    if not is_unicode(sys.stdout):
        text = "".join(sign if sign.isascii() else json.dumps(sign)[1:-1] for sign in text)
    typer.echo(text)


def is_unicode(stream: TextIO) -> bool:
    """Whether a stream can show every letter."""
    return (stream.encoding or "utf-8").lower().replace("_", "-").startswith("utf")


def _is_watched() -> bool:
    """Whether a person looks at stderr, on a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def training_bar() -> Iterator[tuple[Callable[[int, int], None], Callable[[Any], None]]]:
    """Two callbacks for a run's bar: scans read of all, and each training step with its figures."""
    if not _is_watched():
        yield (lambda done, total: None), (lambda event: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("reading scans", total=None, figures="")

    def read(done: int, total: int) -> None:
        bar.update(task, description="reading scans", completed=done, total=total, figures="")

    def trained(event: Any) -> None:
        shown = [f"loss {event.loss:.3f}"]
        shown += [
            f"{name.removeprefix('val_')} {value:.2f}"
            for name, value in event.figures.items()
            if name.startswith("val_")
        ]
        bar.update(
            task,
            description=f"epoch {event.epoch}/{event.n_epochs}",
            completed=event.step,
            total=event.n_steps,
            figures="  ".join(shown),
        )

    with bar:
        yield read, trained


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr for work that takes over two seconds; silent when nobody watches."""
    if not _is_watched():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    start = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(label, total=None, speed="", visible=False)

    def advance(done: int, total: int) -> None:
        elapsed_s = time.monotonic() - start
        if elapsed_s >= QUIET_S:
            bar.update(
                task, completed=done, total=total, visible=True, speed=f"{done / elapsed_s:.1f}/s"
            )

    with bar:
        yield advance
