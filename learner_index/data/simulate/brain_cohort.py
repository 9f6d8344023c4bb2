"""A simulated brain-MRI cohort on disk: scans, manifest, truth table, and a plain label."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from learner_index.data.simulate.brain_anatomy import N_CORONAL, draw_anatomy, draw_nuisance
from learner_index.data.simulate.brain_course import Course, draw_course
from learner_index.data.simulate.brain_image import pixel_mm, render_scan
from learner_index.data.simulate.brain_rows import (
    Patient,
    Take,
    manifest_row,
    scan_name,
    truth_row,
)
from learner_index.data.simulate.brain_tissue import Atrophy
from learner_index.data.simulate.brain_volume import axial_volume, coronal_volume
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
from learner_index.data.simulate.mmse import measure_mmse, true_mmse
from learner_index.data.simulate.write import write_clip, write_volume
from learner_index.errors import QueryError

Tier = Literal["smoke", "paper", "power"]
Layout = Literal["npz", "nifti"]

LAYOUTS = ("npz", "nifti")
_VOLUMES = {"coronal": coronal_volume, "axial": axial_volume}

# What a patient's random streams are for; a new purpose gets a new number, never an old one.
_COURSE, _ANATOMY, _HEALTH, _SCAN = range(4)


@dataclass(frozen=True, slots=True)
class _Size:
    """Size of a tier; patient k is the same person in all of them."""

    n_patients: int
    side_px: int


_SIZES: dict[str, _Size] = {
    "smoke": _Size(24, 64),
    "paper": _Size(189, 96),
    "power": _Size(600, 96),
}


@dataclass(frozen=True, slots=True)
class _Settings:
    """All that decides a cohort's content; travels to worker processes."""

    tier: str
    seed: int
    noise: float
    confounder: float
    effect: float
    lead: float
    reversible: float
    layout: str


def simulate_brain(
    folder: Path,
    *,
    tier: Tier = "smoke",
    seed: int = 0,
    noise: float = 1.0,
    confounder: float = 0.0,
    effect: float = 1.0,
    lead: float = 0.0,
    reversible: float = 0.0,
    layout: Layout = "npz",
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SimulatedCohort:
    """Write a simulated cohort of brain scans, with MMSE and planted truth.

    Every patient has generators of their own, so that neither the number of workers nor the
    number of patients changes anyone; pixels do not depend on `noise` or `layout`.

    Args:
        folder: a new or empty folder; it appears when everything is written.
        tier: "smoke" (24 patients, 64 px), "paper" (189 patients, 96 px) or "power" (600
            patients, 96 px), each with 3 to 5 visits in up to four years.
        seed: the same seed gives the same bytes.
        noise: measurement noise of the MMSE; 0 only rounds, 1 as in a clinic, 2 double.
        confounder: correlation between severity and site, 0..1.
        effect: multiplies how far disease moves between visits.
        lead: years by which imaging leads cognition; with 5, hippocampal change says nothing
            about the change of the MMSE.
        reversible: share of patients whose disease runs backwards, 0..1: a stress test.
        layout: "npz", one clip a visit of 4 coronal and 4 axial slices; "nifti", two volumes.
        workers: processes; more than one needs a main module that can be imported.
        progress: called with patients done and patients in all.

    Returns:
        Where everything lies.

    Raises:
        StoreExistsError: there is something in the folder.
        QueryError: a setting is out of range.
    """
    settings = _Settings(tier, seed, noise, confounder, effect, lead, reversible, layout)
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
    check_amounts({name: getattr(settings, name) for name in ("noise", "effect", "lead")})
    check_shares({name: getattr(settings, name) for name in ("confounder", "reversible")})
    if settings.layout not in LAYOUTS:
        raise QueryError(f"no layout {settings.layout!r}: choose one of {', '.join(LAYOUTS)}")


def _simulate_patient(staging: Path, settings: _Settings, number: int) -> Rows:
    """Draw one patient, write the scans, and give their manifest and truth rows."""
    patient, side = _draw_patient(settings, number), _SIZES[settings.tier].side_px
    course, rows = patient.course, []
    for visit, take in _scans(course):
        nuisance = draw_nuisance(patient_rng(settings.seed, number, _SCAN, visit, take))
        atrophy = Atrophy(
            float(course.hippocampus[visit]),
            float(course.ventricle[visit]),
            float(course.cortex[visit]),
        )
        pixels = render_scan(patient.anatomy, nuisance, atrophy, site=course.site, side=side)
        for file in _files(settings.layout, visit, take):
            _write(staging / "scans" / f"{scan_name(patient, file)}{file.suffix}", file, pixels)
            rows.append((manifest_row(patient, file), truth_row(patient, file, nuisance)))
    return rows


def _draw_patient(settings: _Settings, number: int) -> Patient:
    """A patient by number; each purpose has its own stream, so that none disturbs another."""
    group, visits, repeats = spread_plan(settings.seed, number, 3)
    course = draw_course(
        patient_rng(settings.seed, number, _COURSE),
        (group, visits, repeats),
        confounder=settings.confounder,
        effect=settings.effect,
        lead=settings.lead,
        reversible=settings.reversible,
    )
    health = patient_rng(settings.seed, number, _HEALTH)
    lead, reserve = settings.lead, course.reserve
    return Patient(
        number,
        course,
        draw_anatomy(patient_rng(settings.seed, number, _ANATOMY)),
        true_mmse(course.psi, reserve, lead=lead),
        measure_mmse(course.psi, reserve, health, lead=lead, noise=settings.noise),
    )


def _scans(course: Course) -> Iterator[tuple[int, int]]:
    """(visit, take) of every scan in order of acquisition."""
    for visit in range(len(course.days)):
        yield from ((visit, take) for take in range(1 + int(course.n_repeats[visit])))


def _files(layout: str, visit: int, take: int) -> list[Take]:
    """The files that a scan is kept in."""
    if layout == "npz":
        return [Take(visit, take)]
    return [Take(visit, take, view) for view in _VOLUMES]


def _write(path: Path, file: Take, pixels: NDArray[np.uint8]) -> None:
    """Write the slices that belong into a file."""
    edge = pixel_mm(pixels.shape[-1])
    if file.view not in _VOLUMES:
        write_clip(path, pixels, (edge, edge))
        return
    slices = pixels[:N_CORONAL] if file.view == "coronal" else pixels[N_CORONAL:]
    write_volume(path, *_VOLUMES[file.view](slices, edge))


def _label(settings: _Settings, n_scans: int) -> str:
    """Text of SIMULATED.txt: that all is simulated, how, and what it is not."""
    size, s = _SIZES[settings.tier], settings
    return f"""SIMULATED DATA. No patient, no scan and no number in this folder is real.

{size.n_patients} patients and {n_scans} brain scans of {size.side_px} x {size.side_px} pixels, \
with MMSE, were computed by
learner-index {version("learner-index")}: simulate_brain(folder, tier={s.tier!r}, seed={s.seed}, \
noise={s.noise:g}, confounder={s.confounder:g}, effect={s.effect:g}, lead={s.lead:g}, \
reversible={s.reversible:g}, layout={s.layout!r})

cohort.csv  the manifest; health_score is the observed MMSE, 0 to 30 points
truth.csv   planted truth of every scan: states, noise-free scores, nuisances; never train on it
scans/      4 coronal slices from anterior, rows from superior; 4 axial ones from inferior, rows
            from anterior; columns to the patient's right

What it is for: trying the program, and testing methods against a known truth.
What it is not: evidence about patients, brains or treatments. The heads are drawn from ellipses
and tubes. Without a reversible arm nobody truly improves: whoever seems to is measurement noise.
Patients under "reversing" are a stress test; no treatment that does this is known.
"""
