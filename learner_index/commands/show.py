"""How answers look in a terminal: aligned columns, progress on stderr, JSON on demand."""

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

QUIET_S = 2.0


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned by their widest cell; numbers to the right, "-" for what is missing."""
    columns = [[row[i] for row in rows] for i in range(len(header))]
    cells = [[name, *_cells(values)] for name, values in zip(header, columns, strict=True)]
    padded = [
        _padded(
            texts, right=all(value is None or isinstance(value, int | float) for value in values)
        )
        for texts, values in zip(cells, columns, strict=True)
    ]
    return "\n".join("  ".join(line).rstrip() for line in zip(*padded, strict=True))


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


def chosen_columns(
    asked: str | None, always: Sequence[str], known: Sequence[str], store: object
) -> list[str]:
    """The columns of a table of hits: always these, then those asked for.

    Raises:
        QueryError: a hit has no such column.
    """
    from learner_index.data.suggest import close_names
    from learner_index.errors import QueryError

    names = [name.strip() for name in (asked or "").split(",") if name.strip()]
    for name in names:
        if name not in known or name == "content_hash":
            raise QueryError(
                f"--columns {name}: no such column{close_names(name, list(known))}; "
                f"`learner-index info {store}` lists them"
            )
    return list(dict.fromkeys([*always, *names]))


def plural(n: int, noun: str) -> str:
    """A count with its noun."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def noise_floor_words(noise: Mapping[str, Any] | None) -> str:
    """What the noise floor rests on."""
    if noise is None:
        return "no noise floor"
    kind = "independent" if noise["is_independent"] else "same-session"
    return (
        f"noise floor from {plural(noise['n_repeats'], kind + ' repeat')} of "
        f"{plural(noise['n_patients'], 'patient')}"
    )


def print_json(value: Any) -> None:
    """A JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


@contextmanager
def training_bar() -> Iterator[tuple[Callable[[int, int], None], Callable[[Any], None]]]:
    """Two callbacks for a run's bar: scans read of all, and each training step with its figures."""
    if not sys.stderr.isatty():
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
    if not sys.stderr.isatty():
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
