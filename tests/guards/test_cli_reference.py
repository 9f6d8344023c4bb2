"""The written reference of the command line says what the program says."""

from pathlib import Path

from tests.guards.cli_reference import reference

WRITTEN = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_reference_has_not_drifted():
    """docs/cli.md is what `--help` prints; rewrite it with tests.guards.cli_reference."""
    assert WRITTEN.read_text(encoding="utf-8") == reference()
