"""A simulated cohort is complete, reproducible, planted with truth, and labelled as simulated."""

import csv
import dataclasses
import hashlib
import itertools
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from learner_index.data.simulate import lus_cohort, simulate_lus
from learner_index.errors import QueryError, StoreExistsError


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


@pytest.fixture(autouse=True)
def few_patients(monkeypatch):
    """Cohorts of six: patients do not depend on how many there are, which is tested."""
    for tier, size in lus_cohort._SIZES.items():
        monkeypatch.setitem(lus_cohort._SIZES, tier, dataclasses.replace(size, n_patients=6))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The whole smoke tier, made once; `few_patients` begins after it or is undone by then."""
    folder = tmp_path_factory.mktemp("sim") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        full = dataclasses.replace(lus_cohort._SIZES["smoke"], n_patients=24)
        patch.setitem(lus_cohort._SIZES, "smoke", full)
        return simulate_lus(folder)


def test_counts_are_those_on_disk(smoke):
    """What is returned agrees with the tables and the files."""
    rows = table(smoke.manifest)

    assert smoke.n_patients == len({row["patient_id"] for row in rows}) == 24
    assert smoke.n_scans == len(rows) == len(list((smoke.folder / "scans").iterdir()))


def test_every_path_leads_to_a_clip(smoke):
    """Each row's file holds (f, h, w) uint8 pixels with rows and columns in millimetres."""
    for row in table(smoke.manifest):
        with np.load(smoke.folder / row["path"]) as scan:
            assert set(scan.files) == {"pixels", "spacing_mm"}
            assert scan["pixels"].shape == (4, 64, 64)
            assert scan["pixels"].dtype == np.uint8
            assert scan["spacing_mm"][1] == 48 / 64


def test_patients_differ_in_spacing_and_keep_their_own(smoke):
    """Depth settings differ between patients and never within one."""
    spacing = {}
    for row in table(smoke.manifest):
        with np.load(smoke.folder / row["path"]) as scan:
            spacing.setdefault(row["patient_id"], set()).add(float(scan["spacing_mm"][0]))

    assert all(len(own) == 1 for own in spacing.values())
    assert set.union(*spacing.values()) == {60 / 64, 80 / 64, 100 / 64, 120 / 64}


def test_manifest_has_every_column_a_reader_understands(smoke):
    """The columns of DESIGN 3 are there, and filled in every row but the S/F94 ones."""
    rows = table(smoke.manifest)
    needed = [
        "scan_id",
        "patient_id",
        "day",
        "path",
        "view",
        "modality",
        "rescan",
        "health_score",
        "treatment",
        "site",
    ]

    assert set(needed) <= set(rows[0])
    assert all(value for row in rows for name, value in row.items() if name != "sf94")
    assert len({row["scan_id"] for row in rows}) == len(rows)
    assert {row["modality"] for row in rows} == {"lus"}


def test_truth_has_a_row_for_every_scan_in_the_same_order(smoke):
    """Manifest and truth can be joined by scan_id or by position."""
    ids = [[row["scan_id"] for row in table(path)] for path in (smoke.manifest, smoke.truth)]

    assert ids[0] == ids[1]


def test_truth_is_consistent(smoke):
    """Zone states are the lung's plus the zone's effect; severity weighs them."""
    for row in table(smoke.truth):
        e, c, s = (float(row[name]) for name in ("zone_e", "zone_c", "zone_s"))
        assert e == pytest.approx(
            np.clip(float(row["e"]) + float(row["zone_effect_e"]), 0, 1), abs=2e-6
        )
        assert s == pytest.approx(0.65 * e + 0.35 * c, abs=2e-6)


def test_true_changes_lead_to_the_next_visit(smoke):
    """next_delta is the next visit's state minus this one's, and empty at the last visit."""
    by_patient = itertools.groupby(table(smoke.truth), key=lambda row: row["patient_id"])
    for _, rows in by_patient:
        visits = list({row["day"]: row for row in rows}.values())
        assert visits[-1]["next_delta_s"] == ""
        for now, after in itertools.pairwise(visits):
            for name in "ecs":
                change = float(after[name]) - float(now[name])
                assert float(now[f"next_delta_{name}"]) == pytest.approx(change, abs=3e-6)


def test_days_rise_within_a_patient(smoke):
    """Rows of a patient come in order of day, starting with 0, at least two visits each."""
    for _, rows in itertools.groupby(table(smoke.manifest), key=lambda row: row["patient_id"]):
        days = list(dict.fromkeys(int(row["day"]) for row in rows))
        assert days[0] == 0
        assert len(days) >= 2
        assert days == sorted(days)


def test_repeats_share_the_state_and_nothing_else(smoke):
    """A rescan has its original's visit, zone and truth, under new nuisance and pixels."""
    rows, truth = table(smoke.manifest), {row["scan_id"]: row for row in table(smoke.truth)}
    repeats = [row for row in rows if row["rescan"] == "true"]

    assert repeats
    for row in repeats:
        original = row["scan_id"].rsplit("_r", 1)[0]
        ours, theirs = truth[row["scan_id"]], truth[original]
        assert all(ours[name] == theirs[name] for name in ("view", "day", "zone_e", "zone_c"))
        assert all(ours[name] != theirs[name] for name in ("gain_db", "probe_mm", "breath_phase"))
    assert len(set(scans(smoke.folder).values())) == len(rows)


def test_scores_belong_to_the_visit(smoke):
    """All scans of a visit carry one health score and one treatment."""
    seen = {}
    for row in table(smoke.manifest):
        seen.setdefault((row["patient_id"], row["day"]), set()).add(
            (row["health_score"], row["treatment"])
        )

    assert all(len(values) == 1 for values in seen.values())


def test_everything_says_that_it_is_simulated(smoke):
    """The notice opens with it, names seed, tier and version; every id carries it."""
    notice = (smoke.folder / "SIMULATED.txt").read_text(encoding="utf-8")

    assert notice.startswith("SIMULATED DATA. No patient")
    assert "tier='smoke', seed=0" in notice
    assert "learner-index 0." in notice
    assert "What it is not" in notice
    assert all(row["scan_id"].startswith("sim-lus-") for row in table(smoke.manifest))


def test_no_clock_enters_a_file(smoke):
    """Members of the scans' archives carry the format's earliest date, not today's."""
    first = next((smoke.folder / "scans").iterdir())
    with zipfile.ZipFile(first) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_same_seed_gives_the_same_bytes(tmp_path):
    """Two runs with a seed agree in every file; another seed differs in every scan."""
    one, again, other = (
        simulate_lus(tmp_path / name, seed=seed).folder
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )

    assert digests(one) == digests(again)
    assert not set(scans(one).values()) & set(scans(other).values())


def test_workers_do_not_change_a_byte(tmp_path):
    """Two processes write what one writes."""
    alone = simulate_lus(tmp_path / "one", workers=1).folder
    shared = simulate_lus(tmp_path / "two", workers=2).folder

    assert digests(alone) == digests(shared)


def test_a_patient_does_not_depend_on_the_others(tmp_path, smoke):
    """The first six of 24 patients are the six of a cohort of six, scan for scan."""
    few = scans(simulate_lus(tmp_path / "few").folder)
    many = scans(smoke.folder)

    assert len(few) < len(many)
    assert few.items() <= many.items()


def test_a_patient_is_the_same_in_every_tier(tmp_path, smoke):
    """Truth and health scores of a patient agree between tiers; only the pictures' size differs."""
    paper = simulate_lus(tmp_path / "paper", tier="paper")

    big, small = ({row["scan_id"]: row for row in table(c.truth)} for c in (paper, smoke))
    assert all(row == small[scan_id] for scan_id, row in big.items())
    with np.load(next((paper.folder / "scans").iterdir())) as scan:
        assert scan["pixels"].shape == (8, 96, 96)


def test_pixels_never_see_the_noise_of_the_score(tmp_path):
    """Turning the noise dial changes health scores and not a byte of any scan."""
    quiet, loud = (simulate_lus(tmp_path / str(n), noise=n) for n in (0, 2))

    assert scans(quiet.folder) == scans(loud.folder)
    score = [[row["health_score"] for row in table(c.manifest)] for c in (quiet, loud)]
    assert score[0] != score[1]


def test_without_noise_the_score_is_the_truth(tmp_path):
    """At noise 0 the manifest shows the true S/F ratio."""
    cohort = simulate_lus(tmp_path / "quiet", noise=0)

    for seen, true in zip(table(cohort.manifest), table(cohort.truth), strict=True):
        assert float(seen["health_score"]) == pytest.approx(float(true["true_sf"]), abs=0.051)


def test_without_offset_patients_share_one_curve(tmp_path):
    """offset_sd 0 gives every patient an offset of 0."""
    cohort = simulate_lus(tmp_path / "even", offset_sd=0)

    assert {float(row["offset"]) for row in table(cohort.truth)} == {0.0}


@pytest.mark.parametrize("seed", range(5))
def test_paper_tier_has_about_718_clips(seed):
    """189 patients come to 718 clips within 3 %, whatever the seed."""
    settings = lus_cohort._Settings("paper", seed, 1.0, 0.0, 1.0, 0.15, 0.7)

    courses = [lus_cohort._draw_patient(settings, k).course for k in range(1, 190)]

    n = sum(len(list(lus_cohort._takes(course, 1))) for course in courses)
    assert n == pytest.approx(718, rel=0.03)


def test_progress_counts_patients(tmp_path):
    """Progress is told after each patient, up to all of them."""
    told = []

    simulate_lus(tmp_path / "sim", progress=lambda done, total: told.append((done, total)))

    assert told == [(k, 6) for k in range(1, 7)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_run_leaves_nothing(tmp_path, workers):
    """After Ctrl-C there is neither the folder nor a half-made one beside it."""

    def interrupt(done, total):
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        simulate_lus(tmp_path / "sim", workers=workers, progress=interrupt)

    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_folder(tmp_path):
    """After SIGKILL in the middle nothing has the cohort's name."""
    code = f"""
from pathlib import Path
from learner_index.data.simulate import simulate_lus
simulate_lus(Path({str(tmp_path / "sim")!r}), progress=lambda done, total: print(done, flush=True))
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)

    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "sim").exists()


def test_an_occupied_folder_is_refused_and_kept(tmp_path):
    """A folder that holds something is refused before anything is written, and is left alone."""
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "mine.txt").write_text("keep", encoding="utf-8")

    with pytest.raises(StoreExistsError, match="exists and is no empty folder"):
        simulate_lus(tmp_path / "sim")

    assert [path.name for path in tmp_path.iterdir()] == ["sim"]
    assert (tmp_path / "sim" / "mine.txt").read_text(encoding="utf-8") == "keep"


def test_a_folder_filled_in_the_meantime_is_kept(tmp_path):
    """Somebody else's folder that appeared during the run is not replaced."""

    def occupy(done, total):
        (tmp_path / "sim").mkdir(exist_ok=True)
        (tmp_path / "sim" / "mine.txt").write_text("keep", encoding="utf-8")

    with pytest.raises(StoreExistsError, match="exists and is no empty folder"):
        simulate_lus(tmp_path / "sim", progress=occupy)

    assert [path.name for path in tmp_path.rglob("*")] == ["sim", "mine.txt"]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, kind):
    """A file or a dangling link of that name is neither followed nor replaced."""
    taken = tmp_path / "sim"
    if kind == "file":
        taken.write_text("keep", encoding="utf-8")
    else:
        taken.symlink_to(tmp_path / "nowhere")

    with pytest.raises(StoreExistsError, match="exists and is no empty folder"):
        simulate_lus(taken)


def test_an_empty_folder_is_filled(tmp_path):
    """An empty folder, and parents that do not exist, are fine."""
    (tmp_path / "empty").mkdir()

    simulate_lus(tmp_path / "empty")
    simulate_lus(tmp_path / "new" / "deep")

    assert (tmp_path / "empty" / "cohort.csv").is_file()
    assert (tmp_path / "new" / "deep" / "cohort.csv").is_file()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"tier": "huge"}, "no tier 'huge': choose one of smoke, demo, paper, power"),
        ({"noise": -1.0}, "noise -1 is no finite number"),
        ({"noise": float("nan")}, "noise nan is no finite number"),
        ({"effect": float("inf")}, "effect inf is no finite number"),
        ({"offset_sd": -0.1}, "offset_sd -0.1 is no finite number"),
        ({"confounder": 1.5}, r"confounder 1.5 lies outside 0\.\.1"),
        ({"randomized": -0.1}, r"randomized -0.1 lies outside 0\.\.1"),
        ({"seed": -1}, "seed -1, workers 1: at least 0 and 1"),
        ({"workers": 0}, "seed 0, workers 0: at least 0 and 1"),
    ],
)
def test_settings_out_of_range_are_refused_at_the_door(tmp_path, setting, message):
    """The setting is named with what was found, and nothing is written."""
    with pytest.raises(QueryError, match=message):
        simulate_lus(tmp_path / "sim", **setting)

    assert list(tmp_path.iterdir()) == []
