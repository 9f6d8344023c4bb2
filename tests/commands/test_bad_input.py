"""Broken files, manifests, stores and arguments: one line each, and nothing stored is lost.

Each case breaks one thing beside a store of six scans and runs the program, which must say what
docs/bad-input.md shows under the case's name, and end with the right exit code.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from learner_index.data.split import PatientSplit
from learner_index.pipeline.build import build
from learner_index.pipeline.runs import write_run
from learner_index.pipeline.source import ChosenEncoder
from learner_index.store.lock import writer_lock
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from tests.commands import broken
from tests.commands.broken import BAD, add, array, change, text, truncated
from tests.commands.page import Case, in_words, page_rows
from tests.toy import ToyEmbedder, ToySource

SECTIONS = ("Manifests", "Scans", "Questions", "Stores", "Encoders and settings")
ROWS = {name: line for section in SECTIONS for name, line in page_rows()[section].items()}
SPLIT = PatientSplit(train=("p0",))
BUILD = ("build", "cohort.csv", "-o", "c.zarr")
OTHER = ("build", "cohort.csv", "-o", "other.zarr", "--size", "32", "--frames", "2")
RUN = (*OTHER, "--encoder", "run")
SIMILAR = ("similar", "c.zarr")


def scan(name: str, suffix: str, make: Callable[[Path], object]) -> Case:
    """A case of one broken scan beside sound ones."""
    return Case(name, BUILD, add(suffix, make), code=3)


def copy_store(name: str = "copy.zarr") -> Path:
    """A second store, to be broken."""
    return Path(shutil.copytree("c.zarr", name))


def later_layout() -> None:
    root = copy_store() / "zarr.json"
    content = json.loads(root.read_text(encoding="utf-8"))
    content["attributes"]["layout"] = 99
    root.write_text(json.dumps(content), encoding="utf-8")


def damaged_chunk() -> None:
    chunk = next(file for file in (copy_store() / "X" / "c").rglob("*") if file.is_file())
    content = bytearray(chunk.read_bytes())
    content[5] ^= 0xFF
    chunk.write_bytes(content)


def lost_chunk() -> None:
    next(file for file in (copy_store() / "X" / "c").rglob("*") if file.is_file()).unlink()


def foreign_folder() -> None:
    Path("copy.zarr").mkdir()
    Path("copy.zarr/precious.txt").write_text("keep", encoding="utf-8")


def foreign_zarr() -> None:
    Path("other.zarr").mkdir()
    known = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    Path("other.zarr/zarr.json").write_text(json.dumps(known), encoding="utf-8")


@contextmanager
def refusing(number: int) -> Iterator[None]:
    """The file system refuses to give new files their names."""
    refusal = OSError(number, os.strerror(number))
    with mock.patch("learner_index.store.chunks.replace_file", side_effect=refusal):
        yield


def one_more_scan() -> None:
    add(".npy", array(np.arange(64, dtype=np.uint8).reshape(8, 8)))()


def a_run(known: Mapping[str, object]) -> Callable[[], None]:
    """Later: the folder of a pretraining run that says this of itself; its weights are empty."""

    def spoil() -> None:
        Path("run").mkdir()
        write_run(Path("run"), known)
        Path("run/encoder.json").write_text(json.dumps(ToyEmbedder().card), encoding="utf-8")
        Path("run/encoder.safetensors").touch()

    return spoil


def roles_lost() -> None:
    """A store whose encoder a pretraining run made, in whose cache the run's file is gone."""
    build(Path("cohort.csv"), Path("own.zarr"), ToySource(split=SPLIT))
    Path("own.cache/encoder/run.json").unlink()


CASES = [
    # manifests
    Case("no manifest", ("build", "nowhere.csv", "-o", "c.zarr")),
    Case("empty manifest", BUILD, lambda: Path("cohort.csv").write_text("")),
    Case("not text", BUILD, lambda: Path("cohort.csv").write_bytes(b"scan_id\xff\xfe,a\n1")),
    Case("a folder", ("build", "scans", "-o", "c.zarr")),
    Case(
        "no scan in it", BUILD, lambda: Path("cohort.csv").write_text("scan_id,patient_id,path\n")
    ),
    Case(
        "column missing",
        BUILD,
        lambda: Path("cohort.csv").write_text("scan_id,patientid,path\na,b,c.npy\n"),
    ),
    Case("id twice", BUILD, change(3, scan_id="p0d0")),
    Case("path outside", BUILD, change(3, path="../secret.npy")),
    Case("score is no number", BUILD, change(3, health_score="high")),
    Case("two splits", BUILD, lambda: (change(2, split="train")(), change(3, split="test")())),
    Case("a file of two patients", BUILD, change(4, path="scans/p0d0.npy")),
    Case("a name's column", BUILD, change(3, patient_name="Doe")),
    Case("score column unknown", (*BUILD, "--score-column", "helth")),
    Case("manifest misspelt", ("check", "chort.csv")),
    Case("manifest without its ending", ("check", "cohort")),
    Case("a workbook", ("check", "cohort.xlsx")),
    Case("a store for a manifest", ("check", "c.zarr")),
    # scans
    scan("absent file", ".npy", lambda path: None),
    scan("no bytes", ".mp4", text("")),
    scan("truncated clip", ".mp4", truncated(broken.clip)),
    scan("truncated DICOM", ".dcm", truncated(broken.dicom)),
    scan("truncated NIfTI", ".nii", truncated(broken.volume)),
    scan("truncated gzip", ".nii.gz", truncated(broken.volume)),
    scan("truncated PNG", ".png", truncated(broken.picture)),
    scan("text called .mp4", ".mp4", text("dear diary")),
    scan("text called .txt", ".txt", text("dear diary")),
    scan("constant", ".npy", array(np.full((8, 8), 7, np.uint8))),
    scan("NaN", ".nii", broken.nan_volume),
    scan("mixed sizes", "", broken.mixed_frames),
    scan("empty folder", "", lambda path: path.mkdir()),
    scan("promises terabytes", ".npy", broken.huge_header),
    scan("words, not numbers", ".npy", array(["a", "b"])),
    # questions
    Case("patient unknown", (*SIMILAR, "--patient", "p9")),
    Case("patient without its zeros", (*SIMILAR, "--patient", "p00")),
    Case("scan unknown", (*SIMILAR, "--scan", "p0d")),
    Case("no query", SIMILAR),
    Case("two queries", (*SIMILAR, "--scan", "p0d0", "--file", "x.npy")),
    Case("column unknown", (*SIMILAR, "--patient", "p0", "--where", "viw == L1")),
    Case("where without ==", (*SIMILAR, "--patient", "p0", "--where", "view = L1")),
    Case("where without value", (*SIMILAR, "--patient", "p0", "--where", "view")),
    Case("match unknown", (*SIMILAR, "--patient", "p0", "--match", "age±5")),
    Case("print unknown", (*SIMILAR, "--patient", "p0", "--columns", "sit")),
    Case("no such day", (*SIMILAR, "--patient", "p0", "--day", "7")),
    Case("no such visit", (*SIMILAR, "--patient", "p0", "--visit", "2")),
    Case("as-of", (*SIMILAR, "--patient", "p0", "--as-of", "7")),
    Case("k = 0", (*SIMILAR, "--patient", "p0", "-k", "0"), code=2),
    Case("metric cut short", (*SIMILAR, "--patient", "p0", "--metric", "cos"), code=2),
    Case("metric misspelt", (*SIMILAR, "--patient", "p0", "--metric", "cosin"), code=2),
    Case("option misspelt", (*SIMILAR, "--patent", "p0"), code=2),
    Case("view of a patient", (*SIMILAR, "--patient", "p0", "--view", "L1")),
    Case("patient of a scan", (*SIMILAR, "--patient", "p0", "--scan", "p0d0")),
    Case("vector too short", (*SIMILAR, "--vector", "v.npy"), lambda: np.save("v.npy", np.ones(3))),
    Case(
        "vector of NaN",
        (*SIMILAR, "--vector", "v.npy"),
        lambda: np.save("v.npy", np.full(4, np.nan)),
    ),
    Case("vector absent", (*SIMILAR, "--vector", "v.npy")),
    Case("vector is text", (*SIMILAR, "--vector", "v.npy"), lambda: text("1 2 3")(Path("v.npy"))),
    Case("file absent", (*SIMILAR, "--file", "q.npy")),
    Case(
        "file unreadable", (*SIMILAR, "--file", "q.npy"), lambda: text("dear diary")(Path("q.npy"))
    ),
    # stores
    Case("no store", ("info", "d.zarr")),
    Case("store without .zarr", ("build", "cohort.csv", "-o", "c")),
    Case(
        "store misspelt", ("info", "cohot.zarr"), lambda: shutil.copytree("c.zarr", "cohort.zarr")
    ),
    Case("folder of a store", ("info", ".")),
    Case("a manifest for a store", ("info", "cohort.csv")),
    Case("a zipped store", ("info", "zip.zarr"), lambda: text("PK")(Path("zip.zarr"))),
    Case("another program's Zarr", ("info", "other.zarr"), foreign_zarr),
    Case("no store but a folder", ("verify", "copy.zarr"), foreign_folder),
    Case("building onto a folder", ("build", "cohort.csv", "-o", "copy.zarr"), foreign_folder),
    Case("later layout", ("info", "copy.zarr"), later_layout),
    Case("damaged", ("similar", "copy.zarr", "--patient", "p0"), damaged_chunk),
    Case("verify damaged", ("verify", "copy.zarr"), damaged_chunk),
    Case("verify lost", ("verify", "copy.zarr"), lost_chunk),
    Case(
        "syncing a damaged one",
        ("build", "cohort.csv", "-o", "copy.zarr"),
        lambda: (damaged_chunk(), change(2, health_score="1")()),
    ),
    Case("locked", BUILD, during=lambda: writer_lock(Path("c.zarr"))),
    Case("compact locked", ("compact", "c.zarr"), during=lambda: writer_lock(Path("c.zarr"))),
    Case("disk full", BUILD, one_more_scan, during=lambda: refusing(errno.ENOSPC)),
    Case("read-only", BUILD, one_more_scan, during=lambda: refusing(errno.EROFS)),
    Case("refit on nobody", ("refit", "c.zarr", "--patients", "p7")),
    # encoders
    Case("other size", (*BUILD, "--size", "96"), is_toy=False),
    Case("architecture unknown", (*OTHER, "--encoder", "timm:resnet10"), is_toy=False),
    Case("encoder misspelt", (*OTHER, "--encoder", "imagnet"), is_toy=False),
    Case("weights absent", (*OTHER, "--encoder", "timm:resnet10t@w.safetensors"), is_toy=False),
    Case(
        "weights corrupt",
        (*OTHER, "--encoder", "timm:resnet10t@w.safetensors"),
        lambda: text("x" * 99)(Path("w.safetensors")),
        is_toy=False,
    ),
    Case(
        "weights pickled",
        (*OTHER, "--encoder", "timm:resnet10t@w.pth"),
        lambda: broken.pickled(Path("w.pth")),
        is_toy=False,
    ),
    Case("run misspelt", (*OTHER, "--encoder", "runs/frist"), is_toy=False),
    Case("run unfinished", RUN, a_run({"kind": "run", "state": "running"}), is_toy=False),
    Case(
        "run of folds", RUN, a_run({"kind": "folds", "folds": ["fold-1", "fold-2"]}), is_toy=False
    ),
    Case(
        "size of the run", RUN, a_run({"state": "done", "patients": SPLIT.to_dict()}), is_toy=False
    ),
    Case("roles lost", ("build", "cohort.csv", "-o", "own.zarr"), roles_lost),
    Case("device unknown", (*OTHER, "--device", "cudaa"), is_toy=False),
    Case("precision unknown", (*OTHER, "--precision", "fp8"), is_toy=False),
    Case("intensity of the store", (*BUILD, "--intensity", "percentile:1,99"), is_toy=False),
    Case("intensity unknown", (*OTHER, "--intensity", "bright"), is_toy=False),
    Case("slices unknown", (*BUILD, "--slices", "0.8:0.2"), code=2),
    Case("width unknown", (*BUILD, "--embedding-width", "wide"), code=2),
    Case("nothing chosen", (*BUILD, "--where", "day == 99")),
    Case("no such value", (*BUILD, "--where", "view == l1")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line_and_costs_nothing(store, program, monkeypatch, case):
    """Exit code, the page's line, and all six scans still there."""
    if not case.is_toy:
        monkeypatch.setattr("learner_index.pipeline.source.ChosenEncoder", ChosenEncoder)
    case.spoil()

    with case.during():
        done = program(*case.words)

    lines = done.err.splitlines()
    assert done.code == case.code
    assert len(lines) == 1 or case.code == 2
    assert in_words(lines[-1]) == ROWS[case.name]
    assert lines[-1].startswith(("error: ", "skipped line 8 bad: ", "Error: ", "restore "))
    assert "Traceback" not in done.err
    assert BAD not in done.err
    assert verify_store(store) == ()
    assert StoreReader(store).n_rows == 6


def test_the_page_shows_the_cases():
    """Each once, in their order, and none that is no longer tried."""
    assert list(ROWS) == [case.name for case in CASES]
