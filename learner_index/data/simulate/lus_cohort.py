"""A simulated lung-ultrasound cohort on disk: clips, manifest, truth table, and a plain label."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from learner_index.data.simulate.lus_anatomy import draw_anatomy, draw_nuisance, draw_zone
from learner_index.data.simulate.lus_course import Course, draw_course
from learner_index.data.simulate.lus_image import render_clip, spacing_mm
from learner_index.data.simulate.lus_rows import (
    Patient,
    Row,
    Take,
    manifest_row,
    scan_name,
    truth_row,
)
from learner_index.data.simulate.sf_ratio import measure_oxygenation
from learner_index.data.simulate.write import LABEL_NAME, new_folder, write_clip, write_table
from learner_index.errors import QueryError

Tier = Literal["smoke", "demo", "paper", "power"]

# What a patient's random streams are for; a new purpose gets a new number, never an old one.
_COURSE, _ANATOMY, _HEALTH, _ZONE, _SCAN = range(5)
_STRIDES = np.array([0.6180339887498949, 0.7548776662466927])  # golden ratio, plastic number


@dataclass(frozen=True, slots=True)
class _Size:
    """Size of a tier; patient k is the same person in all of them.

    `paper` follows one zone: 189 patients x 2.92 visits x (1 + 0.2 x 1.5 repeats) = 718 clips.
    """

    n_patients: int
    side_px: int
    frames: int
    n_zones: int


_SIZES: dict[str, _Size] = {
    "smoke": _Size(24, 64, 4, 4),
    "demo": _Size(720, 64, 4, 1),
    "paper": _Size(189, 96, 8, 1),
    "power": _Size(600, 96, 8, 4),
}


@dataclass(frozen=True, slots=True)
class SimulatedCohort:
    """Where a simulated cohort lies and how large it is.

    Attributes:
        folder: everything that was written.
        manifest: the manifest, for `check` and `build`.
        truth: the table of planted truth, one row a scan.
        n_patients: number of patients.
        n_scans: number of clips.
    """

    folder: Path
    manifest: Path
    truth: Path
    n_patients: int
    n_scans: int


@dataclass(frozen=True, slots=True)
class _Settings:
    """All that decides a cohort's content; travels to worker processes."""

    tier: str
    seed: int
    noise: float
    confounder: float
    effect: float
    offset_sd: float
    randomized: float


def simulate_lus(
    folder: Path,
    *,
    tier: Tier = "smoke",
    seed: int = 0,
    noise: float = 1.0,
    confounder: float = 0.0,
    effect: float = 1.0,
    offset_sd: float = 0.15,
    randomized: float = 0.7,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SimulatedCohort:
    """Write a simulated cohort of lung-ultrasound clips with planted truth.

    Every patient has generators of their own, so that neither the number of workers nor the
    number of patients changes anyone; pixels do not depend on `noise`.

    Args:
        folder: a new or empty folder; it appears when everything is written.
        tier: "smoke" (24 patients with 4 zones, 64 px, 4 frames), "demo" (720 patients, likewise),
            "paper" (189 patients, about 718 clips, 96 px, 8 frames) or "power" (600 patients with
            4 zones, 96 px, 8 frames); demo and paper follow one zone of each patient.
        seed: the same seed gives the same bytes.
        noise: measurement noise of the S/F ratio; 0 none, 1 as on a ward, 2 double.
        confounder: correlation between severity and device, 0..1.
        effect: multiplies what treatment and deterioration do from visit to visit.
        offset_sd: spread of the patients' own log-scale offset of PaO2/FiO2.
        randomized: share of patients whose treatment is drawn; 1 makes a randomized trial.
        workers: processes; more than one needs a main module that can be imported.
        progress: called with patients done and patients in all.

    Returns:
        Where everything lies.

    Raises:
        StoreExistsError: there is something in the folder.
        QueryError: a setting is out of range.

    Source:
        METHOD 7.2 to 7.4.
    """
    settings = _Settings(tier, seed, noise, confounder, effect, offset_sd, randomized)
    _check(settings, workers)
    folder, n_patients = Path(folder), _SIZES[tier].n_patients
    rows: list[tuple[Row, Row]] = []
    with new_folder(folder) as staging:
        (staging / "scans").mkdir()
        for done, found in enumerate(_run(staging, settings, workers), start=1):
            rows += found
            progress(done, n_patients)
        write_table(staging / "cohort.csv", [scan for scan, _ in rows])
        write_table(staging / "truth.csv", [truth for _, truth in rows])
        (staging / LABEL_NAME).write_text(_label(settings, len(rows)), encoding="utf-8")
    return SimulatedCohort(
        folder, folder / "cohort.csv", folder / "truth.csv", n_patients, len(rows)
    )


def _check(settings: _Settings, workers: int) -> None:
    """Refuse settings out of range."""
    if settings.tier not in _SIZES:
        raise QueryError(f"no tier {settings.tier!r}: choose one of {', '.join(_SIZES)}")
    if settings.seed < 0 or workers < 1:
        raise QueryError(f"seed {settings.seed}, workers {workers}: at least 0 and 1 are needed")
    for name in ("noise", "effect", "offset_sd"):
        if not 0 <= (value := getattr(settings, name)) < np.inf:
            raise QueryError(f"{name} {value:g} is no finite number from 0 up")
    for name in ("confounder", "randomized"):
        if not 0 <= (value := getattr(settings, name)) <= 1:
            raise QueryError(f"{name} {value:g} lies outside 0..1")


def _run(staging: Path, settings: _Settings, workers: int) -> Iterator[list[tuple[Row, Row]]]:
    """Each patient's rows, in order."""
    n = _SIZES[settings.tier].n_patients
    tasks = [staging] * n, [settings] * n, range(1, n + 1)
    if workers == 1:
        yield from map(_simulate_patient, *tasks)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield from pool.map(_simulate_patient, *tasks)
    finally:  # nobody may write into a folder that is about to be removed
        pool.shutdown(wait=True, cancel_futures=True)


def _simulate_patient(staging: Path, settings: _Settings, number: int) -> list[tuple[Row, Row]]:
    """Draw one patient, write the clips, and give their manifest and truth rows."""
    size, patient = _SIZES[settings.tier], _draw_patient(settings, number)
    anatomy, course, side = patient.anatomy, patient.course, size.side_px
    zones = [
        draw_zone(_rng(settings, number, _ZONE, zone), anatomy, side, side)
        for zone in range(size.n_zones)
    ]
    rows = []
    for take in _takes(course, size.n_zones):
        nuisance = draw_nuisance(_rng(settings, number, _SCAN, take.visit, take.zone, take.take))
        e, c = course.zone_state(take.visit, take.zone)
        pixels = render_clip(
            anatomy, zones[take.zone], nuisance, e=e, c=c, device=course.device, frames=size.frames
        )
        path = staging / "scans" / f"{scan_name(patient, take)}.npz"
        write_clip(path, pixels, spacing_mm(anatomy, side, side))
        rows.append((manifest_row(patient, take), truth_row(patient, take, nuisance)))
    return rows


def _draw_patient(settings: _Settings, number: int) -> Patient:
    """A patient by number; each purpose has its own stream, so that none disturbs another."""
    course = draw_course(
        _rng(settings, number, _COURSE),
        _plan(settings.seed, number),
        confounder=settings.confounder,
        randomized=settings.randomized,
        effect=settings.effect,
    )
    health = _rng(settings, number, _HEALTH)
    offset = float(health.standard_normal()) * settings.offset_sd
    chart = measure_oxygenation(course.s, offset, health, noise=settings.noise)
    return Patient(number, course, draw_anatomy(_rng(settings, number, _ANATOMY)), offset, chart)


def _takes(course: Course, n_zones: int) -> Iterator[Take]:
    """Every clip in order of acquisition; repeats are of the patient's first zone."""
    for visit in range(len(course.days)):
        for zone in range(n_zones):
            n_takes = 1 + int(course.n_repeats[visit]) * (zone == 0)
            yield from (Take(visit, zone, take) for take in range(n_takes))


def _plan(seed: int, number: int) -> tuple[float, float]:
    """The patient's place in two evenly spread sequences, so that shares hold in any cohort."""
    start = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).uniform(size=2)
    visits, repeats = (start + number * _STRIDES) % 1.0
    return float(visits), float(repeats)


def _rng(settings: _Settings, number: int, *purpose: int) -> np.random.Generator:
    """The stream of one patient and purpose, whoever else is in the cohort."""
    seed = np.random.SeedSequence(settings.seed, spawn_key=(number, *purpose))
    return np.random.default_rng(seed)


def _label(settings: _Settings, n_scans: int) -> str:
    """Text of SIMULATED.txt: that all is simulated, how, and what it is not."""
    size, s = _SIZES[settings.tier], settings
    return f"""SIMULATED DATA. No patient, no scan and no number in this folder is real.

{size.n_patients} patients and {n_scans} lung-ultrasound clips of {size.side_px} x {size.side_px} \
pixels and {size.frames} frames, with S/F ratios and treatments, were computed by
learner-index {version("learner-index")}: simulate_lus(folder, tier={s.tier!r}, seed={s.seed}, \
noise={s.noise:g}, confounder={s.confounder:g}, effect={s.effect:g}, \
offset_sd={s.offset_sd:g}, randomized={s.randomized:g})

cohort.csv  the manifest; health_score is the observed S/F ratio
truth.csv   planted truth of every scan: states, noise-free scores, nuisances; never train on it
scans/      pixels (frame, row, column), row 0 at the probe, and spacing_mm (row, column)

What it is for: trying the program, and testing methods against a known truth.
What it is not: evidence about patients, ultrasound or treatments. The pictures lack real beam
physics, operators and comorbidity, and the effects of the treatments are invented.
"""
