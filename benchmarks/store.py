"""Write and read a store's embeddings, against np.save and np.load on the same disk.

    python benchmarks/store.py [--rows 100000] [--width 128] [--columns 25] [--rounds 7]

All contestants run in turn, round after round, in one process. Both writers flush to the disk.
Ratios are medians over rounds of the plain file's time by ours: 1 is as fast, goal 0.8. The
whole store, columns and commits included, is timed once and printed in seconds.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.store import chunks
from learner_index.store.layout import embedding_array
from learner_index.store.paths import sync_paths
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer


def main() -> None:
    """Make rows, time everything in turn, print ratios and seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--columns", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured")
    args = parser.parse_args()
    embeddings = np.random.default_rng(0).standard_normal((args.rows, args.width), np.float32)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        whole_store(Path(folder) / "whole.zarr", embeddings, make_columns(args.rows, args.columns))
        ratios(Path(folder), embeddings, args.rounds)


def make_columns(n: int, columns: int) -> tuple[dict[str, str], pd.DataFrame]:
    """(kinds, obs): the texts each row must have, then numbers, texts with gaps and flags."""
    number = np.arange(n)
    kinds = dict.fromkeys(["scan_id", "patient_id", "content_hash", "encoder_role"], "text")
    values: dict[str, object] = {
        "scan_id": [f"scan{i:07d}" for i in number],
        "patient_id": [f"P{i // 5:06d}" for i in number],
        "content_hash": [f"{i * 2654435761**3 % 2**128:032x}" for i in range(n)],
        "encoder_role": ["unseen"] * n,
    }
    site = pd.array([None if i % 7 == 0 else f"site {i % 9}" for i in number], dtype="string")
    flag = pd.array([None if i % 9 == 0 else i % 2 == 0 for i in number], dtype="boolean")
    for i in range(columns - len(kinds)):
        kind = ("number", "text", "number", "text", "flag")[i % 5]
        kinds[f"column{i}"] = kind
        values[f"column{i}"] = {"number": number * 0.5, "text": site, "flag": flag}[kind]
    return kinds, pd.DataFrame(values)


def timed(what: str, run: Callable[[], object]) -> None:
    """Run once and print the seconds."""
    started = time.perf_counter()
    run()
    print(f"{what:42s} {time.perf_counter() - started:8.3f} s")


def whole_store(
    path: Path, embeddings: NDArray[np.float32], rows: tuple[dict[str, str], pd.DataFrame]
) -> None:
    """Time a whole store: every commit, all columns, opening, verifying and one swap."""
    kinds, obs = rows
    n, step = len(obs), embedding_array(embeddings.shape[1]).chunk_rows

    def write() -> None:
        with open_writer(path) as writer:
            writer.create(embeddings.shape[1], kinds, {})
            for start in range(0, n, step):
                part = slice(start, start + step)
                writer.append(embeddings[part], obs.iloc[part])

    def reopen() -> None:
        with open_writer(path) as writer:
            writer.read()

    def compact() -> None:
        with open_writer(path) as writer:
            writer.compact()

    print(f"{n} rows of {embeddings.shape[1]}, {len(kinds)} columns, a commit per {step} rows")
    timed("write all, one commit per chunk", write)
    timed("open for reading", lambda: StoreReader(path))
    timed("read all columns", lambda: StoreReader(path).obs())
    timed("read two columns", lambda: StoreReader(path).obs(["scan_id", "patient_id"]))
    timed("open for writing, nothing to recover", reopen)
    timed("verify", lambda: verify_store(path))
    timed("compact (read, write, swap)", compact)


def ratios(folder: Path, embeddings: NDArray[np.float32], rounds: int) -> None:
    """Time embeddings alone, ours and NumPy's in turn, and print the medians of the ratios."""
    plain, store = folder / "plain.npy", folder / "whole.zarr"
    chunk_rows = embedding_array(embeddings.shape[1]).chunk_rows

    def save() -> None:
        np.save(plain, embeddings)
        sync_paths([plain])

    def write() -> None:
        shutil.rmtree(folder / "X", ignore_errors=True)
        chunks.write_rows(folder / "X", chunk_rows, 0, embeddings)

    def load() -> None:
        np.load(plain)

    def read() -> None:
        StoreReader(store).embeddings()

    runs = {"np.save": save, "write": write, "np.load": load, "read": read}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            os.sync()
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    for ours, theirs in (("write", "np.save"), ("read", "np.load")):
        pairs = zip(seconds[theirs], seconds[ours], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        times = [1000 * statistics.median(seconds[name]) for name in (ours, theirs)]
        print(f"{ours}: {times[0]:.1f} ms, {theirs}: {times[1]:.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
