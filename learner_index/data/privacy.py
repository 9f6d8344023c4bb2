"""Columns that may identify a person: recognised by header or by values, and refused by name.

It errs on the side of refusing; `--keep-column` is the way to say that a column is harmless.
"""

import re
from collections.abc import Sequence

from learner_index.data.days import iso_date
from learner_index.data.problems import words

SHARE = 0.5  # of the values that must look like dates or addresses
_SAMPLE = 2000

_ALWAYS = words(
    "surname forename firstname lastname fullname patientname subjectname initials vorname "
    "nachname nom prenom dob birthdate birthday geburtsdatum mrn ssn nhs accession address "
    "street postcode postal zipcode zip phone telephone fax email passport date dates datum "
    "datetime studydate scandate"
)
_NAME_OF = words(
    "first last given family middle maiden full patient subject person participant mother "
    "father doctor physician nurse operator birth user contact"
)
_NUMBER = words("number numbers no nr num id")
_NUMBER_OF = words("record hospital medical insurance national security passport chart")
_WHOLE = words("name names mobile mail e_mail mobile_phone")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_DATE = re.compile(
    r"[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{4}|[0-9]{2})|[0-9]{4}[./][0-9]{1,2}[./][0-9]{1,2}"
)
_DICOM_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:\.0)?")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def identifying(name: str, texts: Sequence[str | None]) -> str:
    """Why a column may identify a person, as "looks like ..."; "" when nothing speaks for it."""
    return identifying_header(name) or identifying_values(texts)


def identifying_header(name: str) -> str:
    """Why a column's name suggests that it identifies a person, or ""."""
    parts = [word for word in re.split(r"[^a-z0-9]+", _HUMPS.sub("_", name).lower()) if word]
    found = set(parts)
    if found & {"date", "dates", "datum", "datetime", "studydate", "scandate"}:
        return "looks like a calendar date"
    by_name = {"name", "names"} & found and found & _NAME_OF
    by_number = found & _NUMBER and found & _NUMBER_OF
    if found & _ALWAYS or "_".join(parts) in _WHOLE or by_name or by_number:
        return "looks like a name, an address or a record number"
    return ""


def identifying_values(texts: Sequence[str | None]) -> str:
    """Why most of a column's values suggest that it identifies a person, or ""."""
    present = [text for text in texts if text is not None] if None in texts else texts
    sample = present[:: max(1, len(present) // _SAMPLE)]
    values = [text for text in sample if text is not None]
    if not values:
        return ""
    if sum(map(_is_date, values)) > SHARE * len(values):
        return "holds calendar dates"
    if sum(_EMAIL.fullmatch(value) is not None for value in values) > SHARE * len(values):
        return "holds e-mail addresses"
    return ""


def _is_date(text: str) -> bool:
    if len(text) < 6:
        return False
    day = text.split("T")[0].split(" ")[0]
    return bool(iso_date(text) or _DATE.fullmatch(day) or _DICOM_DATE.fullmatch(day))
