"""What a transition amounts to, beside the noise floor and along the severity axis."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.noise import band, length_p_values, verdicts
from learner_index.analysis.severity import positions, split_by_axis
from learner_index.data.progression import Change, Verdict
from learner_index.data.reference import ChangeReference, NoiseFloor, SeverityAxis
from learner_index.pipeline.progression.columns import scans_of
from learner_index.pipeline.progression.source import Followed
from learner_index.search.hits import plain

ALPHA = 0.1
"""A change counts where repeats differ as much in fewer than this share: a 90 % band."""
AGREEMENT = 0.95
"""Share of the axis's draws that must agree which way a change went."""
_BLOCK = 4096  # changes whose sides of all draws are looked at together

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Some transitions measured; a field is None where the reference cannot tell.

    Attributes:
        length: (t,) ‖d‖, in the units of the space.
        length_p: (t,) p-value of the length among repeats'.
        on_axis: (t,) change along the axis, positive is worse.
        off_share: (t,) share of d that is not along the axis.
        verdict: (t,) what the change along the axis means beside the noise floor.
    """

    length: Floats
    length_p: Floats | None
    on_axis: Floats | None
    off_share: Floats | None
    verdict: tuple[Verdict, ...]


def measure(
    deltas: NDArray[np.floating], scales: Floats, known: ChangeReference, alpha: float = ALPHA
) -> Measures:
    """Lengths, parts along the severity axis, and what they amount to.

    Args:
        deltas: (t, e).
        scales: (t,) noise of each delta, in that of two single scans' difference.
        known: noise floor and axis.
        alpha: a change along the axis counts where its p-value is at most this, and no verdict
            is given where none could be that small.
    """
    length = np.linalg.norm(np.asarray(deltas, np.float64), axis=1)
    noise, axis = known.noise, known.axis
    length_p = None
    if noise is not None:
        repeats = np.asarray(noise.differences, np.float64)
        length_p = length_p_values(length, scales, np.linalg.norm(repeats, axis=1))
    untold: tuple[Verdict, ...] = tuple("no severity axis" for _ in length)
    if axis is None:
        return Measures(length, length_p, None, None, untold)
    split = split_by_axis(deltas, axis, known.whitening)
    axis_p, said = None, untold
    if noise is not None and can_tell(noise, alpha):
        floor = split_by_axis(noise.differences, axis, known.whitening).on_axis
        axis_p = length_p_values(np.abs(split.on_axis), scales, np.abs(floor))
    if axis.is_informative:
        is_sure = sign_agreement(deltas, axis, known.whitening) >= AGREEMENT
        said = tuple(verdicts(split.on_axis, axis_p, alpha, is_sure))
    return Measures(length, length_p, split.on_axis, split.off_share, said)


def can_tell(noise: NoiseFloor, alpha: float) -> bool:
    """Whether a change beyond all repeats has a p-value of at most alpha: 1 / (repeats + 1)."""
    return 1 / (len(noise.owners) + 1) <= alpha


def sign_agreement(
    deltas: NDArray[np.floating], axis: SeverityAxis, whitening: NDArray[np.floating]
) -> Floats:
    """(t,) share of the axis's draws, 0 to 1, by which a change goes the way it goes by the axis.

    It tells the doubt about the axis alone: other patients might have turned it.

    Args:
        deltas: (t, e) not whitened.
        axis: of the same space.
        whitening: (e, e) the W it was fitted behind.
    """
    side = np.sign(positions(axis, deltas, whitening))
    draws = whitening @ axis.draws.T.astype(np.float64)  # (e, b)
    found = np.empty(len(side))
    for start in range(0, len(side), _BLOCK):
        part = slice(start, start + _BLOCK)
        sides = np.sign(np.asarray(deltas[part], np.float64) @ draws)
        found[part] = np.mean(sides == side[part, None], axis=1)
    return found


def changes(
    followed: Followed, rows: NDArray[np.int64], alpha: float = ALPHA
) -> tuple[Change, ...]:
    """Some transitions as records.

    Args:
        followed: whose they are.
        rows: (m,) which.
        alpha: as in `measure`.
    """
    visits, columns = followed.visits, followed.of_transitions.iloc[rows]
    found = measure(visits.deltas[rows], visits.delta_scale[rows], followed.known, alpha)
    before = scans_of(followed.obs, visits, visits.earlier[rows])
    after = scans_of(followed.obs, visits, visits.later[rows])
    cells = {name: [plain(v) for v in columns[name].tolist()] for name in _TOLD}
    return tuple(
        Change(
            patient_id=cells["patient_id"][i],
            from_day=cells["day"][i],
            to_day=cells["later_day"][i],
            delta_day=cells["delta_day"][i],
            from_scans=before[i],
            to_scans=after[i],
            views=cells["view"][i] or "",
            length=float(found.length[i]),
            length_p=_at(found.length_p, i),
            on_axis=_at(found.on_axis, i),
            off_share=_at(found.off_share, i),
            verdict=found.verdict[i],
            health_score=cells["health_score"][i],
            later_health_score=cells["later_health_score"][i],
            delta_score=cells["delta_score"][i],
            treatment=cells["treatment"][i],
        )
        for i in range(len(rows))
    )


def columns_of_visits(followed: Followed, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Columns of some visits, with the day and health score that transitions count with.

    Where a visit's scans have several, the earliest day and the mean score stand for all.
    """
    found, visits = followed.of_visits.iloc[rows], followed.visits
    own = {"day": visits.day[rows], "health_score": visits.score[rows]}
    return found.assign(**{name: values for name, values in own.items() if name in found})


def noise_figures(known: ChangeReference) -> dict[str, Any] | None:
    """What the noise floor rests on, JSON-ready; None without repeats.

    `axis_band`: 90 % of repeats, patients weighted equally, differ by at most this along the axis,
    either way and in its unit; None without an informative axis.
    """
    noise, axis = known.noise, known.axis
    if noise is None:
        return None
    width = None
    if axis is not None and axis.is_informative:
        width = band(positions(axis, noise.differences, known.whitening), noise.owners, level=0.9)
    return {
        "n_repeats": len(noise.owners),
        "n_patients": noise.n_patients,
        "is_independent": noise.is_independent,
        "axis_band": width,
    }


def axis_figures(known: ChangeReference) -> dict[str, Any] | None:
    """The severity axis without its arrays, JSON-ready; None where there is none."""
    if known.axis is None:
        return None
    arrays = ("direction", "draws", "pattern")
    names = [name for name in known.axis.__dataclass_fields__ if name not in arrays]
    return {
        **{name: plain(getattr(known.axis, name)) for name in names},
        "n_draws": len(known.axis.draws),
        "unit": "SD of a repeat scan" if known.is_noise_whitened else "SD of visits",
    }


def noise_notes(known: ChangeReference, alpha: float = ALPHA) -> tuple[str, ...]:
    """What a reader should know of the noise floor, at the alpha of `measure`, and the axis."""
    notes = list(known.notes)
    if known.axis is not None and not known.axis.is_informative:
        notes.append(
            f"the severity axis tells nothing of patients left out (R² {known.axis.r2:.2f}): "
            "places on it mean nothing, and no change is called improving or worsening"
        )
    if known.noise is None:
        notes.append(
            "no noise floor: no visit has two scans of one view, so no single change gets a p-value"
        )
    elif not known.noise.is_independent:
        notes.append(
            "the noise floor is a lower bound: its repeats are of one session, none is marked "
            "`rescan`"
        )
    if known.noise is not None and not can_tell(known.noise, alpha):
        n_repeats = len(known.noise.owners)
        notes.append(
            f"{n_repeats} repeat{'s' if n_repeats > 1 else ''} cannot tell a change at "
            f"α {alpha:g}: {math.ceil(1 / alpha) - 1} are needed"
        )
    return tuple(notes)


def axis_noise(axis: SeverityAxis | None, known: ChangeReference) -> float | None:
    """Standard deviation of one scan's position when it is repeated; None without repeats."""
    if axis is None or known.noise is None:
        return None
    floor = split_by_axis(known.noise.differences, axis, known.whitening).on_axis
    return float(np.sqrt(np.mean(floor**2) / 2))


_TOLD = (
    "patient_id",
    "day",
    "later_day",
    "delta_day",
    "view",
    "health_score",
    "later_health_score",
    "delta_score",
    "treatment",
)


def _at(values: Floats | None, i: int) -> float | None:
    """One of the values, None where there are none."""
    return None if values is None else float(values[i])
