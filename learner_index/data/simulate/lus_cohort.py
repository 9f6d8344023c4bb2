"""A simulated lung-ultrasound cohort on disk: clips, manifest, truth table, and a plain label."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from learner_index.data.simulate.cohort import (
    Rows,
    SimulatedCohort,
    check_amounts,
    check_run,
    check_shares,
    patient_rng,
    run_patients,
    spread_plan,
    write_cohort,
)
from learner_index.data.simulate.lus_anatomy import draw_anatomy, draw_nuisance, draw_zone
from learner_index.data.simulate.lus_course import Course, draw_course
from learner_index.data.simulate.lus_image import render_clip, spacing_mm
from learner_index.data.simulate.lus_rows import (
    Patient,
    Take,
    manifest_row,
    scan_name,
    truth_row,
)
from learner_index.data.simulate.sf_ratio import measure_oxygenation
from learner_index.data.simulate.write import write_clip

Tier = Literal["smoke", "demo", "paper", "power"]

# What a patient's random streams are for; a new purpose gets a new number, never an old one.
_COURSE, _ANATOMY, _HEALTH, _ZONE, _SCAN = range(5)


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
    """
    settings = _Settings(tier, seed, noise, confounder, effect, offset_sd, randomized)
    _check(settings, workers)
    return write_cohort(
        Path(folder),
        lambda staging: run_patients(
            partial(_simulate_patient, staging, settings), _SIZES[tier].n_patients, workers
        ),
        _SIZES[tier].n_patients,
        label=lambda n_scans: _label(settings, n_scans),
        progress=progress,
    )


def _check(settings: _Settings, workers: int) -> None:
    """Refuse settings out of range."""
    check_run(settings.tier, _SIZES, settings.seed, workers)
    check_amounts({name: getattr(settings, name) for name in ("noise", "effect", "offset_sd")})
    check_shares({name: getattr(settings, name) for name in ("confounder", "randomized")})


def _simulate_patient(staging: Path, settings: _Settings, number: int) -> Rows:
    """Draw one patient, write the clips, and give their manifest and truth rows."""
    size, patient = _SIZES[settings.tier], _draw_patient(settings, number)
    anatomy, course, side = patient.anatomy, patient.course, size.side_px
    zones = [
        draw_zone(patient_rng(settings.seed, number, _ZONE, zone), anatomy, side, side)
        for zone in range(size.n_zones)
    ]
    rows = []
    for take in _takes(course, size.n_zones):
        nuisance = draw_nuisance(
            patient_rng(settings.seed, number, _SCAN, take.visit, take.zone, take.take)
        )
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
    visits, repeats = spread_plan(settings.seed, number, 2)
    course = draw_course(
        patient_rng(settings.seed, number, _COURSE),
        (visits, repeats),
        confounder=settings.confounder,
        randomized=settings.randomized,
        effect=settings.effect,
    )
    health = patient_rng(settings.seed, number, _HEALTH)
    offset = float(health.standard_normal()) * settings.offset_sd
    chart = measure_oxygenation(course.s, offset, health, noise=settings.noise)
    return Patient(
        number, course, draw_anatomy(patient_rng(settings.seed, number, _ANATOMY)), offset, chart
    )


def _takes(course: Course, n_zones: int) -> Iterator[Take]:
    """Every clip in order of acquisition; repeats are of the patient's first zone."""
    for visit in range(len(course.days)):
        for zone in range(n_zones):
            n_takes = 1 + int(course.n_repeats[visit]) * (zone == 0)
            yield from (Take(visit, zone, take) for take in range(n_takes))


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
