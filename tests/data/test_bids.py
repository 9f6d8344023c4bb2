"""Manifests written from BIDS data sets."""

from pathlib import Path

import numpy as np
import pytest

from learner_index.data.bids import write_manifest_from_bids
from learner_index.data.manifest import read_manifest
from learner_index.errors import ManifestError

SET = {
    "dataset_description.json": "{}",
    "participants.tsv": "participant_id\tage\tsex\tsurname\n"
    "sub-01\t70\tF\tMeyer\nsub-02\tn/a\tM\tX\n",
    "sub-01/sub-01_sessions.tsv": "session_id\tacq_time\tMMSE\tage\n"
    "ses-a\t2020-01-10T10:00:00\t28\t71\nses-b\t2020-02-09\tn/a\tn/a\n",
    "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz": "1",
    "sub-01/ses-b/anat/sub-01_ses-b_run-2_T1w.nii.gz": "2",
    "sub-01/ses-b/func/sub-01_ses-b_task-rest_bold.nii": "3",
    "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz": "4",
    "sub-02/ses-a/anat/sub-02_ses-a_T1w.json": "{}",
    "sub-02/ses-a/sub-02_ses-a_scans.tsv": "filename\tacq_time\tgrade\n"
    "anat/sub-02_ses-a_T1w.nii.gz\t2019-05-05T10:00:00\tgood\n",
    "sub-02/ses-a/anat/odd.nii.gz": "5",
    "sub-02/ses-b/anat/sub-02_ses-a_T2w.nii.gz": "6",
    "derivatives/sub-01/anat/sub-01_T1w.nii.gz": "7",
}


def bids(folder: Path, files: dict[str, str]) -> Path:
    """A data set with these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_entities_and_tables_become_columns(tmp_path):
    """Names give patient, visit, modality and run; tables give age, sex, MMSE; dates give days."""
    bids(tmp_path, SET)

    result = write_manifest_from_bids(tmp_path, tmp_path / "m.csv")

    manifest = read_manifest(tmp_path / "m.csv")
    table = manifest.table
    assert manifest.problems == ()
    assert table["patient_id"].tolist() == ["sub-01"] * 3 + ["sub-02"]
    assert table["visit"].tolist() == ["ses-a", "ses-b", "ses-b", "ses-a"]
    assert table["modality"].tolist() == ["T1w", "T1w", "bold", "T1w"]
    assert table["day"].tolist() == [0.0, 30.0, 30.0, 0.0]
    np.testing.assert_array_equal(table["age"], [71, 70, 70, np.nan])
    np.testing.assert_array_equal(table["MMSE"], [28, np.nan, np.nan, np.nan])
    assert table["task"].isna().tolist() == [True, True, False, True]
    assert table["grade"].tolist()[3] == "good"
    assert table["sex"].tolist() == ["F", "F", "F", "M"]
    assert "2020" not in (tmp_path / "m.csv").read_text()
    assert result.left_out == ("surname looks like a name, an address or a record number",)
    assert result.notes == ()
    assert result.unmatched == (
        "sub-02/ses-a/anat/odd.nii.gz",
        "sub-02/ses-b/anat/sub-02_ses-a_T2w.nii.gz",
    )


def test_suffixes_choose_the_scans(tmp_path):
    """Only files with the suffixes asked for are listed."""
    bids(tmp_path, SET)

    result = write_manifest_from_bids(tmp_path, tmp_path / "m.csv", suffixes=("bold",))

    assert (result.n_scans, result.n_patients) == (1, 1)


def test_set_without_sessions_takes_days_from_its_scans(tmp_path):
    """Without sessions each scan's own acq_time counts, from the patient's first."""
    bids(
        tmp_path,
        {
            "sub-1/anat/sub-1_run-1_T1w.nii": "a",
            "sub-1/anat/sub-1_run-2_T1w.nii": "b",
            "sub-1/sub-1_scans.tsv": "filename\tacq_time\nanat/sub-1_run-1_T1w.nii\t2020-01-02\n"
            "anat/sub-1_run-2_T1w.nii\t2020-01-05\n",
        },
    )

    result = write_manifest_from_bids(tmp_path, tmp_path / "m.csv")

    assert read_manifest(tmp_path / "m.csv").table["day"].tolist() == [0.0, 3.0]
    assert "visit" not in result.columns
    assert result.notes == ("there is no dataset_description.json: is this a BIDS data set?",)


def test_sessions_date_wins_over_its_scans(tmp_path):
    """sessions.tsv is not moved by scans.tsv; an undated session takes its earliest scan."""
    bids(
        tmp_path,
        {
            "sub-1/sub-1_sessions.tsv": "session_id\tacq_time\nses-1\t2020-01-02\nses-2\tn/a\n",
            "sub-1/ses-1/anat/sub-1_ses-1_T1w.nii": "a",
            "sub-1/ses-2/anat/sub-1_ses-2_T1w.nii": "b",
            "sub-1/ses-1/sub-1_ses-1_scans.tsv": "filename\tacq_time\n"
            "anat/sub-1_ses-1_T1w.nii\t2019-12-30\n",
            "sub-1/ses-2/sub-1_ses-2_scans.tsv": "filename\tacq_time\nx\t2020-01-09\n"
            "anat/sub-1_ses-2_T1w.nii\t2020-01-08\n",
        },
    )

    write_manifest_from_bids(tmp_path, tmp_path / "m.csv")

    assert read_manifest(tmp_path / "m.csv").table["day"].tolist() == [0.0, 6.0]


def test_odd_tables_are_noted_and_left_out(tmp_path):
    """Tables without key, with ragged rows, bad dates or bytes cost a note each."""
    bids(
        tmp_path,
        {
            "dataset_description.json": "{}",
            "participants.tsv": "id\tage\n1\t2\n",
            "sub-1/sub-1_sessions.tsv": "session_id\tacq_time\tview\trank\n"
            "ses-1\t10/1/20\tx\t1\nses-2\n",
            "sub-1/ses-1/anat/sub-1_ses-1_T1w.nii": "a",
        },
    )
    (tmp_path / "sub-1/ses-1/sub-1_ses-1_scans.tsv").write_bytes(b"\xff\xfe")

    result = write_manifest_from_bids(tmp_path, tmp_path / "m.csv")

    assert result.notes == (
        "participants.tsv was left out: it needs 'participant_id' and distinct columns",
        "sub-1/sub-1_sessions.tsv: 1 ragged rows were left out",
        "1 values of acq_time are no ISO date and were left out",
        "sub-1/ses-1/sub-1_ses-1_scans.tsv cannot be read and was left out (UnicodeDecodeError)",
    )
    assert result.left_out == ("rank has another meaning here",)
    assert "day" not in result.columns


@pytest.mark.parametrize(
    ("files", "suffixes", "message"),
    [
        ({"a.txt": "x"}, None, "is it the top of a BIDS data set"),
        (SET, ("T1",), r"has the suffix 'T1' \(did you mean 'T1w'\?\): there are 'T1w' and 'bold'"),
    ],
)
def test_set_without_scans_is_refused(tmp_path, files, suffixes, message):
    """Nothing found is an error that names what is there."""
    bids(tmp_path, files)

    with pytest.raises(ManifestError, match=message):
        write_manifest_from_bids(tmp_path, tmp_path / "m.csv", suffixes=suffixes)


def test_absent_folder_is_refused(tmp_path):
    """A folder that is not there is named."""
    with pytest.raises(ManifestError, match="no folder"):
        write_manifest_from_bids(tmp_path / "absent", tmp_path / "m.csv")
