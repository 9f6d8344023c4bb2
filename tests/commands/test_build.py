"""`build`: what it prints, and with which exit code it ends."""

import json
from pathlib import Path

import pytest

from learner_index.commands.options import default_store
from learner_index.data.split import PatientSplit
from learner_index.store.reader import StoreReader
from tests.commands.broken import BAD, add, change, rows, text, write_rows
from tests.toy import make_run

BUILD = ("build", "cohort.csv", "-o", "c.zarr")


def two_bad() -> None:
    """Two scans that cannot be read."""
    add(".npy", text("x"))()
    write_rows([*rows(), {**rows()[0], "scan_id": "worse", "path": "scans/gone.npy"}])


def test_a_first_build_says_what_is_in_the_store(folder, program, toy_encoder):
    """Scans, patients, what was embedded, and what to type next."""
    done = program(*BUILD)

    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0] == "c.zarr: 6 scans of 3 patients"
    assert lines[1].startswith("embedded 6 (")
    assert lines[1].endswith("scans/s), shared 0, changed 0, unchanged 0, skipped 0")
    assert "the encoder is untrained" in lines[2]
    assert done.err == "next: learner-index info c.zarr\n"


def test_a_second_build_embeds_nothing(store, program):
    """Nothing new is said in the same words, without a speed and without a next step."""
    done = program(*BUILD)

    assert done.code == 0
    assert "embedded 0, shared 0, changed 0, unchanged 6, skipped 0" in done.out
    assert done.err == ""


def test_a_build_as_json(folder, program, toy_encoder):
    """--json prints the result and nothing else; the exit codes stay."""
    two_bad()

    done = program(*BUILD, "--json")

    found = json.loads(done.out)
    assert done.code == 3
    assert (found["store"], found["n_rows"], found["n_embedded"]) == ("c.zarr", 6, 6)
    assert [problem["scan_id"] for problem in found["skipped"]] == ["bad", "worse"]
    assert done.err == ""


def test_skipped_scans_exit_with_3(store, program):
    """One line each on stderr, with line and id and without path; the rest is stored."""
    two_bad()

    done = program(*BUILD)

    assert done.code == 3
    assert [line.split(":")[0] for line in done.err.splitlines()] == [
        "skipped line 8 bad",
        "skipped line 9 worse",
    ]
    assert BAD not in done.err
    assert "skipped 2" in done.out


def test_strict_makes_skipped_scans_a_failure(store, program):
    """--strict: the same work, exit code 1."""
    two_bad()

    done = program(*BUILD, "--strict")

    assert done.code == 1
    assert StoreReader(store).n_rows == 6


def test_a_build_of_nothing_but_broken_scans_fails(folder, program, toy_encoder):
    """No scan could be stored: exit code 1, and no next step."""
    add(".npy", text("x"))()
    write_rows(rows()[-1:])

    done = program(*BUILD)

    assert done.code == 1
    assert done.out.startswith("c.zarr: 0 scans of 0 patients\nembedded 0, ")
    assert done.err.startswith("skipped line 2 bad")


def test_many_skipped_scans_are_counted_after_twenty(folder, program, toy_encoder):
    """The first 20 by name, the others by number."""
    gone = [{**rows()[0], "scan_id": f"gone{i}", "path": f"scans/gone{i}.npy"} for i in range(25)]
    write_rows([*rows(), *gone])

    done = program(*BUILD)

    assert done.err.count("skipped line") == 20
    assert "skipped 5 more: --json lists all" in done.err


def test_corrections_are_told(store, program):
    """Corrected, added and vanished columns, one line each, nothing embedded."""
    change(2, sex="f")()
    program(*BUILD)
    found = rows()
    for row in found:
        row["age"] = "70"
        del row["sex"]
    found[1]["health_score"] = "12"
    write_rows(found)

    done = program(*BUILD)

    assert "embedded 0" in done.out
    assert "corrected health_score of 1 scan\n" in done.out
    assert "added column age\n" in done.out
    assert "kept column sex, which the manifest no longer has\n" in done.out


def test_a_column_of_another_kind_is_told(store, program):
    """A column whose numbers become words is named with both kinds."""
    change(2, age="70")()
    program(*BUILD)
    change(3, age="old")()

    done = program(*BUILD)

    assert "column age: number -> text\n" in done.out


def test_rows_no_longer_listed_are_kept_until_prune(store, program):
    """Kept rows are named with the option that drops them; --prune says what it dropped."""
    write_rows(rows()[:2])

    kept, pruned = program(*BUILD), program(*BUILD, "--prune")

    assert "kept 4 scans the manifest no longer lists (p1d0, p1d1, p2d0, …): --prune" in kept.out
    assert "dropped 4 scans (--prune)" in pruned.out
    assert pruned.out.startswith("c.zarr: 2 scans of 1 patient\n")


def test_a_grown_cohort_is_told_of_refit(folder, program, toy_encoder):
    """When the reference rests on fewer patients than the store has, the command is named."""
    found = rows()
    write_rows(found[:2])
    program(*BUILD)
    write_rows(found)

    done = program(*BUILD)

    assert "the reference rests on 1 of 3 patients: `learner-index refit c.zarr`" in done.out


def test_where_and_limit_choose(folder, program, toy_encoder):
    """Rows can be chosen by their columns and by number."""
    done = program(*BUILD, "--where", "day == 1", "--where", "site == A", "--limit", "1")

    assert done.out.startswith("c.zarr: 1 scan of 1 patient\n")


@pytest.mark.parametrize(
    ("manifest", "store"),
    [
        ("study.csv", "stores/study.zarr"),
        ("ward/cohort.csv", "stores/ward.zarr"),
        ("/data/lungs/manifest.parquet", "stores/lungs.zarr"),
        ("/cohort.csv", "stores/cohort.zarr"),
    ],
)
def test_the_default_store_is_named_after_the_cohort(manifest, store):
    """stores/ in the working folder; a file with a general name gives way to its folder's."""
    assert default_store(Path(manifest)) == Path(store)


def test_without_output_the_store_goes_to_stores(folder, program, toy_encoder):
    """The default is made, with its folder, and printed."""
    (folder / "cohort.csv").rename("study.csv")

    done = program("build", "study.csv")

    assert done.out.startswith("stores/study.zarr: 6 scans")
    assert Path("stores/study.zarr/zarr.json").is_file()


@pytest.mark.parametrize(("typed", "width"), [("native", 512), ("16", 16)])
def test_a_real_network_needs_no_network_connection(folder, program, typed, width):
    """An untrained timm network embeds, quietly, with the width that was asked for."""
    done = program(
        *(*BUILD, "--encoder", "timm:resnet10t", "--size", "32", "--frames", "2"),
        *("--embedding-width", typed, "--slices", "0.2:0.8", "--pixel-mm", "0"),
    )

    assert done.code == 0
    assert done.err == "next: learner-index info c.zarr\n"
    assert StoreReader(Path("c.zarr")).width == width


def test_a_pretraining_run_is_an_encoder(folder, program):
    """--encoder RUN: the store is built, and says whom the encoder has seen."""
    make_run(folder / "run", PatientSplit(train=("p0",), val=("p1",), unseen=("p2",)))

    done = program(*BUILD, "--encoder", "run")
    again = program(*BUILD, "--json")

    seen = "SEEN BY ENCODER: it was trained or tuned on 2 of the 3 patients; the others are"
    assert (done.code, done.err) == (0, "next: learner-index info c.zarr\n")
    assert seen in done.out
    assert "untrained" not in done.out
    assert json.loads(again.out)["n_seen"] == 2


def test_a_run_decides_its_settings(folder, program):
    """An option that is not the run's: one line, exit code 1, no store."""
    make_run(folder / "run", PatientSplit(train=("p0", "p1")))

    done = program(*BUILD, "--encoder", "run", "--size", "64")

    assert done.code == 1
    assert done.err == "error: the run's encoder takes size 32, not 64: leave the option out\n"
    assert not (folder / "c.zarr").exists()


def test_nobody_is_called_unseen_where_all_were_seen(folder, program):
    """A store of the run's own patients has no others to point to."""
    make_run(folder / "run", PatientSplit(train=("p0", "p2"), val=("p1",)))

    done = program(*BUILD, "--encoder", "run")

    assert "on 3 of the 3 patients; none are 'encoder_role == unseen'" in done.out
