"""How values become text, tables and pictures."""

import base64
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.plots.drawing import Drawing
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.reports import page

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (math.nan, "-"), (-0.004, "0.00"), (-1.5, f"{MINUS}1.50"), (1234.5, "1,234.50")],
)
def test_numbers_have_a_true_minus_and_no_negative_zero(value, text):
    """What rounds to 0 has no sign, and what is not known is a dash."""
    assert page.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (3.0, "3"), (-2.5, f"{MINUS}2.5"), (425.625, "425.6"), (12345.6, "12,346")],
)
def test_brief_numbers_have_the_digits_they_need(value, text):
    """Four digits at most, or all before the point; never an exponent."""
    assert page.brief(value) == text


@given(st.floats(-1e9, 1e9))
def test_a_brief_number_is_near_the_number(value):
    """Reading it back gives the value within one in a thousand."""
    told = float(page.brief(value).replace(MINUS, "-").replace(",", ""))

    assert told == pytest.approx(value, rel=1e-3, abs=1e-12)


def test_intervals_without_ends_are_values():
    """NaN ends leave the value alone."""
    assert page.interval(0.5, 0.25, 0.75) == "0.50 (0.25 to 0.75)"
    assert page.interval(0.5, math.nan, math.nan) == "0.50"


@pytest.mark.parametrize(
    ("p", "text"), [(None, "-"), (math.nan, "-"), (0.0001, "<0.001"), (0.04, "0.040")]
)
def test_small_p_values_are_bounds(p, text):
    """Three decimals, and never 0."""
    assert page.p_words(p) == text


def test_a_message_becomes_a_sentence():
    """One line, a capital, a full stop unless it has an end."""
    assert page.sentence("no axis:\n  add\tscores") == "No axis: add scores."
    assert page.sentence("why?") == "Why?"


def test_notes_that_weigh_are_apart():
    """SEEN BY ENCODER and FITTED ON are not to be overlooked."""
    heavy, light = page.by_weight(["SEEN BY ENCODER: p", "a note", "FITTED ON: p"])

    assert heavy == ("SEEN BY ENCODER: p.", "FITTED ON: p.")
    assert light == ("A note.",)


def test_a_column_shares_its_decimals():
    """Floats of a column have as many decimals as the most exact needs, within the limit."""
    rows = [
        (1, 0.5, "a", True, (1, 2)),
        (-1000, 0.25, None, False, ()),
        (None, math.nan, "b", None, None),
    ]

    found = page.table("t", ("n", "x", "text", "flag", "list"), rows, decimals=2)

    assert found.rows == (
        ("1", "0.50", "a", "yes", "1, 2"),
        (f"{MINUS}1,000", "0.25", "-", "no", ""),
        ("-", "-", "b", "-", "-"),
    )
    assert found.is_number[:3] == (True, True, False)


def test_texts_that_are_numbers_stand_to_the_right():
    """Shares and p-values are read like numbers; intervals are not."""
    rows = [("25 %", "<0.001", "0.5 (0.1 to 0.9)"), ("-", "0.040", "-")]

    assert page.table("t", ("a", "b", "c"), rows).is_number == (True, True, False)


def test_a_table_may_be_empty():
    """No row is no error."""
    assert page.table("t", ("a", "b"), []).rows == ()


def test_a_drawing_becomes_a_picture_of_the_page():
    """The SVG stands in the page as a whole, with its size."""
    found = page.figure(Drawing(figsize=(2, 1)), "what it shows")

    kind, content = found.uri.split(",")
    assert kind == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(content)
    assert (found.width, found.height, found.alt) == (276, 138, "what it shows")


def test_a_figure_that_cannot_be_drawn_says_why():
    """One of figure and reason is empty."""

    def refuse():
        raise NotEnoughDataError("one visit is no path")

    drawn = page.figure_or_reason(lambda: Drawing(figsize=(1, 1)), "a")

    assert page.figure_or_reason(refuse, "a") == ((), "No figure: one visit is no path.")
    assert len(drawn[0]) == 1
    assert drawn[1] == ""
