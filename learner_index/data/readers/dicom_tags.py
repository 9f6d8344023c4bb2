"""Which DICOM header values may leave the file, and as what text."""

import re
from collections.abc import Sequence
from typing import Any

from learner_index.errors import ScanError

_PERSONAL_VR = ("PN", "DA", "DT", "TM", "UI")
_NO_TEXT_VR = ("SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN")
_PATIENT_GROUP = 0x0010
_HARMLESS = (
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientBodyMassIndex",
    "PregnancyStatus",
    "SmokingStatus",
)
_PERSONAL = re.compile(r"Accession|Address|Telephone|SerialNumber|Comments|Birth|IDs?$|Number$")
_COUNTS = ("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "TemporalPositionIndex")
_LONGEST = 200


def check_tags(tags: Sequence[str]) -> None:
    """Refuse keywords that do not exist, that point at a person, or that hold no text.

    Raises:
        ScanError: a keyword is refused; the message names it.
    """
    if not tags:
        return
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    for keyword in tags:
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ScanError(f"{keyword!r} is no DICOM keyword; check its spelling")
        if _is_personal(keyword, tag >> 16, dictionary_VR(tag)):
            raise ScanError(f"{keyword} can identify a person and is never read; leave it out")
        if set(dictionary_VR(tag).split(" or ")) & set(_NO_TEXT_VR):
            raise ScanError(f"{keyword} holds no text; ask for another keyword")


def _is_personal(keyword: str, group: int, vr: str) -> bool:
    """Names, dates, record numbers and all about the patient but a few plain facts."""
    if keyword in _HARMLESS or keyword in _COUNTS:
        return False
    return group == _PATIENT_GROUP or vr in _PERSONAL_VR or bool(_PERSONAL.search(keyword))


def tag_texts(header: Any, tags: Sequence[str]) -> dict[str, str]:
    """Values of the keywords asked for that the header has, on one line each."""
    values = {keyword: header.get(keyword) for keyword in tags}
    return {keyword: _text(value) for keyword, value in values.items() if value not in (None, "")}


def _text(value: Any) -> str:
    """One value or several joined by a backslash, as DICOM writes them."""
    is_many = not isinstance(value, str) and hasattr(value, "__iter__")
    text = "\\".join(str(part) for part in value) if is_many else str(value)
    return " ".join(text.split())[:_LONGEST]
