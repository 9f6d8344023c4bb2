"""README's commands and snippets run, in order, on the demo they speak of."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from learner_index.commands import app
from learner_index.pipeline import demo

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
CONSOLE = re.search(r"```console\n(.*?)```", README, re.DOTALL)
SNIPPET = re.search(r"```python\n(.*?)```", README, re.DOTALL)


def commands() -> list[tuple[list[str], str]]:
    """Each command of the console block with the output that stands below it."""
    parts = re.split(r"^\$ ", CONSOLE[1], flags=re.MULTILINE)[1:]
    return [
        (shlex.split(part.split("\n", 1)[0])[1:], part.split("\n", 1)[1].strip()) for part in parts
    ]


@pytest.mark.slow
def test_readme_commands_and_snippet_run(tmp_path, monkeypatch):
    """The demo, its five commands and the Python lines all work; the cohort is the one shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    # One epoch instead of six: what the console block shows does not depend on it.
    monkeypatch.setattr(demo, "SETTINGS", demo.SETTINGS | {"training.epochs": 1})
    runner = CliRunner()

    assert runner.invoke(app, ["demo", "--folder", "demo"]).exit_code == 0
    for command, shown in commands():
        done = runner.invoke(app, command)
        assert done.exit_code == 0, command
        if command[0] in ("check", "build"):
            assert done.output.strip() == shown
        assert done.stdout.splitlines()[0].split() == shown.splitlines()[0].split()
    namespace: dict[str, object] = {}
    exec(SNIPPET[1], namespace)

    assert len(namespace["hits"]) == 5


def test_readme_shows_five_commands():
    """The first screen keeps its promise."""
    assert len(commands()) == 5


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_readme_links_lead_somewhere(target):
    """Every relative link and picture exists."""
    assert (Path(__file__).parents[2] / target).exists()
