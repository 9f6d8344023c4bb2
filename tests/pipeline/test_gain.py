"""What looking alike is worth, on planted answers."""

import numpy as np
import pytest

from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.gain import measure_gain
from tests.toy import ToySource, write_manifest, write_scan


def cohort(folder, scores, levels, views=None):
    """One scan a patient: brightness by level, health score by score."""
    rows = []
    for i, (score, level) in enumerate(zip(scores, levels, strict=True)):
        write_scan(folder / f"s{i}.npy", (level, 1 - level, level / 2, 0.3))
        row = {"scan_id": f"s{i}", "patient_id": f"p{i:02d}", "path": f"s{i}.npy"}
        rows.append({**row, "health_score": score, "view": views[i] if views else "L1"})
    write_manifest(folder / "cohort.csv", rows)
    build(folder / "cohort.csv", folder / "c.zarr", ToySource())
    return open_store(folder / "c.zarr")


def test_pictures_that_tell_the_score_gain(tmp_path):
    """Brightness equals health: the nearest patient differs by about one step."""
    levels = np.linspace(0.1, 0.9, 20)

    gain = measure_gain(cohort(tmp_path, 100 * levels, levels), k=1)

    assert gain.near < 10 < gain.chance
    assert gain.low > 0
    assert (gain.n_patients, gain.n_scans) == (20, 20)


def test_pictures_that_tell_nothing_gain_nothing(tmp_path):
    """Scores drawn at random: the interval holds 0."""
    scores = np.random.default_rng(5).permutation(40)

    gain = measure_gain(cohort(tmp_path, scores, np.linspace(0.1, 0.9, 40)), k=3)

    assert gain.low < 0 < gain.high


def test_a_view_that_tells_the_score_earns_nothing(tmp_path):
    """Sick patients all in one view: staying within a view is no merit."""
    scores = [0] * 10 + [100] * 10
    views = ["ap"] * 10 + ["pa"] * 10

    gain = measure_gain(cohort(tmp_path, scores, np.linspace(0.1, 0.9, 20), views), k=3)

    assert gain.near == gain.chance == 0


def test_too_few_patients_are_refused(tmp_path):
    """Two patients cannot bear an interval."""
    with pytest.raises(NotEnoughDataError, match="2 patients have a health score: three"):
        measure_gain(cohort(tmp_path, [1, 2], [0.2, 0.8]))
