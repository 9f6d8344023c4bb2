"""What looking alike is worth, on planted answers."""

from dataclasses import replace

import numpy as np
import pytest

from learner_index.data.split import PatientSplit
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.gain import compare_gains, measure_gain
from tests.toy import ToySource, write_manifest, write_scan


def cohort(folder, scores, levels, views=None, split=None):
    """One scan a patient: brightness by level, health score by score."""
    rows = []
    for i, (score, level) in enumerate(zip(scores, levels, strict=True)):
        write_scan(folder / f"s{i}.npy", (level, 1 - level, level / 2, 0.3))
        row = {"scan_id": f"s{i}", "patient_id": f"p{i:02d}", "path": f"s{i}.npy"}
        rows.append({**row, "health_score": score, "view": views[i] if views else "L1"})
    write_manifest(folder / "cohort.csv", rows)
    build(folder / "cohort.csv", folder / "c.zarr", ToySource(split=split))
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


UNSEEN = "encoder_role == unseen"


def memorized(folder):
    """Twenty patients: pictures tell the score of the ten the encoder knows, of no others."""
    scores = np.linspace(0, 100, 10)
    others = np.random.default_rng(1).permutation(scores)
    levels = np.linspace(0.1, 0.9, 10)
    seen = PatientSplit(
        train=tuple(f"p{i:02d}" for i in range(8)), val=("p08", "p09"), unseen=("p10",)
    )
    return cohort(folder, [*scores, *others], [*levels, *levels], split=seen)


def test_a_gain_says_how_many_patients_were_seen(tmp_path):
    """Patients the encoder was trained or tuned on are counted."""
    found = memorized(tmp_path)

    assert measure_gain(found, k=1).n_seen == 10
    assert measure_gain(found, k=1, where=[UNSEEN]).n_seen == 0


def test_a_gain_among_unseen_patients_asks_and_finds_these_only(tmp_path, monkeypatch):
    """What an encoder knows by heart shows; the honest figure is at chance."""
    found = memorized(tmp_path)
    asked = []
    real = type(found).similar
    monkeypatch.setattr(
        type(found),
        "similar",
        lambda self, **words: asked.append(real(self, **words)) or asked[-1],
    )

    seen = measure_gain(found, k=1, where="encoder_role in (train, val)")
    honest = measure_gain(found, k=1, where=[UNSEEN])

    assert seen.low > 0
    assert honest.low < 0 < honest.high
    assert (honest.n_patients, honest.n_scans) == (10, 10)
    assert {hit.columns["encoder_role"] for hits in asked[10:] for hit in hits} == {"unseen"}
    assert all(hits.n_eligible == 9 for hits in asked)


def test_a_gain_where_too_few_are_left(tmp_path):
    """The condition stands in the refusal; one that is not understood is refused as in searches."""
    found = memorized(tmp_path)

    with pytest.raises(NotEnoughDataError, match=r"2 patients .* where encoder_role == val: three"):
        measure_gain(found, where=["encoder_role == val"])
    with pytest.raises(QueryError, match="no column 'rolle'"):
        measure_gain(found, where=["rolle == val"])


def test_gains_are_compared_patient_by_patient(tmp_path):
    """What tells the score beats what tells nothing, by the mean of the patients' differences."""
    levels = np.linspace(0.1, 0.9, 20)
    noise = np.random.default_rng(5).permutation(levels)
    first = measure_gain(cohort(tmp_path / "a", 100 * levels, levels), k=2)
    second = measure_gain(cohort(tmp_path / "b", 100 * levels, noise), k=2)

    found = compare_gains(first, second)

    assert found.mean == pytest.approx(
        (first.chance - first.near) - (second.chance - second.near), abs=1e-9
    )
    assert 0 < found.low < found.mean < found.high
    assert found.n_patients == 20
    assert compare_gains(second, first).mean == pytest.approx(-found.mean)


def test_gains_of_other_patients_are_not_compared(tmp_path):
    """Two gains that share no three patients are refused."""
    gain = measure_gain(cohort(tmp_path, [1, 2, 3], [0.2, 0.5, 0.8]), k=1)
    other = replace(gain, by_patient={"p00": 1.0, "q": 2.0})

    with pytest.raises(NotEnoughDataError, match="share 1 patients: three"):
        compare_gains(gain, other)
