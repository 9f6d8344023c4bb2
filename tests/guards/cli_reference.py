"""The command line as Markdown: `python -m tests.guards.cli_reference > docs/cli.md`."""

import sys

from typer.testing import CliRunner

from learner_index.commands import app
from tests.guards.test_names import COMMANDS


def reference() -> str:
    """`--help` of the program and of every command, 80 columns wide."""
    parts = [
        "# Command line",
        "",
        "Written by `python -m tests.guards.cli_reference > docs/cli.md`; a test keeps it true.",
    ]
    for command in [[], *COMMANDS]:
        shown = CliRunner().invoke(
            app, [*command, "--help"], prog_name="learner-index", env={"COLUMNS": "80"}
        )
        title = " ".join(["learner-index", *command])
        text = "\n".join(line.rstrip() for line in shown.output.strip().splitlines())
        parts += ["", f"## {title}", "", "```text", text, "```"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
