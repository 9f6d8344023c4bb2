"""The two real cohorts in ../shared/data read without a problem; skipped where they are absent."""

from pathlib import Path

import pytest

from learner_index.config import ManifestOptions
from learner_index.data.check import check_manifest
from learner_index.data.manifest import read_manifest

DATA = Path(__file__).parents[3] / "shared" / "data"


def report(name, **options):
    path = DATA / name / "cohort.csv"
    if not path.is_file():
        pytest.skip(f"{path} is absent: the real cohorts are not part of the project")
    return check_manifest(read_manifest(path, ManifestOptions(**options)))


def test_lung_ultrasound_cohort_is_sound():
    """147 clips of 25 patients in six views, severity turned, no problem."""
    found = report("covid_blues", score_column="severity", score_direction="lower")

    assert found.problems == ()
    assert (found.n_scans, found.n_patients, found.n_visits) == (147, 25, 25)
    assert sorted(found.views) == ["L1", "L2", "L3", "R1", "R2", "R3"]
    assert found.columns["a_lines"].kind == "text"


def test_chest_film_cohort_is_sound():
    """79 films of 26 patients, 15 of them followed, labs with gaps, no problem."""
    found = report("mhh_cxr")

    assert found.problems == ()
    assert (found.n_scans, found.n_patients, found.n_patients_followed) == (79, 26, 15)
    assert found.columns["crp"].kind == "number"
    assert found.columns["crp"].n_missing > 0
