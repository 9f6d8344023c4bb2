"""What a store holds in figures and words, whether it is whole, and tidying it."""

import json
from dataclasses import replace

import pytest

from learner_index.config import BuildOptions
from learner_index.data.split import PatientSplit
from learner_index.errors import StoreError, StoreLockedError, StoreNotFoundError
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.info import compact_store, store_info, verify_report
from learner_index.store.lock import writer_lock
from learner_index.store.reader import StoreReader
from learner_index.store.writer import open_writer
from tests.toy import ToySource, make_cohort, write_manifest


@pytest.fixture
def store(tmp_path):
    """Six toy scans of three patients."""
    make_cohort(tmp_path)
    return build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource()).store


def test_figures_of_a_store(store):
    """Scans, visits, patients, views, score and roles are those of the manifest."""
    found = store_info(store)

    assert (found.n_scans, found.n_visits, found.n_patients) == (6, 6, 3)
    assert found.n_patients_followed == 3
    assert found.views == {"L1": 6}
    assert found.score == "health_score, 6 of 6 scans, 79 to 100"
    assert (found.roles, found.clock, found.space) == ("unseen 6", "patient", "toy")
    assert found.encoder == "toy, 4 values, trained on nothing"
    assert (found.generation, found.layout) == (1, 1)
    assert found.reference.endswith(
        "6 scans of 3 patients; drift 0.00 of the spread, 0 new patients"
    )
    assert found.notes == ()
    assert found.n_bytes == sum(f.stat().st_size for f in store.rglob("*") if f.is_file())
    assert found.columns[0] == "scan_id"


def test_roles_are_counted_and_warned_of(tmp_path):
    """Scans and patients by role, and a note as soon as the encoder has seen one of them."""
    make_cohort(tmp_path)
    source = ToySource(split=PatientSplit(train=("p0", "p1", "gone")))

    found = store_info(build(tmp_path / "cohort.csv", tmp_path / "c.zarr", source).store)

    assert found.encoder_roles == {
        "train": {"scans": 4, "patients": 2},
        "val": {"scans": 0, "patients": 0},
        "unseen": {"scans": 2, "patients": 1},
    }
    assert found.roles == "train 4 (patients: 2), val 0 (patients: 0), unseen 2 (patients: 1)"
    assert len(found.notes) == 1
    assert found.notes[0] == (
        "SEEN BY ENCODER: 2 of 3 patients are those the encoder was trained or tuned on; "
        "where 'encoder_role == unseen' leaves them out"
    )


def test_figures_are_json_ready(store):
    """`to_dict` holds nothing JSON does not know."""
    found = json.loads(json.dumps(store_info(store).to_dict()))

    assert found["card"]["spec"] == "toy"
    assert found["encoder_roles"]["unseen"] == {"scans": 6, "patients": 3}


def test_scores_turned_or_absent_are_told(tmp_path):
    """A turned score says so; a store without any names the option."""
    rows = make_cohort(tmp_path)
    bare = [{k: v for k, v in row.items() if k != "health_score"} for row in rows]
    write_manifest(tmp_path / "cohort.csv", bare)
    build(tmp_path / "cohort.csv", tmp_path / "bare.zarr", ToySource())
    changes = {"score_column": "day", "score_direction": "lower"}
    write_manifest(tmp_path / "cohort.csv", [{**row, "grade": row["day"]} for row in bare])
    changes["score_column"] = "grade"
    manifest = tmp_path / "cohort.csv"
    build(manifest, tmp_path / "turned.zarr", ToySource(), manifest_changes=changes)

    assert store_info(tmp_path / "bare.zarr").score == "none: give --score-column to `build`"
    assert store_info(tmp_path / "turned.zarr").score == (
        "grade, 6 of 6 scans, -1 to 0, turned so that higher is healthier"
    )


def test_drift_and_growth_are_told(tmp_path):
    """Patients added since the reference was fitted are counted, with the command that helps."""
    rows = make_cohort(tmp_path)
    write_manifest(tmp_path / "cohort.csv", rows[:2])
    store = build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource()).store
    write_manifest(tmp_path / "cohort.csv", rows)
    build(tmp_path / "cohort.csv", store, ToySource())

    found = store_info(store)

    assert found.reference.endswith("2 new patients")
    assert found.notes == (f"the cohort has grown since the reference was fitted: `refit {store}`",)


def test_a_store_without_scans_has_no_reference(tmp_path):
    """A store of no rows: figures are 0 and nothing is divided by them."""
    make_cohort(tmp_path)
    store = build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource()).store
    present = StoreReader(store)
    with open_writer(tmp_path / "empty.zarr") as writer:
        writer.create(present.width, present.kinds, present.settings())

    found = store_info(tmp_path / "empty.zarr")

    assert (found.n_scans, found.reference, found.roles) == (0, "none yet", "no scans")


def test_unfinished_writing_is_noted(store):
    """Rows that a killed writer added but did not commit are named as invisible."""
    metadata = store / "X" / "zarr.json"
    content = json.loads(metadata.read_text(encoding="utf-8"))
    content["shape"][0] += 2
    metadata.write_text(json.dumps(content), encoding="utf-8")

    found = store_info(store)

    assert found.n_scans == 6
    assert found.notes == ("a writer is at work or was killed: uncommitted rows stay invisible",)


def test_a_sound_store_has_no_problems(store):
    """`verify_report` counts scans and finds nothing."""
    found = verify_report(store)

    assert (found.n_scans, found.problems) == (6, ())
    assert json.loads(json.dumps(found.to_dict()))["n_scans"] == 6


def test_damage_is_named(store):
    """A lost file is a problem that names its array."""
    next(file for file in (store / "obs" / "day").rglob("c/*") if file.is_file()).unlink()

    assert any("obs/day" in problem for problem in verify_report(store).problems)


def test_compact_keeps_rows_and_raises_the_generation(store):
    """The same rows in the next generation; sizes before and after are told."""
    before = StoreReader(store)
    rows, embeddings = before.obs(), before.embeddings()

    sizes = compact_store(store)

    after = StoreReader(store)
    assert sizes[1] <= sizes[0]
    assert after.generation == before.generation + 1
    assert after.obs().equals(rows)
    assert (after.embeddings() == embeddings).all()


@pytest.mark.parametrize("ask", [store_info, verify_report, compact_store])
def test_questions_to_nothing(tmp_path, ask):
    """A store that is not there is said, and none is made; a wrong name is refused."""
    with pytest.raises(StoreNotFoundError, match=r"no store c\.zarr"):
        ask(tmp_path / "c.zarr")
    with pytest.raises(StoreError, match=r"end it in \.zarr"):
        ask(tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_compact_waits_for_no_writer(store):
    """A store that is being written is not compacted; it can be looked at."""
    with writer_lock(store), pytest.raises(StoreLockedError, match="is being written by"):
        compact_store(store)

    with writer_lock(store):
        assert store_info(store).n_scans == 6


def test_where_limits_the_figures_to_what_was_built(tmp_path):
    """A store built from some rows tells of these."""
    make_cohort(tmp_path)
    options = BuildOptions(where=("day == 0",))

    build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource(), options=options)

    found = store_info(tmp_path / "c.zarr")
    assert (found.n_scans, found.n_patients_followed) == (3, 0)


def test_a_reference_of_an_earlier_version_is_noted(store):
    """One that was fitted before changes were known asks for a refit, which settles it."""
    with open_writer(store) as writer:
        writer.add_reference(replace(writer.read().reference(), changes={}))

    found = store_info(store)
    open_store(store).refit()

    assert found.notes == (f"the reference knows nothing of changes: `refit {store}`",)
    assert found.changes == {}
    assert store_info(store).notes == ()
    assert store_info(store).changes[""]["n_patients"] == 3
