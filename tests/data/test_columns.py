"""Kinds of columns and what counts as missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.data.columns import (
    as_array,
    cleaned,
    flags_of,
    inferred,
    numbers_of,
    typed,
)


@pytest.mark.parametrize("word", ["", "  ", "NA", "N/A", "n/a", "NaN", "nan", "null", "None"])
def test_words_for_missing_are_missing(word):
    """Each usual word for nothing becomes None; other words lose their blanks only."""
    assert cleaned([word, " none ", "na"]) == [None, "none", "na"]


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["true", "False", None], "flag"),
        (["yes", "no"], "text"),
        (["1", "-2.5", "+3e-2", ".5", None], "number"),
        (["007"], "text"),
        (["-01"], "text"),
        (["0.5", "0", "-0"], "number"),
        (["123456789012345"], "number"),
        (["1234567890123456"], "text"),
        (["0.12345678901234567"], "number"),
        (["1", "x"], "text"),
        (["inf"], "text"),
        (["1e999"], "text"),
        (["1_000"], "text"),
        (["٣"], "text"),
        (["1-2"], "text"),
        ([None, None], "number"),
        (["<0.5", "3"], "text"),
    ],
)
def test_kind_follows_from_all_values(texts, kind):
    """A column is what all its values can be, and codes stay text."""
    assert inferred(texts)[0] == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("view", "text"), ("day", "number"), ("rescan", "flag"), ("response", "number")],
)
def test_understood_names_have_their_kind(name, kind):
    """The kind of an understood column does not depend on its values."""
    assert typed(name, ["1"])[0] == kind


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_survive_text(values):
    """Numbers written by Python read back exactly, missing ones as NaN."""
    numbers, bad = numbers_of([None if value is None else repr(value) for value in values])

    assert bad == []
    np.testing.assert_array_equal(numbers, [np.nan if v is None else v for v in values])


def test_unreadable_numbers_are_missing_and_named():
    """Only the unreadable positions are reported; the others keep their value."""
    numbers, bad = numbers_of(["1", "x", None, "0,5", "2"])

    assert bad == [1, 3]
    np.testing.assert_array_equal(numbers, [1, np.nan, np.nan, np.nan, 2])


def test_flags_read_three_spellings():
    """true/false, yes/no and 1/0 in any case are flags; others are missing and named."""
    flags, bad = flags_of(["TRUE", "no", "1", "0", None, "2"])

    assert flags == [True, False, True, False, None, None]
    assert bad == [5]


def test_numbers_have_no_negative_zero():
    """A zero has one sign, so equal values have equal bytes."""
    assert not np.signbit(as_array(np.array([-0.0]), "number"))[0]
