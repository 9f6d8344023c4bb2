"""Tables at a terminal and in a pipe."""

import io
import sys

from hypothesis import given
from hypothesis import strategies as st

from learner_index.commands.table import fitted, print_table

HEADER = ["rank", "patient_id", "scan_id", "similarity"]
ROWS = [[1, "P1", "P1_a_rather_long_scan_id", 0.5], [10, "Patient2", "s", -0.25]]


class Terminal(io.StringIO):
    """A stream that a person watches."""

    def isatty(self):
        return True


def test_a_table_that_fits_is_whole():
    """No wider than the window, or no window: one table."""
    whole = fitted(HEADER, ROWS)

    assert fitted(HEADER, ROWS, 60) == whole
    assert len(whole.splitlines()) == 3


def test_columns_that_do_not_fit_stand_below():
    """Behind the first column once more, every cell whole."""
    shown = fitted(HEADER, ROWS, 45)

    assert shown.splitlines() == [
        "rank  patient_id  scan_id",
        "   1  P1          P1_a_rather_long_scan_id",
        "  10  Patient2    s",
        "",
        "rank  similarity",
        "   1        0.50",
        "  10       -0.25",
    ]


def test_a_last_column_of_prose_is_wrapped():
    """A sentence goes on below itself."""
    shown = fitted(["name", "aim"], [["mse", "one two three four five six seven"]], 30)

    assert shown.splitlines() == ["name  aim", "mse   one two three four five", "      six seven"]


def test_a_cell_wider_than_the_window_is_not_cut():
    """Ids are there to be copied: the terminal wraps them."""
    shown = fitted(["rank", "id"], [[1, "x" * 90]], 60)

    assert "x" * 90 in shown


@given(
    st.lists(
        st.lists(st.text("abc_", min_size=1, max_size=20), min_size=5, max_size=5), max_size=4
    ),
    st.integers(20, 100),
)
def test_no_cell_is_lost_or_cut(rows, width):
    """Whatever the width, each row's cells are all there, in order."""
    header = ["c0", "c1", "c2", "c3", "c4"]

    blocks = [block.splitlines() for block in fitted(header, rows, width).split("\n\n")]

    for n, row in enumerate([header, *rows]):
        parts = [block[n].split() for block in blocks]
        assert [*parts[0], *(cell for part in parts[1:] for cell in part[1:])] == row


def test_at_a_terminal_of_80_columns_lines_fit(monkeypatch):
    """A terminal gets lines of its width."""
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "80")

    print_table([f"column{i}" for i in range(20)], [[i * 1000 for i in range(20)]])

    assert max(map(len, sys.stdout.getvalue().splitlines())) <= 80


def test_in_a_pipe_rows_stay_whole(capsys, monkeypatch):
    """A program that reads lines gets one a row, however long."""
    monkeypatch.setenv("COLUMNS", "80")

    print_table([f"column{i}" for i in range(20)], [[i * 1000 for i in range(20)]])

    assert len(capsys.readouterr().out.splitlines()) == 2
