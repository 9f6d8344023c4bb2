"""`trajectory`: one patient's path as tables, and what it refuses."""

import json

import pytest

from learner_index.data.show_change import noise_floor_words
from tests.commands.changing import make_stores

P3 = ("trajectory", "c.zarr", "--patient", "P3")
A_ONLY = ("--where", "patient_id == A")
A_IS_NO_PATH = "1 patient of one visit is no path"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("changes")
    make_stores(place)
    return place


@pytest.fixture(autouse=True)
def here(made, monkeypatch):
    """The folder with the stores, which no question changes."""
    monkeypatch.chdir(made)


def test_visits_steps_and_likes_are_tables(program):
    """Three tables on stdout, no wider than a terminal; what they mean on stderr."""
    done = program(*P3)

    title, visits, steps, likes = done.out.split("\n\n")
    assert (done.code, title) == (0, "P3: 4 visits")
    assert visits.splitlines()[0] == "visits"
    assert [row.split()[0] for row in visits.splitlines()[2:]] == ["4", "13", "29", "44"]
    assert [row.split()[:2] for row in steps.splitlines()[2:]] == [
        ["4", "13"],
        ["13", "29"],
        ["29", "44"],
    ]
    assert [row.split()[-1] for row in steps.splitlines()[2:]] == ["improving"] * 3
    assert likes.splitlines()[0] == "same path"
    assert len(likes.splitlines()) == 7
    assert max(map(len, done.out.splitlines())) <= 80
    assert "position: along the severity axis, higher is sicker, in SD of a repeat" in done.err
    assert "13 patients compared; day_shift: days by which they reach" in done.err
    assert "noise floor from 88 independent repeats of 14 patients" in done.err.splitlines()
    assert "of one visit" not in done.err


def test_the_answer_as_json(program):
    """--json is the whole answer on stdout, with every option, and stderr stays empty."""
    done = program(
        *("trajectory", "k.zarr", "--patient", "P3", "--json", "-k", "2", "--alpha", "0.2"),
        *("--softness", "0.5", "--where", "age > 32", "--match", "site", "--as-of", "60"),
        *("--until-day", "30", "--modality", ""),
    )

    found = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert found["query"] == {
        "patient_id": "P3",
        "k": 2,
        "alpha": 0.2,
        "softness": 0.5,
        "where": ["age > 32"],
        "match": ["site"],
        "modality": "",
        "as_of": 60,
        "until_day": 30,
    }
    assert [stop["day"] for stop in found["stops"]] == [4, 13, 29]
    assert {like["patient_id"] for like in found["likes"]} <= {"P6", "P9", "P12"}
    assert {like["site"] for like in found["likes"]} == {"Y"}


def test_a_path_alone(program):
    """-k 0 leaves the likes out."""
    done = program(*P3, "-k", "0")

    assert done.code == 0
    assert "same path" not in done.out
    assert "compared" not in done.err


def test_one_visit_is_shown_and_called_no_path(program):
    """A patient of one visit has a stop, no step and a note."""
    done = program("trajectory", "single.zarr", "--patient", "A")

    assert done.code == 0
    assert done.out.startswith("A: 1 visit\n\nvisits\n")
    assert "steps" not in done.out
    assert "note: a patient with 1 dated visit has no path" in done.err


@pytest.mark.parametrize(
    ("asked", "said"), [((), "3 patients of one visit are no paths"), (A_ONLY, A_IS_NO_PATH)]
)
def test_patients_of_one_visit_are_counted(program, asked, said):
    """Those who may be found but have no path are told, in the number they are."""
    done = program("trajectory", "odd.zarr", "--patient", "007", *asked)

    assert done.code == 0
    assert said in done.err.splitlines()


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (None, "no noise floor"),
        ((79, 29, True), "noise floor from 79 independent repeats of 29 patients"),
        ((1, 1, False), "noise floor from 1 same-session repeat of 1 patient"),
    ],
)
def test_what_the_noise_floor_rests_on(noise, words):
    """Repeats, of which kind, and of how many patients."""
    names = ("n_repeats", "n_patients", "is_independent")

    assert noise_floor_words(noise and dict(zip(names, noise, strict=True))) == words


def test_without_axis_and_repeats(program):
    """What is unknown is a dash, and notes say why."""
    done = program("trajectory", "bare.zarr", "--patient", "P3", "-k", "1")

    visits = done.out.split("\n\n")[1].splitlines()[2:]
    assert all(row.split()[1:] == ["-"] * 5 for row in visits)
    assert max(map(len, done.out.splitlines())) <= 80
    assert "position:" not in done.err
    assert "note: no noise floor" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("c.zarr", "--patient", "P99"), "no patient 'P99' among 14 (did you mean 'P9'?)"),
        (("c.zarr", "--patient", "P3", "--as-of", "4"), "cut the query with --until-day"),
        (("c.zarr", "--patient", "P3", "--until-day", "1"), "has no scan until day 1"),
        (("c.zarr", "--patient", "P3", "--alpha", "2"), "--alpha is 2.0: give a number between"),
        (("c.zarr", "--patient", "P3", "--softness", "0"), "--softness is 0.0: give a number"),
        (("c.zarr", "--patient", "P3", "--where", "x > 1"), "no column 'x' in 'x > 1'"),
        (("c.zarr", "--patient", "P3", "--match", "x"), "no column 'x' in 'x'"),
        (("c.zarr", "--patient", "P3", "--modality", "ct"), "no modality 'ct': there is none"),
        (("k.zarr", "--patient", "P3", "--as-of", "nan"), "--as-of is nan: give a finite number"),
        (("none.zarr", "--patient", "P3"), "no store none.zarr: make one with"),
    ],
)
def test_what_cannot_be_answered_is_one_line(program, words, message):
    """Exit code 1, nothing on stdout, one line."""
    done = program("trajectory", *words)

    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [("c.zarr",), (*P3[1:], "-k", "-1"), (*P3[1:], "-k", "x"), (*P3[1:], "--level", "scan")],
)
def test_wrong_usage(program, words):
    """No patient, or values no option can have: exit code 2."""
    done = program("trajectory", *words)

    assert (done.code, done.out) == (2, "")
    assert "--help" in done.err
