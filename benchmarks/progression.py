"""What ranking changes by three parts, filters and distinct patients costs beside bare products.

    python benchmarks/progression.py [--rows 100000] [--width 128] [--rounds 15]
    python benchmarks/progression.py --rows 1000000 --rounds 5

All contestants run in turn, round after round and each round from another one on, on the same
rows and threads. Times are the best of all rounds, so that a busy machine spoils them least. The
bare products are NumPy's matrix-vector products of the very rows that are searched; reading them
once is their sum, on one thread.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from learner_index.config import ProgressionOptions
from learner_index.search.progression import all_parts, find_changes
from learner_index.search.transition_table import TransitionTable, stored_question

Contestants = dict[str, Callable[[], object]]
ALL, DIRECTION = "raw product, all of S", "raw product, directions"


def main() -> None:
    """Build a cohort, time everything in turn, print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    started = time.perf_counter()
    table = make_table(args.rows, args.width)
    print(f"{args.rows} transitions of width {args.width} made: {_since(started):.2f} s")
    started = time.perf_counter()
    find_changes(table, stored_question(table, 0))
    print(f"first query, rows prepared: {_since(started):.2f} s")
    report(whole_contestants(table), ALL, args.rounds)
    report(direction_contestants(table), DIRECTION, args.rounds)
    started = time.perf_counter()
    all_parts(table, stored_question(table, 0), (1.0, 1.0, 1.0))
    print(f"\nall parts of all transitions in float64: {_since(started):.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"most memory held: {peak:.2f} GB")


def make_table(t: int, width: int) -> TransitionTable:
    """Random transitions: five a patient, two sites, an age."""
    rng = np.random.default_rng(0)
    starts = rng.standard_normal((t, width), dtype=np.float32)
    deltas = rng.standard_normal((t, width), dtype=np.float32)
    obs = pd.DataFrame(
        {
            "patient_id": pd.array(np.char.add("P", (np.arange(t) // 5).astype(str)), "string"),
            "delta_day": rng.integers(1, 900, t).astype(float),
            "site": pd.array(rng.choice(["A", "B"], t), "string"),
            "age": rng.integers(18, 95, t).astype(float),
        }
    )
    bandwidth = float(np.sqrt(2 * width))  # the median distance of two such starts
    return TransitionTable(starts, deltas, obs, start_bandwidth=bandwidth, day_bandwidth=1.0)


def whole_contestants(table: TransitionTable) -> Contestants:
    """All three parts: bare product, ours in rising demands."""
    question = stored_question(table, 7)
    rows = table.prepared(direction_only=False).rows
    vector = table.vector(question.delta, question.start, question.delta_day, (1.0, 1.0, 1.0))[0]
    filtered = ProgressionOptions(where=("site == A", "age >= 40"))
    strict = ProgressionOptions(where=("site == A", "age >= 80"))
    each = ProgressionOptions(level="transition")
    return {
        ALL: lambda: rows @ vector,
        "rows read once (sum, one thread)": lambda: np.sum(rows),
        "ours: 10 distinct patients": lambda: find_changes(table, question),
        "ours: the same, two filters keep 36 %": lambda: find_changes(table, question, filtered),
        "ours: the same, two filters keep 10 %": lambda: find_changes(table, question, strict),
        "ours: 10 transitions": lambda: find_changes(table, question, each),
    }


def direction_contestants(table: TransitionTable) -> Contestants:
    """Directions alone: bare product, ours."""
    question = stored_question(table, 7)
    rows = table.prepared(direction_only=True).rows
    vector = table.unit(question.delta).astype(np.float32)
    options = ProgressionOptions(direction_only=True)
    filtered = ProgressionOptions(direction_only=True, where=("site == A", "age >= 40"))
    return {
        DIRECTION: lambda: rows @ vector,
        "rows read once (sum, one thread)": lambda: np.sum(rows),
        "ours: 10 distinct patients": lambda: find_changes(table, question, options),
        "ours: the same, two filters keep 36 %": lambda: find_changes(table, question, filtered),
    }


def report(contestants: Contestants, base: str, rounds: int) -> None:
    """Time the contestants in turn and print best times and ratios to the base."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            contestants[name]()
            times[name].append(_since(started) * 1000)
    print(f"\n{'':<42}{'best ms':>10}{'× ' + base:>28}")
    for name, taken in times.items():
        print(f"  {name:<40}{min(taken[1:]):>10.2f}{min(taken[1:]) / min(times[base][1:]):>28.2f}")


def _since(started: float) -> float:
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
