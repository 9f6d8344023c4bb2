"""Whole processes from a cold start, 100,000 scans: `build` with nothing new, `similar`, `--help`.

    python benchmarks/cold.py [--rows 100000] [--width 128] [--rounds 3] [--folder DIR]

A cohort of tiny scans and its store are made first (about a minute; --folder keeps and reuses
them). Processes take turns after a round of warming up, with Python's compiled modules cached as in
any installation. `similar` is compared with a process that imports faiss and zarr and reads
the vectors; `build` with one that asks the system for each file's size and time.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from common import PER_PATIENT, processes_in_turn, program, write_cohort, write_store

READ = "import sys, faiss, zarr; zarr.open_group(sys.argv[1], mode='r')['X'][:]"
STAT = """import csv, os, sys
with open(sys.argv[1], newline='') as file:
    for row in csv.DictReader(file):
        status = os.stat(os.path.join(os.path.dirname(sys.argv[1]), row['path']))
        status.st_size, status.st_mtime_ns
"""
NOTHING = "import pandas, zarr"


def main() -> None:
    """Make the cohort, time the processes, print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{scratch}/compiled"
        folder = args.folder or Path(scratch)
        report(folder, args)


def report(folder: Path, args: argparse.Namespace) -> None:
    """Time all processes in turn."""
    manifest, store = folder / "cohort.csv", folder / "stores/cohort.zarr"
    if not store.exists():
        write_store(write_cohort(folder, args.rows), store, args.width)
    patient = f"P{args.rows // PER_PATIENT // 2:06d}"
    commands = {
        "build, nothing new": program("build", str(manifest), "-o", str(store)),
        "stat of every file": [sys.executable, "-c", STAT, str(manifest)],
        "import pandas, zarr": [sys.executable, "-c", NOTHING],
        "similar": program("similar", str(store), "--patient", patient),
        "import faiss, zarr; read X": [sys.executable, "-c", READ, str(store)],
        "--help": program("--help"),
    }
    taken = processes_in_turn(commands, args.rounds)
    print(f"{args.rows:,} scans, width {args.width}; median (best) of {args.rounds} rounds")
    for name, pairs in taken.items():
        wall, cpu = ([pair[i] for pair in pairs] for i in (0, 1))
        print(
            f"  {name:<28}wall {statistics.median(wall):6.2f} ({min(wall):.2f}) s   "
            f"CPU {statistics.median(cpu):6.2f} ({min(cpu):.2f}) s"
        )
    for name, base, goal in (
        ("similar", "import faiss, zarr; read X", "goal 1.3"),
        ("build, nothing new", "stat of every file", "goal: less than 3 s"),
    ):
        walls, cpus = (
            statistics.median(a[i] / b[i] for a, b in zip(taken[name], taken[base], strict=True))
            for i in (0, 1)
        )
        print(f"  {name} / {base}: {walls:.2f} wall, {cpus:.2f} CPU ({goal})")


if __name__ == "__main__":
    main()
