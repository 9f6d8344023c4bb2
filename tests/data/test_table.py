"""Tables as text: lines, quoting, encodings, separators."""

import pytest

from learner_index.data.table import read_table, row_word
from learner_index.errors import ManifestError


def table(tmp_path, content, name="m.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


def test_lines_are_where_rows_start_in_the_file(tmp_path):
    """Blank lines, rows of separators only and quoted newlines do not shift the line numbers."""
    raw = table(tmp_path, '\n a , b\n\n1,"x\ny"\n,\n2,z\n   \n3,w')

    assert raw.names == ("a", "b")
    assert raw.lines.tolist() == [4, 7, 9]
    assert raw.cells["b"] == ["x\ny", "z", "w"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_newline_counts_once(tmp_path, newline):
    """Unix, Windows and old Mac line ends give the same rows and lines."""
    raw = table(tmp_path, f"a,b{newline}1,2{newline}3,4{newline}")

    assert raw.lines.tolist() == [2, 3]
    assert raw.cells == {"a": ["1", "3"], "b": ["2", "4"]}


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    """A file saved by a spreadsheet with a byte order mark reads like any other."""
    assert table(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n").names == ("a", "b")


@pytest.mark.parametrize("name", ["m.tsv", "m.txt", "m.TAB"])
def test_tab_separated_by_name(tmp_path, name):
    """Files ending in .tsv, .txt or .tab are separated by tabs."""
    assert table(tmp_path, "a\tb\n1\t2,3\n", name).cells["b"] == ["2,3"]


def test_surplus_blank_cells_are_taken_away(tmp_path):
    """Trailing separators without values are harmless."""
    raw = table(tmp_path, "a,b\n1,2,,\n")

    assert raw.cells == {"a": ["1"], "b": ["2"]}
    assert raw.problems == ()


def test_unnamed_empty_column_is_left_out_silently(tmp_path):
    """A header that ends in a separator makes no column when nothing is under it."""
    raw = table(tmp_path, "a,b,\n1,2,\n")

    assert raw.names == ("a", "b")
    assert raw.problems == ()


def test_file_that_is_not_utf8_names_the_line(tmp_path):
    """Latin-1 bytes are refused with the line of the first one."""
    with pytest.raises(ManifestError, match=r"not UTF-8 \(line 2\)"):
        table(tmp_path, b"a,b\nM\xfcller,2\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.csv", "no manifest .*absent.csv"),
        ("m.xlsx", "is a workbook: save"),
        ("m.doc", "is no .csv, .tsv or .parquet file"),
    ],
)
def test_absent_and_unknown_files_are_refused(tmp_path, name, message):
    """What is not there or of another kind is refused by name."""
    with pytest.raises(ManifestError, match=message):
        read_table(tmp_path / name)


def test_folder_is_refused_with_the_command_that_writes_a_manifest(tmp_path):
    """A folder given as manifest points to `learner-index manifest`."""
    (tmp_path / "scans.csv").mkdir()

    with pytest.raises(ManifestError, match="learner-index manifest"):
        read_table(tmp_path / "scans.csv")


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    """An operating system's refusal is passed on in words."""

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)

    with pytest.raises(ManifestError, match="cannot be read: Permission denied"):
        read_table(tmp_path / "m.csv")


def test_rows_are_called_rows_in_parquet(tmp_path):
    """Only Parquet files have rows without lines."""
    assert row_word(tmp_path / "m.PARQUET") == "row"
    assert row_word(tmp_path / "m.csv") == "line"


def test_a_folder_with_one_table_offers_it(tmp_path):
    """A folder given in place of the only table in it; of several, none is guessed."""
    (tmp_path / "a.csv").touch()
    with pytest.raises(ManifestError, match=r"is a folder.*did you mean '.*a.csv'"):
        read_table(tmp_path)

    (tmp_path / "b.tsv").touch()
    with pytest.raises(ManifestError, match="is a folder, not a manifest: name a table"):
        read_table(tmp_path)


def test_a_table_that_is_not_there_is_met_with_its_neighbor(tmp_path):
    """A misspelt name, or another ending; nothing where the folder is missing, too."""
    (tmp_path / "cohort.tsv").touch()

    with pytest.raises(ManifestError, match=r"did you mean '.*cohort.tsv'"):
        read_table(tmp_path / "chort.csv")
    with pytest.raises(ManifestError, match=r"no manifest .*gone/cohort.csv: check the path"):
        read_table(tmp_path / "gone" / "cohort.csv")
