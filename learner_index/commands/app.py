"""The program `learner-index`: its commands, and how failures reach the person who typed."""

import errno
import os
import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from learner_index.commands import (
    build,
    cohort,
    demo,
    evaluate,
    maintain,
    manifest,
    objectives,
    pretrain,
    progression,
    report,
    response,
    similar,
    simulate,
    trajectory,
)
from learner_index.commands import (
    map as cohort_map,
)
from learner_index.commands.show import is_unicode
from learner_index.errors import LearnerIndexError

BUG = "LEARNER_INDEX_DEBUG"
_REFUSED = {  # by the system, whatever the program does
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EMFILE,
}  # fmt: skip
_MEND = "make room or choose another place, and run the same command again"
_HUSHED = "PacifyFlushWrapper"  # what typer puts in the place of a closed pipe
INTERRUPTED, PIPE_CLOSED = 130, 141  # what a shell reports of SIGINT and SIGPIPE

app = typer.Typer(
    name="learner-index",
    help="Find the patients who look like this one, in longitudinal medical scans.\n\n"
    "For research, not a medical device. Start with `learner-index demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
)
app.command("demo", short_help="Show everything once, on simulated scans.")(demo.demo)
app.add_typer(simulate.app, name="simulate")
app.command("manifest")(manifest.manifest)
app.command("check", short_help="Show a manifest's figures and all its problems.")(manifest.check)
app.command("objectives", short_help="List what an encoder can be trained for.")(
    objectives.objectives
)
app.command("pretrain", short_help="Train an encoder on coarse health scores.")(pretrain.pretrain)
app.command("build", short_help="Embed scans into a store; again: only new ones.")(build.build)
app.command("evaluate", short_help="Measure encoders on patients none of them saw.")(
    evaluate.evaluate
)
app.command("info", short_help="Show what a store holds and its encoder.")(cohort.info)
app.command("similar", short_help="Find the patients who look like this one.")(similar.similar)
app.command("progression", short_help="Find the patients who changed like this one.")(
    progression.progression
)
app.command("trajectory", short_help="Show one patient's path, and who took the same one.")(
    trajectory.trajectory
)
app.command("map", short_help="Draw the cohort as a map, a page and a picture.")(cohort_map.map_)
app.add_typer(response.app, name="response")
app.command("report", short_help="Write a page about a patient, or about the cohort.")(
    report.report
)
app.command("refit", short_help="Fit the reference again on a grown cohort.")(cohort.refit)
app.command("verify", short_help="Check a store's every promise, with checksums.")(maintain.verify)
app.command("compact", short_help="Rewrite a store without leftovers.")(maintain.compact)


def _print_version(asked: bool) -> None:
    """Answer --version and end."""
    if asked:
        from importlib.metadata import version

        typer.echo(f"learner-index {version('learner-index')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Run the program; a failure is one line on stderr, whoever's fault it is.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but for some scans, 130 interrupted,
    141 nobody reads the answer any more, as in `| head`.
    """
    replace_what_cannot_be_shown()
    try:
        app()
    except LearnerIndexError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _interrupted()
        if end.code == 1 and type(sys.stdout).__name__ == _HUSHED:
            sys.exit(PIPE_CLOSED)
        raise
    except Exception as bug:  # the last door: a person gets one line, a developer all
        if os.environ.get(BUG):
            raise
        _fail(_unexpected(bug))


def _unexpected(error: Exception) -> str:
    """What the system refused, or how to report a bug."""
    if isinstance(error, OSError) and error.errno in _REFUSED:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}: {_MEND}"
    return (
        f"{type(error).__name__}: {error}: this is a bug; run it again with {BUG}=1 set "
        "and report what it shows"
    )


def replace_what_cannot_be_shown() -> None:
    """Signs such as θ become "?" on a terminal that has none, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not is_unicode(stream):
            stream.reconfigure(errors="replace")


def _fail(message: str) -> NoReturn:
    """One line on stderr and exit code 1."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(1)


def _interrupted() -> NoReturn:
    """What Ctrl-C leaves behind, and the exit code shells expect."""
    typer.echo(
        "interrupted: what was committed is whole; the same command again (pretrain: with "
        "--resume) does the rest",
        err=True,
    )
    sys.exit(INTERRUPTED)
