"""Header values that may leave a DICOM file."""

import numpy as np
import pytest

from learner_index.data.readers import read_scan
from learner_index.errors import ScanError

_PIXELS = np.arange(80, dtype=np.uint16).reshape(8, 10)


def test_only_tags_asked_for_come_back(make_dicom):
    """Values come as text on one line; what the file lacks is absent."""
    path = make_dicom(
        "ct.dcm", _PIXELS, PatientName="Doe^Jane", BodyPartExamined="CHEST", KVP="120",
        ImageType=["ORIGINAL", "PRIMARY"], PatientSex="F",
    )  # fmt: skip
    tags = ("BodyPartExamined", "KVP", "ImageType", "PatientSex", "EchoTime")

    scan = read_scan(path, tags=tags)

    assert dict(scan.tags) == {
        "BodyPartExamined": "CHEST",
        "KVP": "120",
        "ImageType": "ORIGINAL\\PRIMARY",
        "PatientSex": "F",
    }
    assert dict(read_scan(path).tags) == {}


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientBirthTime",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientComments",
        "AccessionNumber",
        "StudyDate",
        "StudyTime",
        "AcquisitionDateTime",
        "ReferringPhysicianName",
        "OperatorsName",
        "StudyID",
        "StudyInstanceUID",
        "SOPInstanceUID",
        "DeviceSerialNumber",
        "InstitutionAddress",
        "ImageComments",
        "EthnicGroup",
        "MilitaryRank",
    ],
)
def test_what_can_identify_a_person_is_refused(tmp_path, keyword):
    """Names, dates, numbers, addresses and free text are refused, before the file is opened."""
    with pytest.raises(ScanError, match=f"^{keyword} can identify a person"):
        read_scan(tmp_path / "missing.dcm", tags=(keyword,))


@pytest.mark.parametrize(
    ("keyword", "message"),
    [("BodyPart", "'BodyPart' is no DICOM keyword"), ("PixelData", "holds no text")],
)
def test_what_cannot_be_given_is_refused(tmp_path, keyword, message):
    """Misspelt keywords and pixels are refused."""
    with pytest.raises(ScanError, match=message):
        read_scan(tmp_path / "missing.dcm", tags=(keyword,))


@pytest.mark.parametrize("keyword", ["SeriesNumber", "ManufacturerModelName", "EchoTime"])
def test_plain_facts_are_allowed(make_dicom, keyword):
    """Technical values pass."""
    path = make_dicom(
        "ct.dcm", _PIXELS, **{keyword: 7 if keyword != "ManufacturerModelName" else "X"}
    )

    assert keyword in read_scan(path, tags=(keyword,)).tags


def test_other_kinds_of_files_have_no_tags(tmp_path):
    """Asking a picture for tags gives none, without complaint."""
    np.save(tmp_path / "scan.npy", _PIXELS)

    assert dict(read_scan(tmp_path / "scan.npy", tags=("EchoTime",)).tags) == {}
