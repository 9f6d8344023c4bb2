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

_VISITS, _VISIT_SHARES = (2, 3, 4, 5), (0.42, 0.32, 0.18, 0.08)  # mean 2.92
_GAPS_DAYS = (1, 1, 2, 3)
_DRIFT_SD, _ZONE_SD = 0.05, 0.1
_WORSENING = 0.2
_NON_RESPONDERS, _DETERIORATING, _REPEATED = 0.20, 0.15, 0.20
_S0_MEAN, _S0_SD = 0.382, 0.185  # of s at the first visit, from the two Beta laws
_TERCILE = 0.4307  # of the standard normal


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One simulated patient over all visits.

    Attributes:
        days: (v,) whole days since the first visit, strictly increasing.
        e: (v,) interstitial disease of the whole lung.
        c: (v,) consolidation of the whole lung.
        zones: all four zones, in the order in which a tier takes them.
        zone_e: (4,) what each of `zones` adds to e, the same at every visit.
        zone_c: (4,) likewise for c.
        arm: treatment in force from the first visit on.
        response: how fully the patient responds, 0..1.
        is_responder: False for the fifth that no treatment helps.
        is_deteriorating: e and c rise at every visit, on top of what treatment does.
        is_randomized: the arm was drawn, not chosen by severity.
        device: the machine, and with it the site.
        n_repeats: (v,) independent repeat clips of the first zone scanned.
        age: years; unrelated to the disease.
        sex: "f" or "m"; unrelated to the disease.
    """

    days: NDArray[np.int64]
    e: NDArray[np.float64]
    c: NDArray[np.float64]
    zones: tuple[str, ...]
    zone_e: NDArray[np.float64]
    zone_c: NDArray[np.float64]
    arm: str
    response: float
    is_responder: bool
    is_deteriorating: bool
    is_randomized: bool
    device: str
    n_repeats: NDArray[np.int64]
    age: int
    sex: str

    @property
    def s(self) -> NDArray[np.float64]:
        """(v,) severity, 0.65 e + 0.35 c."""
        return severity(self.e, self.c)

    def zone_state(self, visit: int, zone: int) -> tuple[float, float]:
        """(e, c) at a visit of the zone at that position of `zones`."""
        e, c = self.e[visit] + self.zone_e[zone], self.c[visit] + self.zone_c[zone]
        return float(np.clip(e, 0.0, 1.0)), float(np.clip(c, 0.0, 1.0))


def severity(e: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Global severity of a lung state; 0 is healthy, 1 the sickest."""
    return 0.65 * np.asarray(e) + 0.35 * np.asarray(c)


def draw_course(
    rng: np.random.Generator,
    plan: tuple[float, float] = (0.5, 0.5),
    *,
    confounder: float = 0.0,
    randomized: float = 0.7,
    effect: float = 1.0,
) -> Course:
    """One patient, by distributions of our choice.

    Args:
        rng: the patient's own generator; the draws do not depend on the other arguments.
        plan: the patient's place, 0..1, among those ordered by number of visits and by having
            repeats; evenly spread plans give every cohort its planned size.
        confounder: correlation between severity at the first visit and the device, 0..1.
        randomized: share of patients whose arm is drawn; the others' follows their severity.
        effect: multiplies what treatment and deterioration do from visit to visit.
    """
    n = _VISITS[int(np.searchsorted(np.cumsum(_VISIT_SHARES)[:-1], plan[0], side="right"))]
    e0, c0 = float(rng.beta(1.2, 1.5)), float(rng.beta(0.8, 2.2))
    device = _device(float(rng.standard_normal()), e0, c0, confounder)
    is_randomized = bool(rng.uniform() < randomized)
    drawn = ARMS[int(rng.integers(len(ARMS)))]
    arm = drawn if is_randomized else _chosen_arm(e0, c0)
    is_responder = bool(rng.uniform() >= _NON_RESPONDERS)
    is_deteriorating = bool(rng.uniform() < _DETERIORATING)
    response = float(rng.beta(4.0, 2.0)) * is_responder
    trend = effect * (_arm_trend(arm, response) + _WORSENING * is_deteriorating)
    e, c = _walk(np.array([e0, c0]), trend + rng.normal(0.0, _DRIFT_SD, (n - 1, 2))).T
    return Course(
        days=np.concatenate([[0], np.cumsum(rng.choice(_GAPS_DAYS, n - 1))]).astype(np.int64),
        e=e,
        c=c,
        zones=tuple(ZONES[i] for i in rng.permutation(len(ZONES))),
        zone_e=rng.normal(0.0, _ZONE_SD, len(ZONES)),
        zone_c=rng.normal(0.0, _ZONE_SD, len(ZONES)),
        arm=arm,
        response=response,
        is_responder=is_responder,
        is_deteriorating=is_deteriorating,
        is_randomized=is_randomized,
        device=device,
        n_repeats=rng.integers(1, 3, n) * int(plan[1] < _REPEATED),
        age=int(np.clip(rng.normal(62.0, 14.0), 18, 95)),
        sex="fm"[int(rng.integers(2))],
    )


def _chosen_arm(e0: float, c0: float) -> str:
    """What a clinician gives: the mildly ill get support, others what their lung shows most."""
    if 0.65 * e0 + 0.35 * c0 < 0.25:
        return ARMS[0]
    return ARMS[1] if e0 >= c0 else ARMS[2]


def _arm_trend(arm: str, response: float) -> NDArray[np.float64]:
    """(2,) mean change of (e, c) from visit to visit under an arm."""
    falls = {ARMS[0]: (0.0, 0.0), ARMS[1]: (1.0, 0.0), ARMS[2]: (0.0, 1.0)}[arm]
    return -EFFECT * response * np.array(falls)


def _walk(start: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(v, 2) states after each step, held within 0..1: a lung at its best can still worsen."""
    states = [start]
    for step in steps:
        states.append(np.clip(states[-1] + step, 0.0, 1.0))
    return np.array(states)


def _device(chance: float, e0: float, c0: float, confounder: float) -> str:
    """A third of the patients each; sicker ones on later devices as the confounder asks."""
    standing = (0.65 * e0 + 0.35 * c0 - _S0_MEAN) / _S0_SD
    score = confounder * standing + np.sqrt(1 - confounder**2) * chance
    return DEVICES[int(np.searchsorted([-_TERCILE, _TERCILE], score))]
