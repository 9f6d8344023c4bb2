"""What a command says when it has ended well: the one thing most worth typing next."""

import re
import shlex
from collections.abc import Iterable

import typer

_NAME = re.compile(r"\s*([^\s=!<>±+]*)")
_OF_A_SCAN = ("scan_id", "content_hash", "rescan")
_OF_A_CHANGE = (
    "from_day",
    "later_day",
    "to_day",
    "delta_day",
    "later_health_score",
    "delta_score",
    "n_views",
)


def say_next(*words: object) -> None:
    """A line on stderr that can be pasted as it stands: `next: learner-index …`.

    Args:
        words: what follows the program's name; each is quoted for a shell where it must be.
    """
    typer.echo(f"next: {pasteable(*words)}", err=True)


def carried(**options: object) -> list[str]:
    """Options that were typed, word by word, for a next command that has them too.

    Args:
        options: by name, `as_of` for --as-of; one that is None was not typed, and one with several
            values is said once for each.

    Example:
        >>> carried(where=["sex == M", "age > 60"], match=None, as_of=30.0)
        ['--where', 'sex == M', '--where', 'age > 60', '--as-of', '30']
    """
    words: list[str] = []
    for name, given in options.items():
        for value in given if isinstance(given, list) else [given]:
            text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
            words += [] if value is None else [f"--{name.replace('_', '-')}", text]
    return words


def of_visits(conditions: Iterable[str] | None) -> list[str]:
    """The conditions that hold of visits, and so can be asked of changes and paths.

    Args:
        conditions: as typed; those on one scan or on a change are left out, for the commands that
            come next know no such columns.

    Example:
        >>> of_visits(["sex == M", "rescan == false", "to_day <= 9"])
        ['sex == M']
    """
    return [text for text in conditions or () if _column(text) not in (*_OF_A_SCAN, *_OF_A_CHANGE)]


def _column(condition: str) -> str:
    """The name a condition starts with."""
    return "".join(_NAME.findall(condition)[:1])


def pasteable(*words: object) -> str:
    """A command line of this program, quoted for a shell.

    Example:
        >>> pasteable("similar", "my store.zarr", "--patient", "P 1")
        "learner-index similar 'my store.zarr' --patient 'P 1'"
    """
    return shlex.join(["learner-index", *(str(word) for word in words)])
