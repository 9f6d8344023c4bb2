"""Encoders of stores, taken as they are: shared scans, whom they have seen, and refusals."""

from dataclasses import replace

import numpy as np
import pytest

from learner_index.config import EvaluateOptions, PretrainOptions, ScoreOptions, SplitOptions
from learner_index.data.split import PatientSplit
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError
from learner_index.pipeline.build import build
from learner_index.pipeline.evaluation.evaluate import evaluate
from learner_index.pipeline.evaluation.stored import contest_of_stores
from tests.pipeline.evaluation.planted import altered, outcome
from tests.toy import ToySource, make_cohort, write_manifest

OPTIONS = EvaluateOptions(folds=2, n_bootstraps=100, n_permutations=99)
PRETRAINING = PretrainOptions(score=ScoreOptions(change_threshold=0.5))
SEEN = PatientSplit(train=("p0", "p1"), val=("p2",), unseen=("p3",))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Nine patients with three visits: a store of all, one of some, and one whose run saw three."""
    folder = tmp_path_factory.mktemp("stores")
    rows = make_cohort(folder, 9, 3)
    for row in rows:
        row["health_score"] = 50 + int(row["patient_id"][1:]) + (row["day"] % 2)
    write_manifest(folder / "cohort.csv", rows)
    build(folder / "cohort.csv", folder / "all.zarr", ToySource())
    build(folder / "cohort.csv", folder / "own.zarr", ToySource("other", split=SEEN))
    write_manifest(folder / "some.csv", [row for row in rows if row["patient_id"] != "p8"][::-1])
    build(folder / "some.csv", folder / "some.zarr", ToySource())
    return folder


def contest(*paths, pretraining=PRETRAINING):
    """What of some stores would be measured."""
    return contest_of_stores(paths, OPTIONS, pretraining)


def test_stores_are_measured_on_the_scans_they_share(home):
    """Rows belong to the same scans whatever their order in a store, and a note counts them."""
    found = contest(home / "all.zarr", home / "some.zarr")

    assert found.material.n_patients == 8
    first, second = (model.embeddings(0, 0) for model in found.models)
    np.testing.assert_array_equal(first, second)
    assert "all.zarr: 24 of its 27 scans are measured" in found.notes


def test_whom_a_store_has_seen_is_told(home, tmp_path):
    """Three of nine patients, on the way through to the report; the other store is clean."""
    found = evaluate([home / "all.zarr", home / "own.zarr"], tmp_path / "out", OPTIONS, PRETRAINING)

    assert [one.n_seen for one in found.outcomes] == [0, 3, 0, 0]
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "own **SEEN BY ENCODER (3 of 9 patients)**" in text
    assert not (tmp_path / "out/runs").exists()
    assert outcome(found, "own").kind == "store"


def test_scans_of_a_store_are_compared_within_modality(tmp_path):
    """Ultrasound first and films after: one transition a patient in place of two."""
    rows = make_cohort(tmp_path, 9, 3)
    for row in rows:
        row["modality"] = "film" if row["day"] else "us"
        row["health_score"] = 50 + (int(row["patient_id"][1:]) + row["day"]) % 2
    write_manifest(tmp_path / "cohort.csv", rows)
    build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource())

    material = contest(tmp_path / "c.zarr").material

    assert len(set(material.views)) == 2
    assert sorted(material.transitions.patient.tolist()) == list(range(9))


def test_conditions_choose_the_scans(home):
    """--where holds for stores as it does for manifests."""
    where = replace(PRETRAINING, split=SplitOptions(where=("patient_id != p8",)))
    nowhere = replace(PRETRAINING, split=SplitOptions(where=("view == R9",)))

    assert contest(home / "all.zarr", pretraining=where).material.n_patients == 8
    with pytest.raises(NotEnoughDataError, match=r"no scan of all\.zarr fulfils view == R9"):
        contest(home / "all.zarr", pretraining=nowhere)


def test_two_stores_of_one_name_are_refused(home):
    """Names go into tables."""
    with pytest.raises(SettingsError, match="two stores are called all: rename one"):
        contest(home / "all.zarr", home / "all.zarr")


def test_stores_without_a_scan_in_common_are_refused(home, tmp_path):
    """There is nothing to compare them on."""
    rows = make_cohort(tmp_path, 2, 2)
    renamed = altered(rows, lambda row: {"scan_id": f"x{row['scan_id']}"})
    write_manifest(tmp_path / "cohort.csv", renamed)
    build(tmp_path / "cohort.csv", tmp_path / "other.zarr", ToySource())

    with pytest.raises(QueryError, match=r"all.zarr, other.zarr share no scan"):
        contest(home / "all.zarr", tmp_path / "other.zarr")


def test_one_name_for_scans_of_two_patients_is_refused(home, tmp_path):
    """Stores of two cohorts whose scans happen to be called alike."""
    rows = make_cohort(tmp_path, 2, 2)
    swapped = altered(rows, lambda row: {"patient_id": {"p0": "p1", "p1": "p0"}[row["patient_id"]]})
    write_manifest(tmp_path / "cohort.csv", swapped)
    build(tmp_path / "cohort.csv", tmp_path / "other.zarr", ToySource())

    with pytest.raises(QueryError, match=r"p0d0 is of patient p0 in all\.zarr and of p1 in o"):
        contest(home / "all.zarr", tmp_path / "other.zarr")


def test_a_store_without_scores_is_refused(tmp_path):
    """The message says how to get them in."""
    rows = [{k: v for k, v in row.items() if k != "health_score"} for row in make_cohort(tmp_path)]
    write_manifest(tmp_path / "cohort.csv", rows)
    build(tmp_path / "cohort.csv", tmp_path / "bare.zarr", ToySource())

    with pytest.raises(NotEnoughDataError, match=r"bare.zarr has no health scores: .*--score-col"):
        contest(tmp_path / "bare.zarr")


def test_what_needs_a_manifest_is_refused(home, tmp_path):
    """Scores are those of the build: neither another column nor saturations can be asked for."""
    kind = replace(PRETRAINING, score=ScoreOptions(kind="sf94"))

    with pytest.raises(SettingsError, match="sf94 leaves scores out by saturation"):
        contest(home / "all.zarr", pretraining=kind)
    with pytest.raises(SettingsError, match="score_column is for reading manifests"):
        evaluate([home / "all.zarr"], tmp_path / "out", manifest_changes={"score_column": "x"})


@pytest.mark.parametrize("theta", [0.0, -1.0])
def test_a_threshold_is_above_0(home, theta):
    """0 is not taken for none."""
    wrong = replace(PRETRAINING, score=ScoreOptions(change_threshold=theta))

    with pytest.raises(SettingsError, match="no size of a change"):
        contest(home / "all.zarr", pretraining=wrong)


def test_a_store_of_simulated_scans_says_so(tmp_path):
    """The label that lies beside the manifest goes along into the store."""
    make_cohort(tmp_path, 8, 2)
    (tmp_path / "SIMULATED.txt").write_text("", encoding="utf-8")
    build(tmp_path / "cohort.csv", tmp_path / "sim.zarr", ToySource())

    scores_alone = PretrainOptions()
    found = contest(tmp_path / "sim.zarr", pretraining=scores_alone)

    assert found.material.is_simulated
    assert found.material.name == "SIMULATED sim.zarr"
