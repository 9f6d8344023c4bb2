"""Wrong input to `learner-index report`: one line each, and nothing is written.

What must be said about a case is what docs/bad-input.md shows under its name.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.commands.page import Case, in_words, page_rows
from tests.pipeline.reports.report_toy import make_store, rows_of, unsynced
from tests.pipeline.response.asking import head_at

ROWS = page_rows()["Reports"]
REPORT = ("report", "toy.zarr")
PATIENT = (*REPORT, "--patient", "P3")


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A store of 30 patients and a head fitted on it."""
    place = tmp_path_factory.mktemp("ready")
    make_store(place / "toy.zarr", *rows_of(30, views=("L1",), repeats=False, scored=True))
    with unsynced():
        head_at(place / "head", place / "toy.zarr", alpha=0.3)
    return place


@pytest.fixture
def home(ready, tmp_path, monkeypatch) -> Path:
    """Where the program is run: a copy."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def other_space() -> None:
    """Alters the head's card."""
    card = json.loads(Path("head/head.json").read_text())
    Path("head/head.json").write_text(json.dumps({**card, "space": "0123456789abcdef"}))


def text(path: str, content: str) -> None:
    """Writes a file in a folder of its own."""
    Path(path).parent.mkdir()
    Path(path).write_text(content)


CASES = [
    Case("a patient misspelt", (*REPORT, "--patient", "P03")),
    Case("a head of another space", (*PATIENT, "--head", "head"), other_space),
    Case("a head of another space, for the cohort", (*REPORT, "--head", "head"), other_space),
    Case("no head there", (*PATIENT, "--head", "heed")),
    Case("no evaluation there", (*REPORT, "--evaluation", "head")),
    Case(
        "a damaged evaluation",
        (*REPORT, "--evaluation", "old"),
        lambda: text("old/evaluation.json", "{}"),
    ),
    Case("a report of unknown kind", (*PATIENT, "-o", "p.pdf")),
    Case("a folder for a report", (*PATIENT, "-o", "p.html"), lambda: Path("p.html").mkdir()),
    Case("a report inside the store", (*PATIENT, "-o", "toy.zarr/p.html")),
    Case(
        "a place that takes no report",
        (*PATIENT, "-o", "file/p.html"),
        lambda: Path("file").write_text("taken"),
    ),
    Case("no such manifest", (*PATIENT, "--thumbnails", "nowhere.csv")),
]
USAGE = [
    Case("an option of patients", (*REPORT, "-k", "3"), code=2),
    Case("pictures of a cohort", (*REPORT, "--thumbnails", "cohort.csv"), code=2),
    Case("an option of cohorts", (*PATIENT, "--evaluation", "results"), code=2),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(home, program, case):
    """Exit code, and the page's line; nothing is written."""
    case.spoil()

    done = program(*case.words)

    assert done.code == case.code
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert in_words(done.err.strip()) == ROWS[case.name]
    assert not [one for one in home.rglob("*.html") if one.is_file()]


@pytest.mark.parametrize("case", USAGE, ids=lambda case: case.name)
def test_wrong_usage_names_the_option(home, program, case):
    """Exit code 2, and the page's line below the usage."""
    done = program(*case.words)

    assert done.code == 2
    assert done.out == ""
    assert " ".join(ROWS[case.name].split()) in " ".join(done.err.split())


def test_the_page_shows_the_cases():
    """Each once, in their order, and none that is no longer tried."""
    assert list(ROWS) == [case.name for case in [*CASES, *USAGE]]
