"""How simulated memory-clinic patients fare: disease age, atrophy, visits; no pixel is drawn here.

Atrophy of hippocampus, lateral ventricles and cortex is planted truth: states in 0..1, higher is
sicker. They rise one after the other along one disease age.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learner_index.data.simulate.mmse import logistic

SITES = ("site-A", "site-B", "site-C", "site-D")
GROUPS = ("control", "mci", "ad")
UNTREATED, REVERSING = "untreated", "reversing"

HIPPOCAMPUS_LOSS = 0.42
"""Share of the hippocampal area that is lost in the end."""
VENTRICLE_GAIN = 1.1
"""What the area of the lateral ventricles gains in the end, as a share of itself."""
CORTEX_LOSS = 0.28
"""Share of the cortical thickness that is lost in the end."""

_GROUP_SHARES = (0.45, 0.40, 0.15)
_PSI_MEAN, _PSI_SD = (-11.0, -6.0, -2.0), 3.0  # of the first visit, by cognition's clock, years
_PACE_MEAN, _PACE_SD = (-0.22, 0.0, 0.40), 0.2  # of the log of the pace
_ONSET_Y = np.array([-4.0, -1.0, 3.0])  # hippocampus, ventricles, cortex: half of their change
_WIDTH_Y = np.array([3.0, 4.0, 2.5])
_SHIFT_SD_Y = 2.0
_S0_MEAN, _S0_SD = 0.192, 0.167  # of s at the first visit
_QUARTILE = 0.6745  # of the standard normal

_EXTRA_VISITS, _EXTRA_SHARES = (1, 2, 3), (0.35, 0.40, 0.25)  # besides months 0 and 24
_EXTRA_MONTHS = (6, 12, 36, 48)
_MONTH_DAYS = 30.4375
_LATE_DAYS = 21  # a visit takes place up to three weeks off its date
_REPEATED = 0.20


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One simulated patient over all visits.

    Attributes:
        group: what the clinic would call the patient at the first visit: control, mci or ad.
        days: (v,) whole days since the first visit, strictly increasing.
        psi: (v,) disease age in years, by the clock of the images.
        hippocampus: (v,) state 0..1, share of the final hippocampal loss; higher is sicker.
        ventricle: (v,) state 0..1, share of the final ventricular growth; higher is sicker.
        cortex: (v,) state 0..1, share of the final cortical thinning; higher is sicker.
        pace: years of disease a year; 1 is the usual patient.
        arm: "untreated", or "reversing" for whom disease age runs backwards.
        reserve: cognitive reserve in SDs; raises the health score, no image shows it.
        site: where the scanner stands.
        n_repeats: (v,) independent repeat scans.
        age: years at the first visit; unrelated to the disease.
        sex: "f" or "m"; unrelated to the disease.
    """

    group: str
    days: NDArray[np.int64]
    psi: NDArray[np.float64]
    hippocampus: NDArray[np.float64]
    ventricle: NDArray[np.float64]
    cortex: NDArray[np.float64]
    pace: float
    arm: str
    reserve: float
    site: str
    n_repeats: NDArray[np.int64]
    age: int
    sex: str

    @property
    def s(self) -> NDArray[np.float64]:
        """(v,) severity 0..1, the mean of the three states; rises as health falls."""
        return (self.hippocampus + self.ventricle + self.cortex) / 3.0


def hippocampal_area(state: ArrayLike) -> NDArray[np.float64]:
    """Hippocampal area as a share of what it was before any disease."""
    return 1.0 - HIPPOCAMPUS_LOSS * np.asarray(state, float)


def ventricular_area(state: ArrayLike) -> NDArray[np.float64]:
    """Area of the lateral ventricles as a multiple of what it was before any disease."""
    return 1.0 + VENTRICLE_GAIN * np.asarray(state, float)


def cortical_thickness(state: ArrayLike) -> NDArray[np.float64]:
    """Cortical thickness as a share of what it was before any disease."""
    return 1.0 - CORTEX_LOSS * np.asarray(state, float)


def draw_course(
    rng: np.random.Generator,
    plan: tuple[float, float, float] = (0.5, 0.5, 0.5),
    *,
    confounder: float = 0.0,
    effect: float = 1.0,
    lead: float = 0.0,
    reversible: float = 0.0,
) -> Course:
    """One patient, by distributions of our choice.

    Patients are enrolled by their cognition, as clinics do: a lead moves disease age, and with it
    the pictures, not the first visit's MMSE.

    Args:
        rng: the patient's own generator; the draws do not depend on the other arguments.
        plan: the patient's place, 0..1, among those ordered by group, by number of visits and by
            having repeats; evenly spread plans give every cohort its planned shares.
        confounder: correlation between severity at the first visit and the site, 0..1.
        effect: multiplies how far disease age moves between visits.
        lead: years by which imaging leads cognition.
        reversible: share of patients whose disease age runs backwards: a stress test, no claim.
    """
    group = _placed(plan[0], _GROUP_SHARES)
    psi0 = lead + _PSI_MEAN[group] + _PSI_SD * float(rng.standard_normal())
    pace = float(np.exp(_PACE_MEAN[group] + _PACE_SD * rng.standard_normal()))
    shift_y = _SHIFT_SD_Y * rng.standard_normal(3)
    days = _draw_days(rng, _EXTRA_VISITS[_placed(plan[1], _EXTRA_SHARES)])
    arm = REVERSING if rng.uniform() < reversible else UNTREATED
    forward = -1.0 if arm == REVERSING else 1.0
    psi: NDArray[np.float64] = psi0 + forward * effect * pace * days.astype(float) / 365.25
    states = logistic((psi[:, None] + shift_y - _ONSET_Y) / _WIDTH_Y)  # (v, 3)
    return Course(
        group=GROUPS[group],
        days=days,
        psi=psi,
        hippocampus=states[:, 0],
        ventricle=states[:, 1],
        cortex=states[:, 2],
        pace=pace,
        arm=arm,
        reserve=float(rng.standard_normal()),
        site=_site(float(rng.standard_normal()), float(states[0].mean()), confounder),
        n_repeats=rng.integers(1, 3, len(days)) * int(plan[2] < _REPEATED),
        age=int(np.clip(rng.normal(73.0, 7.0), 55, 92)),
        sex="fm"[int(rng.integers(2))],
    )


def _placed(place: float, shares: tuple[float, ...]) -> int:
    """Which of the classes with these shares a place in 0..1 falls into."""
    return int(np.searchsorted(np.cumsum(shares)[:-1], place, side="right"))


def _draw_days(rng: np.random.Generator, n_extra: int) -> NDArray[np.int64]:
    """Day 0, about two years later, and some of the months in between or after."""
    extra = rng.permutation(_EXTRA_MONTHS)[:n_extra]
    months = np.sort(np.concatenate([[0, 24], extra]))
    late = rng.integers(-_LATE_DAYS, _LATE_DAYS + 1, 2 + max(_EXTRA_VISITS))[: len(months)]
    return np.rint(months * _MONTH_DAYS + late * (months > 0)).astype(np.int64)


def _site(chance: float, s0: float, confounder: float) -> str:
    """A quarter of the patients each; sicker ones at later sites as the confounder asks."""
    score = confounder * (s0 - _S0_MEAN) / _S0_SD + np.sqrt(1 - confounder**2) * chance
    return SITES[int(np.searchsorted([-_QUARTILE, 0.0, _QUARTILE], score))]
