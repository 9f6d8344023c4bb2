"""What simulated cohorts of every kind share: random streams, worker processes, the folder written.

What is drawn and rendered, and what the tables say, is left to each kind.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learner_index.data.simulate.write import LABEL_NAME, new_folder, write_table
from learner_index.errors import QueryError

Row = dict[str, object]
Rows = list[tuple[Row, Row]]
"""Of each scan, its row of the manifest and its row of the truth table."""

# Fractional parts of the golden ratio, and of 1/p and 1/p^2 of the plastic number p.
_STRIDES = np.array([0.6180339887498949, 0.7548776662466927, 0.5698402909980532])


@dataclass(frozen=True, slots=True)
class SimulatedCohort:
    """Where a simulated cohort lies and how large it is.

    Attributes:
        folder: everything that was written.
        manifest: the manifest, for `check` and `build`.
        truth: the table of planted truth, one row a scan.
        n_patients: number of patients.
        n_scans: number of scans.
    """

    folder: Path
    manifest: Path
    truth: Path
    n_patients: int
    n_scans: int


def patient_rng(seed: int, number: int, *purpose: int) -> np.random.Generator:
    """The stream of one patient and purpose, whoever else is in the cohort."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, *purpose)))


def spread_plan(seed: int, number: int, n: int) -> tuple[float, ...]:
    """The patient's place in n (at most 3) evenly spread sequences, so that planned shares hold.

    Each place lies in 0..1; a cohort of any size and any seed fills 0..1 evenly.
    """
    start = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).uniform(size=n)
    return tuple(((start + number * _STRIDES[:n]) % 1.0).tolist())


def run_patients(simulate: Callable[[int], Rows], n_patients: int, workers: int) -> Iterator[Rows]:
    """The rows of patients 1, 2, … in order; `simulate` writes a patient's scans on its way."""
    numbers = range(1, n_patients + 1)
    if workers == 1:
        yield from map(simulate, numbers)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        yield from pool.map(simulate, numbers)
    finally:  # nobody may write into a folder that is about to be removed
        pool.shutdown(wait=True, cancel_futures=True)


def write_cohort(
    folder: Path,
    run: Callable[[Path], Iterator[Rows]],
    n_patients: int,
    *,
    label: Callable[[int], str],
    progress: Callable[[int, int], None],
) -> SimulatedCohort:
    """Write scans, manifest, truth table and label; the folder appears when all is there.

    Args:
        folder: a new or empty folder.
        run: writes scans below `scans/` of the folder it is given and yields patients' rows.
        n_patients: how many patients `run` yields.
        label: the text of SIMULATED.txt, from the number of scans.
        progress: called with patients done and patients in all.

    Raises:
        StoreExistsError: there is something in the folder.
    """
    rows: Rows = []
    with new_folder(folder) as staging:
        (staging / "scans").mkdir()
        for done, found in enumerate(run(staging), start=1):
            rows += found
            progress(done, n_patients)
        write_table(staging / "cohort.csv", [scan for scan, _ in rows])
        write_table(staging / "truth.csv", [truth for _, truth in rows])
        (staging / LABEL_NAME).write_text(label(len(rows)), encoding="utf-8")
    return SimulatedCohort(
        folder, folder / "cohort.csv", folder / "truth.csv", n_patients, len(rows)
    )


def check_run(tier: str, tiers: Mapping[str, object], seed: int, workers: int) -> None:
    """Refuse an unknown tier, a negative seed, and a run without workers.

    Raises:
        QueryError: names the setting.
    """
    if tier not in tiers:
        raise QueryError(f"no tier {tier!r}: choose one of {', '.join(tiers)}")
    if seed < 0 or workers < 1:
        raise QueryError(f"seed {seed}, workers {workers}: at least 0 and 1 are needed")


def check_amounts(amounts: Mapping[str, float]) -> None:
    """Refuse settings that are no finite number from 0 up.

    Raises:
        QueryError: names the setting.
    """
    for name, value in amounts.items():
        if not 0 <= value < np.inf:
            raise QueryError(f"{name} {value:g} is no finite number from 0 up")


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse settings outside 0..1.

    Raises:
        QueryError: names the setting.
    """
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise QueryError(f"{name} {value:g} lies outside 0..1")


def next_deltas(states: Mapping[str, NDArray[np.float64]], visit: int) -> Row:
    """Columns `next_delta_…`: how each state changes until the next visit; empty at the last."""
    return {
        f"next_delta_{name}": ""
        if visit + 1 == len(values)
        else f"{values[visit + 1] - values[visit]:.6f}"
        for name, values in states.items()
    }


def claim(is_true: bool) -> str:
    """A claim as a manifest spells it."""
    return "true" if is_true else "false"
