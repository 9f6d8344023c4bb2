"""Writing manifests whole or not at all."""

import pytest

from learner_index.data.writing import natural_key, refuse_existing, write_rows
from learner_index.errors import ManifestError

ROW = {"scan_id": "s", "patient_id": "p", "path": "a.png"}


def test_numbers_in_names_count_as_numbers():
    """Natural order puts 2 before 10 and keeps letters in their order."""
    names = ["b1", "a10", "a2", "a", "a02"]

    assert sorted(names, key=natural_key) == ["a", "a02", "a2", "a10", "b1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("m.xlsx", "written as .csv or .tsv"), ("x/m.csv", "x is not there, so no manifest")],
)
def test_impossible_outputs_are_refused(tmp_path, name, message):
    """Another format and an absent folder are refused before any work."""
    with pytest.raises(ManifestError, match=message):
        refuse_existing(tmp_path / name, overwrite=True)


def test_missing_cells_are_empty(tmp_path):
    """A row without a value for a column gets an empty cell."""
    write_rows(tmp_path / "m.csv", ("scan_id", "view", "path"), [ROW])

    assert (tmp_path / "m.csv").read_text() == "scan_id,view,path\ns,,a.png\n"


def test_name_that_is_no_text_is_refused(tmp_path):
    """A file name that is not UTF-8 cannot be listed."""
    with pytest.raises(ManifestError, match="cannot be written, rename it"):
        write_rows(tmp_path / "m.csv", ("path",), [ROW | {"path": "a\udcff.png"}])


def test_refused_write_leaves_nothing_behind(tmp_path):
    """When the rename fails, the temporary file is taken away."""
    (tmp_path / "m.csv").mkdir()

    with pytest.raises(ManifestError, match="cannot be written: "):
        write_rows(tmp_path / "m.csv", ("path",), [ROW])
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]
