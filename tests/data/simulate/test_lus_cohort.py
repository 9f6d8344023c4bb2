"""A simulated cohort on disk: complete, labelled, the same for the same seed."""

import numpy as np
import pandas as pd
import pytest

from learner_index.data.check import check_manifest
from learner_index.data.manifest import read_manifest
from learner_index.data.readers import read_scan
from learner_index.data.simulate import lus_cohort, simulate_lus
from learner_index.errors import QueryError, StoreExistsError


@pytest.fixture(scope="module", autouse=True)
def small_tiers():
    """The smoke tier cut to five patients, so that the tests take seconds."""
    whole = dict(lus_cohort._SIZES)
    lus_cohort._SIZES["smoke"] = lus_cohort._Size(5, 32, 2, 4, (0.25, 0.25, 0.25, 0.25))
    yield
    lus_cohort._SIZES.update(whole)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A small simulated cohort."""
    return simulate_lus(tmp_path_factory.mktemp("sim") / "a", seed=3)


def bytes_of(folder):
    """Every file with its bytes."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_the_manifest_can_be_used_as_it_is(cohort):
    """`check` finds no error, and every patient is followed."""
    report = check_manifest(read_manifest(cohort.manifest))

    assert not report.has_errors
    assert (report.n_patients, report.n_scans) == (cohort.n_patients, cohort.n_scans)
    assert report.n_patients_followed == cohort.n_patients
    assert report.clock == "patient"


def test_every_clip_knows_its_spacing(cohort):
    """Clips are read as clips, with the depth setting as their height in millimetres."""
    truth = pd.read_csv(cohort.truth)
    scan = read_scan(cohort.folder / "scans" / f"{truth.scan_id[0]}.npz")

    assert (scan.kind, scan.pixels.shape) == ("clip", (2, 32, 32))
    assert scan.spacing_mm[0] * 32 == pytest.approx(truth.depth_mm[0])


def test_truth_and_manifest_list_the_same_clips(cohort):
    """Row by row the same scan, patient, day and view."""
    truth, manifest = pd.read_csv(cohort.truth), pd.read_csv(cohort.manifest)

    for name in ("scan_id", "patient_id", "day", "view"):
        assert truth[name].tolist() == manifest[name].tolist()


def test_all_scans_of_a_visit_share_the_health_score(cohort):
    """The S/F ratio belongs to the visit."""
    manifest = pd.read_csv(cohort.manifest)

    assert (manifest.groupby(["patient_id", "day"])["health_score"].nunique() == 1).all()


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(cohort, tmp_path):
    """Two worker processes write what one writes."""
    again = simulate_lus(tmp_path / "b", seed=3, workers=2)

    assert bytes_of(again.folder) == bytes_of(cohort.folder)


def test_noise_of_the_score_never_reaches_the_pixels(cohort, tmp_path):
    """Another noise changes health scores and no clip."""
    quiet = simulate_lus(tmp_path / "quiet", seed=3, noise=0.0)

    one, other = bytes_of(cohort.folder), bytes_of(quiet.folder)
    clips = [name for name in one if name.endswith(".npz")]
    assert all(one[name] == other[name] for name in clips)
    assert one["cohort.csv"] != other["cohort.csv"]


def test_another_seed_gives_other_patients(cohort, tmp_path):
    """Nothing but ids is shared between seeds."""
    other = simulate_lus(tmp_path / "other", seed=4)

    assert pd.read_csv(other.truth).e[0] != pd.read_csv(cohort.truth).e[0]


def test_more_patients_leave_the_first_ones_alone(cohort, tmp_path, monkeypatch):
    """Each patient has a generator of their own."""
    size = lus_cohort._Size(7, 32, 2, 4, (0.25, 0.25, 0.25, 0.25))
    monkeypatch.setitem(lus_cohort._SIZES, "smoke", size)

    more = bytes_of(simulate_lus(tmp_path / "more", seed=3).folder)

    own = {k: v for k, v in bytes_of(cohort.folder).items() if k.endswith(".npz")}
    assert own.items() <= more.items()


def test_it_says_that_it_is_simulated(cohort):
    """A plain label stands beside the data, and ids say so too."""
    label = (cohort.folder / "SIMULATED.txt").read_text(encoding="utf-8")

    assert label.startswith("SIMULATED DATA. No patient")
    assert pd.read_csv(cohort.manifest).patient_id.str.startswith("sim-lus-").all()


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    """Nothing is overwritten."""
    (tmp_path / "precious.txt").write_text("keep", encoding="utf-8")

    with pytest.raises(StoreExistsError, match="is not empty: name a new folder"):
        simulate_lus(tmp_path)


def test_a_run_that_fails_leaves_no_cohort(tmp_path):
    """The folder appears when everything is written, and a later run starts afresh."""

    def interrupt(done, total):
        raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        simulate_lus(tmp_path / "a", progress=interrupt)

    assert not (tmp_path / "a").exists()
    assert simulate_lus(tmp_path / "a").manifest.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tier": "huge"}, "no tier 'huge': choose one of smoke, paper, power"),
        ({"noise": -1.0}, "noise -1 is negative"),
        ({"noise": np.nan}, "noise nan is negative"),
        ({"confounder": 1.5}, "confounder 1.5 lies outside"),
        ({"randomised": -0.1}, "randomised -0.1 lies outside"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, settings, message):
    """One line names the setting and what it may be."""
    with pytest.raises(QueryError, match=message):
        simulate_lus(tmp_path / "a", **settings)


def test_the_paper_tier_has_about_718_clips():
    """189 patients with one zone a visit and some repeats come to 718 clips, give or take 5 %."""
    size = lus_cohort._SIZES["paper"]
    visits = sum((2 + i) * share for i, share in enumerate(size.visit_shares))

    assert size.n_patients * visits * size.n_zones * (1 + 0.2 * 1.5) == pytest.approx(718, rel=0.05)
