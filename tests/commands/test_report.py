"""`report`: where the page goes, what is printed, and what each kind of report is asked."""

import json

import pytest

from tests.pipeline.reports.report_toy import make_store, rows_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of nine patients, one with an id that no disk takes."""
    folder = tmp_path_factory.mktemp("made")
    x, obs = rows_of(9, views=("L1",), repeats=False, scored=False)
    obs["patient_id"] = obs["patient_id"].replace({"P4": "A/B <b>"}).astype("string")
    make_store(folder / "c.zarr", x, obs)
    return folder


@pytest.fixture(autouse=True)
def here(made, monkeypatch):
    """The folder with the store."""
    monkeypatch.chdir(made)


def test_a_patient_is_one_file(program, made):
    """The file and its title on stdout; what is missing, and what to type next, on stderr."""
    done = program("report", "c.zarr", "--patient", "P3", "-k", "2", "-o", "p.html")

    assert (done.code, done.out) == (0, "p.html: Patient P3\n")
    assert (made / "p.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "not given: Predicted response: No response head was named" in done.err
    assert done.err.splitlines()[-1].startswith("next: learner-index report c.zarr --patient ")


def test_a_cohort_is_one_file_with_a_name_of_its_own(program, made):
    """Without -o it goes to reports/, named after the store."""
    done = program("report", "c.zarr")

    assert (done.code, done.out) == (0, "reports/c.html: Cohort c.zarr\n")
    assert (made / "reports" / "c.html").exists()
    assert "not given: Evaluation: " in done.err


def test_ids_that_are_no_file_names_become_some(program, made):
    """A slash leads nowhere else, and two such ids do not share a file."""
    done = program("report", "c.zarr", "--patient", "A/B <b>")

    (name,) = (one.name for one in (made / "reports").glob("c-A_B*.html"))
    assert done.code == 0
    assert name.startswith("c-A_B_b_-")


def test_json_is_the_record_alone(program, made):
    """--json prints what was gathered; a file is written only where one is named."""
    before = {one.name for one in made.iterdir()}
    done = program("report", "c.zarr", "--patient", "P5", "--json")
    after = {one.name for one in made.iterdir()}
    both = program("report", "c.zarr", "--patient", "P5", "--json", "-o", "both.html")

    assert json.loads(done.out)["patient_id"] == "P5"
    assert (done.code, done.err, after) == (0, "", before)
    assert json.loads(both.out) == json.loads(done.out)
    assert (made / "both.html").exists()
