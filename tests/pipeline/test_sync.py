"""Bringing stored rows into step with a manifest, without a disk."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from learner_index.pipeline.sync import (
    ALWAYS,
    as_kind,
    manifest_order,
    rows_from_manifest,
    synced_rows,
    wanted_kinds,
)


def table(**columns):
    """A manifest's table with pandas' nullable text."""
    made = {
        name: pd.array(values, dtype="string") if isinstance(values[0], str) else values
        for name, values in columns.items()
    }
    return pd.DataFrame(made)


def test_a_new_store_has_the_columns_every_store_has():
    """Columns the manifest lacks are there all the same, and missing throughout."""
    kinds = wanted_kinds({"scan_id": "text", "age": "number"}, {}, has_unlisted=False)

    rows = rows_from_manifest(table(scan_id=["a"], age=[5.0]), np.array([0]), kinds)

    assert set(ALWAYS) <= set(kinds)
    assert list(rows.columns) == list(kinds)
    assert rows["view"].isna().all()
    assert rows["age"].tolist() == [5.0]


def test_stored_columns_keep_their_place():
    """New columns come after the stored ones, in the manifest's order."""
    stored = {"scan_id": "text", "old": "number", "patient_id": "text"}

    kinds = wanted_kinds({"scan_id": "text", "new": "flag"}, stored, has_unlisted=False)

    assert list(kinds)[:3] == ["scan_id", "old", "patient_id"]
    assert kinds["new"] == "flag"


def test_a_column_that_changes_kind_becomes_text_beside_unlisted_rows():
    """With rows the manifest does not list, no stored value is lost by a change of kind."""
    stored = {**ALWAYS, "grade": "text"}

    kinds = wanted_kinds({"grade": "number"}, stored, has_unlisted=True)

    assert kinds["grade"] == "text"
    assert wanted_kinds({"grade": "number"}, stored, has_unlisted=False)["grade"] == "number"


def test_numbers_become_text_as_they_were_typed():
    """7.0 becomes "7" and a missing number stays missing."""
    text = as_kind(pd.Series([7.0, np.nan, 0.25]), "text")

    assert text.tolist()[::2] == ["7", "0.25"]
    assert text.isna().tolist() == [False, True, False]


def test_a_corrected_value_is_counted_and_taken_over():
    """One changed label is one correction, and rows the manifest does not list keep theirs."""
    stored = table(scan_id=["a", "b", "gone"], patient_id=["p", "p", "q"], site=["X", "X", "Z"])
    manifest = table(scan_id=["b", "a"], patient_id=["p", "p"], site=["Y", "X"])
    kinds = {"scan_id": "text", "patient_id": "text", "site": "text"}

    rows, difference = synced_rows(stored, manifest, kinds)

    assert rows["site"].tolist() == ["X", "Y", "Z"]
    assert difference.corrected == {"site": 1}
    assert not difference.is_empty


def test_equal_tables_differ_in_nothing():
    """Missing equals missing, also for numbers and flags."""
    stored = table(scan_id=["a", "b"], day=[1.0, np.nan]).assign(
        flag=pd.array([None, True], dtype="boolean")
    )
    kinds = {"scan_id": "text", "day": "number", "flag": "flag"}

    _, difference = synced_rows(stored, stored.copy(), kinds)

    assert difference.is_empty


def test_a_column_added_later_is_told():
    """A new column is named, and missing for rows the manifest does not list."""
    stored = table(scan_id=["a", "gone"])
    manifest = table(scan_id=["a"], age=[40.0])

    rows, difference = synced_rows(stored, manifest, {"scan_id": "text", "age": "number"})

    assert difference.added == ("age",)
    assert rows["age"].tolist()[0] == 40.0
    assert np.isnan(rows["age"].tolist()[1])


@given(st.permutations(range(8)), st.integers(0, 8))
def test_order_follows_the_manifest_and_unlisted_rows_come_last(order, n_unlisted):
    """Sorting puts listed rows into the manifest's order and keeps the others' own order."""
    stored = [str(i) for i in order]
    manifest = [str(i) for i in range(8 - n_unlisted)]

    rows = manifest_order(stored, manifest)
    arranged = [stored[row] for row in rows]

    assert [name for name in arranged if name in manifest] == manifest
    assert sorted(rows) == list(range(8))
    assert [n for n in arranged if n not in manifest] == [n for n in stored if n not in manifest]


def test_unlisted_rows_alone_do_not_move_anything():
    """Rows already in order stay put, whatever unlisted rows stand between them."""
    assert manifest_order(["a", "gone", "b"], ["a", "b"]).tolist() == [0, 1, 2]
