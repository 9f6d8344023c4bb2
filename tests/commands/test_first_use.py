"""docs/first-use.md, from the drawing of the pictures to the last misspelt name."""

import pytest

from tests.guards.blocks import blocks, typed, words

PAGE = "first-use.md"


def test_pages_commands_are_ten_or_fewer_to_the_answers():
    """From the table to the last answer no more lines than the page promises."""
    commands = [command for block in blocks(PAGE, "console") for command, _ in typed(block.text)]

    assert [words(command)[1] for command in commands].index("trajectory") < 10


@pytest.mark.slow
def test_the_page_runs(tmp_path, monkeypatch, program):
    """Every command does what stands below it; errors and checks to the letter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for block in blocks(PAGE, "python", "console"):
        if block.language == "python":
            exec(block.text, {})
            continue
        for command, shown in typed(block.text):
            done = program(*words(command)[1:])
            lines = [*done.out.splitlines(), *done.err.splitlines()]
            lines = [line.rstrip() for line in lines]
            assert (done.code == 0) == ("error: " not in shown), command
            assert lines[0].split()[:8] == shown.splitlines()[0].split()[:8]
            assert lines[-1] == shown.splitlines()[-1]
            if "check" in command or done.code:
                assert "\n".join(lines) == shown
