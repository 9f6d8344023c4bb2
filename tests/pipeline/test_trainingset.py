"""A cohort as pretraining sees it: what can be used, who has which role, what is trained on."""

from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from learner_index.config import Preprocessing, PretrainOptions, ScoreOptions, SplitOptions
from learner_index.data.manifest import read_manifest, require_valid
from learner_index.data.split import PatientSplit
from learner_index.errors import (
    ManifestError,
    NotEnoughDataError,
    RunError,
    ScanError,
    SplitError,
)
from learner_index.pipeline.trainingset import TrainingSet, read_training_set
from tests.pipeline.pretrain_toy import changed, scored_cohort
from tests.toy import write_manifest

DEFAULT = PretrainOptions()
SEEN = Preprocessing(size=16, frames=1)


def opened(folder: Path, options: PretrainOptions = DEFAULT) -> TrainingSet:
    """The cohort in a folder."""
    manifest = read_manifest(folder / "cohort.csv")
    require_valid(manifest)
    return read_training_set(manifest, options, folder / "cache")


def decode(found: TrainingSet) -> list[tuple[int, int]]:
    """Read every scan; what was told of the progress."""
    told: list[tuple[int, int]] = []
    rows = range(found.manifest.n_scans)
    found.decode(rows, SEEN, jitter=True, workers=2, progress=lambda *given: told.append(given))
    return told


def rewritten(folder: Path, rows: list[dict[str, object]], column: str, values: list) -> None:
    """The manifest with another column."""
    for row, value in zip(rows, values, strict=True):
        row[column] = value
    write_manifest(folder / "cohort.csv", rows)


def test_rows_are_those_of_the_manifest(tmp_path):
    """Patients, visits, views and hashes row by row."""
    rows = scored_cohort(tmp_path, n_patients=3, n_visits=2)
    rewritten(tmp_path, rows, "view", ["L1", "R1"] * 3)

    found = opened(tmp_path)

    assert found.scan_ids == ["p0d0", "p0d1", "p1d0", "p1d1", "p2d0", "p2d1"]
    assert found.patients == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert found.patient.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(set(found.visit.tolist())) == 6
    assert len(set(found.hashes)) == 6
    assert len(set(found.views)) == 2
    assert found.is_usable.all()


def test_one_patient_is_not_enough(tmp_path):
    """Nothing could be compared."""
    scored_cohort(tmp_path, n_patients=1)

    with pytest.raises(NotEnoughDataError, match=r"cohort.csv has 1 patient: .* add some"):
        opened(tmp_path)


def test_broken_scans_are_found_once(tmp_path):
    """Absent, empty and undecodable ones, in the manifest's order, however often it is read."""
    scored_cohort(tmp_path, n_patients=3)
    (tmp_path / "scans/p1d0.npy").unlink()
    (tmp_path / "scans/p0d1.npy").write_bytes(b"")
    np.save(tmp_path / "scans/p2d2.npy", np.full((8, 8), 3, np.uint8))
    found = opened(tmp_path)
    fingerprint = found.fingerprint

    decode(found)
    decode(found)

    assert [problem.scan_id for problem in found.skipped] == ["p0d1", "p1d0", "p2d2"]
    assert [problem.where for problem in found.skipped] == ["line 3", "line 5", "line 10"]
    assert "scans" not in str(found.skipped[1])
    assert found.is_usable.tolist() == [True, False, True, False, True, True, True, True, False]
    assert found.fingerprint == fingerprint


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_memory_that_runs_out_leaves_no_scan_out(tmp_path, is_wrapped):
    """It says nothing against the scan: one clear error, also where a reader wrapped it."""
    scored_cohort(tmp_path, n_patients=2)
    found = opened(tmp_path)

    def fail(*given, **more):
        if is_wrapped:
            raise ScanError("needs more memory than there is") from MemoryError()
        raise MemoryError

    with (
        mock.patch.object(found.cache, "frames", fail),
        pytest.raises(RunError, match=r"memory ran out at scan p0d0.*lower --workers"),
    ):
        decode(found)
    assert found.skipped == []


def test_usable_fingerprint_names_what_can_be_read(tmp_path):
    """One scan less is another fingerprint; the order of rows is not."""
    scored_cohort(tmp_path, n_patients=2)
    found = opened(tmp_path)
    before = found.usable_fingerprint([0, 1, 2])

    assert found.usable_fingerprint([2, 1, 0]) == before
    found.leave_out(1, "gone")
    assert found.usable_fingerprint([0, 1, 2]) != before
    assert found.usable_fingerprint([0, 1, 2]) == found.usable_fingerprint([0, 2])


def test_only_rows_asked_for_are_decoded(tmp_path):
    """And their size is known, for the cache."""
    scored_cohort(tmp_path, n_patients=2)
    found = opened(tmp_path)

    found.decode([1, 4], SEEN, jitter=True, workers=1, progress=lambda *given: None)

    assert found.decoded_bytes == {1: 16 * 16 * 2, 4: 16 * 16 * 2}
    assert (found.cache.hits, found.cache.misses) == (0, 2)


def test_the_cache_is_for_its_owners_eyes(tmp_path):
    """Hashes and pixels lie in a folder that nobody else may enter."""
    scored_cohort(tmp_path, n_patients=2)

    opened(tmp_path)

    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_progress_counts_scans_that_are_read(tmp_path):
    """From one to all."""
    scored_cohort(tmp_path, n_patients=2, n_visits=2)

    assert decode(opened(tmp_path)) == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("health_score", [0, 1, 2, 8, 10, 13]),
        ("day", [0, 1, 2, 0, 1, 1]),
        ("view", ["L1"] * 5 + ["R1"]),
        ("scan_id", list("abcdef")),
    ],
)
def test_fingerprint_names_scans_scores_and_visits(tmp_path, column, values):
    """Whatever a run's numbers rest on changes it; reading again does not."""
    rows = scored_cohort(tmp_path, n_patients=2)
    before = opened(tmp_path).fingerprint
    assert opened(tmp_path).fingerprint == before

    rewritten(tmp_path, rows, column, values)

    assert opened(tmp_path).fingerprint != before


def test_fingerprint_names_the_pixels(tmp_path):
    """One byte of one scan."""
    scored_cohort(tmp_path, n_patients=2)
    before = opened(tmp_path).fingerprint
    file = tmp_path / "scans/p1d1.npy"

    file.write_bytes(file.read_bytes()[:-1] + b"\x07")

    assert opened(tmp_path).fingerprint != before


def test_roles_come_from_the_column_unless_told_otherwise(tmp_path):
    """Column split, or the shares, or folds."""
    rows = scored_cohort(tmp_path, n_patients=6)
    words = ["test" if row["patient_id"] == "p5" else "train" for row in rows]
    rewritten(tmp_path, rows, "split", words)
    found = opened(tmp_path)

    assert found.splits(DEFAULT)[0].unseen == ("p5",)
    assert found.splits(changed(split={"use_column": False}))[0].unseen == ()
    folds = found.splits(replace(DEFAULT, split=SplitOptions(folds=3, val_share=0.0)))
    assert sorted(p for fold in folds for p in fold.unseen) == [f"p{i}" for i in range(6)]


def test_a_patient_in_two_splits_stops_at_the_manifest(tmp_path):
    """`check` finds it, with both lines, before any scan is read."""
    rows = scored_cohort(tmp_path, n_patients=4)
    rewritten(tmp_path, rows, "split", ["train", "test", *["train"] * 10])

    with pytest.raises(ManifestError, match=r"patient 'p0' is in splits 'train' and 'test'"):
        opened(tmp_path)


def test_same_bytes_in_two_roles_stop(tmp_path):
    """Both scans, patients and roles are named."""
    rows = scored_cohort(tmp_path, n_patients=4)
    rewritten(tmp_path, rows, "split", ["train"] * 9 + ["test"] * 3)
    (tmp_path / "scans/p3d2.npy").write_bytes((tmp_path / "scans/p1d0.npy").read_bytes())

    with pytest.raises(SplitError, match=r"p1d0 of patient 'p1' \(train\) and p3d2 of patient"):
        opened(tmp_path).splits(DEFAULT)


def test_classes_are_cut_where_training_patients_lie(tmp_path):
    """Scores of others, however odd, move no edge; they get a class all the same."""
    rows = scored_cohort(tmp_path, n_patients=6, n_visits=1)
    rewritten(tmp_path, rows, "health_score", [1, 2, 3, 4, 1000, -500])
    found = opened(tmp_path)
    split = PatientSplit(("p0", "p1", "p2", "p3"), (), ("p4", "p5"))

    target, edges, notes = found.targets(split, changed(score={"bins": 2}))

    assert edges == (3.0,)
    assert target.tolist() == [0, 0, 1, 1, 1, 0]
    assert notes == ()


def test_scans_that_cannot_be_used_cut_no_classes(tmp_path):
    """A broken scan's score is as if it were not there."""
    rows = scored_cohort(tmp_path, n_patients=5, n_visits=1)
    rewritten(tmp_path, rows, "health_score", [1, 2, 3, 4, 1000])
    (tmp_path / "scans/p4d0.npy").write_bytes(b"")
    split = PatientSplit(tuple(f"p{i}" for i in range(5)))

    assert opened(tmp_path).targets(split, changed(score={"bins": 2}))[1] == (3.0,)


def test_scores_stay_without_classes(tmp_path):
    """No bins: the target is the score; given edges are reported as they are."""
    scored_cohort(tmp_path, n_patients=3, n_visits=1)
    split = PatientSplit(("p0", "p1", "p2"))
    found = opened(tmp_path)
    cut = changed(score={"edges": (5.0,)})

    assert found.targets(split, DEFAULT)[0].tolist() == [0, 8, 16]
    target, edges, _ = opened(tmp_path, cut).targets(split, cut)
    assert (target.tolist(), edges) == ([0, 1, 1], (5.0,))


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (["", "", 3, 4], "0 of 2 patients who train have a scan"),
        ([1, "", 3, 4], "1 of 2 patients who train have a scan"),
        ([7, 7, 3, 4], "the 2 patients who train all have the health score or class 7"),
    ],
)
def test_training_patients_must_differ(tmp_path, scores, says):
    """The others' scores do not help, and the score is told in its own units."""
    rows = scored_cohort(tmp_path, n_patients=4, n_visits=1)
    rewritten(tmp_path, rows, "health_score", scores)
    split = PatientSplit(("p0", "p1"), (), ("p2", "p3"))

    with pytest.raises(NotEnoughDataError, match=says):
        opened(tmp_path).targets(split, DEFAULT)


def test_repeats_tell_how_reliable_a_change_is(tmp_path):
    """With θ and marked repeats there is a share of false changes; without either there is none."""
    rows = scored_cohort(tmp_path, n_patients=4, n_visits=2)
    options = replace(DEFAULT, score=ScoreOptions(change_threshold=5.0))
    assert opened(tmp_path, options).reliability() is None
    for row in rows:
        row["day"] = 0
    rewritten(tmp_path, rows, "rescan", ["", "true"] * 4)

    found = opened(tmp_path, options).reliability()

    assert found is not None
    assert found.n_pairs == 4
    assert opened(tmp_path).reliability() is None
