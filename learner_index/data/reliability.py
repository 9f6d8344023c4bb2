"""How far the health score itself can be trusted: repeats of a visit that seem to have changed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import ArrayLike

from learner_index.data.problems import groups_of
from learner_index.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Reliability:
    """How two independent readings of one visit agree; patients are weighted equally.

    Attributes:
        share: share of pairs that would be called changed, 0..1, lower is better; None: unknown.
        n_pairs: test-retest pairs with both scores known.
        n_patients: patients they belong to.
        sd_difference: root mean square difference of a pair, in score units; None: unknown.
        reason: why nothing is known, "" otherwise.
    """

    share: float | None
    n_pairs: int
    n_patients: int
    sd_difference: float | None
    reason: str = ""


def false_change_share(
    scores: ArrayLike,
    patient: Sequence[str],
    visit: ArrayLike,
    is_repeat: ArrayLike,
    threshold: float,
) -> Reliability:
    """Share of test-retest pairs whose scores differ by the threshold or more.

    A pair is a first reading and an independent repeat of the same visit, or two repeats where
    no scan of the visit is a first reading: repeats of one second session may share its score.

    Args:
        scores: (n,) health scores, NaN where unknown.
        patient: (n,) patient of each scan.
        visit: (n,) visit number of each scan, -1 where unknown.
        is_repeat: (n,) whether the scan is marked as an independent repeat.
        threshold: θ, in score units.

    Returns:
        Its share is None where there are no pairs, or where all are exactly equal: such scores
        belong to the visit, and say nothing about a second measurement.

    Raises:
        SettingsError: the threshold is not a positive finite number.
    """
    if not (math.isfinite(threshold) and threshold > 0):
        raise SettingsError(f"threshold of change {threshold:g}: give a number above 0")
    values = np.asarray(scores, dtype=np.float64)
    visits, repeats = np.asarray(visit), np.asarray(is_repeat, dtype=bool)
    usable = ~np.isnan(values) & (visits >= 0)
    rows = np.flatnonzero(usable).tolist()
    by_patient: dict[str, list[float]] = {}
    for at in groups_of([(patient[row], int(visits[row])) for row in rows]).values():
        scans = [rows[position] for position in at]
        found = [abs(float(values[a] - values[b])) for a, b in _pairs(scans, repeats.tolist())]
        if found:
            by_patient.setdefault(patient[scans[0]], []).extend(found)
    return _summary(list(by_patient.values()), threshold)


def _pairs(scans: list[int], repeats: list[bool]) -> Iterator[tuple[int, int]]:
    """Pairs within one visit whose scores can have been measured independently."""
    first = [scan for scan in scans if not repeats[scan]]
    again = [scan for scan in scans if repeats[scan]]
    yield from product(first, again) if first else combinations(again, 2)


def _summary(by_patient: list[list[float]], threshold: float) -> Reliability:
    n_pairs = sum(map(len, by_patient))
    if not n_pairs:
        return Reliability(None, 0, 0, None, "no visit has a scored repeat marked `rescan`")
    if not any(map(any, by_patient)):
        reason = "repeats have exactly the score of their visit: it was not measured again"
        return Reliability(None, n_pairs, len(by_patient), None, reason)
    share = np.mean([np.mean(np.asarray(pairs) >= threshold) for pairs in by_patient])
    square = np.mean([np.mean(np.square(pairs)) for pairs in by_patient])
    return Reliability(float(share), n_pairs, len(by_patient), math.sqrt(float(square)))
