"""What filters, grouping and exact re-ranking cost beside the bare products, and FAISS beside both.

    python benchmarks/search.py [--rows 100000] [--width 512] [--batch 200] [--rounds 7]

All contestants run in turn, round after round and each round from another one on, on the same
rows and threads. Times are the best of all rounds, so that a busy machine spoils them least.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import SimilarOptions
from learner_index.search.query import Query, patient_query, vector_query
from learner_index.search.reference import fit_reference
from learner_index.search.similar import similar, similar_many
from learner_index.search.table import SearchTable

Contestants = dict[str, Callable[[], object]]


def main() -> None:
    """Build a cohort, time everything in turn, print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    table = make_table(args.rows, args.width)
    started = time.perf_counter()
    similar(table, any_vector(table, 0))
    print(f"first query, rows prepared: {time.perf_counter() - started:.2f} s")
    singles = single_contestants(table)
    report("one query", singles, "raw NumPy product", args.rounds)
    batches = batch_contestants(table, args.batch)
    report(f"{args.batch} queries", batches, "raw NumPy product", max(2, args.rounds // 2))


def make_table(n: int, width: int) -> SearchTable:
    """Random scans: five a patient, six views, two sites, an age."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, width), dtype=np.float32) + np.float32(0.5)
    obs = pd.DataFrame(
        {
            "scan_id": pd.array(np.char.add("S", np.arange(n).astype(str)), dtype="string"),
            "patient_id": pd.array(np.char.add("P", (np.arange(n) // 5).astype(str)), "string"),
            "day": rng.integers(0, 900, n).astype(float),
            "view": pd.array(rng.choice(["L1", "L2", "L3", "R1", "R2", "R3"], n), "string"),
            "site": pd.array(rng.choice(["A", "B"], n), "string"),
            "age": rng.integers(18, 95, n).astype(float),
            "health_score": rng.random(n),
        }
    )
    reference = fit_reference(x, obs["patient_id"], obs["view"])
    return SearchTable(x, obs, clock="cohort", reference=reference)


def any_vector(table: SearchTable, row: int) -> Query:
    """A query that is compared with every row, as the raw product is."""
    patient = table.obs["patient_id"].iloc[row]
    return vector_query(table, table.embeddings[row], patient_id=patient)


def single_contestants(table: SearchTable) -> Contestants:
    """One query: bare product, ours in rising demands, FAISS."""
    prepared = table.prepared("centered", table.reference.mean)
    query = any_vector(table, 0)
    patient = patient_query(table, "P7")
    vector = prepared.query(query.vectors)
    filtered = SimilarOptions(where=("site == A", "age >= 40"), match=())
    flat = faiss_index(prepared.rows)
    return {
        "raw NumPy product": lambda: prepared.rows @ vector[0],
        "ours: 10 distinct patients of all rows": lambda: similar(table, query),
        "ours: the same, two filters": lambda: similar(table, query, filtered),
        "ours: a patient of 5 scans, within view": lambda: similar(table, patient),
        "raw NumPy product of 5 vectors": lambda: prepared.rows @ prepared.rows[:5].T,
        "FAISS IndexFlatIP, 10 rows": lambda: flat.search(vector, 10),
    }


def batch_contestants(table: SearchTable, count: int) -> Contestants:
    """Many queries at once: bare product, ours, FAISS."""
    prepared = table.prepared("centered", table.reference.mean)
    queries = [any_vector(table, row * 7) for row in range(count)]
    vectors = prepared.query(np.concatenate([query.vectors for query in queries]))
    flat = faiss_index(prepared.rows)
    return {
        "raw NumPy product": lambda: blocked_product(prepared.rows, vectors),
        "ours: 10 distinct patients each": lambda: similar_many(table, queries),
        "FAISS IndexFlatIP, 10 rows each": lambda: flat.search(vectors, 10),
    }


def blocked_product(rows: NDArray[np.float32], vectors: NDArray[np.float32]) -> None:
    """All products, a block of rows at a time, none kept."""
    room = np.empty((len(vectors), 4096), np.float32)
    for start in range(0, len(rows), 4096):
        block = rows[start : start + 4096]
        np.matmul(vectors, block.T, out=room[:, : len(block)])


def faiss_index(rows: NDArray[np.float32]):
    """FAISS's exact inner-product index over the same rows."""
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return index


def report(title: str, contestants: Contestants, base: str, rounds: int) -> None:
    """Time the contestants in turn and print best times and ratios to the base."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            run = contestants[name]
            started = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - started) * 1000)
    print(f"\n{title:<44}{'best ms':>10}{'× ' + base:>24}")
    for name, taken in times.items():
        print(f"  {name:<42}{min(taken[1:]):>10.2f}{min(taken[1:]) / min(times[base][1:]):>24.2f}")


if __name__ == "__main__":
    main()
