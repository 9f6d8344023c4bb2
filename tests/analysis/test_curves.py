"""The table of learning curves: exact numbers, fixed columns, whole files."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.curves import COLUMNS, write_curves
from learner_index.errors import RunWriteError


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_stay_in_place(tmp_path):
    """Known columns first whatever the rows hold; others follow by name."""
    write_curves([{"zeta": 1, "loss": 2, "alpha": 3}, {"epoch": 1}], tmp_path / "c.csv")

    header = (tmp_path / "c.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.split(",") == [*COLUMNS, "alpha", "zeta"]


def test_missing_and_undefined_differ(tmp_path):
    """What was not measured is empty; what was measured as NaN says so."""
    write_curves([{"epoch": 1.0, "val_spearman": float("nan")}], tmp_path / "c.csv")

    (row,) = read(tmp_path / "c.csv")
    assert (row["epoch"], row["val_spearman"], row["val_mae"]) == ("1", "nan", "")


@given(value=st.floats(allow_nan=False))
def test_numbers_read_back_exactly(tmp_path_factory, value):
    """No digit is lost."""
    path = tmp_path_factory.mktemp("curves") / "c.csv"

    write_curves([{"epoch": 3, "loss": value}], path)

    assert float(read(path)[0]["loss"]) == value


def test_no_epochs_give_a_header(tmp_path):
    """A run that was stopped before its first epoch has an empty table."""
    write_curves([], tmp_path / "c.csv")

    assert (tmp_path / "c.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


def test_a_failed_write_leaves_the_old_table(tmp_path):
    """Values that are no numbers, or a folder in the way, destroy nothing."""
    path = tmp_path / "c.csv"
    write_curves([{"epoch": 1, "loss": 2.0}], path)
    before = path.read_bytes()

    with pytest.raises(ValueError, match="could not convert"):
        write_curves([{"epoch": 2, "loss": "much"}], path)

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["c.csv"]


def test_a_refused_write_is_named(tmp_path):
    """A folder where the table should go is reported with its path."""
    (tmp_path / "c.csv").mkdir()

    with pytest.raises(RunWriteError, match=r"c\.csv cannot be written"):
        write_curves([{"epoch": 1}], tmp_path / "c.csv")

    assert [file.name for file in tmp_path.iterdir()] == ["c.csv"]
