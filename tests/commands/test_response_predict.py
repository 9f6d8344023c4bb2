"""`response predict`: what it prints, what it writes, and with which exit code it ends."""

import csv
import json

import pytest
import typer
from typer.testing import CliRunner

from learner_index.commands.response_predict import predict
from learner_index.errors import QueryError, SettingsError
from tests.commands.conftest import ToyChosen
from tests.pipeline.response.asking import head_at, scan_row, scanned_cohort
from tests.toy import write_manifest

HEADER = ["patient_id", "from", "to", "likeliest", "p", "set", "abstains"]


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A store of real scans by the toy encoder, and a head fitted on it."""
    folder = tmp_path_factory.mktemp("ward")
    head_at(folder / "head", scanned_cohort(folder, 15), alpha=0.3)
    return folder


@pytest.fixture
def run(ward, monkeypatch):
    """Runs the command on the head and store, through a program of its own."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("learner_index.pipeline.source.ChosenEncoder", ToyChosen)
    app = typer.Typer()
    app.callback()(lambda: None)
    app.command("predict")(predict)

    def call(*words):
        asked = ["predict", str(ward / "head"), str(ward / "c.zarr"), *map(str, words)]
        return CliRunner().invoke(app, asked)

    return call


def test_a_store_is_a_table_of_80_columns(run):
    """One line a prediction on stdout; counts and notes on stderr."""
    done = run()

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].split() == HEADER
    assert len(lines) == 1 + 30
    assert max(map(len, lines)) <= 80
    said = done.stderr.splitlines()
    assert said[0].startswith(
        "change of health score by 7 or more; 30 predictions of 15 patients, "
    )
    assert said[1].startswith("note: FITTED ON: 15 of 15 patients")


def test_a_patient_is_told_in_detail(run):
    """Probabilities, set, parts, who speaks and what came about of the latest, on stderr."""
    done = run("--patient", "p3", "-k", "2")

    assert done.exit_code == 0
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [
        ["p3", "0", "1"],
        ["p3", "1", "2"],
    ]
    labels = [line[:13].strip() for line in done.stderr.splitlines()]
    for label in ("p3", "probabilities", "set", "log odds", "nearest", "came about", "more"):
        assert label in labels
    assert "an average example without change" in done.stderr
    assert "change along the severity axis" in done.stderr
    assert done.stderr.count("distance") == 2


def test_json_is_the_whole_answer(run):
    """And nothing else is printed."""
    done = run("--patient", "p3", "--json")

    found = json.loads(done.stdout)
    assert done.stderr == ""
    assert [own["from_day"] for own in found["predictions"]] == [0, 1]
    assert found["query"]["patient"] == "p3"


def test_a_file_is_written_instead_of_the_table(run, tmp_path):
    """What was written is one line on stdout; a file that cannot be is refused at once."""
    done = run("-o", tmp_path / "out.csv")

    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert done.stdout == f"{tmp_path / 'out.csv'}: 30 predictions of 15 patients\n"
    assert len(rows) == 30
    assert {"p_improved", "part_base", "is_fitted_on"} <= set(rows[0])
    assert isinstance(
        run("-o", tmp_path / "out.xls", "--patient", "nobody").exception, SettingsError
    )


def test_skipped_scans_exit_with_3(run, tmp_path):
    """All that could be used is told; the others are named on stderr."""
    rows = [scan_row(tmp_path, "p90", day, 90 - 25 * day) for day in range(2)]
    gone = {**rows[0], "scan_id": "gone", "path": "scans/gone.npy", "day": 9}
    manifest = write_manifest(tmp_path / "new.csv", [*rows, gone])

    done = run("--manifest", manifest)

    assert done.exit_code == 3
    assert done.stdout.splitlines()[1].split()[:3] == ["p90", "0", "1"]
    assert "skipped line 4 gone: " in done.stderr


def test_options_reach_the_question(run):
    """A condition chooses among visits, and what does not fit is the pipeline's own refusal."""
    assert len(run("--where", "day >= 1").stdout.splitlines()) == 16
    assert isinstance(run("--at", "first").exception, SettingsError)
    assert isinstance(run("--patient", "P3").exception, QueryError)
    assert run("-k", "-1").exit_code == 2
