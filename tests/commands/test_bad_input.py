"""Broken files, manifests, stores and arguments: one line each, and nothing stored is lost.

Each case breaks one thing beside a store of six scans, runs the program and says which words must
come and with which exit code. docs/bad-input.md shows the same lines to users.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from learner_index.pipeline.source import ChosenEncoder
from learner_index.store.lock import writer_lock
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from tests.commands import broken
from tests.commands.broken import BAD, add, array, change, text, truncated

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"
BUILD = ("build", "cohort.csv", "-o", "c.zarr")
OTHER = ("build", "cohort.csv", "-o", "other.zarr", "--size", "32", "--frames", "2")
SIMILAR = ("similar", "c.zarr")


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is wrong, and what must be said about it.

    Attributes:
        name: the case in words.
        words: what is typed.
        says: pattern of the last line on stderr.
        spoil: breaks something before the program runs.
        during: what else is wrong while it runs.
        code: exit code; wrong usage (2) may take several lines, everything else takes one.
        is_toy: whether builds use the toy encoder.
    """

    name: str
    words: tuple[str, ...]
    says: str
    spoil: Callable[[], object] = lambda: None
    during: Callable[[], AbstractContextManager[object]] = nullcontext
    code: int = 1
    is_toy: bool = True


def scan(name: str, suffix: str, make: Callable[[Path], object], reason: str) -> Case:
    """A case of one broken scan beside sound ones."""
    return Case(name, BUILD, f"skipped line 8 bad: .*{reason}", add(suffix, make), code=3)


def copy_store() -> Path:
    """A second store, to be broken."""
    return Path(shutil.copytree("c.zarr", "copy.zarr"))


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


@contextmanager
def refusing(number: int) -> Iterator[None]:
    """The file system refuses to give new files their names."""
    refusal = OSError(number, os.strerror(number))
    with mock.patch("learner_index.store.chunks.replace_file", side_effect=refusal):
        yield


def one_more_scan() -> None:
    add(".npy", array(np.arange(64, dtype=np.uint8).reshape(8, 8)))()


CASES = [
    # manifests
    Case("no manifest", ("build", "nowhere.csv", "-o", "c.zarr"), r"nowhere\.csv"),
    Case("empty manifest", BUILD, "is empty", lambda: Path("cohort.csv").write_text("")),
    Case(
        "not text", BUILD, "UTF-8", lambda: Path("cohort.csv").write_bytes(b"scan_id\xff\xfe,a\n1")
    ),
    Case("a folder", ("build", "scans", "-o", "c.zarr"), "scans"),
    Case(
        "no scan in it",
        BUILD,
        "no scans",
        lambda: Path("cohort.csv").write_text("scan_id,patient_id,path\n"),
    ),
    Case(
        "column missing",
        BUILD,
        r"no column patient_id \(did you mean 'patientid'\?\)",
        lambda: Path("cohort.csv").write_text("scan_id,patientid,path\na,b,c.npy\n"),
    ),
    Case("id twice", BUILD, "lines 2 and 3 p0d0: .*learner-index check", change(3, scan_id="p0d0")),
    Case("path outside", BUILD, "--allow-outside", change(3, path="../secret.npy")),
    Case("score is no number", BUILD, "line 3 p0d1: .*'high'", change(3, health_score="high")),
    Case(
        "two splits",
        BUILD,
        "split",
        lambda: (change(2, split="train")(), change(3, split="test")()),
    ),
    Case("a file of two patients", BUILD, "lines", change(4, path="scans/p0d0.npy")),
    Case("a name's column", BUILD, "--keep-column", change(3, patient_name="Doe")),
    Case("score column unknown", (*BUILD, "--score-column", "helth"), "helth"),
    # scans
    scan("absent file", ".npy", lambda path: None, ""),
    scan("no bytes", ".mp4", text(""), "empty"),
    scan("truncated clip", ".mp4", truncated(broken.clip), ""),
    scan("truncated DICOM", ".dcm", truncated(broken.dicom), "truncated"),
    scan("truncated NIfTI", ".nii", truncated(broken.volume), ""),
    scan("truncated gzip", ".nii.gz", truncated(broken.volume), ""),
    scan("truncated PNG", ".png", truncated(broken.picture), ""),
    scan("text called .mp4", ".mp4", text("dear diary"), ""),
    scan("text called .txt", ".txt", text("dear diary"), ""),
    scan("constant", ".npy", array(np.full((8, 8), 7, np.uint8)), "constant"),
    scan("NaN", ".nii", broken.nan_volume, ""),
    scan("mixed sizes", "", broken.mixed_frames, ""),
    scan("empty folder", "", lambda path: path.mkdir(), ""),
    scan("promises terabytes", ".npy", broken.huge_header, ""),
    scan("words, not numbers", ".npy", array(["a", "b"]), ""),
    # questions
    Case("patient unknown", (*SIMILAR, "--patient", "p9"), "no patient 'p9'"),
    Case("scan unknown", (*SIMILAR, "--scan", "p0d"), "no scan 'p0d'"),
    Case("no query", SIMILAR, "name one query"),
    Case("two queries", (*SIMILAR, "--scan", "p0d0", "--file", "x.npy"), "name one query"),
    Case(
        "column unknown",
        (*SIMILAR, "--patient", "p0", "--where", "viw == L1"),
        "did you mean 'view'",
    ),
    Case("where without ==", (*SIMILAR, "--patient", "p0", "--where", "view = L1"), "write =="),
    Case("where without value", (*SIMILAR, "--patient", "p0", "--where", "view"), "'view'"),
    Case("match unknown", (*SIMILAR, "--patient", "p0", "--match", "age±5"), "no column 'age'"),
    Case("print unknown", (*SIMILAR, "--patient", "p0", "--columns", "sit"), "did you mean 'site'"),
    Case("no such day", (*SIMILAR, "--patient", "p0", "--day", "7"), "no visit on day 7"),
    Case("as-of", (*SIMILAR, "--patient", "p0", "--as-of", "7"), "--until-day"),
    Case("k = 0", (*SIMILAR, "--patient", "p0", "-k", "0"), "'-k'", code=2),
    Case(
        "metric misspelt",
        (*SIMILAR, "--patient", "p0", "--metric", "cosin"),
        "did you mean 'cosine'",
        code=2,
    ),
    Case("option misspelt", (*SIMILAR, "--patent", "p0"), "--patient", code=2),
    Case("view of a patient", (*SIMILAR, "--patient", "p0", "--view", "L1"), "where 'view == L1'"),
    Case("patient of a scan", (*SIMILAR, "--patient", "p0", "--scan", "p0d0"), "already"),
    Case(
        "vector too short",
        (*SIMILAR, "--vector", "v.npy"),
        "4",
        lambda: np.save("v.npy", np.ones(3)),
    ),
    Case(
        "vector of NaN",
        (*SIMILAR, "--vector", "v.npy"),
        "NaN",
        lambda: np.save("v.npy", np.full(4, np.nan)),
    ),
    Case("vector absent", (*SIMILAR, "--vector", "v.npy"), "v.npy"),
    Case(
        "vector is text",
        (*SIMILAR, "--vector", "v.npy"),
        "v.npy",
        lambda: text("1 2 3")(Path("v.npy")),
    ),
    Case("file absent", (*SIMILAR, "--file", "q.npy"), "q.npy"),
    Case(
        "file unreadable",
        (*SIMILAR, "--file", "q.npy"),
        "q.npy",
        lambda: text("dear diary")(Path("q.npy")),
    ),
    # stores
    Case("no store", ("info", "d.zarr"), "no store d.zarr"),
    Case("store without .zarr", ("build", "cohort.csv", "-o", "c"), "end it in .zarr"),
    Case("no store but a folder", ("verify", "copy.zarr"), "no store", foreign_folder),
    Case(
        "building onto a folder",
        ("build", "cohort.csv", "-o", "copy.zarr"),
        "no store",
        foreign_folder,
    ),
    Case("later layout", ("info", "copy.zarr"), "layout 99", later_layout),
    Case("damaged", ("similar", "copy.zarr", "--patient", "p0"), "", damaged_chunk),
    Case("verify damaged", ("verify", "copy.zarr"), "restore", damaged_chunk),
    Case("verify lost", ("verify", "copy.zarr"), "restore", lost_chunk),
    Case(
        "syncing a damaged one",
        ("build", "cohort.csv", "-o", "copy.zarr"),
        "checksum",
        lambda: (damaged_chunk(), change(2, health_score="1")()),
    ),
    Case(
        "locked", BUILD, "is being written by process", during=lambda: writer_lock(Path("c.zarr"))
    ),
    Case(
        "compact locked",
        ("compact", "c.zarr"),
        "is being written",
        during=lambda: writer_lock(Path("c.zarr")),
    ),
    Case(
        "disk full", BUILD, "free some space", one_more_scan, during=lambda: refusing(errno.ENOSPC)
    ),
    Case("read-only", BUILD, "read-only", one_more_scan, during=lambda: refusing(errno.EROFS)),
    Case("refit on nobody", ("refit", "c.zarr", "--patients", "p7"), "p7"),
    # encoders
    Case("other size", (*BUILD, "--size", "96"), "size 4, not 96", is_toy=False),
    Case("architecture unknown", (*OTHER, "--encoder", "timm:resnet10"), "resnet10", is_toy=False),
    Case("encoder misspelt", (*OTHER, "--encoder", "imagnet"), "imagenet", is_toy=False),
    Case(
        "weights absent",
        (*OTHER, "--encoder", "timm:resnet10t@w.safetensors"),
        "w.safetensors",
        is_toy=False,
    ),
    Case(
        "weights corrupt",
        (*OTHER, "--encoder", "timm:resnet10t@w.safetensors"),
        "w.safetensors",
        lambda: text("x" * 99)(Path("w.safetensors")),
        is_toy=False,
    ),
    Case(
        "weights pickled",
        (*OTHER, "--encoder", "timm:resnet10t@w.pth"),
        "could run code",
        lambda: broken.pickled(Path("w.pth")),
        is_toy=False,
    ),
    Case("device unknown", (*OTHER, "--device", "cudaa"), "cudaa", is_toy=False),
    Case("precision unknown", (*OTHER, "--precision", "fp8"), "fp8", is_toy=False),
    Case(
        "intensity of the store",
        (*BUILD, "--intensity", "percentile:1,99"),
        "intensity range, not percentile",
        is_toy=False,
    ),
    Case("intensity unknown", (*OTHER, "--intensity", "bright"), "bright", is_toy=False),
    Case("slices unknown", (*BUILD, "--slices", "0.8:0.2"), "LOW:HIGH", code=2),
    Case("width unknown", (*BUILD, "--embedding-width", "wide"), "native", code=2),
    Case("nothing chosen", (*BUILD, "--where", "day == 99"), "loosen"),
]


def in_words(line: str) -> str:
    """A line as the page has it: processes, hosts and sizes are examples there."""
    line = re.sub(r"process \d+ on \S+:", "process 4711 on ward-pc:", line)
    return re.sub(r"\d+ held", "2332 held", line) if "4096 bytes" in line else line


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line_and_costs_nothing(store, program, monkeypatch, case):
    """Exit code, one line that says what, where and what to do, and all six scans still there."""
    if not case.is_toy:
        monkeypatch.setattr("learner_index.pipeline.source.ChosenEncoder", ChosenEncoder)
    case.spoil()

    with case.during():
        done = program(*case.words)

    lines = done.err.splitlines()
    assert done.code == case.code
    assert len(lines) == 1 or case.code == 2
    assert re.search(case.says, lines[-1])
    assert lines[-1].startswith(("error: ", "skipped line 8 bad: ", "Error: ", "restore "))
    assert case.code == 2 or in_words(lines[-1]) in PAGE.read_text(encoding="utf-8").splitlines()
    assert "Traceback" not in done.err
    assert BAD not in done.err
    assert verify_store(store) == ()
    assert StoreReader(store).n_rows == 6
