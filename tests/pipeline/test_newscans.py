"""Scans outside a store: read as the store reads, embedded with its encoder, written nowhere."""

import os
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner_index.config import EncoderOptions
from learner_index.data.content import content_hash
from learner_index.data.split import PatientSplit
from learner_index.errors import (
    EncoderError,
    ManifestError,
    NotEnoughDataError,
    SpaceMismatchError,
    StoreNotFoundError,
)
from learner_index.pipeline.build import build
from learner_index.pipeline.newscans import embed_manifest
from learner_index.pipeline.runs import write_run
from learner_index.pipeline.source import ChosenEncoder
from learner_index.store.reader import StoreReader
from tests.toy import ToySource, make_cohort, write_manifest, write_scan

QUARTERS = {"x0": (0.2, 0.4, 0.6, 0.8), "x1": (0.8, 0.1, 0.3, 0.5), "x2": (0.9, 0.2, 0.2, 0.2)}


SPLIT = PatientSplit(train=("p0",), val=("p1",), unseen=("p2",))
BY_SEVERITY = {
    "score_column": "severity",
    "score_direction": "lower",
    "keep_columns": ("surname",),
    "drop_columns": ("junk", "health_score"),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Three stores of six scans of three patients, built once: plain, by severity, of a run."""
    folder = tmp_path_factory.mktemp("originals")
    for name in ("plain", "severity", "run"):
        make_cohort(folder / name)
    rows = make_cohort(folder / "severity")
    odd = {"surname": "code", "junk": 1, "crp": 5}
    old = [{**one, **odd, "severity": one["day"], "ward": ("3", "4B")[one["day"]]} for one in rows]
    write_manifest(folder / "severity" / "cohort.csv", old)
    stored(folder / "plain")
    stored(folder / "severity", BY_SEVERITY)
    stored(folder / "run", source=ToySource(split=SPLIT))
    return folder


@pytest.fixture
def rows(tmp_path, originals):
    """A store of six scans of three patients."""
    shutil.copytree(originals / "plain", tmp_path, dirs_exist_ok=True)


@pytest.fixture
def by_severity(tmp_path, originals):
    """The same, by `severity` with lower healthier, and with columns kept and dropped."""
    shutil.copytree(originals / "severity", tmp_path, dirs_exist_ok=True)


@pytest.fixture
def of_run(tmp_path, originals):
    """The same, by an encoder that has seen p0 (train) and p1 (val)."""
    shutil.copytree(originals / "run", tmp_path, dirs_exist_ok=True)


def stored(folder, changes=None, source=None):
    """Build the folder's manifest into its store."""
    build(folder / "cohort.csv", folder / "c.zarr", source or ToySource(), manifest_changes=changes)


def row(scan_id, **values):
    """A manifest row of a patient the store does not have."""
    known = {"scan_id": scan_id, "patient_id": "new", "path": f"new/{scan_id}.npy", "day": 0}
    return {**known, "view": "L1", "health_score": 70, "site": "B", **values}


def fresh(folder, rows, source=None, **given):
    """Write new scans and their manifest, and embed them."""
    for one in rows:
        if one["scan_id"] in QUARTERS:
            write_scan(folder / str(one["path"]), QUARTERS[one["scan_id"]])
    write_manifest(folder / "new.csv", rows)
    return embed_manifest(
        folder / "c.zarr", folder / "new.csv", encoder=source or ToySource(), **given
    )


def without(row, *names):
    """A row without some columns."""
    return {name: value for name, value in row.items() if name not in names}


def test_new_scans_are_embedded_in_the_manifests_order(tmp_path, rows):
    """Embeddings are the toy's, whatever batch they were computed in."""
    found = fresh(
        tmp_path, [row("x1"), row("x0", day=2), row("x2", day=3)], ToySource(batch_size=2)
    )

    assert found.obs["scan_id"].tolist() == ["x1", "x0", "x2"]
    assert found.embeddings.dtype == np.float32
    assert np.allclose(found.embeddings, [QUARTERS[i] for i in ("x1", "x0", "x2")], atol=0.003)
    assert found.obs["day"].tolist() == [0, 2, 3]
    assert (found.skipped, found.notes) == ((), ())


def test_rows_are_those_of_a_store_of_this_manifest(tmp_path, rows):
    """Columns, their order, types and values, content hashes and roles: all as `build` has them."""
    new = [row("x0", drug="A", age=7, treatment="none"), row("x1", age=8, rescan="true", day=2)]

    found = fresh(tmp_path, new)

    build(tmp_path / "new.csv", tmp_path / "other.zarr", ToySource())
    other = StoreReader(tmp_path / "other.zarr")
    pd.testing.assert_frame_equal(found.obs, other.obs())
    assert np.array_equal(found.embeddings, other.embeddings())


def test_the_stores_own_manifest_gives_the_store(tmp_path, rows):
    """Every scan is known: rows are the store's, and no encoder is asked for."""
    source = ToySource()

    found = embed_manifest(tmp_path / "c.zarr", tmp_path / "cohort.csv", encoder=source)

    reader = StoreReader(tmp_path / "c.zarr")
    assert source.loads == 0
    assert np.array_equal(found.embeddings, reader.embeddings())
    pd.testing.assert_frame_equal(found.obs, reader.obs())


def test_only_what_the_store_does_not_know_is_computed(tmp_path, rows):
    """A stored scan among new ones takes the stored embedding, at its place."""
    source, seen = ToySource(), []
    known = row("y", patient_id="p2", path="scans/p2d1.npy")

    found = fresh(
        tmp_path,
        [row("x0"), known, row("x1", day=1), {**known, "scan_id": "z", "rescan": "true", "day": 4}],
        source,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert sum(source.embedder.calls) == 2
    assert seen == [(1, 2), (2, 2)]
    last = StoreReader(tmp_path / "c.zarr").embeddings()[5]
    assert np.array_equal(found.embeddings[[1, 3]], [last, last])
    assert np.allclose(found.embeddings[[0, 2]], [QUARTERS["x0"], QUARTERS["x1"]], atol=0.003)


def test_a_stored_id_with_other_bytes_is_computed(tmp_path, rows):
    """What counts is the content of a scan, not its name."""
    write_scan(tmp_path / "scans" / "p0d0.npy", QUARTERS["x0"])

    found = embed_manifest(tmp_path / "c.zarr", tmp_path / "cohort.csv", encoder=ToySource())

    assert np.allclose(found.embeddings[0], QUARTERS["x0"], atol=0.003)


def test_nothing_is_written(tmp_path, rows):
    """Store, cache and scans are byte for byte what they were, and no file is added."""

    def files():
        return {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}

    fresh(tmp_path, [row("x0"), row("x1", day=1)])
    for name in ("x0", "x1"):  # old enough for hashes to be remembered
        os.utime(tmp_path / "new" / f"{name}.npy", (0, 0))
    before = files()

    embed_manifest(tmp_path / "c.zarr", tmp_path / "new.csv", encoder=ToySource())

    assert files() == before


def test_known_scans_need_no_torch(tmp_path, rows):
    """Without an encoder named, and with all scans stored, torch is never imported."""
    code = (
        "import sys; from pathlib import Path\n"
        "from learner_index.pipeline.newscans import embed_manifest\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "found = embed_manifest(folder / 'c.zarr', folder / 'cohort.csv')\n"
        "sys.exit(len(found.obs) != 6 or 'torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0


def test_an_encoder_that_is_gone_is_named(tmp_path, rows):
    """New scans need the encoder; if the cache has lost it, the message says how to go on."""
    with pytest.raises(EncoderError, match=r"weights are no longer in c\.cache: name them again"):
        fresh(tmp_path, [row("x0")], ChosenEncoder())


def test_another_encoder_is_refused_even_if_all_scans_are_known(tmp_path, rows):
    """Whoever names an encoder is told when it is not the store's."""
    with pytest.raises(SpaceMismatchError, match="the store's space is toy"):
        embed_manifest(tmp_path / "c.zarr", tmp_path / "cohort.csv", encoder=ToySource("other"))


def test_scores_are_read_as_the_store_was_built(tmp_path, by_severity):
    """Column and direction of the score are remembered; higher is healthier in both."""
    found = fresh(tmp_path, [{**without(row("x0"), "health_score"), "severity": 7}])

    assert found.obs["health_score"].tolist() == [-7]
    assert found.notes == ()


def test_what_is_asked_for_wins_and_is_told(tmp_path, rows):
    """An explicit direction turns the scores; that they are not the store's is noted."""
    asked = {"score_direction": "lower", "clock": "cohort", "drop_columns": ("drug",)}

    found = fresh(tmp_path, [row("x0", drug="A")], changes=asked)

    assert "drug" not in found.obs
    assert found.obs["health_score"].tolist() == [-70]
    assert found.notes == (
        "days are on the cohort clock, the store's on the patient clock",
        "health scores are read with another 'direction' than the store's",
    )


def test_new_patients_may_have_no_score_yet(tmp_path, by_severity):
    """Without the column the store scores by, scores are missing, which is noted."""
    found = fresh(tmp_path, [without(row("x0"), "health_score")])

    assert found.obs["health_score"].isna().all()
    assert found.notes == ("no column 'severity', so these scans have no health score",)


def test_another_score_is_not_taken_for_the_stores(tmp_path, by_severity):
    """A health_score beside a store that scores by severity is refused, not mixed in."""
    with pytest.raises(ManifestError, match="--score-column severity: no such column"):
        fresh(tmp_path, [row("x0")], changes={"drop_columns": ()})


def test_a_store_without_scores_misses_none(tmp_path):
    """Where the store has no score, nothing is said of new scans without one."""
    write_manifest(
        tmp_path / "cohort.csv", [without(r, "health_score") for r in make_cohort(tmp_path)]
    )
    stored(tmp_path)

    assert fresh(tmp_path, [without(row("x0"), "health_score")]).notes == ()


def test_columns_kept_or_dropped_at_building_may_be_absent(tmp_path, by_severity):
    """The store keeps and drops columns; a new manifest need not have them."""
    bare = fresh(tmp_path, [without(row("x0", severity=1), "health_score")])
    full = fresh(tmp_path, [row("x0", severity=1, surname="code", junk=2)])

    assert not {"surname", "junk"} & set(bare.obs)
    assert full.obs["surname"].tolist() == ["code"]
    assert "junk" not in full.obs


def test_dropped_scores_do_not_hide_that_the_stores_column_is_absent(tmp_path, by_severity):
    """A health_score the store drops is no score: new scans have none, and it is said."""
    found = fresh(tmp_path, [row("x0")])

    assert found.obs["health_score"].isna().all()
    assert found.notes == ("no column 'severity', so these scans have no health score",)


def test_columns_have_the_stores_kinds(tmp_path, by_severity):
    """One new patient of ward 3 is of ward "3", as in a store that has a ward "4B" too."""
    one, two = (row(f"x{day}", day=day, severity=1, ward=3) for day in range(2))

    found = fresh(tmp_path, [{**one, "crp": 8}, {**two, "crp": "high"}])

    assert found.obs["ward"].tolist() == ["3", "3"]
    assert found.obs["crp"].tolist() == pytest.approx([8, np.nan], nan_ok=True)
    assert found.notes == (
        "column 'crp' holds numbers in the store: 1 of 2 values here are none and were left empty",
    )


def test_dates_count_from_the_new_manifests_first(tmp_path, rows):
    """Days between visits are right, their origin is another: that is noted."""
    new = [without(row(f"x{i}", date=f"2021-03-0{1 + 2 * i}"), "day") for i in range(2)]

    found = fresh(tmp_path, new, changes={"clock": "patient"})

    assert found.obs["day"].tolist() == [0, 2]
    assert found.notes == ("days count from this manifest's earliest date, not from the store's",)


def test_a_broken_scan_does_not_spoil_the_others(tmp_path, rows):
    """What cannot be hashed, read or embedded is left out, with its line, id and reason."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "torn.npy").write_bytes(b"no scan")
    write_scan(tmp_path / "new" / "hot.npy", (1.0, 0.2, 0.2, 0.2))
    names = ("torn", "x0", "gone", "hot", "x1")

    found = fresh(tmp_path, [row(name, day=i) for i, name in enumerate(names)])

    assert found.obs["scan_id"].tolist() == ["x0", "x1"]
    assert np.allclose(found.embeddings, [QUARTERS["x0"], QUARTERS["x1"]], atol=0.003)
    files = [tmp_path / "new" / f"{name}.npy" for name in ("x0", "x1")]
    assert found.obs["content_hash"].tolist() == [content_hash(file) for file in files]
    assert [text.partition(": ")[0] for text in found.skipped] == [
        "line 2 torn",
        "line 4 gone",
        "line 5 hot",
    ]
    assert "no file or folder there" in found.skipped[1]
    assert "not finite" in found.skipped[2]


def test_no_scan_left_is_one_line(tmp_path, rows):
    """When all scans fail, the first reason is given."""
    with pytest.raises(
        NotEnoughDataError, match=r"none of the 2 scans of new\.csv can be used, first line 2 a: no"
    ):
        fresh(tmp_path, [row("a"), row("b")])


def test_a_manifest_with_errors_is_refused(tmp_path, rows):
    """As `build` does: the number of errors and the first."""
    with pytest.raises(ManifestError, match=r"new\.csv has 1 error, first lines 2 and 3 x0"):
        fresh(tmp_path, [row("x0"), row("x0")])


def test_a_store_that_is_not_there_is_named(tmp_path):
    """The store is looked for before the manifest is read."""
    with pytest.raises(StoreNotFoundError, match=r"c\.zarr"):
        embed_manifest(tmp_path / "c.zarr", tmp_path / "absent.csv")


def test_warnings_of_the_manifest_are_passed_on(tmp_path, rows):
    """What is only worth knowing of the manifest is among the notes."""
    found = fresh(tmp_path, [row("x0", Treatment="none")])

    assert any("'Treatment' is not understood" in note for note in found.notes)


def test_what_a_reader_notices_is_passed_on(tmp_path, rows):
    """A volume whose header names no orientation is used, and told of with its line and id."""
    (tmp_path / "new").mkdir()
    grey = np.random.default_rng(0).integers(0, 200, (8, 8, 4), dtype=np.int16)
    nib.save(nib.Nifti1Image(grey, None), tmp_path / "new" / "v.nii")

    found = fresh(tmp_path, [row("v", path="new/v.nii")])

    assert [note.partition(";")[0] for note in found.notes] == [
        "line 2 v: the header names no orientation"
    ]


def test_patients_the_encoder_has_seen_are_marked(tmp_path, of_run):
    """New scans of a training patient are of that role; unknown patients are unseen."""
    patients = ["p1", "p9", "p0"]

    found = fresh(
        tmp_path,
        [row(f"x{i}", patient_id=name) for i, name in enumerate(patients)],
        ToySource(split=SPLIT),
    )

    assert found.obs["encoder_role"].tolist() == ["val", "unseen", "train"]


def test_bytes_of_another_patient_are_told(tmp_path, of_run):
    """A patient under a new name would pass for unseen: it is said who the store has there."""
    found = fresh(
        tmp_path,
        [row("y", path="scans/p0d0.npy"), row("z", path="scans/p2d0.npy", patient_id="p2")],
        ToySource(split=SPLIT),
    )

    (note,) = found.notes
    assert note.startswith("line 2 y: the store has the same bytes of patient 'p0' (train): one")


def test_whom_the_encoder_has_seen_must_be_known(tmp_path, of_run):
    """A cache that lost the run is no reason to call everybody unseen."""
    shutil.rmtree(tmp_path / "c.cache")

    with pytest.raises(EncoderError, match="name its pretraining run again with --encoder RUN"):
        embed_manifest(tmp_path / "c.zarr", tmp_path / "cohort.csv")


@pytest.mark.parametrize("is_same", [True, False])
def test_a_run_named_again_says_whom_it_has_seen(tmp_path, of_run, is_same):
    """Without the cache, its split is taken from the run, if it is the store's."""
    shutil.rmtree(tmp_path / "c.cache")
    named = SPLIT if is_same else PatientSplit(train=("p1",), val=("p0",), unseen=("p2",))
    write_toy_run(tmp_path / "run", ToySource(split=SPLIT), named)
    again = ChosenEncoder(EncoderOptions(spec=str(tmp_path / "run")))

    if not is_same:
        with pytest.raises(EncoderError, match="it is not known who trained"):
            embed_manifest(tmp_path / "c.zarr", tmp_path / "cohort.csv", encoder=again)
        return
    found = embed_manifest(tmp_path / "c.zarr", tmp_path / "cohort.csv", encoder=again)

    assert found.obs["encoder_role"].tolist() == ["train"] * 2 + ["val"] * 2 + ["unseen"] * 2


def write_toy_run(folder, source, split):
    """A finished run's JSON files; its weights are never read."""
    import json

    folder.mkdir()
    (folder / "encoder.json").write_text(json.dumps(dict(source.embedder.card)))
    (folder / "encoder.safetensors").write_bytes(b"")
    known = {"kind": "run", "state": "done", "space": source.embedder.card["space"]}
    write_run(folder, {**known, "patients": split.to_dict(), "split": split.fingerprint})


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(6)), n=st.integers(1, 6))
def test_a_row_does_not_depend_on_the_others(tmp_path, order, n):
    """Whichever scans are listed, in whatever order, each has the embedding it has alone."""
    names = [f"s{i}" for i in range(6)]
    if not (tmp_path / "c.zarr").exists():
        make_cohort(tmp_path)
        for i, name in enumerate(names):
            write_scan(tmp_path / "new" / f"{name}.npy", (0.1 * i, 0.3, 0.5, 0.9), 1 + 2 * (i % 2))
        write_manifest(tmp_path / "cohort.csv", [row(name, day=i) for i, name in enumerate(names)])
        stored(tmp_path)
        write_manifest(tmp_path / "cohort.csv", [row("s3", day=3)])
        build(tmp_path / "cohort.csv", tmp_path / "one.zarr", ToySource())
    listed = [names[i] for i in order[:n]]
    write_manifest(tmp_path / "new.csv", [row(name, day=int(name[1])) for name in listed])

    found = embed_manifest(tmp_path / "one.zarr", tmp_path / "new.csv", encoder=ToySource())

    whole = StoreReader(tmp_path / "c.zarr").embeddings()
    assert np.array_equal(found.embeddings, whole[order[:n]])
    assert found.obs["scan_id"].tolist() == listed
