"""How records show themselves in a shell and in a notebook."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.data.records import Hit, Hits
from learner_index.data.show import Card, Shown, plural, text_table

BAD = "<script>alert('x')</script>"


class Reader(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def read(html):
    """Tags and text of a page."""
    reader = Reader()
    reader.feed(html)
    return reader.tags, reader.words


def hits_of(n, patient="P{}", *, is_simulated=False, notes=()):
    """An answer of n hits."""
    found = tuple(
        Hit(i + 1, patient.format(i), None, f"s{i}", 0.5, 0.5, "q", 100.0 - i, {}) for i in range(n)
    )
    query = {"kind": "patient", "patient_id": "P99"}
    return Hits(query, found, True, "numpy", "r", 40, 12, 40, 1.0, notes, is_simulated)


def test_an_answer_is_a_line_and_its_first_rows():
    """`repr` gives who was asked about, a row a hit, and what it rests on; no field dump."""
    shown = repr(hits_of(2)).splitlines()

    assert shown[0] == "2 hits like P99"
    assert shown[1].split() == [
        "rank", "patient_id", "similarity", "health_score", "day", "scan_id",
    ]  # fmt: skip
    assert shown[2].split() == ["1", "P0", "0.5", "100", "-", "s0"]
    assert shown[-1] == "40 eligible scans of 12 patients; exact; similarity: larger is closer"


@pytest.mark.parametrize("n", [0, 1, 8, 9, 300])
def test_a_long_answer_is_cut_and_says_so(n):
    """Eight rows in a shell, ten in a notebook; the rest is counted, with the way to it."""
    hits = hits_of(n)
    rest = hits._repr_html_().count("more: to_frame()"), repr(hits).count("more: to_frame()")

    assert len(re.findall(r"^ *\d+  P", repr(hits), re.M)) == min(n, 8)
    assert read(hits._repr_html_())[0].count("tr") == (min(n, 10) + 1 if n else 0)
    assert rest == (int(n > 10), int(n > 8))
    if n > 10:
        assert f"and {n - 10} more" in hits._repr_html_()
        assert f"and {n - 8} more" in repr(hits)


def test_simulated_answers_say_so():
    """SIMULATED stands in both, and only where scans were computed."""
    real, computed = hits_of(1), hits_of(1, is_simulated=True)

    assert repr(computed).startswith("SIMULATED: ")
    assert "SIMULATED" in computed._repr_html_()
    assert "SIMULATED" not in repr(real) + real._repr_html_()


def test_notes_are_never_left_out():
    """A note such as SEEN BY ENCODER is whole in both."""
    note = "SEEN BY ENCODER: the query's patient is one the encoder was trained or tuned on"
    hits = hits_of(1, notes=(note,))

    assert note in " ".join(repr(hits).split())
    assert "".join(read(hits._repr_html_())[1]).count("SEEN BY ENCODER") == 1


def test_ids_cannot_become_markup():
    """Whatever ids, titles, captions and notes hold, it is shown as text."""
    hits = hits_of(2, patient=BAD, notes=(BAD,))
    card = Card(BAD, (BAD,), [(BAD,)], BAD, (BAD,), rest=BAD)

    for html in (hits._repr_html_(), card.html()):
        tags, words = read(html)
        assert set(tags) <= {"div", "p", "strong", "span", "table", "thead", "tbody"} | {
            "tr", "th", "td",
        }  # fmt: skip
        assert BAD in " ".join(words)


def test_a_card_takes_the_colors_of_the_page():
    """No color and no script of its own: it can be read on dark and on light."""
    html = hits_of(3, is_simulated=True)._repr_html_()

    assert not re.search(r"color|background|<script|http|#[0-9a-f]{3}", html)


@given(
    st.lists(
        st.tuples(st.text(max_size=50), st.none() | st.floats(allow_nan=False), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    st.text(max_size=200),
)
def test_text_never_leaves_80_columns(rows, words):
    """Whatever the cells hold; what does not fit is cut or wrapped."""
    card = Card(words, ("name", "value", "is_there"), rows, words, (words,))

    assert max(map(len, card.text().split("\n"))) <= 80


def test_columns_that_do_not_fit_are_left_out():
    """The first columns are the most important ones; they stay whole."""
    card = Card("wide", ("id", "text", "more"), [("P1", "x" * 60, "y" * 30)])

    assert card.text().splitlines() == ["wide", f"id  {'text':<60}".rstrip(), f"P1  {'x' * 60}"]


def test_ids_stay_on_one_line_in_a_notebook():
    """Columns of short cells are not wrapped, those of prose are."""
    html = Card("x", ("id", "words"), [("a-b-c", "long " * 20)]).html()

    assert re.findall("white-space:(nowrap|normal)", html) == ["nowrap", "normal"] * 2


def test_rows_without_columns_are_labels_with_values():
    """No header in either."""
    card = Card("store", (), [("scans", "7"), ("patients", "3")])

    assert card.text() == "store\nscans     7\npatients  3"
    assert "thead" not in read(card.html())[0]


def test_a_record_must_say_what_it_shows():
    """A record without a card has nothing to show."""

    @dataclass(repr=False)
    class Bare(Shown):
        n: int

    with pytest.raises(NotImplementedError):
        repr(Bare(1))


def test_numbers_stand_to_the_right():
    """In both; words to the left; what is missing is a dash."""
    card = Card("x", ("n", "word"), [(1, "a"), (None, "bb")])

    assert card.text() == "x\nn  word\n1  a\n-  bb"
    assert re.findall("text-align:(right|left)", card.html()) == ["right", "left"] * 3
    assert text_table(["n"], [[10.25], [2.0]]) == "    n\n10.25\n 2.00"
    assert plural(1, "scan") == "1 scan"
