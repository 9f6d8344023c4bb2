"""Columns that may identify a person."""

import pytest

from learner_index.data.privacy import identifying, identifying_header, identifying_values


@pytest.mark.parametrize(
    "name",
    [
        "name",
        "first_name",
        "FirstName",
        "surname",
        "patient_name",
        "PatientName",
        "dob",
        "birth_date",
        "BirthDate",
        "MRN",
        "ssn",
        "nhs_number",
        "NHSNumber",
        "address",
        "phone",
        "email",
        "e-mail",
        "accession",
        "AccessionNumber",
        "study_date",
        "StudyDate",
        "date_of_birth",
        "acquisitionDate",
        "record_number",
        "hospital_id",
        "Initials",
        "ReferringPhysician_Name",
    ],
)
def test_identifying_headers_are_recognised(name):
    """Names, addresses, record numbers and dates are recognised however they are spelled."""
    assert identifying_header(name).startswith("looks like")


@pytest.mark.parametrize(
    "name",
    [
        "age",
        "sex",
        "crp",
        "update",
        "scanner_name",
        "drug_name",
        "birth_weight",
        "view",
        "site",
        "n_days",
        "days_to_event",
        "b_lines",
        "filename",
        "id",
        "hospital",
        "number",
        "candidate",
        "mandate",
    ],
)
def test_harmless_headers_pass(name):
    """Words that merely contain or border on such names are left alone."""
    assert identifying_header(name) == ""


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["2021-03-04", "2021-03-05T01:02", None, "x"], "holds calendar dates"),
        (["4.3.2021", "04/03/21"], "holds calendar dates"),
        (["2021/3/4"], "holds calendar dates"),
        (["20210304", "19991231"], "holds calendar dates"),
        (["a@b.org", None], "holds e-mail addresses"),
        (["a@b", "1.5", "12345678"], ""),
        (["2021-03-04", "x", "y"], ""),
        (["1.5.2", "10.1.3"], ""),
        ([None], ""),
        ([], ""),
    ],
)
def test_values_tell_dates_and_addresses(texts, reason):
    """A column most of whose values are dates or e-mail addresses is recognised by them."""
    assert identifying_values(texts) == reason


def test_header_and_values_are_both_looked_at():
    """Either of them suffices."""
    assert identifying("dob", [])
    assert identifying("seen", ["2021-03-04"])
    assert not identifying("seen", ["often"])


def test_long_columns_are_sampled_over_their_length():
    """Dates that fill the second half of a long column are seen."""
    texts = ["x"] * 9000 + ["2021-03-04"] * 11000

    assert identifying_values(texts) == "holds calendar dates"
