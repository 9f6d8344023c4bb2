"""`similar`: what it prints for every kind of query."""

import json

import numpy as np
import pytest

from learner_index.data.split import PatientSplit
from learner_index.pipeline.build import build
from tests.commands.broken import rows, write_rows
from tests.toy import ToySource, write_scan

SIMILAR = ("similar", "c.zarr")


def test_the_answer_is_a_table_on_stdout(store, program):
    """Rank, patient, day, scan, similarity and score; what it rests on goes to stderr."""
    done = program(*SIMILAR, "--patient", "p0", "-k", "1")

    header, hit = done.out.splitlines()
    assert done.code == 0
    assert header.split() == [
        *("rank", "patient_id", "day", "scan_id", "similarity", "health_score"),
    ]
    assert hit.split()[:2] == ["1", "p1"]
    assert "1 hit among 4 eligible scans of 2 patients; exact, numpy, " in done.err


def test_the_query_scan_is_shown_where_hits_differ_in_it(store, program):
    """When several of a patient's scans earned hits, each hit says which."""
    done = program(*SIMILAR, "--patient", "p0", "--level", "scan", "--any-view")

    assert "query_scan_id" in done.out.splitlines()[0]


def test_more_columns_can_be_printed(store, program):
    """--columns adds columns, own fields too, in the order typed and each once."""
    done = program(*SIMILAR, "--scan", "p0d0", "--columns", "site, day,distance,query_scan_id")

    header = done.out.splitlines()[0].split()
    assert header[-3:] == ["site", "distance", "query_scan_id"]
    assert header.count("day") == 1
    assert " -  " in done.out


def test_the_answer_as_json(store, program):
    """--json is the whole answer on stdout, and stderr stays empty."""
    done = program(*SIMILAR, "--patient", "p0", "--json", "--where", "site == A")

    found = json.loads(done.out)
    assert done.err == ""
    assert [hit["patient_id"] for hit in found["hits"]] == ["p2"]
    assert found["query"]["where"] == ["site == A"]
    assert found["exact"] is True


def test_one_visit(store, program):
    """--day takes one visit's scans as the query."""
    done = program(*SIMILAR, "--patient", "p0", "--day", "1", "--json")

    assert {hit["query_scan_id"] for hit in json.loads(done.out)["hits"]} == {"p0d1"}


@pytest.mark.parametrize("owner", [(), ("--patient", "p0", "--view", "L1")])
def test_a_file_does_not_find_itself(store, program, owner):
    """A file is embedded on the fly; its patient is known by --patient or by its bytes."""
    done = program(*SIMILAR, "--file", "scans/p0d0.npy", *owner, "--json")

    assert {hit["patient_id"] for hit in json.loads(done.out)["hits"]} == {"p1", "p2"}


def test_a_new_file_is_compared_with_all(store, program):
    """A file of nobody in the store may find everybody, and says that its view is unknown."""
    write_scan(store.parent / "new.npy", (0.22, 0.0, 0.5, 0.0))

    done = program(*SIMILAR, "--file", "new.npy", "--metric", "euclidean", "-k", "1")

    assert done.out.splitlines()[1].split()[:2] == ["1", "p0"]
    assert "note: the query's view is unknown" in done.err


def test_vectors_from_a_file(store, program):
    """--vector reads embeddings saved by np.save."""
    np.save("v.npy", np.array([0.6, 0.0, 0.5, 0.2]))

    done = program(*SIMILAR, "--vector", "v.npy", "--metric", "euclidean", "-k", "1")

    assert done.out.splitlines()[1].split()[1] == "p2"


def test_nothing_eligible_is_said(store, program):
    """No row fulfils the condition: no table, a count of 0, exit code 0."""
    done = program(*SIMILAR, "--patient", "p0", "--where", "day == 99")

    assert (done.code, done.out) == (0, "")
    assert "0 hits among 0 eligible scans" in done.err


def test_a_turned_score_is_explained(folder, program, toy_encoder):
    """Where lower raw values are healthier, the answer says that the sign is turned."""
    found = rows()
    for row in found:
        row["severity"] = row.pop("health_score")
    write_rows(found)
    program(
        *("build", "cohort.csv", "-o", "c.zarr"),
        *("--score-column", "severity", "--score-direction", "lower"),
    )

    done = program(*SIMILAR, "--patient", "p0", "-k", "1", "--columns", "severity")

    assert done.out.splitlines()[1].split()[-2:] in (["-90", "90"], ["-89", "89"])
    assert "note: health_score is severity with its sign turned: higher is healthier" in done.err


def test_seen_patients_are_noted(folder, program):
    """A query or hit that the encoder was trained or tuned on is told beside the answer."""
    source = ToySource(split=PatientSplit(train=("p0",), val=("p1",), unseen=("p2",)))
    build(folder / "cohort.csv", folder / "c.zarr", source)

    done = program(*SIMILAR, "--patient", "p0")

    assert "note: SEEN BY ENCODER: the query and 1 of 2 hits belong to patients" in done.err
    assert "SEEN" not in program(*SIMILAR, "--patient", "p2", "--where", "day == 9").err


def test_where_is_no_code(store, program):
    """A condition is compared, never run."""
    done = program(*SIMILAR, "--patient", "p0", "--where", "__import__('os').system('touch x')")

    assert done.code == 1
    assert not (store.parent / "x").exists()
