"""Near misses of names."""

import pytest

from learner_index.data.suggest import close_names, squashed


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("patientid", " (did you mean 'patient_id'?)"),
        ("Patient ID", " (did you mean 'patient_id'?)"),
        ("agee", " (did you mean 'age'?)"),
        ("weather", ""),
        ("", ""),
    ],
)
def test_near_names_are_offered_and_far_ones_are_not(wanted, expected):
    """Case, blanks, punctuation and one wrong letter still find the name."""
    assert close_names(wanted, ["patient_id", "age", "scan_id"]) == expected


def test_at_most_two_names_are_offered():
    """Several near names are joined, the nearest first, and the rest left out."""
    assert close_names("score", ["score1", "scores", "core", "score"]).count("'") <= 4


def test_names_of_punctuation_only_stay_distinct():
    """Squashing never yields an empty key for a name that has signs."""
    assert squashed("_-") == "_-"
