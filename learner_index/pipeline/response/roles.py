"""Which patients a head is fitted on, which set its temperature, and which calibrate its sets."""

from dataclasses import dataclass

import numpy as np

from learner_index.analysis.conformal import calibration_size, least_patients
from learner_index.pipeline.response.material import Codes, Masks

_CALIBRATE = 0.3  # share of the patients, at most
_TEMPER = 0.15
_LEAST_TEMPER = 20  # patients; fewer give a temperature that is noise, so it stays 1


@dataclass(frozen=True, slots=True, eq=False)
class HeadRoles:
    """The part each of (p,) patients has; nobody has two, and those held out have none.

    Attributes:
        fit: whom the head is fitted on, and its strength chosen.
        temper: whom the temperature is fitted on.
        calibrate: who calibrate the sets.
        note: why there are no sets; "" where there are.
    """

    fit: Masks
    temper: Masks
    calibrate: Masks
    note: str = ""

    def counts(self) -> dict[str, int]:
        """How many patients have each part."""
        return {name: int(getattr(self, name).sum()) for name in ("fit", "temper", "calibrate")}


def draw_head_roles(patients: Codes, n_patients: int, alpha: float, seed: int) -> HeadRoles:
    """Parts drawn at random, so that those who calibrate are like those to come.

    At most 0.3 of the patients calibrate: the largest number for which sets miss exactly the
    share asked for. Where these are too few, nobody calibrates and there will be no sets. Of the
    rest, 0.15 of all set the temperature, if that is 20 patients or more.

    Args:
        patients: those that may be used, each once.
        n_patients: p, of the whole cohort.
        alpha: share of patients whose outcome the sets may miss.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(np.sort(patients))
    n_may, n_need = int(_CALIBRATE * len(order)), least_patients(alpha)
    n_calibrate, note = 0, ""
    if n_may >= n_need:
        n_calibrate = calibration_size(n_may, alpha)
    else:
        note = (
            f"no sets: {len(order)} patients to learn from, of whom {n_may} could calibrate, and "
            f"alpha {alpha:g} needs {n_need}: add patients, or raise --alpha"
        )
    n_temper = int(_TEMPER * len(order))
    n_temper = n_temper if n_temper >= _LEAST_TEMPER else 0
    parts = np.split(order, [n_calibrate, n_calibrate + n_temper])
    masks = [np.zeros(n_patients, bool) for _ in parts]
    for mask, part in zip(masks, parts, strict=True):
        mask[part] = True
    return HeadRoles(masks[2], masks[1], masks[0], note)
