"""What a cohort's data cannot answer."""

import pandas as pd
import pytest

from learner_index.data.limits import cohort_limits, limits_of


def cohort(**columns: list) -> pd.DataFrame:
    """Four scans of two patients on two days, all scored, but for some columns."""
    known = {"patient_id": ["a", "a", "b", "b"], "day": [0, 1, 0, 1], "health_score": [1.0] * 4}
    return pd.DataFrame({**known, **columns})


def test_a_whole_cohort_has_no_limits():
    """Several patients, followed and scored: nothing to say; nor of nobody."""
    assert limits_of(cohort()) == ()
    assert cohort_limits(0, 0, 0) == ()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"patient_id": ["a"] * 4}, "one patient: "),
        ({"day": [0] * 4}, "no patient has two visits with a day: "),
        ({"day": [None] * 4}, "no patient has two visits with a day: "),
        ({"health_score": [None] * 4}, "no health score: "),
    ],
)
def test_each_lack_is_said_alone(columns, said):
    """What is missing, and nothing else."""
    (line,) = limits_of(cohort(**columns))

    assert line.startswith(said)


def test_one_followed_patient_is_enough():
    """The other's single visit takes nothing away."""
    assert limits_of(cohort(day=[0, 1, 0, 0])) == ()
