"""Notebooks are stories that run: a question, public names, small outputs, no machine's paths.

Their figures are PNGs at 150 dpi, of 50 to 130 kB: two in a notebook need up to 350 kB.
"""

import ast
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import learner_index

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
REAL = "05_real_cohort"
FREE = {"learner_index", "pandas", "numpy", "IPython", *sys.stdlib_module_names}
LIMIT = 350_000
A_PATH = re.compile(r"(?<![\w.<])(/(?:tmp|home|root|work|usr|var|opt|Users|mnt)/|[A-Z]:\\)")


def read(path):
    """A notebook."""
    return nbformat.read(path, as_version=4)


def code_cells(path):
    """Its cells of code."""
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def without_pictures(cell):
    """What a cell put out, as text."""
    outputs = json.loads(json.dumps(cell.outputs))
    for output in outputs:
        output.get("data", {}).pop("image/png", None)
    return json.dumps(outputs, ensure_ascii=False)


def trees(path):
    """The syntax of each cell."""
    return [ast.parse(cell.source) for cell in code_cells(path)]


def imported(tree):
    """Modules that a cell imports, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def dotted(node):
    """The names of `li.a.b` from the left; None for what is not such a chain."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return names[::-1] if isinstance(node, ast.Name) and node.id == "li" else None


def executed(path, folder):
    """The notebook after a fresh kernel ran it in an empty folder."""
    notebook = read(path)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    """Every cell runs in a fresh kernel, without a word on stderr."""
    data = Path(__file__).parents[3] / "shared" / "data"
    if path.stem == REAL and not data.exists():
        pytest.skip("../shared/data is absent: it is not part of the project")
    monkeypatch.setenv("LEARNER_INDEX_REAL_COHORTS", str(data))

    notebook = executed(path, tmp_path)

    said = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert said
    assert [o.text for o in said if o.get("name") == "stderr"] == []


@pytest.mark.filterwarnings("default")
def test_the_real_cohorts_may_be_absent(tmp_path, monkeypatch):
    """Without them the notebook says so, shows nothing else, and ends well."""
    monkeypatch.setenv("LEARNER_INDEX_REAL_COHORTS", str(tmp_path))

    notebook = executed(FOLDER / f"{REAL}.ipynb", tmp_path)

    said = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert all(o.output_type == "stream" and o.text.startswith("skipped: ") for o in said)
    assert "LEARNER_INDEX_REAL_COHORTS" in said[0].text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_small_outputs(path):
    """Every cell was run in order, none failed or warned, and the file stays small."""
    cells = code_cells(path)
    outputs = [output for cell in cells for output in cell.outputs]

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for output in outputs} <= {
        "stream", "execute_result", "display_data",
    }  # fmt: skip
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert path.stat().st_size < LIMIT


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_tells_a_story(path):
    """It opens with a numbered question, and closes with what was found."""
    first, last = read(path).cells[0], read(path).cells[-1]

    assert first.cell_type == last.cell_type == "markdown"
    assert re.match(rf"# {int(path.stem[:2])}\. .*\?$", first.source.splitlines()[0])
    assert last.source.startswith("## What was found\n")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_calls_public_names_only(path):
    """What follows `li.` and `li.plot.` is listed in their `__all__`; no import goes deeper."""
    known = {"": learner_index.__all__, "plot": learner_index.plot.__all__}
    found = [name for tree in trees(path) for name in imported(tree)]
    chains = [names for tree in trees(path) for node in ast.walk(tree) if (names := dotted(node))]

    assert {name.split(".")[0] for name in found} <= FREE
    assert not [name for name in found if name.startswith("learner_index.")]
    assert chains
    assert [names for names in chains if names[0] not in known[""]] == []
    assert [c for c in chains if c[0] == "plot" and c[1:] and c[1] not in known["plot"]] == []
    private = [n.attr for t in trees(path) for n in ast.walk(t) if isinstance(n, ast.Attribute)]
    assert [name for name in private if name.startswith("_")] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_names_no_path_of_a_machine(path):
    """Neither in the cells nor in what they put out."""
    cells = read(path).cells

    assert not [cell.source for cell in cells if A_PATH.search(cell.source)]
    assert not [o for cell in code_cells(path) if A_PATH.search(o := without_pictures(cell))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_says_what_is_simulated(path):
    """All but the one on real cohorts are called SIMULATED at their first words and in answers."""
    is_simulated = path.stem != REAL
    told = [without_pictures(cell) for cell in code_cells(path)]

    assert ("**SIMULATED**" in read(path).cells[0].source) == is_simulated
    assert any("SIMULATED" in text for text in told) == is_simulated


def test_no_picture_of_a_real_patient_is_kept():
    """The notebook on real cohorts holds no image, and opens no scan to show one."""
    kinds = {
        kind
        for cell in code_cells(FOLDER / f"{REAL}.ipynb")
        for output in cell.outputs
        for kind in output.get("data", {})
    }

    assert not [kind for kind in kinds if kind.startswith("image/")]
    assert "<img" not in (FOLDER / f"{REAL}.ipynb").read_text(encoding="utf-8")
    assert not [
        name
        for tree in trees(FOLDER / f"{REAL}.ipynb")
        for node in ast.walk(tree)
        if (name := dotted(node)) and name[0] in ("plot", "read_scan", "preprocess")
    ]


def test_all_notebooks_are_listed():
    """README names each, in order, and the list above is not empty."""
    listed = re.findall(r"^- `(\w+\.ipynb)`", (FOLDER / "README.md").read_text(), re.M)

    assert listed == [path.name for path in NOTEBOOKS]
    assert NOTEBOOKS


@pytest.mark.parametrize(
    ("text", "is_path"),
    [("/tmp/x.zarr", True), ("see /home/me", True), ("</div>", False), ("S/F and/or", False)],
)
def test_paths_are_told_from_words(text, is_path):
    """The pattern finds absolute paths, and no closing tags or slashes between words."""
    assert bool(A_PATH.search(text)) == is_path
