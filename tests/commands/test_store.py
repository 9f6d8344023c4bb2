"""`info`, `refit`, `verify` and `compact`, and `simulate`: stores and cohorts as they are told."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest

from learner_index.data.split import PatientSplit
from learner_index.pipeline.build import build
from tests.commands.broken import rows, write_rows
from tests.toy import ToySource


def test_info_in_words(store, program):
    """Content, score, encoder, reference and disk, in 80 columns."""
    done = program("info", "c.zarr")

    shown = " ".join(done.out.split())
    assert done.code == 0
    assert max(len(line) for line in done.out.splitlines()) <= 80
    assert "content 6 scans, 6 visits, 3 patients (3 seen twice or more)" in shown
    assert "health score health_score, 6 of 6 scans, 79 to 100" in shown
    assert "encoder toy, 4 values, trained on nothing" in shown
    assert "seen by encoder unseen 6" in shown
    assert "generation 1, layout 1" in shown
    assert done.err == "next: learner-index similar c.zarr --patient p0 -k 5\n"


def test_info_as_json(store, program):
    """--json holds figures and the encoder's card."""
    found = json.loads(program("info", "c.zarr", "--json").out)

    assert (found["n_scans"], found["n_patients"], found["clock"]) == (6, 3, "patient")
    assert found["card"]["spec"] == "toy"


def test_info_warns_of_seen_patients(folder, program):
    """Patients the encoder knows: said on stdout, with the way out on stderr, and as JSON."""
    source = ToySource(split=PatientSplit(train=("p0",), val=("p1",), unseen=("p2",)))
    build(folder / "cohort.csv", folder / "c.zarr", source)

    done, found = program("info", "c.zarr"), program("info", "c.zarr", "--json")

    assert "SEEN BY ENCODER train 2 (patients: 1), val 2 (patients: 1), unseen 2 (patients: 1)" in (
        " ".join(done.out.split())
    )
    assert done.err.startswith("note: SEEN BY ENCODER: 2 of 3 patients")
    assert json.loads(found.out)["encoder_roles"]["val"] == {"scans": 2, "patients": 1}


def test_info_tells_of_growth_and_refit_mends_it(folder, program, toy_encoder):
    """A reference that has fallen behind is a note; after refit the note is gone."""
    found = rows()
    write_rows(found[:2])
    program("build", "cohort.csv", "-o", "c.zarr")
    write_rows(found)
    program("build", "cohort.csv", "-o", "c.zarr")

    before = program("info", "c.zarr")
    refit = program("refit", "c.zarr")
    after = program("info", "c.zarr")

    assert "note: the cohort has grown since the reference was fitted" in before.err
    assert "refit c.zarr" in before.err
    assert refit.out.endswith(": 6 scans of 3 patients\n")
    assert "note:" not in after.err


def test_refit_on_named_patients(store, program):
    """--patients takes names separated by commas, blanks or not."""
    done = program("refit", "c.zarr", "--patients", "p0, p2")

    assert done.out.endswith(": 4 scans of 2 patients\n")


def test_verify_of_a_whole_store(store, program):
    """0 problems, exit code 0; --json says the same."""
    done, found = program("verify", "c.zarr"), program("verify", "c.zarr", "--json")

    assert (done.code, done.out) == (0, "c.zarr: 6 scans, 0 problems\n")
    assert json.loads(found.out) == {"path": "c.zarr", "n_scans": 6, "problems": []}


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_verify_of_a_damaged_store(store, program, words):
    """Each problem is named, and the exit code is 1."""
    chunk = next(file for file in (store / "obs" / "day").rglob("c/*") if file.is_file())
    chunk.write_bytes(b"x" + chunk.read_bytes()[1:])

    done = program("verify", "c.zarr", *words)

    assert done.code == 1
    assert "obs/day" in done.out


def test_compact_tells_sizes(store, program):
    """Before and after in MB, and the rows stay."""
    done = program("compact", "c.zarr")

    assert done.code == 0
    assert re.fullmatch(r"c\.zarr: \d+\.\d MB before, \d+\.\d MB now\n", done.out)
    assert program("verify", "c.zarr").out == "c.zarr: 6 scans, 0 problems\n"


@pytest.mark.parametrize("command", ["info", "verify", "compact", "refit"])
def test_a_store_that_is_not_there(folder, program, command):
    """Every command that takes a store says how to make one, and makes none."""
    done = program(command, "gone.zarr")

    assert done.code == 1
    assert "no store gone.zarr" in done.err
    assert not (folder / "gone.zarr").exists()
    assert not (folder / "gone.cache").exists()


def test_simulate_says_that_it_is_simulated(folder, program, monkeypatch):
    """Settings reach the simulator; the answer is labelled and names the next step."""
    asked = {}

    def simulate(place, kind, **settings):
        asked.update(settings, folder=place, kind=kind)
        return SimpleNamespace(n_scans=48, n_patients=24, manifest=place / "cohort.csv")

    monkeypatch.setattr("learner_index.pipeline.simulate.simulate", simulate)

    done = program("simulate", "lus", "sim", "--tier", "paper", "--seed", "3")

    assert done.out == "sim: 48 SIMULATED scans of 24 patients\n"
    assert done.err == "next: learner-index build sim/cohort.csv\n"
    assert (asked["tier"], asked["seed"], asked["noise"]) == ("paper", 3, 1.0)


def test_simulate_knows_three_tiers(folder, program):
    """Another tier is wrong usage."""
    done = program("simulate", "lus", "sim", "--tier", "papr")

    assert done.code == 2
    assert "did you mean 'paper'?" in done.err


def test_a_moved_store_answers_without_its_cache(store, program):
    """A store copied alone is whole: stored scans can be asked about, nothing is written."""
    shutil.copytree(store, "moved.zarr")

    done = program("similar", "moved.zarr", "--patient", "p0", "-k", "1")

    assert done.code == 0
    assert not (store.parent / "moved.cache").exists()
