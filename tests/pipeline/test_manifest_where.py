"""Some scans of a manifest: those whose columns fulfil conditions, whole rows of them."""

import numpy as np
import pytest

from learner_index.data.manifest import read_manifest
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.manifest import only_where, rows_where
from tests.toy import make_cohort


@pytest.fixture
def manifest(tmp_path):
    """Six scans of three patients; p1's have no site."""
    make_cohort(tmp_path)
    return read_manifest(tmp_path / "cohort.csv")


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        ((), [0, 1, 2, 3, 4, 5]),
        (("patient_id == p1",), [2, 3]),
        (("site == A", "day == 1"), [1, 5]),
        (("site is missing",), [2, 3]),
        (("day > 7",), []),
    ],
)
def test_rows_that_fulfil_all_conditions(manifest, conditions, rows):
    """In the manifest's order; a missing value fulfils only "is missing"."""
    assert rows_where(manifest, conditions).tolist() == rows


def test_what_is_kept_stays_together(manifest):
    """Columns, lines of the file and paths belong to the same scans as before."""
    found = only_where(manifest, ("patient_id != p0",))

    assert found.n_scans == 4 and found.n_patients == 2
    assert found.table["scan_id"].tolist() == ["p1d0", "p1d1", "p2d0", "p2d1"]
    assert found.lines.tolist() == manifest.lines[2:].tolist()
    assert [path.name for path in found.paths] == ["p1d0.npy", "p1d1.npy", "p2d0.npy", "p2d1.npy"]
    assert list(found.table.index) == [0, 1, 2, 3]


def test_without_conditions_it_is_the_manifest(manifest):
    """Not a copy."""
    assert only_where(manifest, ()) is manifest


def test_no_scan_left_is_refused(manifest):
    """With all the conditions, as they were typed."""
    with pytest.raises(
        NotEnoughDataError, match=r"no scan of cohort\.csv fulfils site == A and day > 7: loosen"
    ):
        only_where(manifest, ("site == A", "day > 7"))


def test_a_condition_that_is_none_is_refused(manifest):
    """As in every question."""
    with pytest.raises(QueryError, match="did you mean 'site'"):
        rows_where(manifest, ("sit == A",))


def test_only_takes_rows_in_their_order(manifest):
    """`Manifest.only` is what both rest on."""
    assert manifest.only(np.array([4, 1])).table["scan_id"].tolist() == ["p2d0", "p0d1"]
