"""Rows of a simulated brain cohort's tables: what a clinic would know, and what nobody could."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.data.simulate.brain_anatomy import SCANNERS, Anatomy, Nuisance
from learner_index.data.simulate.brain_course import (
    Course,
    cortical_thickness,
    hippocampal_area,
    ventricular_area,
)
from learner_index.data.simulate.cohort import Row, claim, next_deltas

BOTH_VIEWS = "coronal+axial"


@dataclass(frozen=True, slots=True, eq=False)
class Patient:
    """One simulated patient, ready to be scanned.

    Attributes:
        number: 1 for the first of the cohort.
        course: true states and visits.
        anatomy: the head.
        true_mmse: (v,) MMSE without noise.
        mmse: (v,) MMSE noted at each visit.
    """

    number: int
    course: Course
    anatomy: Anatomy
    true_mmse: NDArray[np.float64]
    mmse: NDArray[np.int64]

    @property
    def patient_id(self) -> str:
        """Pseudonym that says it is simulated."""
        return f"sim-brain-{self.number:04d}"


@dataclass(frozen=True, slots=True)
class Take:
    """Which file of a patient: visit by position; take 0 is the first scan, others repeats."""

    visit: int
    take: int
    view: str = BOTH_VIEWS

    @property
    def suffix(self) -> str:
        """Ending of the file's name."""
        return ".npz" if self.view == BOTH_VIEWS else ".nii.gz"


def scan_name(patient: Patient, take: Take) -> str:
    """The scan_id of a file."""
    parts = [patient.patient_id, f"d{patient.course.days[take.visit]:04d}"]
    parts += [take.view] * (take.view != BOTH_VIEWS) + [f"r{take.take}"] * (take.take > 0)
    return "_".join(parts)


def manifest_row(patient: Patient, take: Take) -> Row:
    """What a clinic would know of a scan."""
    course, scan_id = patient.course, scan_name(patient, take)
    return {
        "scan_id": scan_id,
        "patient_id": patient.patient_id,
        "day": int(course.days[take.visit]),
        "path": f"scans/{scan_id}{take.suffix}",
        "view": take.view,
        "modality": "mri",
        "rescan": claim(take.take > 0),
        "health_score": int(patient.mmse[take.visit]),
        "treatment": course.arm,
        "site": course.site,
        "age": course.age,
        "sex": course.sex,
    }


def truth_row(patient: Patient, take: Take, nuisance: Nuisance) -> Row:
    """What nobody could know of a scan: state, noise-free score, nuisances."""
    course, anatomy, v = patient.course, patient.anatomy, take.visit
    scanner = SCANNERS[course.site]
    turns, shifts = nuisance.rotation_deg, nuisance.shift_mm
    return {
        "scan_id": scan_name(patient, take),
        "patient_id": patient.patient_id,
        "day": int(course.days[v]),
        "view": take.view,
        "group": course.group,
        **_state(course, v),
        "true_mmse": f"{patient.true_mmse[v]:.4f}",
        "reserve": f"{course.reserve:.6f}",
        "pace": f"{course.pace:.6f}",
        "arm": course.arm,
        "head_scale": f"{anatomy.scale:.4f}",
        "head_aspect": f"{anatomy.aspect:.4f}",
        "ventricle_size": f"{anatomy.ventricle:.4f}",
        "hippocampus_size": f"{anatomy.hippocampus:.4f}",
        "ventricle_asymmetry": f"{anatomy.asymmetry[0]:.4f}",
        "hippocampus_asymmetry": f"{anatomy.asymmetry[1]:.4f}",
        "gamma": f"{scanner.gamma:.2f}",
        "blur_mm": f"{scanner.blur_mm:.2f}",
        "noise": f"{scanner.noise:.3f}",
        "gain": f"{nuisance.gain:.4f}",
        "coronal_rotation_deg": f"{turns[0]:.4f}",
        "axial_rotation_deg": f"{turns[1]:.4f}",
        "coronal_shift_mm": f"{np.hypot(*shifts[0]):.4f}",
        "axial_shift_mm": f"{np.hypot(*shifts[1]):.4f}",
    }


def _state(course: Course, visit: int) -> Row:
    """State of the brain at a visit, what it makes of the tissues, and its change until the next.

    States are shares 0..1 of the final change, higher is sicker; the others are relative to the
    same brain before any disease.
    """
    states = {
        "hippocampus": course.hippocampus,
        "ventricle": course.ventricle,
        "cortex": course.cortex,
        "s": course.s,
    }
    made = {
        "hippocampal_area": hippocampal_area(course.hippocampus),
        "ventricular_area": ventricular_area(course.ventricle),
        "cortical_thickness": cortical_thickness(course.cortex),
    }
    now = {
        name: f"{values[visit]:.6f}"
        for name, values in ({"psi": course.psi} | states | made).items()
    }
    return {**now, **next_deltas(states, visit)}
