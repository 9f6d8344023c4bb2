"""A simulated brain cohort is complete, reproducible, planted with truth, and labelled."""

import csv
import dataclasses
import hashlib
import itertools

import numpy as np
import pytest

from learner_index.config import Preprocessing
from learner_index.data.manifest import read_manifest
from learner_index.data.preprocess import preprocess
from learner_index.data.readers import read_scan
from learner_index.data.simulate import brain_cohort, simulate_brain
from learner_index.errors import QueryError, StoreExistsError

N_PATIENTS = 8
STATES = ("hippocampus", "ventricle", "cortex", "s")


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder):
    """Every file's content by its relative path."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def scans(folder):
    return {name: digest for name, digest in digests(folder).items() if name.startswith("scans")}


def sized(patch, tier, **changes):
    size = dataclasses.replace(brain_cohort._SIZES[tier], **changes)
    patch.setitem(brain_cohort._SIZES, tier, size)


@pytest.fixture(autouse=True)
def few_patients(monkeypatch):
    """Small cohorts: patients do not depend on how many there are, which is tested."""
    for tier in brain_cohort._SIZES:
        sized(monkeypatch, tier, n_patients=N_PATIENTS, side_px=32)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The whole smoke tier, made once."""
    folder = tmp_path_factory.mktemp("sim") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        sized(patch, "smoke", n_patients=24, side_px=64)
        return simulate_brain(folder)


def test_counts_are_those_on_disk(smoke):
    """What is returned agrees with the tables and the files."""
    rows = table(smoke.manifest)

    assert smoke.n_patients == len({row["patient_id"] for row in rows}) == 24
    assert smoke.n_scans == len(rows) == len(list((smoke.folder / "scans").iterdir()))


def test_every_path_leads_to_eight_slices(smoke):
    """Each row's file is read as a clip of 8 square frames with pixels of 3.125 mm."""
    for row in table(smoke.manifest)[:20]:
        scan = read_scan(smoke.folder / row["path"])
        assert scan.kind == "clip"
        assert scan.pixels.shape == (8, 64, 64)
        assert scan.spacing_mm == (3.125, 3.125)


def test_the_manifest_reads_without_a_problem(smoke):
    """Its columns are those a reader understands; scores are whole MMSE points."""
    manifest, rows = read_manifest(smoke.manifest), table(smoke.manifest)

    assert manifest.problems == ()
    assert "group" not in rows[0]
    assert all(value for row in rows for value in row.values())
    assert {row["view"] for row in rows} == {"coronal+axial"}
    assert {row["modality"] for row in rows} == {"mri"}
    assert {row["treatment"] for row in rows} == {"untreated"}
    assert all(0 <= int(row["health_score"]) <= 30 for row in rows)


def test_truth_has_a_row_for_every_scan_in_the_same_order(smoke):
    """Manifest and truth can be joined by scan_id or by position."""
    ids = [[row["scan_id"] for row in table(path)] for path in (smoke.manifest, smoke.truth)]

    assert ids[0] == ids[1]


def test_truth_is_consistent(smoke):
    """Severity is the mean of the states, and tissues follow them."""
    for row in table(smoke.truth):
        h, v, x, s = (float(row[name]) for name in STATES)
        assert s == pytest.approx((h + v + x) / 3, abs=2e-6)
        assert float(row["hippocampal_area"]) == pytest.approx(1 - 0.42 * h, abs=2e-6)
        assert float(row["ventricular_area"]) == pytest.approx(1 + 1.1 * v, abs=2e-6)
        assert float(row["cortical_thickness"]) == pytest.approx(1 - 0.28 * x, abs=2e-6)


def test_true_changes_lead_to_the_next_visit(smoke):
    """next_delta is the next visit's state minus this one's: never a true improvement."""
    for _, rows in itertools.groupby(table(smoke.truth), key=lambda row: row["patient_id"]):
        visits = list({row["day"]: row for row in rows}.values())
        assert len(visits) >= 3
        assert visits[-1]["next_delta_s"] == ""
        for now, after in itertools.pairwise(visits):
            for name in STATES:
                change = float(after[name]) - float(now[name])
                assert float(now[f"next_delta_{name}"]) == pytest.approx(change, abs=3e-6)
                assert change >= 0
            assert float(after["true_mmse"]) <= float(now["true_mmse"])


def test_repeats_share_the_state_and_nothing_else(smoke):
    """A rescan has its original's truth and score, under new nuisance and pixels."""
    rows, truth = table(smoke.manifest), {row["scan_id"]: row for row in table(smoke.truth)}
    repeats = [row for row in rows if row["rescan"] == "true"]

    assert len({row["patient_id"] for row in repeats}) / 24 == pytest.approx(0.2, abs=0.05)
    for row in repeats:
        ours, theirs = truth[row["scan_id"]], truth[row["scan_id"].rsplit("_r", 1)[0]]
        assert all(ours[name] == theirs[name] for name in ("day", "psi", "s", "true_mmse"))
        assert all(ours[name] != theirs[name] for name in ("gain", "axial_shift_mm"))
    assert len(set(scans(smoke.folder).values())) == len(rows)


def test_everything_says_that_it_is_simulated(smoke):
    """The notice opens with it and names the call; every id carries it."""
    notice = (smoke.folder / "SIMULATED.txt").read_text(encoding="utf-8")

    assert notice.startswith("SIMULATED DATA. No patient")
    assert "simulate_brain(folder, tier='smoke', seed=0" in notice
    assert "What it is not" in notice
    assert all(row["scan_id"].startswith("sim-brain-") for row in table(smoke.manifest))


@pytest.mark.parametrize("layout", brain_cohort.LAYOUTS)
def test_same_seed_gives_the_same_bytes(tmp_path, layout):
    """Two runs with a seed agree in every file; another seed differs in every scan."""
    one, again, other = (
        simulate_brain(tmp_path / name, seed=seed, layout=layout).folder
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )

    assert digests(one) == digests(again)
    assert not set(scans(one).values()) & set(scans(other).values())


def test_workers_do_not_change_a_byte(tmp_path, monkeypatch):
    """Two processes write what one writes; they see the tiers' true sizes."""
    sized(monkeypatch, "smoke", n_patients=4, side_px=64)
    alone = simulate_brain(tmp_path / "one", workers=1).folder
    shared = simulate_brain(tmp_path / "two", workers=2).folder

    assert digests(alone) == digests(shared)


def test_a_patient_does_not_depend_on_the_others(tmp_path, smoke, monkeypatch):
    """The first four of 24 patients are the four of a cohort of four, scan for scan."""
    sized(monkeypatch, "smoke", n_patients=4, side_px=64)
    few, many = scans(simulate_brain(tmp_path / "few").folder), scans(smoke.folder)

    assert len(few) < len(many)
    assert few.items() <= many.items()


def test_a_patient_is_the_same_in_every_tier(tmp_path, smoke):
    """Truth of a patient agrees between tiers; only the pictures' size differs."""
    paper = simulate_brain(tmp_path / "paper", tier="paper")

    big, small = ({row["scan_id"]: row for row in table(c.truth)} for c in (paper, smoke))
    assert all(row == small[scan_id] for scan_id, row in big.items())


def test_pixels_never_see_the_noise_of_the_score(tmp_path):
    """Turning the noise dial changes health scores and not a byte of any scan."""
    quiet, loud = (simulate_brain(tmp_path / str(n), noise=n) for n in (0, 2))

    assert scans(quiet.folder) == scans(loud.folder)
    score = [[row["health_score"] for row in table(c.manifest)] for c in (quiet, loud)]
    assert score[0] != score[1]
    for seen, true in zip(table(quiet.manifest), table(quiet.truth), strict=True):
        assert abs(float(seen["health_score"]) - float(true["true_mmse"])) <= 0.5001


def test_the_reversing_arm_is_named_and_improves(tmp_path):
    """With share 1 all are under `reversing`, and their true scores rise."""
    cohort = simulate_brain(tmp_path / "back", reversible=1.0)

    assert {row["treatment"] for row in table(cohort.manifest)} == {"reversing"}
    for row in table(cohort.truth):
        assert row["next_delta_s"] == "" or float(row["next_delta_s"]) < 0


def test_volumes_hold_the_same_slices_as_clips(tmp_path):
    """In the nifti layout the coronal and axial volumes read back as the clip's frames."""
    clips = simulate_brain(tmp_path / "clips")
    volumes = simulate_brain(tmp_path / "volumes", layout="nifti")
    frames = {row["scan_id"]: row["path"] for row in table(clips.manifest)}
    rows = table(volumes.manifest)

    assert len(rows) == 2 * len(frames)
    assert {row["view"] for row in rows} == {"coronal", "axial"}
    for row in rows[:8]:
        clip = read_scan(clips.folder / frames[row["scan_id"].replace(f"_{row['view']}", "")])
        scan = read_scan(volumes.folder / row["path"])
        settings = Preprocessing(size=32, frames=4, plane=row["view"], intensity="window:0,255")
        own = clip.pixels[:4] if row["view"] == "coronal" else clip.pixels[4:]
        assert np.allclose(preprocess(scan, settings) * 255, own, atol=1e-3)


def test_progress_counts_patients(tmp_path):
    """Progress is told after each patient, up to all of them."""
    told = []

    simulate_brain(tmp_path / "sim", progress=lambda done, total: told.append((done, total)))

    assert told == [(k, N_PATIENTS) for k in range(1, N_PATIENTS + 1)]


def test_an_interrupted_run_leaves_nothing(tmp_path):
    """After Ctrl-C there is neither the folder nor a half-made one beside it."""

    def interrupt(done, total):
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        simulate_brain(tmp_path / "sim", progress=interrupt)

    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_is_refused(tmp_path):
    """A folder that holds something is refused and left alone."""
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")

    with pytest.raises(StoreExistsError, match="exists and is no empty folder"):
        simulate_brain(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"tier": "demo"}, "no tier 'demo': choose one of smoke, paper, power"),
        ({"noise": -1.0}, "noise -1 is no finite number"),
        ({"effect": float("inf")}, "effect inf is no finite number"),
        ({"lead": float("nan")}, "lead nan is no finite number"),
        ({"confounder": 1.5}, r"confounder 1.5 lies outside 0\.\.1"),
        ({"reversible": -0.1}, r"reversible -0.1 lies outside 0\.\.1"),
        ({"layout": "dicom"}, "no layout 'dicom': choose one of npz, nifti"),
        ({"seed": -1}, "seed -1, workers 1: at least 0 and 1"),
        ({"workers": 0}, "seed 0, workers 0: at least 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused_at_the_door(tmp_path, setting, message):
    """The setting is named with what was found, and nothing is written."""
    with pytest.raises(QueryError, match=message):
        simulate_brain(tmp_path / "sim", **setting)

    assert list(tmp_path.iterdir()) == []
