"""How simulated patients fare: states at visits, treatment arms, devices; no pixel is drawn here.

States are planted truth: interstitial disease e and consolidation c in 0..1, severity
s = 0.65 e + 0.35 c; higher is sicker.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.data.simulate.lus_anatomy import DEVICES

ARMS = ("supportive", "de-resuscitation", "recruitment")
ZONES = ("L1", "L2", "R1", "R2")
EFFECT = 0.25
"""Fall of e (de-resuscitation) or c (recruitment) a visit in a full responder."""

_DRIFT_SD = 0.05
_ZONE_SD = 0.1
_NON_RESPONDERS, _DETERIORATING = 0.20, 0.15
_WORSENING = 0.2
_GAPS_DAYS = (1, 1, 2, 3)
_REPEATED = 0.20
_OFFSET_SD = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One simulated patient over all visits.

    Attributes:
        days: (v,) whole days since the first visit, strictly increasing.
        e: (v,) interstitial disease of the whole lung.
        c: (v,) consolidation of the whole lung.
        zone_e: (4,) what each zone adds to e, the same at every visit.
        zone_c: (4,) likewise for c.
        arm: treatment in force from the first visit on.
        response: how fully the patient responds, 0..1.
        is_responder: False for the fifth that no treatment helps.
        is_deteriorating: e and c rise whatever is done.
        is_randomised: the arm was drawn, not chosen by severity.
        offset: the patient's own log-scale offset of PaO2/FiO2; no image shows it.
        device: the machine, and with it the site.
        n_repeats: (v,) independent repeat clips of the first zone scanned.
        first_zone: zone scanned when a visit has one clip only.
        age: years; unrelated to the disease.
        sex: "f" or "m"; unrelated to the disease.
    """

    days: NDArray[np.int64]
    e: NDArray[np.float64]
    c: NDArray[np.float64]
    zone_e: NDArray[np.float64]
    zone_c: NDArray[np.float64]
    arm: str
    response: float
    is_responder: bool
    is_deteriorating: bool
    is_randomised: bool
    offset: float
    device: str
    n_repeats: NDArray[np.int64]
    first_zone: int
    age: int
    sex: str

    @property
    def s(self) -> NDArray[np.float64]:
        """(v,) severity, 0.65 e + 0.35 c."""
        return severity(self.e, self.c)


def severity(e: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Global severity of a lung state; 0 is healthy, 1 the sickest."""
    return 0.65 * e + 0.35 * c


def draw_course(
    rng: np.random.Generator,
    *,
    visit_shares: tuple[float, ...],
    confounder: float,
    randomised: float,
) -> Course:
    """One patient, by the distributions of METHOD 7.3.

    Args:
        rng: the patient's own generator.
        visit_shares: probability of 2, 3, 4 and 5 visits.
        confounder: correlation between severity at the first visit and the device, 0..1.
        randomised: share of patients whose arm is drawn; the others' follows their severity.
    """
    n = 2 + int(rng.choice(len(visit_shares), p=np.asarray(visit_shares)))
    e0, c0 = float(rng.beta(1.2, 1.5)), float(rng.beta(0.8, 2.2))
    is_randomised = bool(rng.uniform() < randomised)
    drawn = ARMS[int(rng.integers(len(ARMS)))]
    arm = drawn if is_randomised else _chosen_arm(e0, c0)
    is_responder = bool(rng.uniform() >= _NON_RESPONDERS)
    is_deteriorating = bool(rng.uniform() < _DETERIORATING)
    response = float(rng.beta(4.0, 2.0)) * is_responder
    step_e, step_c = _steps(rng, n, arm, response, is_deteriorating)
    return Course(
        days=np.concatenate([[0], np.cumsum(rng.choice(_GAPS_DAYS, n - 1))]).astype(np.int64),
        e=np.clip(e0 + np.concatenate([[0.0], np.cumsum(step_e)]), 0.0, 1.0),
        c=np.clip(c0 + np.concatenate([[0.0], np.cumsum(step_c)]), 0.0, 1.0),
        zone_e=rng.normal(0.0, _ZONE_SD, len(ZONES)),
        zone_c=rng.normal(0.0, _ZONE_SD, len(ZONES)),
        arm=arm,
        response=response,
        is_responder=is_responder,
        is_deteriorating=is_deteriorating,
        is_randomised=is_randomised,
        offset=float(rng.normal(0.0, _OFFSET_SD)),
        device=_device(rng, e0, c0, confounder),
        n_repeats=rng.integers(1, 3, n) * int(rng.uniform() < _REPEATED),
        first_zone=int(rng.integers(len(ZONES))),
        age=int(np.clip(rng.normal(62.0, 14.0), 18, 95)),
        sex="fm"[int(rng.integers(2))],
    )


def _chosen_arm(e0: float, c0: float) -> str:
    """What a clinician gives: the mildly ill get support, others what their lung shows most."""
    if 0.65 * e0 + 0.35 * c0 < 0.25:
        return ARMS[0]
    return ARMS[1] if e0 >= c0 else ARMS[2]


def _steps(
    rng: np.random.Generator, n: int, arm: str, response: float, is_deteriorating: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n-1,) change of e and of c from visit to visit."""
    step_e, step_c = rng.normal(0.0, _DRIFT_SD, (2, n - 1))
    if is_deteriorating:
        return step_e + _WORSENING, step_c + _WORSENING
    if arm == ARMS[1]:
        step_e = step_e - EFFECT * response
    elif arm == ARMS[2]:
        step_c = step_c - EFFECT * response
    return step_e, step_c


def _device(rng: np.random.Generator, e0: float, c0: float, confounder: float) -> str:
    """A third of the patients each; sicker ones on later devices as the confounder asks."""
    standing = (0.65 * e0 + 0.35 * c0 - 0.38) / 0.18
    score = confounder * standing + np.sqrt(1 - confounder**2) * rng.standard_normal()
    return DEVICES[int(np.searchsorted([-0.43, 0.43], score))]
