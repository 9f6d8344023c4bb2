"""The program run in this process as a person would run it, and a store to run it on."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from learner_index.commands import main
from learner_index.pipeline.build import build
from tests.toy import ToySource, make_cohort


@dataclass(frozen=True, slots=True)
class Done:
    """What a run of the program left: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Program = Callable[..., Done]


class ToyChosen(ToySource):
    """The toy in the place of `ChosenEncoder`, which is made from options."""

    def __init__(self, options: object = None) -> None:
        super().__init__()


@pytest.fixture
def program(capsys, monkeypatch) -> Program:
    """Runs `learner-index` with some words, through `main()`."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("LEARNER_INDEX_DEBUG", raising=False)

    def run(*words: object) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["learner-index", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return Done(int(end.value.code or 0), out, err)

    return run


@pytest.fixture
def toy_encoder(monkeypatch) -> None:
    """Builds and file queries use the toy encoder: no torch."""
    monkeypatch.setattr("learner_index.pipeline.source.ChosenEncoder", ToyChosen)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where the program is run: six toy scans of three patients and their manifest."""
    make_cohort(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A folder with the toy cohort and its store c.zarr, to be copied."""
    place = tmp_path_factory.mktemp("built")
    make_cohort(place)
    build(place / "cohort.csv", place / "c.zarr", ToySource())
    return place


@pytest.fixture
def store(built, tmp_path, monkeypatch, toy_encoder) -> Path:
    """The store c.zarr of three patients' six scans, its manifest beside it, in a fresh folder."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("c.zarr")
