"""Parquet files as columns of text."""

import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from learner_index.data.parquet import read_parquet
from learner_index.data.table import read_table
from learner_index.errors import ManifestError


def columns_of(tmp_path, table):
    path = tmp_path / "m.parquet"
    pq.write_table(table, path)
    return read_parquet(path, path.read_bytes())


def test_every_simple_type_has_a_text(tmp_path):
    """Numbers, flags, dates, categories and nulls come out as a CSV would spell them."""
    table = pa.table(
        {
            "id": pa.array([17.0, None]),
            "tiny": pa.array([1e-7, 1e16]),
            "flag": pa.array([True, None]),
            "day": pa.array([datetime.date(2021, 3, 4), None]),
            "kind": pa.array(["a", None]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
    )

    columns, problems = columns_of(tmp_path, table)

    assert dict(columns) == {
        "id": ["17", ""],
        "tiny": ["1e-07", "1e+16"],
        "flag": ["true", ""],
        "day": ["2021-03-04", ""],
        "kind": ["a", ""],
        "nothing": ["", ""],
    }
    assert problems == []


def test_nested_and_binary_columns_are_problems(tmp_path):
    """Columns without a text are left out and reported with their type."""
    table = pa.table({"a": pa.array([[1]]), "b": pa.array([b"x"]), "c": pa.array(["x"])})

    columns, problems = columns_of(tmp_path, table)

    assert [name for name, _ in columns] == ["c"]
    assert [problem.message[:20] for problem in problems] == [
        "column 'a' holds lis",
        "column 'b' holds bin",
    ]


def test_pandas_row_labels_are_no_column(tmp_path):
    """The index that pandas saves along is left out."""
    pd.DataFrame({"a": [1]}, index=["x"]).to_parquet(tmp_path / "m.parquet")

    assert read_table(tmp_path / "m.parquet").names == ("a",)


def test_broken_file_is_refused(tmp_path):
    """A truncated Parquet file raises an error that names it."""
    with pytest.raises(ManifestError, match="is no sound Parquet file"):
        read_parquet(tmp_path / "m.parquet", b"PAR1 but not really PAR1")


def test_file_without_rows_is_refused(tmp_path):
    """A Parquet file with columns and no rows has no scans."""
    pq.write_table(pa.table({"a": pa.array([], pa.string())}), tmp_path / "m.parquet")

    with pytest.raises(ManifestError, match="no scans"):
        read_table(tmp_path / "m.parquet")
