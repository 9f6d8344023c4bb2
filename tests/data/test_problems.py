"""Places of problems in words, and their order."""

import numpy as np
import pytest

from learner_index.data.problems import ProblemList, by_line, groups_of, listed, place
from learner_index.data.records import Problem


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ""),
        ([7], "line 7"),
        ([7, 9], "lines 7 and 9"),
        ([1, 2, 3, 4, 5, 6, 7], "lines 1, 2, 3, 4, 5, 6 and 7"),
        (list(range(1, 10)), "lines 1, 2, 3, 4, 5, 6 and 3 more"),
    ],
)
def test_lines_become_words(lines, expected):
    """Few lines are all named; of many, the first six and how many more."""
    assert place("line", lines) == expected


def test_a_problem_names_the_scan_only_when_it_is_one():
    """Rows of two scans give a problem without scan_id; rows of one scan carry it."""
    problems = ProblemList("row", np.array([4, 9]), ["a", "b"])

    problems.error([0], "bad")
    problems.note([0, 1], "odd")

    assert [str(problem) for problem in problems.found] == ["row 4 a: bad", "rows 4 and 9: odd"]
    assert [problem.is_error for problem in problems.found] == [True, False]


def test_problems_are_sorted_by_number_not_by_text():
    """Line 9 comes before line 10, the whole table before both; equal places keep their order."""
    found = [Problem(where, "", "m") for where in ("line 10", "lines 9 and 11", "", "line 9")]

    assert [problem.where for problem in by_line(found)] == [
        "",
        "lines 9 and 11",
        "line 9",
        "line 10",
    ]


def test_groups_leave_out_rows_without_key():
    """None groups nothing; the others keep the order of appearance."""
    assert groups_of(["b", None, "a", "b"]) == {"b": [0, 3], "a": [2]}


@pytest.mark.parametrize(("names", "text"), [([], ""), (["a"], "'a'"), (["a", 1], "'a' and '1'")])
def test_names_are_listed_as_words(names, text):
    """Names are quoted and joined by commas and a final and."""
    assert listed(names) == text
