"""Who is who."""

import numpy as np
import pytest

from learner_index.data.ids import check_dates_in_ids, check_ids, check_splits
from learner_index.data.problems import ProblemList


def problem_list(n):
    return ProblemList("line", np.arange(2, 2 + n), [f"s{row}" for row in range(n)])


@pytest.mark.parametrize(
    ("ids", "is_told"),
    [
        (["p_20210304_ap", "q_20210305"], True),
        (["p 2021-03-04"], True),
        (["2021.03.04"], True),
        (["120210304"], False),
        (["p_2021", "fff13f3a"], False),
        (["20210304", "a", "b"], False),
        ([], False),
    ],
)
def test_ids_that_carry_dates_are_told(ids, is_told):
    """Most ids must hold something like a date before it is told."""
    problems = problem_list(len(ids))

    check_dates_in_ids("scan_id", ids, problems)

    assert bool(problems.found) == is_told


def test_sound_ids_raise_no_problem():
    """Ids as they should be are passed over quickly and silently."""
    problems = problem_list(2)

    check_ids("scan_id", ["a", "b"], ["a", "b"], problems)

    assert problems.found == []


def test_missing_split_is_no_other_split():
    """A patient with some scans in no split is not in two splits."""
    problems = problem_list(3)

    check_splits(["p", "p", None], ["train", None, "test"], problems)

    assert problems.found == []
