"""Near misses of names."""

import pytest

from learner_index.data.suggest import close_names, near_names, near_or_all, some_of, squashed


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


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        ("Pat 1", ["Pat 14", "Pat 01", "Pat 13"], ["Pat 01"]),
        ("1", ["Pat 01", "Pat 10", "Pat 11"], ["Pat 01"]),
        ("sim-47", [f"sim-{i:04d}" for i in range(500)], ["sim-0047"]),
        ("l1", ["L1", "L2"], ["L1"]),
        ("cos", ["centered", "cosine"], ["cosine"]),
        ("weighted", ["learner_pair", "learner_weighted"], ["learner_weighted"]),
        ("mes", ["huber", "mse"], ["mse"]),
        ("x", ["sex", "age"], []),
        ("P1234", ["P1235", "Q1"], ["P1235"]),
        ("e", ["one", "two"], []),
    ],
)
def test_the_first_way_of_being_near_counts(wanted, known, expected):
    """Zeros before a number, a part, letters in another order, then letters away."""
    assert near_names(wanted, known) == expected


def test_a_part_that_many_names_share_names_two():
    """Three names begin alike: the two nearest are offered, not none and not all."""
    assert len(near_names("learner", ["learner_a", "learner_bb", "learner_ccc"])) == 2


def test_few_names_are_listed_where_none_is_near():
    """What there is, as long as it fits a line; of many, or of nothing, nothing."""
    assert near_or_all("M", ["A", "B"]) == " (there are A, B)"
    assert near_or_all("M", ["A"]) == " (there is A)"
    assert near_or_all("m", ["M", "F"]) == " (did you mean 'M'?)"
    assert near_or_all("M", map(str, range(50))) == ""
    assert near_or_all("M", []) == ""


def test_long_lists_end_with_their_number():
    """Thirty names, and how many more there are."""
    assert some_of(["a", "b"]) == "a, b"
    assert some_of(map(str, range(1031))).endswith(", 28, 29 and 1,001 more")
