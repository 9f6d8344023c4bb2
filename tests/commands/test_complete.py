"""What shells offer after Tab, and that it costs little."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from learner_index.commands import complete
from learner_index.learn.objectives.registry import objectives
from learner_index.pipeline.response.kinds import kind_names
from tests.guards.test_names import loaded_after


def program(**env: str) -> str:
    """What the program prints when a shell asks it for completions."""
    code = "import sys; sys.argv = ['learner-index']; import learner_index.commands as c; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def offered(*words: str) -> list[str]:
    """What bash would be given behind these words, the last one unfinished."""
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    return program(**asked, _LEARNER_INDEX_COMPLETE="complete_bash").split()


def test_words_begin_as_typed():
    """Only what begins so; all of it when nothing is typed."""
    assert complete.words("auto", "numpy")("a") == ["auto"]
    assert complete.words("auto", "numpy")("") == ["auto", "numpy"]
    assert complete.words("auto", "numpy")("x") == []


def test_objectives_are_those_there_are():
    """Told from the files, yet the same names as the registry's."""
    assert sorted(complete.objectives("")) == sorted(objectives())


def test_heads_of_a_fit_are_those_there_are():
    """The words offered for --head are the names of the heads."""
    assert kind_names() == complete.HEADS


def test_score_kinds_are_offered():
    """Those that begin as typed."""
    assert complete.score_kinds("sf") == ["sf", "sf94"]


def test_stores_and_tables_close_by_are_offered(tmp_path, monkeypatch):
    """In the folder typed and one below; what lies within a store is no store."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.zarr", "stores/b.zarr", "a.zarr/c.zarr", "deep/er/d.zarr"):
        Path(name).mkdir(parents=True)
    for name in ("t.csv", "stores/u.tsv", "v.parquet", "w.txt"):
        Path(name).touch()

    assert complete.stores("") == ["a.zarr", "stores/b.zarr"]
    assert complete.stores("st") == ["stores/b.zarr"]
    assert complete.stores("stores/") == ["stores/b.zarr"]
    assert complete.stores(f"{tmp_path}/stores/b") == [f"{tmp_path}/stores/b.zarr"]
    assert complete.stores("nowhere/") == []
    assert complete.manifests("") == ["t.csv", "stores/u.tsv", "v.parquet"]
    assert complete.sources("t") == ["t.csv"]


def test_heads_are_their_folders(tmp_path, monkeypatch):
    """A folder with a card is a head."""
    monkeypatch.chdir(tmp_path)
    for name in ("head", "heads/icu"):
        Path(name).mkdir(parents=True)
        Path(name, "head.json").touch()

    assert complete.heads("") == ["head", "heads/icu"]


def test_a_shell_gets_commands_options_and_values(store):
    """Commands, options and the values of options, through typer's protocol."""
    assert offered("learner-index", "traj") == ["trajectory"]
    assert offered("learner-index", "similar", "c") == ["c.zarr"]
    assert offered("learner-index", "similar", "c.zarr", "--level", "v") == ["visit"]


def test_completion_loads_nothing_heavy(tmp_path):
    """A person waits for it: no NumPy, nothing heavier, for words and files alike."""
    code = (
        "from learner_index.commands import complete, app\n"
        "complete.objectives(''), complete.score_kinds(''), complete.stores('')\n"
        "complete.manifests(''), complete.heads('')"
    )

    assert loaded_after(code) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_takes_the_script(shell):
    """The script that is installed is one that the shell itself reads without complaint."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    script = program(_LEARNER_INDEX_COMPLETE=f"source_{shell}")

    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)

    assert "learner-index" in script
    assert (done.returncode, done.stderr) == (0, "")
