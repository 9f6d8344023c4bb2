"""What encoders are judged on: visits, transitions and scores of a manifest or of stores."""

import numpy as np
import pytest

from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.pipeline.evaluation.material import require_changes
from tests.pipeline.evaluation.planted import (
    altered,
    judged,
    knowing,
    material_of,
    outcome,
    planted_rows,
    splits_of,
    value,
)


def test_changes_by_threshold(tmp_path):
    """A change of θ or more counts; the note says how many there are."""
    rows = [
        {"scan_id": f"a{day}", "patient_id": "a", "path": f"a{day}.npy", "day": day,
         "health_score": score}
        for day, score in enumerate([50, 55, 50.5, 40])
    ]  # fmt: skip
    rows.append({"scan_id": "b", "patient_id": "b", "path": "b.npy", "day": 0, "health_score": 1})

    material = material_of(tmp_path, rows)

    assert material.changes.tolist() == [1, 0, -1]
    assert material.notes == (
        "3 transitions of 1 patients at θ = 5: 1 worsened, 1 stable, 1 improved",
    )


@pytest.mark.parametrize(("mode", "n"), [("consecutive", 2), ("all", 3), ("baseline", 2)])
def test_which_visits_are_paired(tmp_path, mode, n):
    """Three visits make two or three transitions."""
    rows = planted_rows(2, 3)

    assert len(material_of(tmp_path, rows, mode=mode).changes) == 2 * n


def test_without_a_threshold_changes_are_not_measured(tmp_path):
    """The scores and the space are, and the note names the option."""
    material = material_of(tmp_path, planted_rows(16), theta=None)

    found = judged(material, knowing(material))

    assert len(material.changes) == 0
    assert "--threshold" in material.notes[0]
    figures = outcome(found, "knows").figures
    assert {"score_mae", "within_raw", "triplet_ordinality"} <= set(figures)
    assert not {"macro_f1", "change_mae", "retrieval_ndcg"} & set(figures)
    assert [one.name for one in found.outcomes] == ["knows"]


def test_one_exam_each_is_measured_by_scan(tmp_path):
    """Scores differ between scans of a visit: no change is measured, and it says so."""
    rows = [
        {"scan_id": f"p{p}z{zone}", "patient_id": f"p{p:02}", "path": f"p{p}z{zone}.npy",
         "day": 0, "view": f"L{zone}", "health_score": (p + zone) % 4}
        for p in range(16)
        for zone in range(3)
    ]  # fmt: skip
    material = material_of(tmp_path, rows)

    found = judged(material, knowing(material))

    assert material.about.per == "scan"
    assert "no patient has two scored visits" in material.notes[0]
    figures = outcome(found, "knows").figures
    assert figures["score_mae"].n_pairs == 48
    assert value(found, "knows", "score_spearman") > 0.9
    assert "within_concordance" not in figures


def test_a_score_per_visit_is_measured_by_visit(tmp_path):
    """Scans of one visit that share a score are one item."""
    rows = planted_rows(8)
    twins = altered(rows, lambda row: {"scan_id": f"{row['scan_id']}b", "path": f"{row['path']}b"})

    material = material_of(tmp_path, rows + twins)

    assert material.about.per == "visit"
    assert len(material.visits) == 24


def test_visits_without_a_day_are_in_no_transition(tmp_path):
    """Order is unknown; their scores still count."""
    rows = planted_rows(16)
    for row in rows:
        row["visit"] = f"v{row['day']}"
        if row["patient_id"] < "p04":
            row["day"] = ""

    material = material_of(tmp_path, rows)
    found = judged(material, knowing(material))

    assert min(material.transitions.patient) == 4
    assert outcome(found, "knows").figures["score_mae"].n_patients == 16
    assert outcome(found, "knows").figures["macro_f1"].n_patients == 12


def test_a_cohort_without_days_or_visits(tmp_path):
    """Nothing says which scans belong together: each is one visit, and only scores are read."""
    rows = [{k: v for k, v in row.items() if k != "day"} for row in planted_rows(16)]

    material = material_of(tmp_path, rows)
    found = judged(material, knowing(material))

    assert (material.visit == -1).all()
    assert len(material.changes) == 0
    assert outcome(found, "knows").figures["score_mae"].n_pairs == 48
    assert "within_raw" not in outcome(found, "knows").figures


def test_all_changes_alike_are_refused(tmp_path):
    """The message gives θ and the way out."""
    material = material_of(tmp_path, planted_rows(16), theta=99.0)

    with pytest.raises(
        NotEnoughDataError, match=r"all 32 transitions are stable at θ = 99: give another"
    ):
        require_changes(material, splits_of(material))


def test_a_fold_that_could_learn_no_change_is_refused(tmp_path):
    """All who changed are in one fold: found before anything is trained."""
    rows = planted_rows(16)
    splits = splits_of(material_of(tmp_path, rows))
    still = altered(
        rows, lambda row: {} if row["patient_id"] in splits[2].unseen else {"health_score": 50}
    )
    (tmp_path / "b").mkdir()
    material = material_of(tmp_path / "b", still)

    with pytest.raises(NotEnoughDataError, match=r"fold 3 of 4 has no two health changes"):
        require_changes(material, splits)


@pytest.mark.parametrize("theta", [0.0, -3.0, np.nan])
def test_a_threshold_is_above_0(tmp_path, theta):
    """Nothing else is a size of a change."""
    with pytest.raises(SettingsError, match="threshold"):
        material_of(tmp_path, planted_rows(4), theta=theta)


def test_visits_are_compared_within_modality(tmp_path):
    """A film at the first visit and ultrasound at the second, of one view, are no transition."""
    rows = [{**row, "view": "ap", "modality": "us"} for row in planted_rows(2, 2)]
    for row in rows:
        if row["patient_id"] == "p00" and row["day"] == 0:
            row["modality"] = "film"

    material = material_of(tmp_path, rows)

    assert len(set(material.views)) == 2
    assert not any("\0" in view for view in material.views)
    assert material.transitions.patient.tolist() == [1]
