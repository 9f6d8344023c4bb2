"""Whom an encoder has seen: every row says it, through every change of a store."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from learner_index.config import BuildOptions
from learner_index.data.split import PatientSplit
from learner_index.errors import EncoderError
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.info import compact_store
from learner_index.pipeline.roles import keep_roles
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from tests.toy import ToySource, make_cohort, write_manifest, write_scan

ROOT = Path(__file__).parents[2]
SPLIT = PatientSplit(train=("p0",), val=("p1",), unseen=("p2",))
SIX = ["train", "train", "val", "val", "unseen", "unseen"]


@pytest.fixture
def rows(tmp_path):
    """Six stored scans of p0 (train), p1 (val) and p2 (unseen)."""
    found = make_cohort(tmp_path)
    run(tmp_path)
    return found


def run(folder, split=SPLIT, **options):
    """Build the folder's manifest with a toy that was trained on these patients."""
    return build(
        folder / "cohort.csv",
        folder / "c.zarr",
        ToySource(split=split),
        options=BuildOptions(**options),
    )


def roles(folder):
    """The stored roles, row by row."""
    return StoreReader(folder / "c.zarr").obs(["encoder_role"])["encoder_role"].tolist()


def test_every_row_has_the_role_of_its_patient(tmp_path, rows):
    """Training patients, those who decided when to stop, and the others are told apart."""
    assert roles(tmp_path) == SIX
    assert run(tmp_path).n_seen == 2
    assert verify_store(tmp_path / "c.zarr") == ()


def test_patients_the_run_does_not_know_are_unseen(tmp_path, rows):
    """Patients added later were not there when the encoder was trained."""
    later = [{**rows[0], "scan_id": f"x{i}", "path": f"x{i}.npy"} for i in range(2)]
    for row in later:
        write_scan(tmp_path / row["path"], (0.3, 0.4, 0.2, 0.1))
        row["patient_id"] = "p9"
    write_manifest(tmp_path / "cohort.csv", [later[0], *rows, later[1]])

    run(tmp_path)

    assert roles(tmp_path) == ["unseen", *SIX, "unseen"]


def test_scans_added_later_have_their_patients_role(tmp_path):
    """A store grown in steps has the roles of one built at once."""
    rows = make_cohort(tmp_path)
    for chosen in ([rows[0], rows[3]], rows):
        write_manifest(tmp_path / "cohort.csv", chosen)
        run(tmp_path)

    assert roles(tmp_path) == SIX


def test_a_corrected_patient_takes_the_role_along(tmp_path, rows):
    """Roles follow the patient when the manifest is corrected, and nothing is embedded."""
    rows[1]["patient_id"], rows[5]["patient_id"] = "p2", "p0"
    write_manifest(tmp_path / "cohort.csv", rows)

    result = run(tmp_path)

    assert roles(tmp_path) == ["train", "unseen", "val", "val", "unseen", "train"]
    assert result.difference.corrected == {"patient_id": 2, "encoder_role": 2}
    assert (result.n_embedded, run(tmp_path).difference.is_empty) == (0, True)


def test_a_changed_scan_of_a_corrected_patient(tmp_path, rows):
    """New bytes and a new patient at once: one swap, with the new patient's role."""
    rows[4]["patient_id"] = "p1"
    write_manifest(tmp_path / "cohort.csv", rows)
    write_scan(tmp_path / str(rows[4]["path"]), (0.9, 0.1, 0.1, 0.1))

    result = run(tmp_path)

    assert (result.n_changed, roles(tmp_path)[4]) == (1, "val")


@pytest.mark.parametrize("is_known", [False, True])
def test_equal_bytes_do_not_share_a_role(tmp_path, is_known):
    """A picture stored for a training patient is unseen under another's name, new or known."""
    rows = make_cohort(tmp_path)
    same = (tmp_path / str(rows[0]["path"])).read_bytes()
    (tmp_path / str(rows[4]["path"])).write_bytes(same)
    if is_known:
        run(tmp_path, limit=2)

    result = run(tmp_path)

    assert result.n_shared == 1
    assert roles(tmp_path) == SIX


def test_roles_outlast_prune_order_and_compact(tmp_path, rows):
    """Dropped, kept, reordered and compacted rows keep the role of their patient."""
    write_manifest(tmp_path / "cohort.csv", [rows[5], rows[2], rows[0]])

    run(tmp_path, prune=True)
    compact_store(tmp_path / "c.zarr")

    assert roles(tmp_path) == ["unseen", "val", "train"]
    assert run(tmp_path).difference.is_empty


def test_unlisted_rows_keep_their_role(tmp_path, rows):
    """Rows the manifest no longer lists stay what they were."""
    write_manifest(tmp_path / "cohort.csv", rows[4:])

    run(tmp_path)

    assert roles(tmp_path) == SIX


def forget(cache):
    """Nothing says any more who trained the encoder."""
    (cache / "encoder" / "run.json").unlink()


def rename(cache):
    """A patient was taken out of the list by hand."""
    file = cache / "encoder" / "run.json"
    file.write_text(file.read_text(encoding="utf-8").replace("p0", "p7"), encoding="utf-8")


def replace(cache):
    """The list is another run's."""
    keep_roles(PatientSplit(train=("p2",)), cache)


def garble(cache):
    """The file is cut off."""
    (cache / "encoder" / "run.json").write_text('{"format": 1, "pat', encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (forget, r"run\.json is gone from c\.cache"),
        (rename, "was altered: its patients are not those of its split"),
        (replace, "names other patients"),
        (garble, "cannot be read"),
    ],
)
def test_nobody_is_called_unseen_by_mistake(tmp_path, rows, harm, said):
    """When it is not known who trained the encoder, nothing is added, and the way out is told."""
    write_scan(tmp_path / "new.npy", (0.3, 0.4, 0.2, 0.1))
    new = {**rows[0], "scan_id": "new", "path": "new.npy"}
    write_manifest(tmp_path / "cohort.csv", [*rows, new])
    harm(tmp_path / "c.cache")

    with pytest.raises(EncoderError, match=rf"not known who trained .*{said}.* --encoder RUN"):
        build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource(split=SPLIT))

    assert roles(tmp_path) == SIX


def test_a_run_without_a_projection_is_remembered_too(tmp_path):
    """The store itself knows that a run made its encoder, whatever the card says of it."""
    make_cohort(tmp_path)
    source = ToySource(split=SPLIT)
    source.embedder.card = {**source.embedder.card, "projection": "none"}
    build(tmp_path / "cohort.csv", tmp_path / "c.zarr", source)
    forget(tmp_path / "c.cache")

    with pytest.raises(EncoderError, match="not known who trained the store's encoder"):
        build(tmp_path / "cohort.csv", tmp_path / "c.zarr", source)

    assert StoreReader(tmp_path / "c.zarr").settings()["encoder_split"] == SPLIT.fingerprint


KILLED = """
import os, signal, sys
from pathlib import Path
from learner_index.config import BuildOptions
from learner_index.pipeline.build import build
from tests.pipeline.test_roles import SPLIT
from tests.toy import ToySource
folder, last, count = Path(sys.argv[1]), int(sys.argv[2]), 0
def step(name):
    global count
    count += 1
    if count == last:
        os.kill(os.getpid(), signal.SIGKILL)
few = BuildOptions(commit_bytes=48)
build(folder / "cohort.csv", folder / "c.zarr", ToySource(split=SPLIT), options=few, step=step)
"""


@pytest.mark.parametrize(
    "last", [32, pytest.param(1, marks=pytest.mark.slow), pytest.param(65, marks=pytest.mark.slow)]
)
def test_a_killed_build_forgets_no_role(tmp_path, last):
    """Killed before, between and within commits, then built again: byte for byte the same."""
    make_cohort(tmp_path)
    few = {"commit_bytes": 48}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, str(last)], cwd=ROOT, check=False
    )
    run(tmp_path, **few)
    found = contents(tmp_path / "c.zarr")
    other = tmp_path / "other"
    other.mkdir()
    make_cohort(other)

    run(other, **few)

    assert done.returncode == -signal.SIGKILL
    assert roles(tmp_path) == SIX
    assert found == contents(other / "c.zarr")


def contents(store):
    """Every file of a store with its bytes."""
    return {f.relative_to(store): f.read_bytes() for f in store.rglob("*") if f.is_file()}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"patient": "p0"}, "the query and 1 of 2 hits belong to patients"),
        ({"patient": "p2"}, "2 of 2 hits belong to patients"),
        ({"patient": "p2", "k": 1}, "1 of 1 hits belongs to a patient"),
        ({"scan": "p1d0", "where": "patient_id == p2"}, "the query belongs to a patient"),
        ({"patient": "p2", "level": "scan"}, "4 of 4 hits belong to patients"),
        ({"vector": [0.2, 0.0, 0.5, 0.0], "view": "L1"}, "2 of 3 hits belong to patients"),
        (
            {"vector": [0.2, 0.0, 0.5, 0.0], "view": "L1", "patient": "p0"},
            "the query and 1 of 2 hits belong to patients",
        ),
    ],
)
def test_answers_about_seen_patients_say_so(tmp_path, rows, asked, said):
    """The first note names the query and the hits the encoder was trained or tuned on."""
    hits = open_store(tmp_path / "c.zarr").similar(metric="euclidean", **asked)

    assert hits.notes[0] == f"SEEN BY ENCODER: {said} the encoder was trained or tuned on"
    assert json.loads(hits.to_json())["notes"][0] == hits.notes[0]


def test_answers_about_unseen_patients_say_nothing(tmp_path):
    """No note where neither the query nor a hit was seen."""
    make_cohort(tmp_path)
    run(tmp_path, split=PatientSplit(train=("p0",)))

    hits = open_store(tmp_path / "c.zarr").similar(patient="p2", where="encoder_role == unseen")

    assert [hit.patient_id for hit in hits] == ["p1"]
    assert hits.notes == ()


def test_embeddings_do_not_depend_on_roles(tmp_path, rows):
    """The same scans under another split give the same embeddings."""
    other = tmp_path / "other.zarr"

    build(tmp_path / "cohort.csv", other, ToySource(split=PatientSplit(train=("p2",))))

    one, two = StoreReader(tmp_path / "c.zarr"), StoreReader(other)
    assert np.array_equal(one.embeddings(), two.embeddings())
    assert two.obs()["encoder_role"].tolist() == ["unseen"] * 4 + ["train"] * 2
