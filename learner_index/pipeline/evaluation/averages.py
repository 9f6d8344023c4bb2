"""A measure with its draws of patients, and how those of folds and seeds become one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.by_patient import ByPatient

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A measure of a fold, or of all, and of each draw of its patients.

    Attributes:
        value: NaN where it is undefined.
        draws: (d,) of each draw; NaN where it is undefined.
        n_patients: it rests on.
        n_pairs: pairs, queries or scans it rests on.
        chance: what knowing nothing would give, where it is known.
    """

    value: float
    draws: Floats
    n_patients: int
    n_pairs: int
    chance: float | None = None


def of_patients(found: ByPatient, weights: Floats, chance: float | None = None) -> Drawn:
    """A mean over patients, and over those of each draw."""
    return Drawn(
        found.mean(), found.mean(weights), found.n_patients, int(found.count.sum()), chance
    )


def averaged(folds: Sequence[Drawn]) -> Drawn:
    """Mean over folds by their patients, of those where the measure is defined.

    Folds that are undefined in a draw are left out of that draw.
    """
    used = [fold for fold in folds if not np.isnan(fold.value)]
    if not used:
        return replace(folds[0], n_patients=0, n_pairs=0, chance=None)
    sizes = np.array([fold.n_patients for fold in used], np.float64)
    known = [(one.chance, one.n_patients) for one in used if one.chance is not None]
    return Drawn(
        float(np.average([fold.value for fold in used], weights=sizes)),
        _weighted(np.stack([fold.draws for fold in used]), sizes),
        int(sizes.sum()),
        sum(fold.n_pairs for fold in used),
        sum(chance * n for chance, n in known) / sum(n for _, n in known) if known else None,
    )


def mean_of_seeds(figures: Sequence[Mapping[str, Drawn]]) -> dict[str, Drawn]:
    """The mean of several trainings, in the figure and in each draw of patients.

    A measure that one of them lacks, since its space collapsed, is left out: the mean of the
    others would flatter.
    """
    found = {}
    for name in figures[0]:
        own = [one[name] for one in figures if name in one]
        if len(own) < len(figures):
            continue
        chances = [one.chance for one in own if one.chance is not None]
        found[name] = Drawn(
            float(np.mean([one.value for one in own])),
            np.mean([one.draws for one in own], axis=0),
            min(one.n_patients for one in own),
            min(one.n_pairs for one in own),
            float(np.mean(chances)) if chances else None,
        )
    return found


def _weighted(values: Floats, sizes: Floats) -> Floats:
    """(d,) mean over the first axis of (folds, d) values that are defined."""
    is_defined = ~np.isnan(values)
    total = sizes @ is_defined
    summed = sizes @ np.where(is_defined, values, 0.0)
    found = np.full(values.shape[1], np.nan)
    np.divide(summed, total, out=found, where=total > 0)
    return found
