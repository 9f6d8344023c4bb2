"""Decimal commas of tables separated by semicolons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.data.decimals import with_points
from learner_index.data.manifest import read_manifest

HEAD = "scan_id;patient_id;path;health_score"


def test_numbers_with_commas_get_points():
    """Commas become points where every number has one or is whole; a note names the column."""
    columns, notes = with_points([("score", ["94,6", "-7,25", "", "80"]), ("sex", ["M", "F"])])

    assert columns == [("score", ["94.6", "-7.25", "", "80"]), ("sex", ["M", "F"])]
    assert [(str(note), note.is_error) for note in notes] == [
        ("commas in the numbers of 'score' are read as decimal points", False)
    ]


@pytest.mark.parametrize(
    "cells", [["1,2", "a,b"], ["1.234,5"], ["1,2,3"], ["1,2", "3.5"], ["A"], ["", ""], ["12"], []]
)
def test_other_columns_stay_as_they_are(cells):
    """Words, lists, thousands and mixed ways of writing are left to those who read them."""
    assert with_points([("x", cells)]) == ([("x", cells)], [])


@given(st.lists(st.decimals(-1000, 1000, places=2), min_size=1))
def test_any_number_is_read_back(numbers):
    """Whatever was written with a comma has the same value with a point."""
    texts = [str(number).replace(".", ",") for number in numbers]

    ((_, found),), _ = with_points([("x", texts)])

    assert [float(text) for text in found] == [float(number) for number in numbers]


def test_a_spreadsheets_csv_is_read_as_it_is(tmp_path):
    """Semicolons, decimal commas, a byte-order mark and Windows line ends: no error."""
    path = tmp_path / "cohort.csv"
    path.write_bytes(f"\ufeff{HEAD}\r\ns1;P 1;a.png;94,6\r\ns2;P 1;b.png;90\r\n".encode())

    found = read_manifest(path)

    assert found.errors == ()
    assert found.table["health_score"].tolist() == [94.6, 90.0]
    assert found.table["patient_id"].tolist() == ["P 1", "P 1"]


def test_commas_of_a_csv_with_commas_stay(tmp_path):
    """In a table separated by commas, a quoted '94,6' is no number, as before."""
    path = tmp_path / "cohort.csv"
    path.write_text(HEAD.replace(";", ",") + '\ns1,P1,a.png,"94,6"\n', encoding="utf-8")

    assert "health_score '94,6' is no number" in str(read_manifest(path).errors[0])


def test_semicolons_within_a_csv_do_not_separate(tmp_path):
    """A header with commas is taken at its word."""
    path = tmp_path / "cohort.csv"
    path.write_text("scan_id,patient_id,path,note\ns1,P1,a.png,x;y\n", encoding="utf-8")

    assert read_manifest(path).table["note"].tolist() == ["x;y"]
