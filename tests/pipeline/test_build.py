"""`build`: embeds what is new or changed, syncs what was corrected, and loses nothing."""

import json
import os

import numpy as np
import pytest

from learner_index.config import BuildOptions
from learner_index.data import content
from learner_index.errors import (
    ManifestError,
    NotEnoughDataError,
    SpaceMismatchError,
    StoreFormatError,
    StoreLockedError,
)
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.store.lock import writer_lock
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from tests.toy import ToySource, make_cohort, write_manifest, write_scan


@pytest.fixture
def cohort(tmp_path):
    """A folder with six scans of three patients, and their manifest's rows."""
    return tmp_path, make_cohort(tmp_path)


def run(folder, source=None, **options):
    """Build the folder's manifest into its store."""
    changes = options.pop("manifest_changes", None)
    return build(
        folder / "cohort.csv",
        folder / "c.zarr",
        source or ToySource(),
        manifest_changes=changes,
        options=BuildOptions(**options),
    )


def ids(folder):
    """The store's scan ids in row order."""
    return StoreReader(folder / "c.zarr").obs(["scan_id"])["scan_id"].tolist()


def graded(row):
    """A manifest row with a severity instead of a health score."""
    return {**{k: v for k, v in row.items() if k != "health_score"}, "severity": row["day"]}


def test_a_first_build_stores_every_scan(cohort):
    """Rows follow the manifest, embeddings are the toy's, columns are kept."""
    folder, rows = cohort

    result = run(folder)

    reader = StoreReader(folder / "c.zarr")
    obs = reader.obs()
    assert result.n_embedded == result.n_rows == 6
    assert ids(folder) == [row["scan_id"] for row in rows]
    assert np.allclose(reader.embeddings()[:, 0], [0.2, 0.2, 0.4, 0.4, 0.6, 0.6], atol=0.003)
    assert obs["site"].isna().tolist() == [False, False, True, True, False, False]
    assert set(obs["encoder_role"]) == {"unseen"}
    assert verify_store(folder / "c.zarr") == ()
    assert "path" not in obs


def test_a_second_build_embeds_nothing_and_loads_no_encoder(cohort):
    """Nothing new: no scan is read, no encoder is loaded, no byte changes."""
    folder, _ = cohort
    run(folder)
    before = {f: f.read_bytes() for f in (folder / "c.zarr").rglob("*") if f.is_file()}
    source = ToySource()

    result = run(folder, source)

    assert (result.n_embedded, result.n_unchanged, source.loads) == (0, 6, 0)
    assert before == {f: f.read_bytes() for f in (folder / "c.zarr").rglob("*") if f.is_file()}


def test_a_corrected_label_is_synced_without_embedding(cohort):
    """One changed cell reaches the store, is told, and no scan is embedded."""
    folder, rows = cohort
    run(folder)
    rows[4]["health_score"] = 12
    write_manifest(folder / "cohort.csv", rows)
    source = ToySource()

    result = run(folder, source)

    assert result.difference.corrected == {"health_score": 1}
    assert (result.n_embedded, source.loads, result.generation) == (0, 0, 2)
    assert StoreReader(folder / "c.zarr").obs()["health_score"].iloc[4] == 12


def test_a_column_added_later_reaches_old_rows(cohort):
    """A new column is filled in for rows that were stored before it existed."""
    folder, rows = cohort
    run(folder)
    write_manifest(folder / "cohort.csv", [{**row, "age": 60 + i} for i, row in enumerate(rows)])

    result = run(folder)

    assert result.difference.added == ("age",)
    assert StoreReader(folder / "c.zarr").obs()["age"].tolist() == [60, 61, 62, 63, 64, 65]


def test_a_changed_scan_is_embedded_again(cohort):
    """New bytes under an old id give a new embedding and no second row."""
    folder, _ = cohort
    run(folder)
    write_scan(folder / "scans" / "p1d0.npy", (0.9, 0.1, 0.1, 0.1))

    result = run(folder)

    assert (result.n_changed, result.n_embedded, result.n_rows) == (1, 1, 6)
    assert np.isclose(StoreReader(folder / "c.zarr").embeddings()[2, 0], 0.9, atol=0.003)


def test_settled_files_are_known_by_their_stamps(cohort, monkeypatch):
    """Of scans long unchanged none is read; one replaced, size and time alike, is noticed."""
    folder, _ = cohort
    for file in (folder / "scans").iterdir():
        os.utime(file, (10**9, 10**9))
    run(folder)
    read = []
    real = content.content_hash
    monkeypatch.setattr(content, "content_hash", lambda path: (read.append(path), real(path))[1])

    assert run(folder).n_unchanged == 6
    write_scan(folder / "other.npy", (0.1, 0.2, 0.3, 0.4))
    os.utime(folder / "other.npy", (10**9, 10**9))
    (folder / "other.npy").replace(folder / "scans/p1d0.npy")
    result = run(folder)

    assert (result.n_changed, result.n_unchanged) == (1, 5)
    assert {path.name for path in read} == {"p1d0.npy"}


def test_rows_added_in_the_middle_end_up_in_the_middle(cohort):
    """The store's order is the manifest's, also for rows that came later."""
    folder, rows = cohort
    write_manifest(folder / "cohort.csv", [rows[0], rows[5]])
    run(folder)
    write_manifest(folder / "cohort.csv", rows)

    run(folder)

    assert ids(folder) == [row["scan_id"] for row in rows]
    assert verify_store(folder / "c.zarr") == ()


def test_a_store_grown_in_steps_answers_like_one_built_at_once(cohort, tmp_path):
    """Embeddings and columns do not depend on how many builds they took."""
    folder, rows = cohort
    build(folder / "cohort.csv", folder / "whole.zarr", ToySource())
    for n in (2, 3, 6):
        write_manifest(folder / "cohort.csv", rows[:n])
        run(folder)

    whole, grown = StoreReader(folder / "whole.zarr"), StoreReader(folder / "c.zarr")

    assert np.array_equal(whole.embeddings(), grown.embeddings())
    assert whole.obs().equals(grown.obs())


def test_rows_no_longer_listed_are_kept_and_told(cohort):
    """A row gone from the manifest stays until --prune drops it."""
    folder, rows = cohort
    run(folder)
    write_manifest(folder / "cohort.csv", rows[:5])

    kept = run(folder)
    pruned = run(folder, prune=True)

    assert (kept.unlisted, kept.n_rows) == (("p2d1",), 6)
    assert (pruned.n_pruned, pruned.n_rows) == (1, 5)


def test_broken_scans_are_skipped_with_their_line(cohort):
    """The others are stored; a later build takes the scan in once it is mended."""
    folder, rows = cohort
    (folder / "scans" / "p0d1.npy").write_bytes(b"")

    first = run(folder)
    write_scan(folder / "scans" / "p0d1.npy", (0.3, 0.3, 0.3, 0.4))
    second = run(folder)

    assert [(p.where, p.scan_id) for p in first.skipped] == [("line 3", "p0d1")]
    assert first.n_rows == 5
    assert second.n_embedded == 1
    assert ids(folder) == [row["scan_id"] for row in rows]


def test_a_scan_that_breaks_later_keeps_its_embedding(cohort):
    """Nothing already stored is lost when a file is damaged or disappears."""
    folder, _ = cohort
    run(folder)
    before = StoreReader(folder / "c.zarr").embeddings()
    (folder / "scans" / "p0d0.npy").write_bytes(b"damaged")
    (folder / "scans" / "p1d1.npy").unlink()

    result = run(folder)

    assert {problem.scan_id for problem in result.skipped} == {"p0d0", "p1d1"}
    assert all("the stored embedding is kept" in p.message for p in result.skipped)
    assert np.array_equal(StoreReader(folder / "c.zarr").embeddings(), before)


def test_equal_files_stay_two_rows(cohort):
    """Two ids with the same bytes share the computation and stay two rows."""
    folder, _ = cohort
    (folder / "scans" / "p0d1.npy").write_bytes((folder / "scans" / "p0d0.npy").read_bytes())

    result = run(folder)

    assert (result.n_embedded, result.n_shared, result.n_rows) == (5, 1, 6)
    embeddings = StoreReader(folder / "c.zarr").embeddings()
    assert np.array_equal(embeddings[0], embeddings[1])


def test_limit_and_where_choose_rows(cohort):
    """Only chosen rows are embedded; a later build adds the others in place."""
    folder, rows = cohort

    first = run(folder, where=("day == 1",), limit=2)
    second = run(folder)

    assert first.n_rows == 2
    assert (second.n_embedded, second.n_unchanged) == (4, 2)
    assert ids(folder) == [row["scan_id"] for row in rows]


def test_nothing_left_to_build_from_is_said(cohort):
    """A condition no row fulfils is an error that names the options."""
    with pytest.raises(NotEnoughDataError, match="loosen --where or --limit"):
        run(cohort[0], where=("day == 99",))


def test_the_reference_is_fitted_once(cohort):
    """A grown cohort keeps the reference it started with, and the result says on whom it rests."""
    folder, rows = cohort
    write_manifest(folder / "cohort.csv", rows[:2])
    run(folder)
    before = StoreReader(folder / "c.zarr").reference()
    write_manifest(folder / "cohort.csv", rows)

    result = run(folder)

    assert StoreReader(folder / "c.zarr").reference().fingerprint == before.fingerprint
    assert (result.n_reference_patients, result.n_patients) == (1, 3)


def test_refit_renews_the_reference(cohort):
    """`refit` fits on all patients now and raises the generation."""
    folder, rows = cohort
    write_manifest(folder / "cohort.csv", rows[:2])
    run(folder)
    write_manifest(folder / "cohort.csv", rows)
    run(folder)

    found = open_store(folder / "c.zarr").refit()

    reader = StoreReader(folder / "c.zarr")
    assert found.patients == ("p0", "p1", "p2")
    assert reader.reference().fingerprint == found.fingerprint
    assert reader.generation == 2


def test_how_the_manifest_was_read_is_remembered(cohort):
    """A second build without options reads scores as the first one was told to."""
    folder, rows = cohort
    write_manifest(folder / "cohort.csv", [graded(row) for row in rows])
    changes = {"score_column": "severity", "score_direction": "lower"}
    run(folder, manifest_changes=changes)

    result = run(folder)

    assert result.difference.is_empty
    assert StoreReader(folder / "c.zarr").obs()["health_score"].tolist() == [0, -1, 0, -1, 0, -1]


def test_another_rule_for_scores_is_a_correction(cohort):
    """Naming another score column rewrites the scores and says how many changed."""
    folder, rows = cohort
    write_manifest(folder / "cohort.csv", [graded(row) for row in rows])
    run(folder)

    result = run(folder, manifest_changes={"score_column": "severity"})

    assert result.difference.corrected == {"health_score": 6}
    assert StoreReader(folder / "c.zarr").settings()["score"]["column"] == "severity"


def test_another_encoder_is_refused(cohort):
    """A store holds one space; nothing is changed by the attempt."""
    folder, _ = cohort
    run(folder)

    with pytest.raises(SpaceMismatchError, match="space is toy"):
        run(folder, ToySource(space="other"))

    assert run(folder).n_unchanged == 6


def test_a_manifest_with_errors_changes_nothing(cohort):
    """Errors are refused before anything is written."""
    folder, rows = cohort
    run(folder)
    write_manifest(folder / "cohort.csv", [*rows, rows[0]])

    with pytest.raises(ManifestError, match="learner-index check"):
        run(folder)

    assert verify_store(folder / "c.zarr") == ()
    assert len(ids(folder)) == 6


def test_two_builds_at_once_are_refused(cohort):
    """The second writer is told who holds the lock."""
    folder, _ = cohort

    with (
        writer_lock(folder / "c.zarr"),
        pytest.raises(StoreLockedError, match="is being written by process"),
    ):
        run(folder)


def test_a_folder_that_is_no_store_is_left_alone(cohort):
    """A folder of something else at the store's path is refused and untouched."""
    folder, _ = cohort
    (folder / "c.zarr").mkdir()
    (folder / "c.zarr" / "precious.txt").write_text("keep", encoding="utf-8")

    with pytest.raises(StoreFormatError, match="no store"):
        run(folder)

    assert (folder / "c.zarr" / "precious.txt").read_text(encoding="utf-8") == "keep"


def test_progress_counts_every_scan(cohort):
    """Progress ends at the number of scans to embed."""
    folder, _ = cohort
    seen = []

    build(folder / "cohort.csv", folder / "c.zarr", ToySource(), progress=lambda *a: seen.append(a))

    assert seen[-1] == (6, 6)


def test_a_result_is_json_ready(cohort):
    """`to_dict` holds nothing JSON does not know."""
    assert json.loads(json.dumps(run(cohort[0]).to_dict()))["n_rows"] == 6


def test_no_path_is_stored_anywhere(cohort):
    """Neither the store nor its cache holds a scan's path or the manifest's folder."""
    folder, _ = cohort
    run(folder)

    for root in (folder / "c.zarr", folder / "c.cache"):
        for file in root.rglob("*"):
            content = file.read_bytes() if file.is_file() else b""
            assert str(folder).encode() not in content
            assert b"scans/p0d0" not in content


def test_dates_are_stored_as_days_only(cohort):
    """A date column becomes days on the cohort clock, and no date is written."""
    folder, rows = cohort
    dated = [{**r, "date": f"2021-03-0{i + 1}"} for i, r in enumerate(rows)]
    for row in dated:
        del row["day"]
    write_manifest(folder / "cohort.csv", dated)

    run(folder)

    reader = StoreReader(folder / "c.zarr")
    assert reader.obs()["day"].tolist() == [0, 1, 2, 3, 4, 5]
    assert reader.settings()["clock"] == "cohort"
    assert not any(
        b"2021-03" in f.read_bytes() for f in (folder / "c.zarr").rglob("*") if f.is_file()
    )
