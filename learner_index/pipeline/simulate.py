"""`simulate`: cohorts with planted truth, for demonstrations and tests."""

from pathlib import Path
from typing import Any

from learner_index.data.simulate import SimulatedCohort, simulate_lus


def simulate(folder: Path, **settings: Any) -> SimulatedCohort:
    """Write a simulated lung-ultrasound cohort with its manifest and truth table.

    Args:
        folder: a new folder.
        **settings: tier, seed, noise, confounder, effect, offset_sd, randomized, workers and
            progress of `simulate_lus`.

    Raises:
        StoreExistsError: the folder holds something.
        QueryError: a setting is out of range.
    """
    return simulate_lus(folder, **settings)
