"""What happens to stored scans when a later manifest says something else, or leaves them out."""

import numpy as np
import pytest

from learner_index.config import BuildOptions, EncoderOptions
from learner_index.errors import ManifestError, SpaceMismatchError
from learner_index.pipeline.build import build
from learner_index.pipeline.info import store_info
from learner_index.pipeline.source import ChosenEncoder, architecture_of
from learner_index.store.reader import StoreReader
from tests.toy import TOY, ToySource, make_cohort, write_manifest, write_scan


@pytest.fixture
def rows(tmp_path):
    """Six stored scans of three patients."""
    found = make_cohort(tmp_path)
    run(tmp_path)
    return found


def run(folder, source=None, changes=None, **options):
    """Build the folder's manifest into its store."""
    return build(
        folder / "cohort.csv",
        folder / "c.zarr",
        source or ToySource(),
        manifest_changes=changes,
        options=BuildOptions(**options),
    )


def stored(folder):
    """The store's columns."""
    return StoreReader(folder / "c.zarr").obs()


def dated(rows):
    """The same rows with dates for days: one a week, in order."""
    return [
        {**{k: v for k, v in row.items() if k != "day"}, "date": f"2021-01-{1 + 4 * i:02d}"}
        for i, row in enumerate(rows)
    ]


def test_days_from_another_first_date_are_refused_beside_unlisted_scans(tmp_path):
    """Without the earliest scan all days would shift against the kept one."""
    rows = dated(make_cohort(tmp_path))
    write_manifest(tmp_path / "cohort.csv", rows)
    run(tmp_path)
    write_manifest(tmp_path / "cohort.csv", rows[1:])

    with pytest.raises(ManifestError, match="which is not the store's any more"):
        run(tmp_path)

    assert stored(tmp_path)["day"].tolist() == [0, 4, 8, 12, 16, 20]
    assert run(tmp_path, prune=True).n_pruned == 1
    assert stored(tmp_path)["day"].tolist() == [0, 4, 8, 12, 16]


def test_days_from_the_same_first_date_are_taken(tmp_path):
    """Leaving out a later scan moves no day."""
    rows = dated(make_cohort(tmp_path))
    write_manifest(tmp_path / "cohort.csv", rows)
    run(tmp_path)
    write_manifest(tmp_path / "cohort.csv", rows[:5])

    assert run(tmp_path).unlisted == ("p2d1",)


def test_another_clock_is_refused_beside_unlisted_scans(tmp_path, rows):
    """Days that cannot be compared never become comparable."""
    write_manifest(tmp_path / "cohort.csv", rows[:5])

    with pytest.raises(ManifestError, match="on the patient clock, this manifest's on the cohort"):
        run(tmp_path, changes={"clock": "cohort"})

    assert StoreReader(tmp_path / "c.zarr").settings()["clock"] == "patient"


def test_another_score_rule_is_refused_beside_unlisted_scans(tmp_path, rows):
    """Scores of opposite sign never stand in one column."""
    write_manifest(tmp_path / "cohort.csv", rows[:5])

    with pytest.raises(ManifestError, match="scores have direction higher, this manifest's lower"):
        run(tmp_path, changes={"score_direction": "lower"})

    assert (stored(tmp_path)["health_score"] > 0).all()


def test_a_manifest_without_scores_leaves_the_rule_alone(tmp_path, rows):
    """Stored scores keep their meaning, and the missing column is told."""
    bare = [{k: v for k, v in row.items() if k != "health_score"} for row in rows]
    write_manifest(tmp_path / "cohort.csv", bare)

    result = run(tmp_path)

    assert "health_score" in result.difference.absent
    assert StoreReader(tmp_path / "c.zarr").settings()["score"]["direction"] == "higher"
    assert stored(tmp_path)["health_score"].notna().all()


def test_another_cohort_under_the_same_ids_is_refused(tmp_path, rows):
    """When every stored scan has other bytes, nothing is replaced unless asked for."""
    for i, row in enumerate(rows):
        write_scan(tmp_path / str(row["path"]), (0.9, 0.1 + i / 20, 0.5, 0.2))
    before = StoreReader(tmp_path / "c.zarr").embeddings()

    with pytest.raises(ManifestError, match=r"all 6 stored scans .* another store with -o"):
        run(tmp_path)

    assert np.array_equal(StoreReader(tmp_path / "c.zarr").embeddings(), before)
    assert run(tmp_path, replace=True).n_changed == 6


def test_a_dropped_column_leaves_the_store(tmp_path, rows):
    """What --drop-column names is gone from every stored row, and said so."""
    remarked = [{**row, "remark": f"secret {i}"} for i, row in enumerate(rows)]
    write_manifest(tmp_path / "cohort.csv", remarked)
    run(tmp_path)

    result = run(tmp_path, changes={"drop_columns": ("remark", "site")})

    assert set(result.difference.dropped) == {"remark", "site"}
    assert "remark" not in stored(tmp_path)
    assert stored(tmp_path)["site"].isna().all()
    files = [f for f in (tmp_path / "c.zarr").rglob("*") if f.is_file()]
    assert not any(b"secret" in file.read_bytes() for file in files)
    assert run(tmp_path).difference.is_empty


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (["unsure", "true", "x", "y", "false", "z"], ["true"] * 6, [True] * 6),
        ([0, 1, 2, 0, 1, 2], ["true", "false"] * 3, [True, False] * 3),
        (["true", "false"] * 3, ["a"] * 6, ["a"] * 6),
        ([1, 2, 3, 4, 5, 6], ["007"] * 6, ["007"] * 6),
    ],
)
def test_a_column_may_change_its_kind(tmp_path, rows, first, second, wanted):
    """Text, numbers and flags turn into each other as the manifest says."""
    for values in (first, second):
        graded = [{**row, "grade": v} for row, v in zip(rows, values, strict=True)]
        write_manifest(tmp_path / "cohort.csv", graded)
        run(tmp_path)

    assert stored(tmp_path)["grade"].tolist() == wanted


def test_a_number_response_stays_one_without_its_column(tmp_path, rows):
    """A manifest that lacks a column does not change what it holds."""
    write_manifest(tmp_path / "cohort.csv", [{**row, "response": 1} for row in rows])
    run(tmp_path)
    write_manifest(tmp_path / "cohort.csv", rows)

    result = run(tmp_path)

    assert result.difference.retyped == ()
    assert stored(tmp_path)["response"].tolist() == [1.0] * 6


def test_renamed_patients_are_missed_by_the_reference(tmp_path, rows):
    """The reference names patients who are gone, and both build and info say so."""
    renamed = [{**row, "patient_id": f"x{row['patient_id']}"} for row in rows]
    write_manifest(tmp_path / "cohort.csv", renamed)

    result = run(tmp_path)

    assert (result.n_reference_patients, result.n_reference_gone) == (0, 3)
    assert (
        "3 of the reference's patients are no longer here"
        in store_info(tmp_path / "c.zarr").notes[0]
    )


def test_bytes_stored_already_are_not_embedded_again(tmp_path, rows):
    """A new id with known bytes shares the stored embedding; two patients with them are told."""
    twin = {**rows[0], "scan_id": "twin", "patient_id": "other", "path": "scans/twin.npy"}
    (tmp_path / "scans" / "twin.npy").write_bytes((tmp_path / "scans" / "p0d0.npy").read_bytes())
    write_manifest(tmp_path / "cohort.csv", [*rows, twin])

    result = run(tmp_path)

    assert (result.n_embedded, result.n_shared) == (0, 1)
    assert [note.scan_id for note in result.notes] == ["p0d0, twin"]
    assert "the same bytes under two patients" in result.notes[0].message


def test_an_interrupted_build_keeps_what_was_embedded(tmp_path):
    """Ctrl-C commits the scans that were waiting, and the next build goes on from there."""
    make_cohort(tmp_path)

    def interrupt(done, total):
        if done == 5:
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource(), progress=interrupt)

    assert len(stored(tmp_path)) == 4
    assert run(tmp_path).n_embedded == 2


def test_no_store_is_made_of_nothing_but_broken_scans(tmp_path):
    """The first embedding makes the store, so that broken files decide no preprocessing."""
    for row in make_cohort(tmp_path):
        (tmp_path / str(row["path"])).write_bytes(b"broken")

    result = run(tmp_path)

    assert (result.n_rows, len(result.skipped)) == (0, 6)
    assert not (tmp_path / "c.zarr").exists()


def test_notes_of_the_manifest_reach_the_result(tmp_path):
    """What `check` would note, `build` notes too."""
    rows = make_cohort(tmp_path)
    rows[0]["patient_id"] = "P0"
    write_manifest(tmp_path / "cohort.csv", rows)

    assert any("P0" in note.message for note in run(tmp_path).notes)


@pytest.mark.parametrize("content", [None, "", "scan_id,patient_id,path\na,p,x\na,p,y\n"])
def test_a_hopeless_manifest_leaves_nothing_behind(tmp_path, content):
    """Absent, empty or with errors: no lock, no cache, no folder is made for it."""
    folder = tmp_path / "new"
    if content is not None:
        (tmp_path / "cohort.csv").write_text(content, encoding="utf-8")

    with pytest.raises(ManifestError, match=r"cohort\.csv"):
        build(tmp_path / "cohort.csv", folder / "c.zarr", ToySource())

    assert not folder.exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"spec": "timm:resnet18"}, "with architecture resnet10t, not resnet18"),
        ({"seed": 9}, "with seed 0, not 9"),
        ({"temporal_shift": "off"}, "with temporal_shift True, not False"),
    ],
)
def test_another_network_is_refused_without_loading_one(asked, message):
    """Backbone, seed and temporal shift are compared with the card before anything is read."""
    card = {
        "architecture": "resnet10t",
        "seed": 0,
        "temporal_shift": True,
        "embedding_width": 128,
        "preprocessing": {name: getattr(TOY, name) for name in TOY.__dataclass_fields__},
    }

    with pytest.raises(SpaceMismatchError, match=message):
        ChosenEncoder(EncoderOptions(**asked)).check(card)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("imagenet", "tf_efficientnet_lite0"),
        ("timm:resnet18.a1_in1k@pretrained", "resnet18"),
        ("timm:resnet10t@/some/where/w.safetensors", "resnet10t"),
    ],
)
def test_a_spec_names_its_architecture(spec, name):
    """Tag, file and the word imagenet are seen through."""
    assert architecture_of(spec) == name
