"""Wrong input to `learner-index response`: one line each, and no head is written or lost.

What must be said about a case is what docs/bad-input.md shows under its name.
"""

import json
import math
import shutil
from pathlib import Path

import pytest

from learner_index.pipeline.response import fit as fit_module
from tests.commands.page import Case, in_words, page_rows
from tests.pipeline.response.fitting import rows_of, write_response_store

ROWS = page_rows()["Response to treatment"]
SETTINGS = ("--folds", "2", "--n-bootstraps", "100")
FIT = ("response", "fit", "toy.zarr", *SETTINGS)
CHANGE = (*FIT, "--threshold", "5", "-o", "new")
PREDICT = ("response", "predict", "head", "toy.zarr")


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Stores and a head: toy; few (3 patients); gaps (no age); drug (a new treatment)."""
    place = tmp_path_factory.mktemp("ready")
    rows = rows_of(40, ward=lambda number: "abc"[number % 3])
    stores = {
        "toy": rows,
        "few": rows_of(3),
        "gaps": rows_of(12, age=lambda number: math.nan),
        "drug": rows_of(6, treatment=lambda number: "Z"),
        "same": rows_of(12, treatment=lambda number: "A"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        patch.setattr(fit_module, "draw_figures", lambda *args, **more: None)
        for name, own in stores.items():
            write_response_store(place / f"{name}.zarr", own)
        options = fit_module.ResponseOptions(threshold=5.0, folds=2, n_bootstraps=100)
        fit_module.fit_response(place / "toy.zarr", place / "head", options)
    return place


@pytest.fixture
def home(ready, tmp_path, monkeypatch) -> Path:
    """Where the program is run: a copy."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr(fit_module, "draw_figures", lambda *args, **more: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def carded(**changes):
    """Alters the head's card."""

    def alter():
        card = json.loads(Path("head/head.json").read_text())
        Path("head/head.json").write_text(json.dumps({**card, **changes}))

    return alter


def cut() -> None:
    """Half of the head's arrays."""
    content = Path("head/head.safetensors").read_bytes()
    Path("head/head.safetensors").write_bytes(content[: len(content) // 2])


def on(store: str) -> tuple[str, ...]:
    """A fit on another store."""
    return ("response", "fit", f"{store}.zarr", *SETTINGS, "--threshold", "5", "-o", "new")


CASES = [
    Case("no threshold", (*FIT, "-o", "new")),
    Case("one class", (*FIT, "--threshold", "1000", "-o", "new")),
    Case("three patients", on("few")),
    Case("a column without values", (*on("gaps"), "--clinical", "age")),
    Case("a clinical column misspelt", (*CHANGE, "--clinical", "agee")),
    Case("a clinical column of outcomes", (*CHANGE, "--clinical", "response")),
    Case("a target misspelt", (*FIT, "--target", "wrd", "-o", "new")),
    Case("a class left out", (*FIT, "--target", "ward", "--classes", "a,b", "-o", "new")),
    Case("a visit misspelt", (*CHANGE, "--task", "predict", "--at", "tuesday")),
    Case("an option of the other task", (*CHANGE, "--died-as", "dead")),
    Case("a head misspelt", (*CHANGE, "--head", "multinomal")),
    Case("a head that needs an order", (*FIT, "--target", "ward", "--head", "ordinal", "-o", "n")),
    Case("a head for the other task", (*CHANGE, "--task", "predict", "--head", "antisymmetric")),
    Case("nothing fulfils it", (*CHANGE, "--where", "age > 1000")),
    Case("a head is there", (*FIT, "--threshold", "5", "-o", "head")),
    Case("no head there", ("response", "predict", "heed", "toy.zarr")),
    Case("head and store the wrong way round", ("response", "predict", "toy.zarr", "head")),
    Case("the card of a head", ("response", "predict", "head/head.json", "toy.zarr")),
    Case("a head of another space", PREDICT, carded(space="0123456789abcdef")),
    Case("a head of another version", PREDICT, carded(format=7)),
    Case("arrays cut short", PREDICT, cut),
    Case("a patient misspelt", (*PREDICT, "--patient", "P01")),
    Case("an answer of unknown kind", (*PREDICT, "-o", "answers.xls")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(home, program, case):
    """Exit code, and the page's line; nothing is written, and the head is left as it was."""
    case.spoil()
    before = {path: path.read_bytes() for path in Path("head").iterdir()}

    done = program(*case.words)

    assert done.code == case.code
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert in_words(done.err.strip()) == ROWS[case.name]
    assert not list(Path().glob("n*/head.json"))
    assert {path: path.read_bytes() for path in Path("head").iterdir()} == before


def test_the_page_shows_the_cases():
    """Each once, in their order, and none that is no longer tried."""
    assert list(ROWS) == [*(case.name for case in CASES), *NOTED]


NOTED = {
    "a treatment that never varies": on("same"),
    "a treatment the head does not know": ("response", "predict", "head", "drug.zarr"),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_can_be_answered_is_noted(home, program, name):
    """The line is among those on stderr, or in the JSON of a prediction; exit code 0."""
    done = program(*NOTED[name], *(["--json"] if "predict" in NOTED[name] else []))

    said = done.err.splitlines()
    if "predict" in NOTED[name]:
        answers = json.loads(done.out)["predictions"]
        said = [f"abstains: {why}" for one in answers for why in one["reasons"]]
    assert done.code == 0
    assert ROWS[name] in said
