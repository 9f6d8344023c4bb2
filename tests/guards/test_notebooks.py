"""Notebooks run from top to bottom and keep small outputs without a path of a machine."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    """Every cell runs in a fresh kernel."""
    notebook = nbformat.read(path, as_version=4)

    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert notebook.cells[-1].cell_type == "markdown"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_small_outputs(path):
    """Outputs are kept, hold no error, and the file stays under 200 kB."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    assert all(cell.execution_count for cell in cells)
    assert not any(o.output_type == "error" for cell in cells for o in cell.outputs)
    assert path.stat().st_size < 200_000


def test_there_is_a_notebook():
    """The list above is not empty."""
    assert NOTEBOOKS
