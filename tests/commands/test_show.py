"""Tables, labelled lines, counts and progress in a terminal."""

import io
import sys

import pytest

from learner_index.commands.show import labelled, plural, progress_bar, text_table


def test_columns_are_aligned():
    """Numbers stand to the right, words to the left, "-" for what is missing."""
    table = text_table(["rank", "patient", "age"], [[1, "P1", 70.0], [10, "Patient2", None]])

    assert table == "rank  patient   age\n   1  P1         70\n  10  Patient2    -"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1.0, 2.0], ["1", "2"]),
        ([0.5, 2.0], ["0.5", "2.0"]),
        ([452.4, 300.0], ["452.4", "300.0"]),
        ([0.63412, -0.121], ["0.634", "-0.121"]),
        ([-0.0, 1.0], ["0", "1"]),
        ([True, None], ["yes", "-"]),
    ],
)
def test_a_columns_floats_share_their_decimals(values, shown):
    """As many decimals as the values need, three at most, and no minus before nothing."""
    lines = text_table(["x"], [[value] for value in values]).splitlines()[1:]

    assert [line.strip() for line in lines] == shown


def test_an_empty_table_is_its_header():
    """No rows: the header alone."""
    assert text_table(["rank", "day"], []) == "rank  day"


def test_long_texts_wrap_under_themselves(monkeypatch):
    """Texts stay within the terminal and continue behind their label; names are never cut."""
    monkeypatch.setenv("COLUMNS", "60")

    shown = labelled([("views", "L1 27"), ("columns", ", ".join(["a-column"] * 12))])

    lines = shown.splitlines()
    assert lines[0] == "  views  L1 27"
    assert max(map(len, lines)) <= 60
    assert all(line.startswith(" " * 9) for line in lines[2:])
    assert shown.count("a-column") == 12


def test_counts_have_their_nouns():
    """One scan, two scans, thousands with commas."""
    assert [plural(n, "scan") for n in (0, 1, 2345)] == ["0 scans", "1 scan", "2,345 scans"]


def test_progress_is_silent_when_nobody_watches(capsys):
    """Stderr is no terminal: nothing is printed."""
    with progress_bar("embedding") as progress:
        progress(1, 2)

    assert capsys.readouterr().err == ""


def test_progress_shows_count_and_speed_on_a_terminal(monkeypatch):
    """A terminal gets scans done, scans to do and the speed, once it has taken a while."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("learner_index.commands.show.QUIET_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")

    with progress_bar("embedding") as progress:
        progress(3, 12)

    shown = sys.stderr.getvalue()
    assert "embedding" in shown
    assert "3/12" in shown
    assert "/s" in shown


def test_a_terminal_that_cannot_redraw_gets_no_bar(monkeypatch):
    """TERM=dumb: a bar would be a heap of lines."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("learner_index.commands.show.QUIET_S", 0.0)
    monkeypatch.setenv("TERM", "dumb")

    with progress_bar("embedding") as progress:
        progress(3, 12)

    assert sys.stderr.getvalue() == ""


def test_quick_work_shows_no_bar(monkeypatch):
    """Under two seconds the bar stays hidden, also on a terminal."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())

    with progress_bar("embedding") as progress:
        progress(3, 12)

    assert "embedding" not in sys.stderr.getvalue()
