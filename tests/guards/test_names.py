"""Public names, light start-up, and help for every command."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import learner_index
from learner_index.commands import app
from tests.toy import ToySource, make_cohort

HEAVY = (
    "torch",
    "timm",
    "zarr",
    "faiss",
    "pandas",
    "numpy",
    "matplotlib",
    "nibabel",
    "pydicom",
    "plotly",
    "umap",
    "jinja2",
)
COMMANDS = [
    ["demo"],
    ["simulate", "lus"],
    ["simulate", "brain"],
    ["manifest"],
    ["check"],
    ["objectives"],
    ["pretrain"],
    ["evaluate"],
    ["build"],
    ["info"],
    ["similar"],
    ["progression"],
    ["trajectory"],
    ["map"],
    ["response", "fit"],
    ["response", "predict"],
    ["report"],
    ["refit"],
    ["verify"],
    ["compact"],
]


def loaded_after(code: str) -> set[str]:
    """Heavy modules loaded in a fresh interpreter after running some code."""
    ending = f"import sys; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ending}"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


@pytest.mark.parametrize("name", learner_index.__all__)
def test_every_public_name_is_there(name):
    """What `__all__` lists can be had from the package."""
    assert getattr(learner_index, name) is not None


def test_dir_lists_the_public_names():
    """`dir` shows what `__all__` lists, and a wrong name is an AttributeError."""
    assert dir(learner_index) == sorted(learner_index.__all__)
    with pytest.raises(AttributeError, match="no attribute 'opne_store'"):
        _ = learner_index.opne_store


def test_help_loads_nothing_heavy():
    """`learner-index --help` imports neither NumPy nor any library heavier than it."""
    code = "import learner_index.commands"

    assert loaded_after(code) == set()


def test_a_search_does_not_load_torch(tmp_path):
    """Opening a store and asking for stored scans needs neither torch nor FAISS."""
    make_cohort(tmp_path, n_patients=4)
    store = tmp_path / "cohort.zarr"
    learner_index.build(tmp_path / "cohort.csv", store, ToySource())
    code = f"""import learner_index as li
hits = li.open_store({str(store)!r}).similar(patient="p0", k=2)
assert len(hits) == 2, hits"""

    assert loaded_after(code) & {"torch", "timm", "faiss"} == set()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command):
    """`--help` explains each command and shows one line that can be typed."""
    shown = CliRunner().invoke(app, [*command, "--help"])

    assert shown.exit_code == 0
    assert f"learner-index {' '.join(command)}" in " ".join(shown.output.split())
    assert "Example:" in shown.output


def test_the_list_of_commands_is_complete():
    """No command lacks the test above."""
    names = {command.name for command in app.registered_commands}
    groups = {group.name for group in app.registered_groups}

    assert names | groups == {command[0] for command in COMMANDS}
