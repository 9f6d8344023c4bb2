"""The whole way on two real cohorts; skipped, with the reason, where their files are absent.

What these data cannot bear is in docs/real-cohorts.md; here only properties of the program are
tested, and one trap is measured.
"""

import csv
from pathlib import Path

import anndata
import numpy as np
import pytest

from learner_index.config import BuildOptions, EncoderOptions
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.info import verify_report
from learner_index.pipeline.source import ChosenEncoder

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[3] / "shared" / "data"
READ_AS = {
    "covid_blues": {"score_column": "severity", "score_direction": "lower"},
    "mhh_cxr": {"score_column": "icu", "score_direction": "lower"},
}
SIZES = {"covid_blues": (147, 25), "mhh_cxr": (79, 26)}


class Real:
    """A real cohort's files and its store; the store is made of a copy of the manifest.

    Attributes:
        name: folder of the cohort.
        manifest: copy of its manifest, with absolute paths, free to be changed.
        store: built from it.
        first: what the first build did.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.manifest = folder / "cohort.csv"
        self.store = folder / f"{name}.zarr"
        self.write(self.original())
        self.first = self.build()

    def original(self) -> list[dict[str, str]]:
        """The manifest's rows, with absolute paths."""
        with (DATA / self.name / "cohort.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{**row, "path": str(DATA / self.name / row["path"])} for row in rows]

    def write(self, rows: list[dict[str, str]]) -> None:
        """Replace the copied manifest."""
        with self.manifest.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def build(self):
        """Bring the store into step with the copied manifest, with the ImageNet encoder."""
        asked = EncoderOptions(size=96, frames=2)
        changes = {**READ_AS[self.name], "allow_outside": True}
        return build(
            *(self.manifest, self.store, ChosenEncoder(asked)),
            manifest_changes=changes,
            options=BuildOptions(workers=2),
        )


@pytest.fixture(scope="module", params=sorted(SIZES))
def real(request, tmp_path_factory):
    """Each real cohort with its store."""
    if not (DATA / request.param / "cohort.csv").is_file():
        pytest.skip(f"../shared/data/{request.param} is absent: it is not part of the project")
    return Real(request.param, tmp_path_factory.mktemp(request.param))


def test_every_scan_is_stored(real):
    """No scan is skipped, rows follow the manifest, every promise of the store holds."""
    assert (real.first.n_rows, real.first.n_patients) == SIZES[real.name]
    assert real.first.skipped == []
    assert real.first.n_embedded + real.first.n_shared == real.first.n_rows
    assert open_store(real.store).obs["scan_id"].tolist() == [
        row["scan_id"] for row in real.original()
    ]
    assert verify_report(real.store).problems == ()


def test_anndata_reads_the_store_at_its_root(real):
    """Embeddings are X, the manifest's columns are obs, scan ids are the index."""
    found = anndata.read_zarr(real.store)

    assert found.shape == (SIZES[real.name][0], 128)
    assert found.obs_names.tolist() == [row["scan_id"] for row in real.original()]
    assert {"patient_id", "day", "view", "health_score", "site"} <= set(found.obs)
    assert np.isfinite(found.X).all()


def test_scores_are_turned(real):
    """Lower raw values are healthier here: health_score is their negative."""
    obs = open_store(real.store).obs

    assert (obs["health_score"] == -obs[READ_AS[real.name]["score_column"]]).all()


def test_a_second_build_embeds_nothing(real):
    """Nothing new: no scan is embedded and the generation stays."""
    again = real.build()

    assert (again.n_embedded, again.n_unchanged) == (0, SIZES[real.name][0])
    assert again.generation == real.first.generation


def test_a_corrected_label_is_synced(real):
    """One corrected score changes one row, embeds nothing, and can be taken back."""
    rows = real.original()
    score = READ_AS[real.name]["score_column"]
    rows[3][score] = "1" if float(rows[3][score]) == 0 else "0"
    cohort = open_store(real.store)
    embeddings, obs = cohort.embeddings, cohort.obs

    real.write(rows)
    corrected = real.build()
    after = open_store(real.store).table
    real.write(real.original())
    real.build()

    assert corrected.n_embedded == 0
    assert corrected.difference.corrected == {"health_score": 1, score: 1}
    assert np.array_equal(embeddings, after.embeddings)
    assert np.flatnonzero(obs["health_score"] != after.obs["health_score"]).tolist() == [3]


@pytest.mark.parametrize("level", ["scan", "visit", "patient"])
def test_no_patient_finds_themselves(real, level):
    """Every patient in turn: hits are others, best first, at most one a group."""
    cohort = open_store(real.store)

    for patient in cohort.obs["patient_id"].unique():
        hits = cohort.similar(patient=patient, level=level, k=5)

        assert patient not in {hit.patient_id for hit in hits}
        assert [hit.similarity for hit in hits] == sorted(
            (hit.similarity for hit in hits), reverse=True
        )
        if level == "patient":
            assert len({hit.patient_id for hit in hits}) == len(hits)


def test_a_file_query_leaves_its_patient_out(real):
    """Whose file it is, is known by its bytes; an equal embedding gives equal hits."""
    cohort = open_store(real.store)
    row = real.original()[0]

    by_file = cohort.similar(file=row["path"], view=row["view"], k=5)
    by_scan = cohort.similar(scan=row["scan_id"], k=5)

    assert row["patient_id"] not in {hit.patient_id for hit in by_file}
    assert [hit.scan_id for hit in by_file] == [hit.scan_id for hit in by_scan]
    assert [h.similarity for h in by_file] == pytest.approx(
        [h.similarity for h in by_scan], abs=1e-5
    )


def test_conditions_hold_for_every_hit(real):
    """--where and --match are filters: no hit breaks them, and none is missing."""
    cohort = open_store(real.store)
    view = {"covid_blues": "L1", "mhh_cxr": "ap"}[real.name]

    for patient in cohort.obs["patient_id"].unique():
        hits = cohort.similar(patient=patient, k=30, where=[f"view == {view}", "day < 5"])
        others = cohort.obs[cohort.obs["patient_id"] != patient]
        fitting = others[(others["view"] == view) & (others["day"] < 5)]

        assert all(hit.columns["view"] == view and hit.day < 5 for hit in hits)
        if hits:
            assert {hit.patient_id for hit in hits} <= set(fitting["patient_id"])


def test_the_nearest_film_is_often_the_same_patient(real):
    """The trap of serial films: with `include_self`, about half of the nearest are one's own.

    So a search that does not leave the query's patient out mostly recognises people.
    """
    if real.name != "mhh_cxr":
        pytest.skip("one exam each: nobody has another day to be found on")
    cohort = open_store(real.store)
    obs = cohort.obs

    own = 0
    for scan, patient in zip(obs["scan_id"], obs["patient_id"], strict=True):
        hits = cohort.similar(scan=scan, include_self=True, any_view=True, level="scan", k=2)
        nearest = next(hit for hit in hits if hit.scan_id != scan)
        own += nearest.patient_id == patient

    chance = np.mean(
        [((obs["patient_id"] == p).sum() - 1) / (len(obs) - 1) for p in obs["patient_id"]]
    )
    assert 0.3 < own / len(obs) < 0.7
    assert own / len(obs) > 3 * chance
