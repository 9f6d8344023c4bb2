"""Conditions on columns."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.errors import QueryError
from learner_index.search.filters import (
    column_kinds,
    fulfils,
    fulfils_all,
    parse_where,
    unmet_hint,
)
from learner_index.search.table import SearchTable

OBS = pd.DataFrame(
    {
        "scan_id": pd.array(["a", "b", "c", "d"], dtype="string"),
        "patient_id": pd.array(["P", "P", "Q", "Q"], dtype="string"),
        "site": pd.array(["A", "B", "in A", None], dtype="string"),
        "site of scan": pd.array(["x", "y == z", "x, y", None], dtype="string"),
        "age": [50.0, 60.0, np.nan, 70.0],
        "n": [1, 2, 3, 4],
        "sick": pd.array([True, False, None, True], dtype="boolean"),
    }
)
TABLE = SearchTable(np.zeros((4, 2), np.float32), OBS)
KINDS = column_kinds(OBS)


def found(text):
    """Scan ids that fulfil a condition."""
    return "".join(OBS["scan_id"][fulfils(TABLE, parse_where(text, KINDS))])


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("site == A", "a"),
        ("site==A", "a"),
        ("site != A", "bc"),
        ("site == 'A'", "a"),
        ('"site" == "in A"', "c"),
        ("site == nowhere", ""),
        ("site in (A, B)", "ab"),
        ("site in [A]", "a"),
        ("site not in (A, B)", "c"),
        ("site not   in (nowhere)", "abc"),
        ("site is missing", "d"),
        ("site is present", "abc"),
        ("site of scan == x", "a"),
        ("site of scan == y == z", "b"),
        ("site of scan in ('x, y', x)", "ac"),
        ("age > 50", "bd"),
        ("age >= 50", "abd"),
        ("age<6e1", "a"),
        ("age <= 60", "ab"),
        ("age == 60.0", "b"),
        ("age != 60", "ad"),
        ("age in (50, 70)", "ad"),
        ("age not in (50)", "bd"),
        ("age is missing", "c"),
        ("n >= 3", "cd"),
        ("sick == true", "ad"),
        ("sick != True", "b"),
        ("sick in (true, false)", "abd"),
        ("sick is missing", "c"),
    ],
)
def test_finds_the_rows(text, ids):
    """A condition finds the rows it names; a missing value fulfils only "is missing"."""
    assert found(text) == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agee > 3", r"no column 'agee' .*did you mean 'age'"),
        ("", "no column ''"),
        ("age", "no comparison in 'age'"),
        ("age = 3", "write =="),
        ("age ~ 3", "no comparison in 'age ~ 3'"),
        ("age is old", "'is old' .* is unknown"),
        ("age > old", "'old' is none"),
        ("age == nan", "'nan' is none"),
        ("age == ", "'' is none"),
        ("site < B", "holds text, which has no order"),
        ("sick >= true", "holds flag, which has no order"),
        ("sick == maybe", "true or false, not 'maybe'"),
        ("site == ", "for missing values write 'is missing'"),
        ("site in A, B", "write values in parentheses"),
        ("site in ()", "is empty: name at least one value"),
        ("site in ('A, B)", "a quote stays open"),
        ("__import__('os').getcwd() == 1", "no column"),
    ],
)
def test_refuses_what_it_cannot_read(text, message):
    """A condition that means nothing is refused on one line that says what to write."""
    with pytest.raises(QueryError, match=message) as caught:
        parse_where(text, KINDS)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    """Whatever is written is a condition or a QueryError, nothing else."""
    try:
        parse_where("site " + text, KINDS)
    except QueryError as refusal:
        assert str(refusal)


@given(st.text(min_size=1).filter(lambda t: "'" not in t and '"' not in t))
def test_quoted_values_stay_as_they_are(value):
    """A value in quotes is taken letter by letter, blanks and operators included."""
    assert parse_where(f"site == '{value}'", KINDS).values == (value,)


@pytest.mark.parametrize(
    ("texts", "ids"), [((), "abcd"), (("age >= 50", "sick == true"), "ad"), (("n > 9",), "")]
)
def test_all_conditions_hold_together(texts, ids):
    """Rows that fulfil each; without any, every row."""
    assert "".join(OBS["scan_id"][fulfils_all(TABLE, texts)]) == ids


@pytest.mark.parametrize(
    ("texts", "hint"),
    [
        (["site == a"], "; site has no 'a' (did you mean 'A'?)"),
        (["site == Z"], "; site has no 'Z' (there are A, B, in A)"),
        (["site in (Z, Y)"], "; site has no 'Z' (there are A, B, in A)"),
        (["age > 99"], "; age is 50 to 70"),
        (["age > 99", "age < 1"], "; age is 50 to 70"),
        (["n == 9", "site == a"], "; n is 1 to 4; site has no 'a' (did you mean 'A'?)"),
        (["site == A"], ""),
        (["site == A", "age == 60"], ""),
        (["n is missing"], ""),
        ([], ""),
    ],
)
def test_a_condition_nobody_meets_tells_what_there_is(texts, hint):
    """Values or range of the column; nothing where each condition alone is met."""
    assert unmet_hint(TABLE, texts) == hint


def test_an_empty_column_is_called_empty():
    """A column without any value has no range and no values."""
    table = SearchTable(np.zeros((2, 2), np.float32), OBS.iloc[[3, 3]])

    assert unmet_hint(table, ["site == A"]) == "; site is empty"


def test_a_flag_nobody_has_needs_no_hint():
    """True and false speak for themselves."""
    table = SearchTable(np.zeros((1, 2), np.float32), OBS.iloc[[0]])

    assert unmet_hint(table, ["sick == false"]) == ""
