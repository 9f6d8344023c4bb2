"""`progression`: what it prints for every question about change, and what it refuses."""

import json

import pytest

from tests.commands.changing import make_stores

ASK = ("progression", "c.zarr", "--n-draws", "19")
P3 = (*ASK, "--patient", "P3")
HEADER = ["rank", "patient_id", "from", "to", "S", "direction", "start", "days", "d_score"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("changes")
    make_stores(place)
    return place


@pytest.fixture(autouse=True)
def here(made, monkeypatch):
    """The folder with the stores, which no question changes."""
    monkeypatch.chdir(made)


def test_the_answer_is_a_table_of_80_columns(program):
    """A row a hit on stdout, no wider than a terminal; what to think of it on stderr."""
    done = program(*P3)

    header, *rows = done.out.splitlines()
    assert done.code == 0
    assert header.split() == [*HEADER, "verdict"]
    assert [row.split()[0] for row in rows] == [str(i) for i in range(1, 11)]
    assert max(map(len, done.out.splitlines())) <= 80
    assert rows[0].split()[-1] == "improving"


def test_what_to_think_of_it_is_on_stderr(program):
    """The query's change, counts, outcome, chance and support, a line each."""
    done = program(*P3)

    lines = done.err.splitlines()
    starts = [
        "S = direction + start + days",
        "query: day ",
        "10 hits among 27 eligible transitions",
    ]
    starts += ["outcome: median change", "chance: mean similarity", "support: 8.6 patients"]
    starts += ["note: a start shares its noise with its change", "note: 6 of 10 hits changed in"]
    starts += ["next: learner-index trajectory"]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts
    assert "of 13 patients; exact, numpy, " in lines[2]
    assert "19 draws" in lines[4]
    assert "noise floor from 88 independent repeats of 14 patients" in lines[5]


def test_parts_in_the_table_add_up(program):
    """S is direction plus start plus days, up to rounding."""
    rows = [row.split() for row in program(*P3).out.splitlines()[1:]]

    for row in rows:
        parts = [float(cell) for cell in row[5:8]]
        assert float(row[4]) == pytest.approx(sum(parts), abs=0.016)


def test_the_answer_as_json(program):
    """--json is the whole answer on stdout, and stderr stays empty."""
    done = program(*P3, "--json", "-k", "2", "--where", "site == X", "--weights", "2,1,0.5")

    found = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert found["query"]["patient_id"] == "P3"
    assert found["query"]["where"] == ["site == X"]
    assert found["weights"] == [2, 1, 0.5]
    assert len(found["hits"]) == 2
    assert {hit["site"] for hit in found["hits"]} == {"X"}
    assert found["chance"]["n_draws"] == 19


def test_every_option_reaches_the_search(program):
    """What is typed is what is asked."""
    done = program(
        *("progression", "k.zarr", "--patient", "P3", "--json", "--level", "transition"),
        *("--transitions", "all", "--direction-only", "--negate", "--match", "age±50"),
        *("--as-of", "60", "--until-day", "29", "--include-self", "--min-support", "2"),
        *("--n-draws", "9", "--seed", "4", "-k", "3", "--from-day", "4", "--to-day", "13"),
        *("--modality", "", "--backend", "numpy"),
    )

    query = json.loads(done.out)["query"]
    assert query == {
        "kind": "patient",
        "patient_id": "P3",
        "from_day": 4,
        "to_day": 13,
        "k": 3,
        "level": "transition",
        "transitions": "all",
        "weights": [1, 1, 1],
        "direction_only": True,
        "negate": True,
        "where": [],
        "match": ["age±50"],
        "modality": "",
        "as_of": 60,
        "until_day": 29,
        "include_self": True,
        "min_support": 2,
        "n_draws": 9,
        "seed": 4,
    }


@pytest.mark.parametrize(
    ("asked", "kind", "first"),
    [
        (("--direction", "improving"), "direction", 1),
        (("--direction", "worsening"), "direction", 0),
        (("--from-where", "response == worse", "--to-where", "response == better"), "groups", None),
        (("--vector", "v.npy"), "vector", 0),
    ],
)
def test_directions_of_nobody(program, asked, kind, first):
    """A direction, groups or a vector need no patient."""
    done = program(*ASK, *asked, "--json", "-k", "3")

    found = json.loads(done.out)
    assert (found["query"]["kind"], found["change"]) == (kind, None)
    if first is not None:
        assert {int(hit["patient_id"][1:]) % 2 for hit in found["hits"]} == {first}


def test_a_direction_prints_no_query_line(program):
    """Nobody's direction has no change of its own to tell."""
    done = program(*ASK, "--direction", "improving", "-k", "1")

    assert "query:" not in done.err
    assert "1 hit among 30 eligible transitions of 14 patients" in done.err


def test_more_columns_can_be_printed(program):
    """--columns adds the hit's own fields and the earlier visit's columns, lists as words."""
    done = program(*P3, "-k", "1", "--columns", "treatment, site,cosine_p,views,to_scans,rank")

    header, row = done.out.splitlines()
    assert header.split()[9:] == ["verdict", "treatment", "site", "cosine_p", "views", "to_scans"]
    assert row.endswith("s0-5-2-L1-0, s0-5-2-L1-1, s0-5-2-R1-0, s0-5-2-R1-1")


@pytest.mark.parametrize("where", [(), ("--where", "age > 999")])
def test_an_unknown_column_is_refused_with_and_without_hits(program, where):
    """A wrong name in --columns is refused before anything is searched."""
    done = program(*P3, "--columns", "sitee", *where)

    assert (done.code, done.out) == (1, "")
    assert "--columns sitee: no such column (did you mean 'site'?)" in done.err
    assert "there are rank, similarity, direction" in done.err


def test_without_noise_floor_and_axis(program):
    """Verdicts and score changes that nobody knows are dashes, and notes say why."""
    done = program("progression", "bare.zarr", "--patient", "P3", "-k", "2", "--n-draws", "0")

    assert [row.split()[-2:] for row in done.out.splitlines()[1:]] == [["-", "-"], ["-", "-"]]
    assert "no noise floor" in done.err
    assert "0 scored visits of 0 patients" in done.err
    assert "chance:" not in done.err


def test_unsupported_is_said_first_among_notes(program):
    """Hits are printed, nothing general is, and the first note says so."""
    done = program(*P3, "--min-support", "99")

    notes = [line for line in done.err.splitlines() if line.startswith("note: ")]
    assert notes[0].startswith("note: UNSUPPORTED: 8.6 patients started from a similar state")
    assert "chance:" not in done.err
    assert "outcome:" not in done.err
    assert len(done.out.splitlines()) == 11


def test_nothing_eligible_is_said(program):
    """No hit: no table, a count of 0 and why, exit code 0."""
    done = program(*P3, "--where", "age > 999")

    assert (done.code, done.out) == (0, "")
    assert "0 hits among 0 eligible transitions of 0 patients" in done.err
    assert "0 after age > 999" in done.err


def test_undrawn_is_untested(program):
    """--n-draws 0 tests nothing."""
    assert "chance:" not in program(*P3[:2], *P3[4:], "--n-draws", "0").err


@pytest.mark.parametrize("name", ["007", "Ä b,c"])
def test_odd_patient_ids(program, name):
    """Digits, blanks, commas and letters of any language make an id."""
    done = program("progression", "odd.zarr", "--patient", name, "--json")

    found = json.loads(done.out)
    assert found["query"]["patient_id"] == name
    assert {hit["patient_id"] for hit in found["hits"]} == {"007", "Ä b,c"} - {name}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name one thing to follow: a patient, a direction, two groups"),
        (("--patient", "P99"), "no patient 'P99' among 14 (did you mean 'P9'?): ids are"),
        (("--patient", "P3", "--direction", "improving", "--vector", "w.npy"), "no file w.npy"),
        (("--patient", "P3", "--from-day", "5"), "no visit on day 5: days are 4, 13, 29, 44"),
        (("--patient", "P3", "--from-day", "29", "--to-day", "4"), "from day 29 to day 4 is no"),
        (("--patient", "P3", "--until-day", "4"), "has one visit (day 4), so no change: ask who"),
        (("--patient", "P3", "--as-of", "30"), "cut the query with --until-day"),
        (("--patient", "P3", "--where", "agee > 3"), "no column 'agee'"),
        (("--patient", "P3", "--match", "nope"), "no column 'nope'"),
        (("--patient", "P3", "--modality", "ct"), "no modality 'ct': there is none"),
        (("--patient", "P3", "--weights", "0,0,0"), "give three finite numbers from 0, not all 0"),
        (("--patient", "P3", "--weights", "1,nan,1"), "give three finite numbers"),
        (("--patient", "P3", "--weights", "1,-1,1"), "give three finite numbers from 0"),
        (("--direction", "improving", "--to-day", "4"), "does not belong to a direction"),
        (("--direction", "improving", "--match", "site"), "nothing to match 'site' with"),
        (("--from-where", "age > 40"), "give --from-where and --to-where"),
        (("--from-where", "age > 400", "--to-where", "age > 1"), "--from-where age > 400: loosen"),
    ],
)
def test_what_cannot_be_answered_is_one_line(program, words, message):
    """Exit code 1, nothing on stdout, one line that says what, where and the next step."""
    done = program(*ASK, *words)

    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("store", "words", "message"),
    [
        ("single.zarr", ("--patient", "A"), "no patient has two visits on different days"),
        ("bare.zarr", ("--direction", "improving"), "0 scored visits of 0 patients: add patients"),
        (
            "odd.zarr",
            ("--patient", "A"),
            "has one visit (day 0), so no change: ask who",
        ),
        ("none.zarr", ("--patient", "A"), "no store none.zarr: make one with"),
        ("away/none.zarr", ("--patient", "A"), "build MANIFEST -o away/none.zarr`"),
        ("k.zarr", ("--patient", "P3", "--as-of", "-1"), "until day -1: choose a later day"),
        ("k.zarr", ("--patient", "P3", "--as-of", "nan"), "--as-of is nan: give a finite number"),
    ],
)
def test_stores_that_have_no_answer(program, store, words, message):
    """A store of single visits, without scores or not there: one line, exit code 1."""
    done = program("progression", store, *words)

    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("weights", ["1,2", "a,b,c", "", "1;1;1", "1,1,1,1"])
def test_garbled_weights_are_wrong_usage(program, weights):
    """Three numbers are wanted; the message shows how."""
    done = program(*P3, "--weights", weights)

    assert (done.code, done.out) == (2, "")
    assert "give three numbers, as in 1,1,1" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("-k", "0"),
        ("--level", "scan"),
        ("--direction", "sideways"),
        ("--transitions", "some"),
        ("--from-day", "x"),
        ("--min-support", "-1"),
        ("--n-draws", "-1"),
        ("--backend", "gpu"),
        ("--nope",),
    ],
)
def test_wrong_usage(program, words):
    """Values no option can have end with exit code 2 and a hint at --help."""
    done = program(*P3, *words)

    assert (done.code, done.out) == (2, "")
    assert "--help" in done.err
