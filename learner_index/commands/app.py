"""The program `learner-index`: its commands, and how failures reach the person who typed."""

import os
import sys
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
    response,
    similar,
    simulate,
    trajectory,
)
from learner_index.errors import LearnerIndexError

BUG = "LEARNER_INDEX_DEBUG"
INTERRUPTED = 130

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
app.add_typer(response.app, name="response")
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

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but for some scans, 130 interrupted.
    """
    try:
        app()
    except LearnerIndexError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _interrupted()
        raise
    except Exception as bug:  # the last door: a person gets one line, a developer all
        if os.environ.get(BUG):
            raise
        _fail(
            f"{type(bug).__name__}: {bug}: this is a bug; run it again with {BUG}=1 set "
            "and report what it shows"
        )


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
