"""How often repeats of a visit would be called changed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.data.reliability import Reliability, false_change_share
from learner_index.errors import SettingsError

rows = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 9).map(float), st.just(math.nan)),
        st.sampled_from("pq"),
        st.integers(-1, 2),
        st.booleans(),
    ),
    max_size=14,
)


def reliability(found, threshold=3.0):
    scores, patient, visit, is_repeat = zip(*found, strict=True) if found else ([], [], [], [])
    return false_change_share(list(scores), patient, list(visit), list(is_repeat), threshold)


def test_share_and_sd_of_two_pairs_worked_out_by_hand():
    """Differences 4 and 2 at θ = 3: half of the pairs changed, root mean square √10."""
    found = reliability([(10, "p", 0, 0), (14, "p", 0, 1), (20, "q", 1, 0), (18, "q", 1, 1)])

    assert found == Reliability(0.5, 2, 2, pytest.approx(math.sqrt(10)))


def test_a_difference_of_exactly_the_threshold_is_a_change():
    """θ itself counts as changed."""
    assert reliability([(10, "p", 0, 0), (13, "p", 0, 1)]).share == 1.0


def test_patients_weigh_the_same_however_many_pairs_they_have():
    """Three unchanged pairs of one patient and one changed of another give one half."""
    many = [(10, "p", 0, 0), (11, "p", 0, 1), (10, "p", 0, 1), (9, "p", 0, 1)]

    found = reliability([*many, (10, "q", 1, 0), (20, "q", 1, 1)])

    assert (found.share, found.n_pairs, found.n_patients) == (0.5, 4, 2)


def test_repeats_of_one_second_session_are_not_compared_with_each_other():
    """Two zones scanned twice make four pairs of a first and a second reading, all changed."""
    found = reliability([(10, "p", 0, 0), (10, "p", 0, 0), (20, "p", 0, 1), (20, "p", 0, 1)])

    assert (found.share, found.n_pairs) == (1.0, 4)


def test_repeats_pair_up_where_all_scans_of_a_visit_are_marked():
    """Without a first reading, two scans marked as repeats are a pair."""
    assert reliability([(10, "p", 0, 1), (20, "p", 0, 1)]).n_pairs == 1


def test_scores_of_a_visit_say_nothing_about_a_second_measurement():
    """Where every repeat has exactly its visit's score, nothing is known, and the reason told."""
    found = reliability([(10, "p", 0, 0), (10, "p", 0, 1), (20, "p", 1, 0), (20, "p", 1, 1)])

    assert (found.share, found.sd_difference, found.n_pairs) == (None, None, 2)
    assert "not measured again" in found.reason


@pytest.mark.parametrize(
    "found",
    [
        [],
        [(10, "p", 0, 0), (20, "p", 0, 0)],
        [(10, "p", 0, 0), (20, "p", 1, 1)],
        [(10, "p", 0, 0), (20, "q", 0, 1)],
        [(10, "p", -1, 0), (20, "p", -1, 1)],
        [(10, "p", 0, 0), (math.nan, "p", 0, 1)],
    ],
)
def test_no_pair_gives_no_share(found):
    """Unmarked scans, other visits or patients, unknown visits and scores are no pairs."""
    assert reliability(found) == Reliability(
        None, 0, 0, None, "no visit has a scored repeat marked `rescan`"
    )


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
def test_impossible_threshold_is_refused(threshold):
    """θ must be a positive finite number."""
    with pytest.raises(SettingsError, match=r"threshold of change .*: give a number above 0"):
        reliability([], threshold)


@given(rows, st.floats(0.5, 9.0))
def test_agrees_with_a_plain_double_loop(found, threshold):
    """Share and count are those of a loop over all pairs of scans, written from the definition."""
    gaps: dict[str, list[float]] = {}
    for i, (a, patient, visit, again) in enumerate(found):
        for b, other, there, repeat in found[:i]:
            same = (patient, visit) == (other, there) and visit >= 0
            if not same or math.isnan(a) or math.isnan(b):
                continue
            has_first = any(
                row[1:3] == (patient, visit) and not row[3] and row[0] >= 0 for row in found
            )
            if (again != repeat) if has_first else (again and repeat):
                gaps.setdefault(patient, []).append(abs(a - b))

    result = reliability(found, threshold)

    assert (result.n_pairs, result.n_patients) == (sum(map(len, gaps.values())), len(gaps))
    if any(map(any, gaps.values())):
        shares = [sum(gap >= threshold for gap in one) / len(one) for one in gaps.values()]
        assert result.share == pytest.approx(sum(shares) / len(shares))
    else:
        assert result.share is None
        assert result.reason


@given(rows, st.floats(0.5, 5.0), st.floats(0.0, 4.0))
def test_a_larger_threshold_never_finds_more_change(found, threshold, more):
    """The share falls, or stays, as θ grows."""
    small, large = reliability(found, threshold), reliability(found, threshold + more)

    assert (small.share is None) == (large.share is None)
    assert (large.share or 0.0) <= (small.share or 0.0)
