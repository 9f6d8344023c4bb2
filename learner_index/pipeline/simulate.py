"""`simulate`: cohorts with planted truth, for demonstrations and tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from learner_index.data.simulate import SimulatedCohort, simulate_brain, simulate_lus
from learner_index.errors import QueryError

_SIMULATORS: dict[str, Callable[..., SimulatedCohort]] = {
    "lus": simulate_lus,
    "brain": simulate_brain,
}


def simulate(folder: Path, kind: str = "lus", **settings: Any) -> SimulatedCohort:
    """Write a simulated cohort with its manifest and truth table.

    Args:
        folder: a new folder.
        kind: "lus", lung ultrasound with S/F ratios, or "brain", MRI with MMSE.
        **settings: of both, tier, seed, noise, confounder, effect, workers and progress; of lus,
            offset_sd and randomized; of brain, lead, reversible and layout.

    Raises:
        StoreExistsError: the folder holds something.
        QueryError: there is no such kind, or a setting is out of range.
    """
    if kind not in _SIMULATORS:
        raise QueryError(f"no simulator {kind!r}: choose one of {', '.join(_SIMULATORS)}")
    return _SIMULATORS[kind](folder, **settings)
