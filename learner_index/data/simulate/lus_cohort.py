"""A simulated lung-ultrasound cohort on disk: clips, manifest, truth table, and a plain label."""

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from learner_index.data.simulate.lus_anatomy import (
    Anatomy,
    Nuisance,
    Zone,
    draw_anatomy,
    draw_nuisance,
    draw_zone,
)
from learner_index.data.simulate.lus_course import ZONES, Course, draw_course
from learner_index.data.simulate.lus_image import (
    b_line_count,
    render_clip,
    spacing_mm,
    wedge_count,
)
from learner_index.data.simulate.sf_ratio import Oxygenation, measure_oxygenation
from learner_index.errors import QueryError, StoreExistsError

Tier = Literal["smoke", "paper", "power"]


@dataclass(frozen=True, slots=True)
class _Size:
    """Size of a tier; `paper` scans one zone a visit, so that it has about 718 clips."""

    n_patients: int
    side_px: int
    frames: int
    n_zones: int
    visit_shares: tuple[float, ...]


_SIZES: dict[str, _Size] = {
    "smoke": _Size(24, 64, 4, 4, (0.25, 0.25, 0.25, 0.25)),
    "paper": _Size(189, 96, 8, 1, (0.4, 0.3, 0.2, 0.1)),
    "power": _Size(600, 96, 8, 4, (0.25, 0.25, 0.25, 0.25)),
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
class _Task:
    """One patient to be simulated; travels to worker processes."""

    folder: Path
    number: int
    size: _Size
    seed: int
    noise: float
    confounder: float
    randomised: float


_Row = dict[str, Any]


def simulate_lus(
    folder: Path,
    *,
    tier: Tier = "smoke",
    seed: int = 0,
    noise: float = 1.0,
    confounder: float = 0.0,
    randomised: float = 0.7,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SimulatedCohort:
    """Write a simulated cohort of lung-ultrasound clips with planted truth.

    Every patient has a generator of their own, so that neither the number of workers nor the
    number of patients changes anyone; pixels do not depend on `noise`.

    Args:
        folder: a new folder; it appears when everything is written.
        tier: "smoke" (24 patients, 64 px, 4 frames), "paper" (189 patients, about 718 clips,
            96 px, 8 frames) or "power" (600 patients, 96 px, 8 frames).
        seed: the same seed gives the same bytes.
        noise: measurement noise of the S/F ratio; 0 none, 1 as on a ward, 2 double.
        confounder: correlation between severity and device, 0..1.
        randomised: share of patients whose treatment is drawn; 1 makes a randomised trial.
        workers: processes.
        progress: called with patients done and patients in all.

    Returns:
        Where everything lies.

    Raises:
        StoreExistsError: there is something in the folder.
        QueryError: a setting is out of range.

    Source:
        METHOD 7.2 to 7.4.
    """
    _check(tier, noise, confounder, randomised)
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreExistsError(f"{folder.name} is not empty: name a new folder")
    size = _SIZES[tier]
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "scans").mkdir(parents=True)
    tasks = [
        _Task(partial, number, size, seed, noise, confounder, randomised)
        for number in range(size.n_patients)
    ]
    rows: list[tuple[_Row, _Row]] = []
    for done, found in enumerate(_run(tasks, workers), start=1):
        rows += found
        progress(done, len(tasks))
    _write_table(partial / "cohort.csv", [scan for scan, _ in rows])
    _write_table(partial / "truth.csv", [truth for _, truth in rows])
    settings = f"tier {tier}, seed {seed}, noise {noise:g}, confounder {confounder:g}"
    (partial / "SIMULATED.txt").write_text(_LABEL.format(settings=settings), encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    return SimulatedCohort(
        folder, folder / "cohort.csv", folder / "truth.csv", len(tasks), len(rows)
    )


_LABEL = """SIMULATED DATA. No patient, no scan and no number in this folder is real.

Lung-ultrasound clips, S/F ratios and treatments were computed by learner-index
({settings}, share randomised as in truth.csv).

What it is for: trying the program, and testing methods against a known truth (truth.csv).
What it is not: evidence about patients, ultrasound or treatments. The pictures lack real beam
physics, operators and comorbidity.
"""


def _check(tier: str, noise: float, confounder: float, randomised: float) -> None:
    """Refuse settings out of range."""
    if tier not in _SIZES:
        raise QueryError(f"no tier {tier!r}: choose one of {', '.join(_SIZES)}")
    if not noise >= 0:
        raise QueryError(f"noise {noise:g} is negative: 0 is none, 1 as on a ward")
    for name, value in (("confounder", confounder), ("randomised", randomised)):
        if not 0 <= value <= 1:
            raise QueryError(f"{name} {value:g} lies outside 0..1")


def _run(tasks: Sequence[_Task], workers: int) -> Iterator[list[tuple[_Row, _Row]]]:
    """Each patient's rows, in order."""
    if workers <= 1:
        yield from map(_simulate_patient, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_simulate_patient, tasks)


def _simulate_patient(task: _Task) -> list[tuple[_Row, _Row]]:
    """Draw one patient, write the clips, and give their manifest and truth rows."""
    course_seed, score_seed, image_seed = np.random.SeedSequence([task.seed, task.number]).spawn(3)
    course = draw_course(
        np.random.default_rng(course_seed),
        visit_shares=task.size.visit_shares,
        confounder=task.confounder,
        randomised=task.randomised,
    )
    chart = measure_oxygenation(
        course.s, course.offset, np.random.default_rng(score_seed), noise=task.noise
    )
    images = np.random.default_rng(image_seed)
    anatomy = draw_anatomy(images)
    side = task.size.side_px
    lungs = [draw_zone(images, anatomy, side, side) for _ in ZONES]
    rows = []
    for visit, zone, take in _takes(course, task.size.n_zones):
        clip = _Clip(f"sim-lus-{task.number + 1:04d}", course, chart, anatomy, visit, zone, take)
        nuisance = draw_nuisance(images)
        clip.write(task, lungs[zone], nuisance)
        rows.append((clip.manifest_row(), clip.truth_row(nuisance)))
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Clip:
    """One clip of one patient: which visit and zone, and whether it is a repeat (take 1, 2)."""

    patient_id: str
    course: Course
    chart: Oxygenation
    anatomy: Anatomy
    visit: int
    zone: int
    take: int

    @property
    def scan_id(self) -> str:
        """Patient, day and zone; r1 and r2 mark repeats."""
        repeat = f"_r{self.take}" if self.take else ""
        day = self.course.days[self.visit]
        return f"{self.patient_id}_d{day:02d}_{ZONES[self.zone]}{repeat}"

    @property
    def state(self) -> tuple[float, float]:
        """E and c of this zone at this visit."""
        e = self.course.e[self.visit] + self.course.zone_e[self.zone]
        c = self.course.c[self.visit] + self.course.zone_c[self.zone]
        return float(np.clip(e, 0, 1)), float(np.clip(c, 0, 1))

    def write(self, task: _Task, lung: Zone, nuisance: Nuisance) -> None:
        """Render and write the pixels with their spacing."""
        e, c = self.state
        device, frames, side = self.course.device, task.size.frames, task.size.side_px
        np.savez(
            task.folder / "scans" / f"{self.scan_id}.npz",
            pixels=render_clip(
                self.anatomy, lung, nuisance, e=e, c=c, device=device, frames=frames
            ),
            spacing_mm=np.array(spacing_mm(self.anatomy, side, side)),
        )

    def place(self) -> _Row:
        """What identifies the clip in both tables."""
        return {
            "scan_id": self.scan_id,
            "patient_id": self.patient_id,
            "day": int(self.course.days[self.visit]),
            "view": ZONES[self.zone],
        }

    def manifest_row(self) -> _Row:
        """What a ward would know."""
        chart, visit = self.chart, self.visit
        sf94 = chart.sf94[visit]
        return {
            **self.place(),
            "path": f"scans/{self.scan_id}.npz",
            "modality": "lus",
            "rescan": "true" if self.take else "false",
            "health_score": f"{chart.sf[visit]:.1f}",
            "sf94": "" if np.isnan(sf94) else f"{sf94:.1f}",
            "spo2": f"{chart.spo2[visit]:.2f}",
            "fio2": f"{chart.fio2[visit]:.2f}",
            "treatment": self.course.arm,
            "site": f"site-{self.course.device[-1]}",
            "age": self.course.age,
            "sex": self.course.sex,
        }

    def truth_row(self, nuisance: Nuisance) -> _Row:
        """What only the simulation knows."""
        e, c = self.state
        course = self.course
        return {
            **self.place(),
            **_state(course, self.visit),
            "zone_e": f"{e:.6f}",
            "zone_c": f"{c:.6f}",
            "b_lines": b_line_count(e),
            "consolidations": wedge_count(c),
            "true_sf": f"{self.chart.true_sf[self.visit]:.4f}",
            "true_pf": f"{self.chart.true_pf[self.visit]:.4f}",
            "offset": f"{course.offset:.6f}",
            "arm": course.arm,
            "response": f"{course.response:.6f}",
            "is_responder": course.is_responder,
            "is_deteriorating": course.is_deteriorating,
            "is_randomised": course.is_randomised,
            "device": course.device,
            "depth_mm": self.anatomy.depth_mm,
            "wall_mm": f"{self.anatomy.wall_mm:.3f}",
            "gain_db": f"{self.anatomy.gain_db + nuisance.gain_db:.4f}",
            "probe_mm": f"{nuisance.offset_mm:.3f}",
        }


def _state(course: Course, visit: int) -> _Row:
    """State of the whole lung at a visit, and how it changes until the next."""
    is_last = visit + 1 == len(course.days)
    return {
        "e": f"{course.e[visit]:.6f}",
        "c": f"{course.c[visit]:.6f}",
        "s": f"{course.s[visit]:.6f}",
        "next_delta_s": "" if is_last else f"{course.s[visit + 1] - course.s[visit]:.6f}",
    }


def _takes(course: Course, n_zones: int) -> Iterator[tuple[int, int, int]]:
    """(visit, zone, take) of every clip; take 0 is the first, 1 and 2 are repeats."""
    zones = [(course.first_zone + i) % len(ZONES) for i in range(n_zones)]
    for visit in range(len(course.days)):
        for zone in sorted(zones):
            n_takes = 1 + int(course.n_repeats[visit]) * (zone == course.first_zone)
            for take in range(n_takes):
                yield visit, zone, take


def _write_table(path: Path, rows: Sequence[_Row]) -> None:
    """A CSV with the columns of its first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
