"""`learner-index objectives`: the list, one card, and both as JSON."""

import json

import pytest
import typer
from typer.testing import CliRunner, Result

from learner_index.commands.objectives import objectives
from learner_index.config import ObjectiveOptions
from learner_index.errors import SettingsError
from learner_index.pipeline.objectives import list_objectives

app = typer.Typer()
app.command()(objectives)


def run(*words: str) -> Result:
    """The command run in this process."""
    return CliRunner().invoke(app, list(words))


def test_lists_one_line_an_objective():
    """Name, kind, status and aim; the default is marked, and only it."""
    lines = run().stdout.splitlines()

    assert lines[0].split() == ["objective", "kind", "status", "aim"]
    assert len(lines) == 1 + len(list_objectives())
    assert [line.split()[0] for line in lines if "(default)" in line] == [ObjectiveOptions().name]
    assert max(map(len, lines)) <= 100


def test_a_name_shows_the_whole_card(monkeypatch):
    """Formula line by line, source, note and each setting with what else it could be."""
    monkeypatch.setenv("COLUMNS", "120")

    shown = run("learner_weighted").output

    assert "learner_weighted (default)" in shown
    assert "reconstruction" in shown
    assert "2411.01144" in shown
    assert "gamma = 1\n" in shown
    assert "metric = cosine  (or euclidean)" in shown
    assert sum("D_ij" in line for line in shown.splitlines()) == 2


def test_what_is_assumed_of_the_disease_is_shown(monkeypatch):
    """Of an objective that takes something for granted, and of no other."""
    monkeypatch.setenv("COLUMNS", "120")

    assert "assumes  that getting better is getting worse run backwards" in run("direction").output
    assert "assumes" not in run("learner_weighted").output


def test_a_card_without_settings_says_so():
    """`mse` has none."""
    assert run("mse").stdout.splitlines()[-1].split() == ["settings", "none"]


def test_json_holds_every_card():
    """All cards with all fields; the list a notebook gets is the same."""
    cards = json.loads(run("--json").output)

    assert cards == json.loads(json.dumps(list_objectives()))
    assert [card["name"] for card in cards if card["is_default"]] == ["learner_weighted"]
    assert cards[0]["kind"] == "regression"
    fields = {"name", "title", "kind", "status", "formula", "citation", "note", "settings"}
    assert all(fields | {"assumes"} <= set(card) for card in cards)


def test_json_of_one_is_its_card():
    """A name with --json gives that card alone."""
    card = json.loads(run("rnc", "--json").output)

    assert card["name"] == "rnc"
    assert card["settings"] == {"temperature": 2.0, "pairs": "all"}


def test_refuses_an_unknown_name():
    """A misspelt name is a failure that names the near one."""
    found = run("learner_pairs")

    assert isinstance(found.exception, SettingsError)
    with pytest.raises(SettingsError, match=r"did you mean 'learner_pair'"):
        list_objectives("learner_pairs")
