"""The program `learner-index`: its commands, and how failures reach the person who typed."""

import sys

import typer

from learner_index.commands import build, cohort, demo, maintain, manifest, similar, simulate
from learner_index.errors import LearnerIndexError

app = typer.Typer(
    name="learner-index",
    help="Find the patients who look like this one, in longitudinal medical scans.\n\n"
    "For research, not a medical device. Start with `learner-index demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help"], "max_content_width": 100},
)
app.command("demo")(demo.demo)
app.add_typer(simulate.app, name="simulate")
app.command("manifest")(manifest.manifest)
app.command("check")(manifest.check)
app.command("build")(build.build)
app.command("info")(cohort.info)
app.command("similar")(similar.similar)
app.command("refit")(cohort.refit)
app.command("verify")(maintain.verify)
app.command("compact")(maintain.compact)


def main() -> None:
    """Run the program; an expected failure is one line on stderr and exit code 1."""
    try:
        app()
    except LearnerIndexError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
