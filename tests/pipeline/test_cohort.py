"""`open_store`: one object for notebooks, and file queries through the store's own encoder."""

import shutil

import numpy as np
import pytest

import learner_index as li
from learner_index.config import EncoderOptions, SimilarOptions
from learner_index.errors import (
    EncoderError,
    QueryError,
    SpaceMismatchError,
    StoreFormatError,
    StoreNotFoundError,
)
from learner_index.pipeline.asked import read_vector
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.source import ChosenEncoder
from tests.toy import ToySource, make_cohort, write_scan

SMALL = EncoderOptions(spec="timm:resnet10t", size=32, frames=2, seed=1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with a toy cohort and its store."""
    folder = tmp_path_factory.mktemp("toy")
    make_cohort(folder)
    build(folder / "cohort.csv", folder / "c.zarr", ToySource())
    return folder


@pytest.fixture
def cohort(toy):
    """The toy store, opened."""
    return li.open_store(toy / "c.zarr")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder with noisy scans and a store built by an untrained network."""
    folder = tmp_path_factory.mktemp("real")
    make_cohort(folder)
    rng = np.random.default_rng(0)
    for file in sorted((folder / "scans").iterdir()):
        np.save(file, rng.integers(0, 255, (24, 24), dtype=np.uint8))
    build(folder / "cohort.csv", folder / "c.zarr", ChosenEncoder(SMALL))
    return folder


@pytest.fixture
def copied(real, tmp_path):
    """A copy of the real folder, to be changed."""
    shutil.copytree(real, tmp_path, dirs_exist_ok=True)
    return tmp_path


def patients(hits):
    """Whom the hits show, best first."""
    return [hit.patient_id for hit in hits]


def test_a_cohort_says_what_it_is(cohort):
    """One line with scans, patients and width."""
    assert repr(cohort) == "Cohort(c.zarr: 6 scans of 3 patients, 4 values each)"
    assert len(cohort) == 6


def test_rows_and_embeddings_are_aligned(cohort):
    """`obs` and `embeddings` have one row a scan, in the manifest's order."""
    assert cohort.obs["scan_id"].tolist() == ["p0d0", "p0d1", "p1d0", "p1d1", "p2d0", "p2d1"]
    assert cohort.embeddings.shape == (6, 4)
    assert cohort.embeddings.dtype == np.float32
    assert cohort.embeddings[4, 0] == pytest.approx(0.6, abs=0.003)


def test_what_is_handed_out_changes_no_answer(cohort):
    """`obs` is a copy and `embeddings` refuse to be written, so no question is answered wrongly."""
    before = cohort.similar(patient="p0").hits

    obs = cohort.obs
    obs["patient_id"] = "p9"
    obs.loc[0, "health_score"] = -99.0
    with pytest.raises(ValueError, match="read-only"):
        cohort.embeddings[0] = 0

    assert cohort.obs["patient_id"].tolist()[0] == "p0"
    assert cohort.obs["health_score"][0] != -99
    assert cohort.similar(patient="p0").hits == before


def test_settings_and_reference_are_the_stores(cohort):
    """The encoder's card, the clock and the reference's patients can be read."""
    assert cohort.settings["encoder"]["spec"] == "toy"
    assert cohort.settings["clock"] == "patient"
    assert cohort.reference.patients == ("p0", "p1", "p2")


def test_a_path_may_be_text(toy):
    """A string is as good as a Path."""
    assert len(open_store(str(toy / "c.zarr"))) == 6


def test_opening_nothing_or_something_else(tmp_path):
    """Neither an absent nor a foreign folder is a store."""
    (tmp_path / "foreign.zarr").mkdir()

    with pytest.raises(StoreNotFoundError, match=r"no store gone\.zarr"):
        open_store(tmp_path / "gone.zarr")
    with pytest.raises(StoreFormatError, match="no store"):
        open_store(tmp_path / "foreign.zarr")


def test_a_patient_finds_the_others(cohort):
    """The brightest-alike patient first, never the patient asked about."""
    assert patients(cohort.similar(patient="p0", metric="euclidean")) == ["p1", "p2"]


def test_a_visit_is_its_own_query(cohort):
    """With `day` only that visit's scan is compared."""
    hits = cohort.similar(patient="p0", day=1, level="scan")

    assert {hit.query_scan_id for hit in hits} == {"p0d1"}


def test_a_scan_and_a_vector_of_it_agree(cohort):
    """A stored scan and its embedding with its patient and view give the same hits."""
    by_scan = cohort.similar(scan="p1d0", metric="euclidean")
    by_vector = cohort.similar(
        vector=cohort.embeddings[2], patient="p1", view="L1", metric="euclidean"
    )

    assert patients(by_scan) == patients(by_vector)
    assert [h.similarity for h in by_scan] == pytest.approx([h.similarity for h in by_vector])


def test_options_come_whole_or_in_parts(cohort):
    """`SimilarOptions` and single fields mean the same; a lone text is one condition."""
    whole = cohort.similar(patient="p0", options=SimilarOptions(k=1, where=("site == A",)))
    parts = cohort.similar(patient="p0", k=1, where="site == A")

    assert patients(whole) == patients(parts) == ["p2"]


def test_no_conditions_may_be_none(cohort):
    """`where=None`, `match=None` and a `k` counted with NumPy are as good as plain values."""
    hits = cohort.similar(patient="p0", k=np.int64(2), where=None, match=None)

    assert patients(hits) == patients(cohort.similar(patient="p0", k=2))
    assert (hits.query["k"], hits.query["where"], hits.query["match"]) == (2, [], [])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "name one query"),
        ({"scan": "p0d0", "vector": [0, 0, 0, 0]}, "name one query"),
        ({"patient": "p0", "scan": "p0d0"}, "has its patient already"),
        ({"patient": "p0", "view": "L1"}, "view does not belong to a query by patient"),
        ({"scan": "p0d0", "day": 1}, "day does not belong to a query by scan"),
        ({"vector": [0, 0, 0, 0], "day": 1}, "day does not belong to a query by vector"),
        ({"patient": "p0", "day": 0, "visit": "v"}, "give exactly one"),
        ({"patient": "p7"}, "no patient 'p7' among 3"),
        ({"scan": "p7d0"}, "no scan 'p7d0'"),
        ({"patient": "p0", "kk": 3}, "unknown option 'kk': known are k, level"),
        ({"patient": "p0", "k": 0}, "k is 0: ask for at least 1 hit"),
        ({"vector": [0, 0, 0]}, "width 4"),
        ({"file": "gone.npy"}, r"no file gone\.npy"),
    ],
)
def test_questions_that_cannot_be_answered(cohort, asked, said):
    """Too little, too much, unknown or misplaced: each is said, none is passed over."""
    with pytest.raises(QueryError, match=said):
        cohort.similar(**asked)


def test_refit_takes_effect_at_once(toy, tmp_path):
    """The cohort that refits answers with the new reference; others see it when they open."""
    shutil.copytree(toy, tmp_path, dirs_exist_ok=True)
    cohort = open_store(tmp_path / "c.zarr")

    found = cohort.refit(["p0", "p1"])

    assert cohort.reference.fingerprint == found.fingerprint
    assert cohort.similar(patient="p0").reference == found.fingerprint
    assert open_store(tmp_path / "c.zarr").reference.patients == ("p0", "p1")


def test_refit_on_an_unknown_patient_is_refused(cohort):
    """A misspelt patient is named; nothing is fitted on the others in silence."""
    before = cohort.reference.fingerprint

    with pytest.raises(QueryError, match="no patient 'p00' among 3"):
        cohort.refit(["p0", "p00"])

    assert cohort.reference.fingerprint == before


def test_a_file_is_embedded_by_the_stores_own_encoder(real):
    """The file of a stored scan has that scan's embedding and does not find its own patient."""
    cohort = open_store(real / "c.zarr")
    file = real / "scans" / "p1d0.npy"

    alone = cohort.similar(file=file)
    itself = cohort.similar(file=file, include_self=True, level="scan", k=1)

    assert set(patients(alone)) == {"p0", "p2"}
    assert itself[0].scan_id == "p1d0"
    assert itself[0].similarity == pytest.approx(1, abs=1e-5)


def test_a_file_of_a_new_scan_leaves_its_patient_out_by_name(real, tmp_path):
    """Bytes the store does not know are excluded by `patient`."""
    write_scan(tmp_path / "new.npy", (0.1, 0.9, 0.5, 0.3))
    cohort = open_store(real / "c.zarr")

    assert len(cohort.similar(file=tmp_path / "new.npy")) == 3
    assert set(patients(cohort.similar(file=tmp_path / "new.npy", patient="p0"))) == {"p1", "p2"}


def test_a_broken_file_is_no_query(real, tmp_path):
    """The message names the file and what is wrong with it."""
    (tmp_path / "broken.npy").write_bytes(b"x")

    with pytest.raises(QueryError, match=r"broken\.npy: NumPy file is damaged"):
        open_store(real / "c.zarr").similar(file=tmp_path / "broken.npy")


def test_without_the_cache_the_encoder_must_be_named(copied):
    """Weights gone: the message names --encoder, and naming it answers as before."""
    file = copied / "scans" / "p1d0.npy"
    before = open_store(copied / "c.zarr").similar(file=file)
    shutil.rmtree(copied / "c.cache")
    cohort = open_store(copied / "c.zarr")

    with pytest.raises(EncoderError, match=r"--encoder .*timm:resnet10t"):
        cohort.similar(file=file)
    again = cohort.similar(file=file, encoder=EncoderOptions(spec="timm:resnet10t"))

    assert patients(again) == patients(before)
    assert [h.similarity for h in again] == [h.similarity for h in before]


def test_another_encoder_is_another_space(copied):
    """A query embedded by other weights is refused, not compared."""
    other = EncoderOptions(spec="timm:resnet14t")

    with pytest.raises(SpaceMismatchError, match="with architecture resnet10t, not"):
        open_store(copied / "c.zarr").similar(file=copied / "scans/p1d0.npy", encoder=other)


def test_building_on_with_another_encoder_is_refused(copied):
    """New rows of another space never reach the store."""
    make_cohort(copied / "more", n_patients=4)
    shutil.copytree(copied / "more" / "scans", copied / "scans", dirs_exist_ok=True)
    manifest = shutil.copy(copied / "more" / "cohort.csv", copied / "cohort.csv")

    with pytest.raises(SpaceMismatchError, match="build another store"):
        build(manifest, copied / "c.zarr", ChosenEncoder(EncoderOptions(spec="timm:resnet14t")))

    assert len(open_store(copied / "c.zarr")) == 6


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (None, r"no file v\.npy"),
        ("text", r"v\.npy is no \.npy file of embeddings"),
        (np.array(["a"]), "holds no numbers"),
    ],
)
def test_vectors_are_numbers_in_a_file(tmp_path, monkeypatch, saved, said):
    """Absent files, other files and words are refused by name."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "v.npy"
    if isinstance(saved, str):
        path.write_text(saved)
    elif saved is not None:
        np.save(path, saved)

    with pytest.raises(QueryError, match=said):
        read_vector(path.relative_to(tmp_path))


def test_vectors_are_read_as_float32(tmp_path):
    """One or several embeddings, whatever number type they were saved as."""
    np.save(tmp_path / "v.npy", np.array([[1, 2], [3, 4]]))

    assert read_vector(tmp_path / "v.npy").dtype == np.float32
