"""`manifest` and `check`: from a folder tree to a table, and is the table sound."""

import json

from tests.commands.broken import change, rows, write_rows
from tests.toy import write_scan


def test_manifest_by_pattern_then_check(folder, program):
    """A tree becomes a table that `check` finds sound; the next step is named on stderr."""
    write_scan(folder / "tree" / "P1" / "3_L1.npy", (0.1, 0.2, 0.3, 0.4))
    write_scan(folder / "tree" / "P2" / "0_L1.npy", (0.2, 0.2, 0.3, 0.4))
    (folder / "tree" / "notes.txt").write_text("no scan")

    written = program("manifest", "tree", "--pattern", "{patient_id}/{day}_{view}.npy")
    checked = program("check", "tree/cohort.csv")

    assert written.code == checked.code == 0
    assert written.out == "tree/cohort.csv: 2 scans of 2 patients\n"
    assert "1 other file left out, such as notes.txt" in written.err
    assert written.err.endswith("next: learner-index check tree/cohort.csv\n")
    assert "2 scans, 2 visits, 2 patients (0 seen twice or more)" in checked.out


def test_manifest_does_not_replace_a_table(folder, program):
    """An old table stays unless --overwrite is given."""
    words = ("manifest", "scans", "--pattern", "{patient_id}d{day}.npy", "-o", "cohort.csv")

    refused, forced = program(*words), program(*words, "--overwrite")

    assert (refused.code, forced.code) == (1, 0)
    assert "--overwrite" in refused.err


def test_manifest_wants_pattern_or_bids(folder, program):
    """Neither or both is wrong usage."""
    neither = program("manifest", "scans")
    both = program("manifest", "scans", "--bids", "--pattern", "{scan_id}.npy")

    assert neither.code == both.code == 2
    assert "give either --pattern or --bids" in neither.err


def test_manifest_of_a_bids_tree(folder, program):
    """--bids reads subjects and sessions from the names."""
    image = folder / "bids" / "sub-01" / "ses-02" / "anat" / "sub-01_ses-02_T1w.nii"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"x")

    done = program("manifest", "bids", "--bids", "--suffix", "T1w")

    assert done.code == 0
    assert "1 scan of 1 patient" in done.out


def test_check_says_what_the_cohort_is(folder, program):
    """Counts, spreads, score and columns, in 80 columns, and what to type next."""
    done = program("check", "cohort.csv")

    assert done.code == 0
    assert max(len(line) for line in done.out.splitlines()) <= 80
    assert "6 scans, 6 visits, 3 patients (3 seen twice or more)" in done.out
    assert "health_score, higher is healthier: 6 of 6 scans, 79 to 100" in done.out
    assert "site (text, 2 missing)" in " ".join(done.out.split())
    assert done.out.endswith("0 errors, 0 notes\n")
    assert done.err == "next: learner-index build cohort.csv\n"


def test_check_repeats_the_options_typed(folder, program):
    """What named the score is part of the next step; nobody has to remember it."""
    change(2, severity="2")()

    done = program(
        *("check", "cohort.csv", "--score-column", "severity", "--drop-column", "health_score"),
        *("--score-direction", "lower", "--allow-outside"),
    )

    assert done.err == (
        "next: learner-index build cohort.csv --score-column severity --score-direction lower "
        "--drop-column health_score --allow-outside\n"
    )


def test_check_shows_all_problems_at_once(folder, program):
    """Each problem has its line, their number comes last, and the exit code is 1."""
    change(3, health_score="high")()
    change(5, path="scans/gone.npy")()

    done = program("check", "cohort.csv")

    assert done.code == 1
    assert "error: line 3 p0d1: health_score 'high' is no number" in done.out
    assert "error: line 5 p1d1" in done.out
    assert done.out.splitlines()[-1].startswith("2 errors")
    assert "next:" not in done.err


def test_check_as_json(folder, program):
    """--json holds the same figures and nothing but JSON."""
    done = program("check", "cohort.csv", "--json")

    found = json.loads(done.out)
    assert (found["n_scans"], found["n_patients"], found["has_errors"]) == (6, 3, False)
    assert done.err == ""


def test_a_cohort_without_scores_says_how_to_name_one(folder, program):
    """The option is named where the score is missing."""
    done = program("check", "cohort.csv", "--drop-column", "health_score")

    assert "none: --score-column names its column" in done.out


def test_values_near_a_known_word_are_met_with_it(folder, program):
    """--score-direction lowr is wrong usage, and `lower` was probably meant."""
    done = program("check", "cohort.csv", "--score-direction", "lowr")

    assert done.code == 2
    assert "did you mean 'lower'?" in done.err


def test_problems_of_one_kind_do_not_drown_the_others(folder, program):
    """The first five of a kind, then their number; --json has them all."""
    found = [{**row, "path": f"gone/{n}.npy"} for n, row in enumerate(rows() * 2)]
    write_rows([{**row, "scan_id": f"s{n}"} for n, row in enumerate(found)])

    done = program("check", "cohort.csv")

    lines = [line for line in done.out.splitlines() if line.startswith("error: ")]
    assert done.code == 1
    assert lines[4] == "error: line 6 s4: file 'gone/4.npy' is missing: check the path"
    assert lines[5:] == [
        "error: 7 more like it (file is missing: check the path): --json lists all"
    ]
    assert done.out.splitlines()[-1].startswith("12 errors")
    assert len(json.loads(program("check", "cohort.csv", "--json").out)["problems"]) == 12


def test_endings_in_capitals_are_taken_too(folder, program):
    """Cameras and Windows write .PNG: a pattern's ending takes both, its other letters do not."""
    for name in ("P1.npy", "P2.npy", "Q3.npy"):
        write_scan(folder / "tree" / name, (0.1, 0.2, 0.3, 0.4))
    (folder / "tree" / "P2.npy").rename(folder / "tree" / "P2.NPY")

    done = program("manifest", "tree", "--pattern", "P{patient_id}.npy")

    assert done.out == "tree/cohort.csv: 2 scans of 2 patients\n"
    assert "1 other file left out, such as Q3.npy" in done.err
