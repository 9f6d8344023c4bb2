"""The test of a set of hits, tried where nothing changed: on repeats of one visit.

A start state shares its scan with the change that begins there, and patients who look alike are
scanned with like noise. Both make those who start alike seem to change alike. How much, depends on
the encoder; repeats tell.
"""

from dataclasses import dataclass

import numpy as np

from learner_index.analysis.chance import common_direction_test
from learner_index.analysis.distance import Floats, Integers, Reals

LEAST = 20  # patients with repeats below which a share says nothing
_MOST = 200  # patients tried
_HITS, _DRAWS, _LEVEL = 5, 99, 0.05


@dataclass(frozen=True, slots=True)
class Placebo:
    """How often the test finds something where there is nothing.

    Attributes:
        share: of patients for whose repeat scan p is at most 0.05; 0.05 is right.
        n_patients: tried.
    """

    share: float
    n_patients: int


def try_placebo(
    starts: Reals, differences: Reals, patient: Integers, bandwidth: float, *, seed: int = 0
) -> Placebo | None:
    """The share of patients who "changed" like those who start alike, between scans of one visit.

    One repeat of each patient is taken for a transition of no days: who changed like this one, from
    the same state? Patients' true changes are 0, so a small p is wrong.

    Args:
        starts: (r, e) embedding of the first scan of each pair, less its view's mean.
        differences: (r, e) second scan minus first.
        patient: (r,) number of each pair's patient.
        bandwidth: h_u.
        seed: of the test's draws, and of the patients tried where there are many.

    Returns:
        None for fewer than 20 patients with repeats, a bandwidth of 0, or repeats that are equal.
    """
    first = np.unique(patient, return_index=True)[1]
    if len(first) > _MOST:
        first = np.sort(np.random.default_rng(seed).choice(first, _MOST, replace=False))
    lengths = np.linalg.norm(differences[first], axis=1)
    if len(first) < LEAST or bandwidth == 0 or not lengths.any():
        return None
    units = differences[first] / np.where(lengths > 0, lengths, 1.0)[:, None]
    cosines = np.asarray(units @ units.T, np.float64)
    gaps = _squares_apart(np.asarray(starts[first], np.float64)) / bandwidth**2
    everyone, found = np.arange(len(first)), 0
    for one in everyone.tolist():
        others = everyone != one
        test = common_direction_test(
            cosines[one, others],
            everyone[others],
            _HITS,
            rest=-gaps[one, others],
            n_draws=_DRAWS,
            seed=seed,
        )
        found += test.p_value <= _LEVEL
    return Placebo(found / len(first), len(first))


def _squares_apart(rows: Floats) -> Floats:
    """(r, r) squared distances."""
    squares = np.sum(rows**2, axis=1)
    return np.asarray(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0.0))
