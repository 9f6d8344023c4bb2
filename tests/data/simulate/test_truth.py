"""The planted truth: in the order asked for, and only where it is certain."""

import pytest

from learner_index.data.simulate.truth import read_truth


@pytest.fixture
def folder(tmp_path):
    """A simulated cohort's label and truth table."""
    (tmp_path / "SIMULATED.txt").write_text("", encoding="utf-8")
    (tmp_path / "truth.csv").write_text("scan_id,s\n001,1.5\n002,2.5\n003,3.5\n", encoding="utf-8")
    return tmp_path


def test_rows_come_in_the_order_asked_for(folder):
    """Some scans, in another order; ids are texts, zeros and all."""
    found = read_truth(folder, ["003", "001"])

    assert found["s"].tolist() == [3.5, 1.5]
    assert found["scan_id"].tolist() == ["003", "001"]


def test_a_scan_it_does_not_know_makes_it_no_truth(folder):
    """Better none than one of other scans."""
    assert read_truth(folder, ["001", "1"]) is None


def test_real_scans_have_none(folder):
    """A table of that name beside scans that are not labelled as simulated is somebody else's."""
    (folder / "SIMULATED.txt").unlink()

    assert read_truth(folder, ["001"]) is None


def test_a_cohort_without_the_table_has_none(folder):
    """It may have been taken away, to be fair."""
    (folder / "truth.csv").unlink()

    assert read_truth(folder, ["001"]) is None
