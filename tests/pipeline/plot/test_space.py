"""Figure 1 from a store: the pairs, ρ, whose they are, and what cannot be drawn."""

import numpy as np
import pytest

import learner_index as li
from learner_index.analysis.within import distance_agreement
from learner_index.data.split import PatientSplit
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.build import build
from learner_index.pipeline.plot.space import distances, measured_distances
from tests.analysis.plots.tidy import caption, title, untidy
from tests.toy import ToySource, make_cohort, write_manifest, write_scan

PATIENTS = tuple(f"p{i}" for i in range(6))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Six patients of three visits; the encoder has seen the first two.

    The third has two scans of one view at the first visit, the fourth one of another view.
    """
    folder = tmp_path_factory.mktemp("space")
    rows = make_cohort(folder, n_patients=6, n_days=3)
    for patient, view in (("p2", "L1"), ("p3", "R1")):
        name = f"{patient}again"
        write_scan(folder / "scans" / f"{name}.npy", (0.3, 0.6, 0.5, 0.2))
        row = next(row for row in rows if row["patient_id"] == patient)
        rows.append({**row, "scan_id": name, "path": f"scans/{name}.npy", "view": view})
    write_manifest(folder / "cohort.csv", rows)
    split = PatientSplit(train=PATIENTS[:1], val=PATIENTS[1:2], unseen=PATIENTS[2:])
    build(folder / "cohort.csv", folder / "c.zarr", ToySource(split=split))
    return li.open_store(folder / "c.zarr")


def test_every_pair_of_two_visits_is_there(cohort):
    """Of one view and two visits: three a patient, and two of the extra scan; ρ is theirs."""
    found = measured_distances(cohort, n_bootstraps=50)

    obs = cohort.obs
    assert len(found.panel.frame) == 20
    assert set(found.panel.frame["patient"]) == set(PATIENTS)
    alone = distance_agreement(
        cohort.embeddings,
        obs["health_score"].to_numpy(float),
        obs["patient_id"].to_numpy(object),
        obs["day"].to_numpy(int) + 10 * obs["patient_id"].str[1].astype(int).to_numpy(),
        obs["view"].to_numpy(object),
        center=None,
        metric="cosine",
        n_bootstraps=50,
    )
    np.testing.assert_allclose(found.panel.rho["raw"], (alone.rho, alone.low, alone.high))


def test_seen_patients_are_called_so(cohort):
    """SEEN BY ENCODER beside the panels, unless conditions leave only others."""
    seen = distances(cohort, n_bootstraps=0, unit="S/F")
    unseen = distances(cohort, n_bootstraps=0, where="encoder_role == unseen", title="mine")

    assert "SEEN BY ENCODER" in seen.axes[0].get_ylabel()
    assert "SEEN BY ENCODER" not in unseen.axes[0].get_ylabel()
    assert caption(seen).endswith("n = 6 patients, 20 pairs.")
    assert caption(unseen).endswith("n = 4 patients, 14 pairs.")
    assert seen.axes[0].get_xlabel() == "|Δ health score| (S/F)"
    assert (title(unseen), untidy(unseen)) == ("mine", [])


def test_the_twin_shows_the_same_pairs(cohort):
    """As many points, of the same caption."""
    twin = li.plot.interactive.distances(cohort)

    assert len(twin.data[0].x) == 20
    assert twin.layout.annotations[-1].text.endswith("pairs.")


def test_refuses_a_store_without_scores(tmp_path):
    """No health score, no figure: the next step is named."""
    rows = make_cohort(tmp_path)
    write_manifest(
        tmp_path / "cohort.csv",
        [{k: v for k, v in row.items() if k != "health_score"} for row in rows],
    )
    build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource())

    with pytest.raises(NotEnoughDataError, match=r"store c\.zarr .* has a health score"):
        distances(li.open_store(tmp_path / "c.zarr"))


def test_only_scans_of_one_modality_are_paired(tmp_path):
    """Ultrasound and film at each of two visits, of one view: two pairs a patient, not four."""
    rows = make_cohort(tmp_path, n_patients=3, n_days=2)
    for row in list(rows):
        name = f"{row['scan_id']}film"
        write_scan(tmp_path / "scans" / f"{name}.npy", (0.3, 0.6, 0.5, 0.2))
        film = {**row, "scan_id": name, "path": f"scans/{name}.npy", "modality": "film"}
        rows.append(film)
        row["modality"] = "us"
    write_manifest(tmp_path / "cohort.csv", rows)
    build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource())

    found = measured_distances(li.open_store(tmp_path / "c.zarr"), n_bootstraps=0)

    assert len(found.panel.frame) == 3 * 2


def test_some_patients_alone_are_shown(cohort):
    """Those named, and of them what the conditions leave."""
    found = measured_distances(cohort, patients=PATIENTS[1:5], n_bootstraps=0)
    unseen = measured_distances(
        cohort, patients=PATIENTS[1:5], where="encoder_role == unseen", n_bootstraps=0
    )

    assert set(found.panel.frame["patient"]) == {*PATIENTS[1:5]}
    assert set(unseen.panel.frame["patient"]) == {*PATIENTS[2:5]}
