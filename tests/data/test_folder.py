"""Manifests written from folder trees."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner_index.data.folder import write_manifest_from_folder
from learner_index.data.manifest import read_manifest
from learner_index.errors import ManifestError

PATTERN = "{patient_id}/{day}_{view}.mp4"


def tree(folder: Path, *files: str) -> Path:
    """A folder with these files."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    return folder


def test_rows_come_in_natural_order_with_paths_relative_to_the_manifest(tmp_path):
    """P2 comes before P10, and the paths lead from the manifest's folder to the scans."""
    scans = tree(tmp_path / "scans", "P10/0_L1.mp4", "P2/10_L1.mp4", "P2/9_L1.mp4", "P2/notes.txt")

    result = write_manifest_from_folder(scans, PATTERN, tmp_path / "m.csv")

    assert (tmp_path / "m.csv").read_text() == (
        "scan_id,patient_id,day,view,path\n"
        "P2_9_L1,P2,9,L1,scans/P2/9_L1.mp4\n"
        "P2_10_L1,P2,10,L1,scans/P2/10_L1.mp4\n"
        "P10_0_L1,P10,0,L1,scans/P10/0_L1.mp4\n"
    )
    assert (result.n_scans, result.n_patients, result.notes) == (3, 2, ())
    assert (result.n_unmatched, result.unmatched) == (1, ("P2/notes.txt",))


def test_folders_can_be_the_scans(tmp_path):
    """With a trailing slash, folders as deep as the pattern are the scans."""
    tree(tmp_path, "P1/s1/1.dcm", "P1/s1/2.dcm", "P2/s9/1.dcm", "P2/other/1.dcm")

    result = write_manifest_from_folder(tmp_path, "{patient_id}/s{visit}/", tmp_path / "m.tsv")

    assert read_manifest(tmp_path / "m.tsv").paths == (tmp_path / "P1/s1", tmp_path / "P2/s9")
    assert result.unmatched == ("P2/other",)


def test_dates_are_written_as_dates_but_not_into_scan_ids(tmp_path):
    """{date} reads YYYYMMDD and YYYY-MM-DD; the scan id carries the day instead."""
    tree(tmp_path, "p/20210304.png", "q/2021-03-06.png")

    write_manifest_from_folder(tmp_path, "{patient_id}/{date}.png", tmp_path / "m.csv")

    table = read_manifest(tmp_path / "m.csv").table
    assert table["scan_id"].tolist() == ["p_day0", "q_day2"]
    assert table["day"].tolist() == [0.0, 2.0]


def test_scan_id_can_come_from_the_pattern(tmp_path):
    """A {scan_id} placeholder is taken as it is."""
    tree(tmp_path, "p/20210304_x7.png")

    write_manifest_from_folder(tmp_path, "{patient_id}/{date}_{scan_id}.png", tmp_path / "m.csv")

    assert read_manifest(tmp_path / "m.csv").table["scan_id"].tolist() == ["x7"]


def test_double_suffixes_leave_the_scan_id(tmp_path):
    """.nii.gz is one suffix."""
    tree(tmp_path, "p/t1.nii.gz")

    write_manifest_from_folder(tmp_path, "{patient_id}/{view}.nii.gz", tmp_path / "m.csv")

    assert read_manifest(tmp_path / "m.csv").table["scan_id"].tolist() == ["p_t1"]


@pytest.mark.parametrize(
    ("files", "pattern", "message"),
    [
        (["a/b.png", "c.png", "d.png"], PATTERN, "fits .*: there is 'a/b.png' and 'c.png', for"),
        ([], PATTERN, "there is no file to fit"),
        (["a/x_L1.mp4"], PATTERN, r"day 'x' in 'a/x_L1.mp4' is no number: use \{visit\}"),
        (["a/inf_L1.mp4"], PATTERN, "day 'inf'"),
        (["a/040321.png"], "{patient_id}/{date}.png", "the date in 'a/040321.png' is neither"),
        (["a/x.png", "a/x.jpg"], "{patient_id}/{view}.*", "would both be scan 'a_x'"),
        (["NA/x.png"], "{patient_id}/{view}.png", "patient_id 'NA' reads as a missing value"),
        (["a/x .png"], "{patient_id}/{view}.png", "view 'x ' has blanks"),
        (["a/x\n.png"], "{patient_id}/{view}.png", "view .* has blanks at its ends or characters"),
        (["a/x.png"], "{day}.png", "has no"),
    ],
)
def test_trees_that_cannot_be_written_are_refused(tmp_path, files, pattern, message):
    """One clear line says what is in the way, and no manifest is left behind."""
    scans = tmp_path / "scans"
    scans.mkdir()
    tree(scans, *files)

    with pytest.raises(ManifestError, match=message):
        write_manifest_from_folder(scans, pattern, tmp_path / "m.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]


def test_absent_folder_is_refused(tmp_path):
    """A folder that is not there is named."""
    with pytest.raises(ManifestError, match=r"no folder .*absent"):
        write_manifest_from_folder(tmp_path / "absent", PATTERN, tmp_path / "m.csv")


def test_existing_output_is_replaced_only_when_told(tmp_path):
    """A manifest is not overwritten unless asked; its own file is never counted as unmatched."""
    tree(tmp_path, "p/0_a.mp4", "m.csv")

    with pytest.raises(ManifestError, match="exists: choose another name, or pass --overwrite"):
        write_manifest_from_folder(tmp_path, PATTERN, tmp_path / "m.csv")
    result = write_manifest_from_folder(tmp_path, PATTERN, tmp_path / "m.csv", overwrite=True)

    assert result.n_unmatched == 0
    assert read_manifest(tmp_path / "m.csv").n_scans == 1


def test_loops_of_links_end_and_linked_folders_are_entered(tmp_path):
    """A link to a parent is not followed for ever; a link to another tree is followed."""
    scans = tree(tmp_path / "scans", "p/0_a.mp4")
    tree(tmp_path / "more", "1_b.mp4", ".hidden")
    (scans / "p/loop").symlink_to(scans)
    (scans / "q").symlink_to(tmp_path / "more")

    write_manifest_from_folder(scans, PATTERN, tmp_path / "m.csv")

    assert read_manifest(tmp_path / "m.csv").table["scan_id"].tolist() == ["p_0_a", "q_1_b"]


def test_scans_outside_the_manifests_folder_are_noted(tmp_path):
    """The manifest is written, and the note says how to read it."""
    scans = tree(tmp_path / "scans", "p/0_a.mp4")
    (tmp_path / "out").mkdir()

    result = write_manifest_from_folder(scans, PATTERN, tmp_path / "out/m.csv")

    assert "--allow-outside" in result.notes[0]
    assert read_manifest(tmp_path / "out/m.csv").errors[0].message.startswith("path '../scans")


names = st.text("abcXYZ019-é", min_size=1, max_size=5).filter(lambda text: text.strip("-"))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    scans=st.sets(st.tuples(names, st.integers(-50, 50), names), min_size=1, max_size=5),
    suffix=st.sampled_from([".csv", ".tsv"]),
)
def test_what_was_written_reads_back(tmp_path_factory, scans, suffix):
    """Patients, days and views of a tree survive the manifest, without any problem but hints."""
    folder = tmp_path_factory.mktemp("tree")
    tree(folder, *(f"{patient}/{day}_{view}.mp4" for patient, day, view in scans))

    write_manifest_from_folder(folder, PATTERN, folder / f"m{suffix}")

    manifest = read_manifest(folder / f"m{suffix}")
    table = manifest.table
    found = zip(table["patient_id"], table["day"].astype(int), table["view"], strict=True)
    assert set(found) == scans
    assert manifest.errors == ()
    assert all(path.is_file() for path in manifest.paths)
