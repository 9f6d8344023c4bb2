"""`response fit`: what it prints, and how it refuses."""

import json
import math
import shlex
from pathlib import Path

import pytest

from learner_index.pipeline.response import fit as fit_module
from tests.pipeline.response.fitting import rows_of, write_response_store

FIT = ("response", "fit", "toy.zarr", "--folds", "2", "--n-bootstraps", "100")
CHANGE = (*FIT, "--threshold", "5")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Stores: toy; few (3 patients); gaps (age never known); `two words`, to be quoted."""
    place = tmp_path_factory.mktemp("a b")
    rows = rows_of(40, ward=lambda number: "abc"[number % 3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        write_response_store(place / "toy.zarr", rows)
        write_response_store(place / "two words.zarr", rows, is_simulated=True)
        write_response_store(place / "few.zarr", rows_of(3))
        write_response_store(place / "gaps.zarr", rows_of(12, age=lambda number: math.nan))
    return place


@pytest.fixture(autouse=True)
def here(made, monkeypatch):
    """The folder with the stores; pictures are left out."""
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr(fit_module, "draw_figures", lambda *args, **more: None)
    monkeypatch.chdir(made)


def test_the_answer_is_a_table(program):
    """What was asked, then a row a model, on stdout; sets, silence and next step on stderr."""
    done = program(*CHANGE, "--clinical", "age, site", "-o", "heads/one")

    assert done.code == 0
    top, table = done.out.split("\n\n")
    assert " ".join(top.split()) == (
        "head heads/one (multinomial, regularized multinomial logistic regression) "
        "task detect: both scans are given, did it come about? "
        "outcome change of health score by 5 or more: worsened (28), stable (26), improved (26) "
        "patients 40, each left out once"
    )
    header, *rows = table.splitlines()
    assert header.split("  ")[0] == "model"
    assert [row[:20].split("  ")[0] for row in rows] == [
        *("head", "majority", "no change", "score alone", "single scans", "nearest vote"),
        *("clinical", "clinical + embedding"),
    ]
    assert any(row.endswith("beaten") for row in rows)
    assert max(map(len, table.splitlines())) <= 80
    lines = done.err.splitlines()
    assert any(line.startswith("sets: promised to hold the outcome of 90 %") for line in lines)
    assert any(line.startswith("not measured on patients left out: too few") for line in lines)
    assert any(line.startswith("abstains in ") and "% of patients" in line for line in lines)
    assert lines[-2] == "report and figures: heads/one/report.md"
    assert lines[-1] == "next: learner-index response predict heads/one toy.zarr"


def test_json_is_the_card(program):
    """All of it and the folder, on stdout alone."""
    done = program(*CHANGE, "--json", "-o", "heads/json", "--head", "ordinal")

    said = json.loads(done.out, parse_constant=lambda name: pytest.fail(name))
    card = json.loads(Path("heads/json/head.json").read_text("utf-8"))
    assert done.code == 0
    assert said.pop("folder") == "heads/json"
    assert said == {name: value for name, value in card.items() if name != "format"}
    assert said["head"] == "ordinal"


def test_the_next_step_can_be_typed(program):
    """Names with spaces are quoted; the default folder is named after store and task."""
    words = ("response", "fit", "two words.zarr", "--threshold", "5", "--task", "predict")
    done = program(*words, "--folds", "2", "--n-bootstraps", "100")

    step = done.err.splitlines()[-1].removeprefix("next: ")
    head = "heads/two words-predict"
    assert shlex.split(step) == ["learner-index", "response", "predict", head, "two words.zarr"]
    assert "SIMULATED patients; 40, each left out" in done.out


def test_it_is_not_written_over_unless_said(program):
    """Exit code 1 and one line; with --replace it is."""
    words = (*CHANGE, "-o", "heads/twice")

    codes = [program(*words).code, program(*words), program(*words, "--replace").code]

    assert (codes[0], codes[2]) == (0, 0)
    assert codes[1].code == 1
    assert codes[1].err.startswith("error: a head is in heads/twice already")
    assert codes[1].err.count("\n") == 1


REFUSED = {
    "one class": (("--threshold", "1000"), "all 80 are stable, and there is nothing to tell apart"),
    "no threshold": ((), "no θ is given"),
    "unknown head": (("--threshold", "5", "--head", "multinomal"), "no head 'multinomal'"),
    "wrong task": (
        ("--threshold", "5", "--task", "predict", "--head", "antisymmetric"),
        "the antisymmetric head is for detect, not for predict",
    ),
    "no order": (
        ("--target", "ward", "--head", "ordinal"),
        "--head ordinal needs classes in an order",
    ),
    "unknown column": (
        ("--threshold", "5", "--clinical", "agee"),
        "--clinical agee: no such column",
    ),
    "unknown target": (("--target", "wrd"), "--target wrd: no such column"),
    "outcome as clinical": (
        ("--target", "ward", "--clinical", "ward"),
        "--clinical ward tells what came later",
    ),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_one_line(program, words, said):
    """Exit code 1, nothing on stdout, no traceback, nothing written."""
    done = program(*FIT, *words, "-o", "heads/none")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert said in done.err


def test_close_names_are_offered(program):
    """For heads and columns."""
    head = program(*CHANGE, "--head", "multinomal", "-o", "heads/none").err
    column = program(*FIT, "--target", "wrd", "-o", "heads/none").err

    assert "did you mean 'multinomial'" in head
    assert "did you mean 'ward'" in column


@pytest.mark.parametrize(
    ("store", "words", "said"),
    [
        ("few.zarr", (), "3 patients with a known outcome"),
        ("gaps.zarr", ("--clinical", "age"), "--clinical age has no value in 24 examples"),
        ("none.zarr", (), "none.zarr"),
    ],
)
def test_stores_nothing_can_be_learned_from(program, store, words, said):
    """Three patients, a column without any value, no store at all."""
    done = program("response", "fit", store, "--threshold", "5", *words, "-o", "heads/none")

    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert said in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--task", "detct"), "detct"),
        (("--class-weight", "fair"), "fair"),
        (("--folds", "1"), "--folds"),
        (("--n-bootstraps", "10"), "--n-bootstraps"),
        (("--threshold", "x"), "--threshold"),
    ],
)
def test_wrong_usage(program, words, said):
    """Exit code 2, and what is wrong is named."""
    done = program(*FIT, *words)

    assert done.code == 2
    assert said in done.err


def test_help_is_there(program):
    """With the example."""
    done = program("response", "fit", "--help")

    assert done.code == 0
    assert "learner-index response fit stores/cohort.zarr" in " ".join(done.out.split())
