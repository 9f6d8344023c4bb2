"""Checks that need the files: missing, empty, or the same content twice."""

from pathlib import Path

import pytest

from learner_index.config import ManifestOptions
from learner_index.data import check
from learner_index.data.check import check_manifest
from learner_index.data.content import HashCache
from learner_index.data.manifest import read_manifest
from learner_index.errors import ScanError

HEAD = "scan_id,patient_id,path,split"


def report(folder: Path, rows: str, files: dict[str, str], cache: HashCache | None = None):
    """The report on a cohort of small files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "m.csv").write_text(f"{HEAD}\n{rows}")
    return check_manifest(read_manifest(folder / "m.csv", ManifestOptions()), cache)


@pytest.mark.parametrize(
    ("rows", "files", "expected"),
    [
        ("s,p,a,\n", {}, ["line 2 s: file 'a' is missing: check the path"]),
        ("s,p,x\\a,\n", {}, ["line 2 s: file 'x\\\\a' is missing: check the path (folders are "]),
        ("s,p,b/x,\n", {"a/x.png": "x"}, ["line 2 s: file 'b/x' is missing: check the path"]),
        ("s,p,a,\n", {"a": ""}, ["line 2 s: file 'a' is empty"]),
        ("s,p,d,\n", {"d/.hidden": "x"}, ["line 2 s: file 'd' holds no files"]),
        ("s,p,a/b,\n", {"a": "x"}, ["line 2 s: file 'a/b' cannot be read (Not a directory)"]),
        (
            "s,p,a,\nt,q,b,\nu,r,c,\n",
            {"a": "x", "b": "x", "c": "y"},
            ["lines 2 and 3: the same content under patients 'p' and 'q'"],
        ),
        (
            "s,p,a,train\nt,p,b,test\n",
            {"a": "x", "b": "x"},
            ["lines 2 and 3: patient 'p' is in", "lines 2 and 3: the same content under splits"],
        ),
        (
            "s,p,a,\nt,p,b,\n",
            {"a": "x", "b": "x"},
            ["lines 2 and 3: the same content under 2 scan ids of one patient"],
        ),
        (
            "s,p,a,\nt,q,a,\n",
            {"a": "x"},
            ["lines 2 and 3: one path under patients 'p' and 'q'"],
        ),
        (
            "s,p,d,\nt,q,e,\n",
            {"d/1": "x", "e/1": "x"},
            ["lines 2 and 3: the same content under patients 'p' and 'q'"],
        ),
        ("s,p,,\n", {}, ["line 2 s: no path"]),
        ("s,p,a,\nt,q,b,\n", {"a": "x", "b": "y"}, []),
    ],
)
def test_what_the_files_tell_is_reported_with_its_lines(tmp_path, rows, files, expected):
    """Missing, empty and doubled files are told once each, and nothing else is."""
    found = [str(problem) for problem in report(tmp_path, rows, files).problems]

    assert len(found) == len(expected)
    for text, message in zip(found, expected, strict=True):
        assert text.startswith(message)


@pytest.mark.parametrize(
    ("path", "meant"), [("A/x.PNG", "a/X.png"), ("a\\X.png", "a/X.png"), ("a/X", "a/X.png")]
)
def test_a_path_that_is_nearly_right_is_met_with_the_right_one(tmp_path, path, meant):
    """Capitals, backslashes and a missing ending are the usual slips."""
    found = report(tmp_path, f"s,p,{path},\n", {"a/X.png": "x"})

    assert str(found.problems[0]).endswith(f"is missing: check the path (did you mean {meant!r}?)")


def test_content_under_two_ids_of_one_patient_is_no_error(tmp_path):
    """It is reported, and the report has no errors."""
    result = report(tmp_path, "s,p,a,\nt,p,b,\n", {"a": "x", "b": "x"})

    assert len(result.problems) == 1
    assert not result.has_errors


def test_only_files_of_equal_size_are_read(tmp_path, monkeypatch):
    """Files whose sizes differ cannot be equal, so they are not hashed."""
    read = []
    monkeypatch.setattr(check, "content_hash", lambda path: read.append(path.name))

    report(tmp_path, "s,p,a,\nt,p,b,\nu,p,c,\n", {"a": "1", "b": "22", "c": "33"})

    assert read == ["b", "c"]


def test_file_that_cannot_be_read_is_a_problem(tmp_path, monkeypatch):
    """A file that refuses to be compared is reported, and the others still are."""

    def refuse(_path):
        raise ScanError("locked")

    monkeypatch.setattr(check, "content_hash", refuse)

    found = report(tmp_path, "s,p,a,\nt,p,b,\n", {"a": "1", "b": "2"}).problems

    assert [problem.where for problem in found] == ["line 2", "line 3"]


def test_hashes_can_come_from_a_cache(tmp_path):
    """With a cache the same problems are found."""
    found = report(
        tmp_path, "s,p,a,\nt,q,b,\n", {"a": "x", "b": "x"}, HashCache(tmp_path / "c")
    ).problems

    assert "the same content" in found[0].message


def test_problems_of_manifest_and_files_are_sorted_together(tmp_path):
    """Problems stand in the order of lines, wherever they were found."""
    found = report(tmp_path, "s,p,gone,\nt,,b,\n", {"b": "x"}).problems

    assert [problem.where for problem in found] == ["line 2", "line 3"]
