"""How long does a fit of a response head take, phase by phase?

    OMP_NUM_THREADS=2 python benchmarks/response_speed.py [--patients 25000]

SIMULATED patients with five visits of 128 values each: with 25,000 patients 100,000 transitions.
Nothing is read or written. On a machine that does other work, processor seconds of one thread tell
more than wall seconds of two, as waiting threads count as busy.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from planted_response import LUS, TASKS, pool_from

from learner_index.pipeline.evaluation.tables import markdown
from learner_index.pipeline.response.crossfit import draw_patient_folds, fit_and_try
from learner_index.pipeline.response.figures import take_figures
from learner_index.pipeline.response.leaks import find_leaks
from learner_index.pipeline.response.procedure import fit_head

WIDTH, VISITS = 128, 5


def wide_cohort(
    n_patients: int, n_visits: int, width: int, seed: int
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """(n, e) embeddings and columns of a large cohort, for timing; three numbers move the score."""
    rng, n = np.random.default_rng(seed), n_patients * n_visits
    start = rng.standard_normal((n_patients, 1, 3))
    walk = np.cumsum(0.4 * rng.standard_normal((n_patients, n_visits, 3)), axis=1)
    state = (start + walk).reshape(n, 3)
    own = np.repeat(0.5 * rng.standard_normal((n_patients, width)), n_visits, axis=0)
    noise = 0.3 * rng.standard_normal((n, width)) * np.linspace(1, 0.1, width)
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
    seen = (np.pad(state, ((0, 0), (0, width - 3))) + own + noise) @ turn
    patient = np.repeat([f"p{i:06d}" for i in range(n_patients)], n_visits)
    day = np.tile(np.arange(n_visits) * 2.0, n_patients)
    columns = {
        "scan_id": [f"{name}_{when:g}" for name, when in zip(patient, day, strict=True)],
        "patient_id": patient,
        "day": day,
        "view": "L1",
        "rescan": False,
        "health_score": 50 - 10 * state[:, 0] - 4 * state[:, 1] + 3 * rng.standard_normal(n),
        "treatment": np.repeat(rng.choice(["a", "b", "c"], n_patients), n_visits),
    }
    texts = dict.fromkeys(("scan_id", "patient_id", "view", "treatment"), "string")
    return seen.astype(np.float32), pd.DataFrame(columns).astype(texts)


@contextmanager
def timed(table: list[list[str]], task: str, phase: str) -> Iterator[None]:
    """Add a phase's wall and processor seconds to a table."""
    wall, busy = time.perf_counter(), time.process_time()
    yield
    own = time.perf_counter() - wall, time.process_time() - busy
    table.append([task, phase, *(f"{seconds:.2f}" for seconds in own)])
    print(" ".join(table[-1]), file=sys.stderr, flush=True)


def speed(n_patients: int) -> None:
    """Phases of a fit on a cohort of five visits each."""
    embeddings, obs = wide_cohort(n_patients, VISITS, WIDTH, 0)
    table: list[list[str]] = []
    for task in TASKS:
        options = replace(LUS.options(task), threshold=8.0)
        with timed(table, task, "all"):
            with timed(table, task, "examples and outcomes"):
                pool = pool_from(embeddings, obs, options)
            with timed(table, task, "leaks"):
                find_leaks(pool, options.target)
            folds = draw_patient_folds(pool, options.folds, 0)
            with timed(table, task, "head, and five folds with baselines"):
                _, found = fit_and_try(pool, folds, options)
            with timed(table, task, "figures"):
                every = np.ones(len(pool.code), bool)
                is_seen = np.zeros(n_patients, bool)
                take_figures(pool, found, every, is_seen, n_draws=2000, seed=0)
        with timed(table, task, "the head alone"):
            fit_head(pool, np.flatnonzero(folds >= 0), options, 0)
    load = os.getloadavg()[0]
    print(
        f"{len(pool.code)} transitions of {n_patients} SIMULATED patients, {WIDTH} values; "
        f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads, load at the end {load:.1f}.\n"
    )
    print(markdown(["task", "phase", "wall s", "processor s"], table))


def main() -> None:
    """Print the table of both tasks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=25_000)
    speed(parser.parse_args().patients)


if __name__ == "__main__":
    main()
