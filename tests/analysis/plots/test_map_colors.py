"""Columns as colors."""

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.plots.map_colors import (
    GROUPS,
    OTHER,
    choose_column,
    color_by,
    column_words,
    map_columns,
)
from learner_index.errors import QueryError
from tests.analysis.plots.maps_toy import toy_map


def test_numbers_are_a_scale_and_texts_are_groups():
    """A health score is measured along a scale; sites are groups in alphabetical order."""
    scans = toy_map().scans

    score, site = color_by(scans, "health_score"), color_by(scans, "site")

    assert score.numbers is not None
    assert score.is_missing.tolist() == [False] * 5 + [True, False, False]
    assert site.groups == ("A", "B", "C")
    assert site.codes.tolist() == [0, 0, 1, 1, 2, 2, -1, 0]
    assert site.is_missing.sum() == 1


@pytest.mark.parametrize(("column", "groups"), [("icu", ("0", "1")), ("rescan", ("no", "yes"))])
def test_two_values_are_two_groups(column, groups):
    """0 and 1, or yes and no, are no scale."""
    assert color_by(toy_map().scans, column).groups == groups


def test_the_ninth_group_is_called_other():
    """Of ten groups the eight most common have a color and a marker of their own."""
    names = [f"g{number}" for number in range(10) for _ in range(10 - number)]

    found = color_by(pd.DataFrame({"site": names}), "site")

    assert found.groups == (*(f"g{number}" for number in range(8)), "2 others")
    assert found.colors == (*GROUPS, OTHER)
    assert (found.codes == 8).sum() == 3


def test_a_column_of_nothing_has_no_group():
    """Where nothing is known, every scan is missing."""
    found = color_by(pd.DataFrame({"crp": [np.nan, np.nan]}), "crp")

    assert found.is_missing.all()
    assert found.groups == ()


@pytest.mark.parametrize(
    ("left", "chosen"),
    [((), "health_score"), (("health_score",), "view"), (("health_score", "view"), "patient_id")],
)
def test_without_a_wish_the_health_score_colors(left, chosen):
    """Then the view, then the patient, as far as there is something to see."""
    scans = toy_map().scans
    for name in left:
        scans[name] = np.nan

    assert choose_column(scans, None) == chosen


def test_an_unknown_column_is_refused_with_its_near_miss():
    """A typing error is told with what was probably meant; a place is no column."""
    scans = toy_map().scans

    with pytest.raises(QueryError, match=r"no column 'helth_score'.*did you mean 'health_score'"):
        choose_column(scans, "helth_score")
    assert "x" not in map_columns(scans)


@pytest.mark.parametrize(
    ("column", "unit", "words"),
    [
        ("health_score", None, "health score (higher is healthier)"),
        ("health_score", "S/F ratio", "health score (S/F ratio)"),
        ("lung_site", None, "lung site"),
        ("age", "years", "age (years)"),
    ],
)
def test_a_scale_says_its_unit(column, unit, words):
    """A unit stands in brackets behind the column's words."""
    assert column_words(column, unit) == words
