"""Cutting health scores into coarse classes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.config import ScoreOptions
from learner_index.data.coarse import CoarseEdges, check_class_options, coarse, fit_edges
from learner_index.errors import NotEnoughDataError, SettingsError

scores = st.lists(st.floats(allow_infinity=False), max_size=20).map(np.array)
edges = st.lists(st.floats(-1e6, 1e6), max_size=5, unique=True).map(sorted)
rows = st.lists(
    st.tuples(st.integers(-50, 50), st.sampled_from("abcd")), min_size=2, max_size=30
).filter(lambda found: len({score for score, _ in found}) > 1)


def test_a_score_at_an_edge_is_in_the_healthier_class():
    """Classes count the edges that a score reaches."""
    found = coarse([9.9, 10.0, 19.9, 20.0, 99.0], (10.0, 20.0))

    assert found.tolist() == [0, 1, 1, 2, 2]
    assert found.dtype == np.float64


@given(scores, edges)
def test_classes_never_fall_as_scores_rise(values, cuts):
    """A healthier score is never in a sicker class."""
    known = np.sort(values[~np.isnan(values)])

    assert (np.diff(coarse(known, cuts)) >= 0).all()


@given(scores, edges)
def test_exactly_the_unknown_scores_have_no_class(values, cuts):
    """NaN stays NaN, everything else gets one of the classes."""
    found = coarse(values, cuts)

    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    assert set(found[~np.isnan(found)]) <= set(range(len(cuts) + 1))


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ((2.0, 1.0), "2, 1: write them ascending"),
        ((1.0, 1.0), "1, 1: write them ascending, each once"),
        ((1.0, math.nan), "nan: every one must be a finite number"),
        ((1.0, math.inf), "inf: every one must be a finite number"),
    ],
)
def test_impossible_edges_are_refused(cuts, message):
    """Edges that do not ascend, or are not finite, are shown and refused."""
    with pytest.raises(SettingsError, match=message):
        coarse([1.0], cuts)


def test_each_class_holds_an_equal_share_of_distinct_scores():
    """Twelve patients with different scores make three classes of four."""
    values = np.random.default_rng(0).permutation(12).astype(float)

    fit = fit_edges(values, [f"p{i}" for i in range(12)], 3)

    assert fit == CoarseEdges((4.0, 8.0))
    assert fit.n_classes == 3
    assert np.bincount(coarse(values, fit.edges).astype(int)).tolist() == [4, 4, 4]


def test_a_patient_with_many_scans_weighs_no_more_than_one_with_few():
    """Nine scans of one patient at 0 and one each of three others: the edge halves patients."""
    values = [0.0] * 9 + [1.0, 2.0, 3.0]

    fit = fit_edges(values, ["a"] * 9 + ["b", "c", "d"], 2)

    assert fit.edges == (2.0,)


@given(rows, st.integers(2, 6), st.randoms(use_true_random=False))
def test_edges_do_not_depend_on_the_order_of_scans(found, bins, random):
    """Permuting the scans changes no edge."""
    shuffled = list(found)
    random.shuffle(shuffled)

    assert fit_edges(*zip(*found, strict=True), bins) == fit_edges(
        *zip(*shuffled, strict=True), bins
    )


def test_equally_near_edges_do_not_depend_on_the_order_of_scans():
    """Shares that differ only by the order of summation are a tie: the lower edge is taken."""
    found = [(0, "b"), (2, "b"), (3, "b"), (1, "a"), (1, "d"), (3, "a")]
    shuffled = [found[at] for at in (5, 3, 4, 0, 1, 2)]

    assert fit_edges(*zip(*found, strict=True), 3) == fit_edges(*zip(*shuffled, strict=True), 3)


@given(rows, st.integers(2, 6))
def test_an_increasing_change_of_scale_changes_no_class(found, bins):
    """Classes of x and of x³ + 2x - 7 are the same."""
    values, patients = np.array([score for score, _ in found], float), [p for _, p in found]
    other = values**3 + 2 * values - 7

    here, there = fit_edges(values, patients, bins), fit_edges(other, patients, bins)

    np.testing.assert_array_equal(coarse(values, here.edges), coarse(other, there.edges))


@given(rows, st.integers(2, 6))
def test_every_class_has_a_training_scan(found, bins):
    """No edge makes an empty class; there are at most as many classes as asked for, at least 2."""
    values, patients = [float(score) for score, _ in found], [p for _, p in found]

    fit = fit_edges(values, patients, bins)

    assert set(coarse(values, fit.edges)) == set(range(fit.n_classes))
    assert 2 <= fit.n_classes <= bins
    assert bool(fit.notes) == (fit.n_classes < bins)


def test_ties_give_fewer_classes_with_a_note():
    """Where most scores are equal, what remains of the classes is told."""
    fit = fit_edges([30.0] * 8 + [10.0], [f"p{i}" for i in range(9)], 4)

    assert fit.edges == (30.0,)
    assert fit.notes == ("2 classes instead of 4: too many training scores are equal",)


def test_unknown_scores_set_no_edges():
    """NaN is left out, with its patient."""
    fit = fit_edges([math.nan, 1.0, 2.0, math.nan], ["a", "b", "c", "c"], 2)

    assert fit.edges == (2.0,)


@pytest.mark.parametrize("values", [[], [math.nan, math.nan], [5.0, 5.0, math.nan]])
def test_fewer_than_two_different_scores_make_no_classes(values):
    """One score, or none, cannot be divided; what was seen is counted."""
    n = sum(not math.isnan(value) for value in values)

    with pytest.raises(NotEnoughDataError, match=rf"from {n} training scans .* different"):
        fit_edges(values, ["a"] * len(values), 2)


@pytest.mark.parametrize("bins", [1, 0, -3])
def test_fewer_than_two_bins_are_refused(bins):
    """One class is no class."""
    with pytest.raises(SettingsError, match=f"bins {bins}: give 2 or more classes"):
        fit_edges([1.0, 2.0], ["a", "b"], bins)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 3, "edges": (1.0,)}, "'bins' and 'edges' are given: choose one"),
        ({"bins": 3, "class_column": "stage"}, "'bins' and 'class_column' are given"),
        ({"bins": 1}, "bins 1: give 2 or more"),
        ({"edges": (3.0, 2.0)}, "edges 3, 2: write them ascending"),
        ({"edges": (math.nan,)}, "edges nan: every one must be a finite number"),
        ({"classes": ("a", "b")}, "--score-classes: say with class_column which column"),
        ({"class_column": "x", "classes": ("a",)}, "--score-classes a: give 2 or more"),
        ({"class_column": "x", "classes": ("a", "a")}, "a, a: give 2 or more, each once"),
    ],
)
def test_contradicting_options_are_refused(options, message):
    """Classes are made in one way, of at least two classes, each named once."""
    with pytest.raises(SettingsError, match=message):
        check_class_options(ScoreOptions(**options))
