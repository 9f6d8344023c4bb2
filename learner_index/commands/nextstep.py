"""What a command says when it has ended well: the one thing most worth typing next."""

import shlex

import typer


def say_next(*words: object) -> None:
    """A line on stderr that can be pasted as it stands: `next: learner-index …`.

    Args:
        words: what follows the program's name; each is quoted for a shell where it must be.
    """
    typer.echo(f"next: {pasteable(*words)}", err=True)


def pasteable(*words: object) -> str:
    """A command line of this program, quoted for a shell.

    Example:
        >>> pasteable("similar", "my store.zarr", "--patient", "P 1")
        "learner-index similar 'my store.zarr' --patient 'P 1'"
    """
    return shlex.join(["learner-index", *(str(word) for word in words)])
