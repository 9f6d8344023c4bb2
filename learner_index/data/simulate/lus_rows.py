"""Rows of a simulated cohort's tables: what a hospital would know, and what nobody could."""

from dataclasses import dataclass

import numpy as np

from learner_index.data.simulate.cohort import Row, claim, next_deltas
from learner_index.data.simulate.lus_anatomy import Anatomy, Nuisance
from learner_index.data.simulate.lus_course import Course, severity
from learner_index.data.simulate.lus_image import b_line_count, wedge_count
from learner_index.data.simulate.sf_ratio import Oxygenation


@dataclass(frozen=True, slots=True, eq=False)
class Patient:
    """One simulated patient, ready to be scanned.

    Attributes:
        number: 1 for the first of the cohort.
        course: true states, arm and visits.
        anatomy: chest wall and machine settings.
        offset: log-scale offset of PaO2/FiO2; no image shows it, and it cancels in ratios.
        chart: (v,) oxygenation at each visit.
    """

    number: int
    course: Course
    anatomy: Anatomy
    offset: float
    chart: Oxygenation

    @property
    def patient_id(self) -> str:
        """Pseudonym that says it is simulated."""
        return f"sim-lus-{self.number:04d}"


@dataclass(frozen=True, slots=True)
class Take:
    """Which clip of a patient: visit and zone by position; take 0 is the first, others repeats."""

    visit: int
    zone: int
    take: int


def scan_name(patient: Patient, take: Take) -> str:
    """The scan_id of a clip."""
    day, zone = patient.course.days[take.visit], patient.course.zones[take.zone]
    return f"{patient.patient_id}_d{day:02d}_{zone}" + (f"_r{take.take}" if take.take else "")


def manifest_row(patient: Patient, take: Take) -> Row:
    """What a hospital would know of a scan."""
    course, chart, v = patient.course, patient.chart, take.visit
    scan_id = scan_name(patient, take)
    return {
        "scan_id": scan_id,
        "patient_id": patient.patient_id,
        "day": int(course.days[v]),
        "path": f"scans/{scan_id}.npz",
        "view": course.zones[take.zone],
        "modality": "lus",
        "rescan": claim(take.take > 0),
        "health_score": f"{chart.sf[v]:.1f}",
        "sf94": "" if np.isnan(chart.sf94[v]) else f"{chart.sf94[v]:.1f}",
        "spo2": f"{chart.spo2[v]:.2f}",
        "fio2": f"{chart.fio2[v]:.2f}",
        "treatment": course.arm,
        "site": f"site-{course.device[-1]}",
        "age": course.age,
        "sex": course.sex,
    }


def truth_row(patient: Patient, take: Take, nuisance: Nuisance) -> Row:
    """What nobody could know of a scan: state, noise-free score, nuisances."""
    course, anatomy, v = patient.course, patient.anatomy, take.visit
    return {
        "scan_id": scan_name(patient, take),
        "patient_id": patient.patient_id,
        "day": int(course.days[v]),
        "view": course.zones[take.zone],
        **_state(course, v),
        **_zone(course, take),
        "true_sf": f"{patient.chart.true_sf[v]:.4f}",
        "true_pf": f"{patient.chart.true_pf[v]:.4f}",
        "offset": f"{patient.offset:.6f}",
        "arm": course.arm,
        "response": f"{course.response:.6f}",
        "is_responder": claim(course.is_responder),
        "is_deteriorating": claim(course.is_deteriorating),
        "is_randomized": claim(course.is_randomized),
        "device": course.device,
        "depth_mm": f"{anatomy.depth_mm:.0f}",
        "wall_mm": f"{anatomy.wall_mm + nuisance.wall_shift_mm:.3f}",
        "gain_db": f"{anatomy.gain_db + nuisance.gain_db:.4f}",
        "probe_mm": f"{nuisance.offset_mm:.3f}",
        "breath_phase": f"{nuisance.phase:.4f}",
    }


def _state(course: Course, visit: int) -> Row:
    """State of the whole lung at a visit, and how it changes until the next."""
    states = {"e": course.e, "c": course.c, "s": course.s}
    now = {name: f"{values[visit]:.6f}" for name, values in states.items()}
    return {**now, **next_deltas(states, visit)}


def _zone(course: Course, take: Take) -> Row:
    """State of the zone that was scanned; `effect` is what it adds to the whole lung's."""
    e, c = course.zone_state(take.visit, take.zone)
    return {
        "zone_e": f"{e:.6f}",
        "zone_c": f"{c:.6f}",
        "zone_s": f"{float(severity(np.array(e), np.array(c))):.6f}",
        "zone_effect_e": f"{course.zone_e[take.zone]:.6f}",
        "zone_effect_c": f"{course.zone_c[take.zone]:.6f}",
        "b_lines": b_line_count(e),
        "consolidations": wedge_count(c),
    }
