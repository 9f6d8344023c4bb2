"""What questions about change cost from a store: fitting, opening with and without cache, asking.

    python benchmarks/changes.py FOLDER [--scans 125000]

FOLDER gets a store of random embeddings: five visits of each patient, two views, two sites. Times
are seconds of one run each; `raw` is the float32 product of all that is searched, best of five.
"""

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.store.paths import cache_folder
from learner_index.store.writer import open_writer

WIDTH, VISITS = 128, 5
T = TypeVar("T")


def timed(name: str, do: Callable[[], T]) -> T:
    """What `do` gives, its time printed."""
    started = time.perf_counter()
    found = do()
    print(f"{name:52s} {time.perf_counter() - started:8.3f} s")
    return found


def make_store(path: Path, n: int) -> None:
    """A store of n random scans, its reference fitted."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(n // VISITS), VISITS)
    mix = rng.standard_normal((16, WIDTH))
    state = rng.standard_normal((n // VISITS, 16))[patient] + 0.5 * rng.standard_normal((n, 16))
    embeddings = (state @ mix + 0.1 * rng.standard_normal((n, WIDTH))).astype(np.float32)

    def text(values: list[str]) -> pd.api.extensions.ExtensionArray:
        return pd.array(values, dtype="string")

    obs = pd.DataFrame(
        {
            "scan_id": text([f"S{i}" for i in range(n)]),
            "patient_id": text([f"P{i:06d}" for i in patient]),
            "day": np.tile(np.arange(VISITS) * 30.0, n // VISITS) + rng.integers(0, 20, n),
            "view": text([["L1", "R1"][i % 2] for i in patient]),
            "health_score": embeddings[:, 0] * 10.0 + rng.standard_normal(n),
            "site": text(rng.choice(["A", "B"], n).tolist()),
            "content_hash": text([f"h{i}" for i in range(n)]),
            "encoder_role": text(["unseen"] * n),
        }
    )
    kinds = {name: "number" if name in ("day", "health_score") else "text" for name in obs}
    card = {"space": "random", "spec": "random", "embedding_width": WIDTH}
    with open_writer(path) as writer:
        writer.create(WIDTH, kinds, {"clock": "patient", "encoder": card})
        writer.append(embeddings, obs)
        writer.add_reference(
            timed("fit the reference", lambda: fit_whole_reference(embeddings, obs))
        )


def ask(path: Path) -> None:
    """Open and ask, each step timed."""
    cohort = timed("open, read columns and embeddings", lambda: (c := open_store(path), c.table)[0])
    followed = timed("visits and transitions", lambda: cohort.changes.followed("consecutive"))
    table = timed("their columns, rows prepared", lambda: followed.table)
    rows = table.prepared(direction_only=False).rows
    vector, raw = rows[0].copy(), []
    for _ in range(5):
        started = time.perf_counter()
        _ = rows @ vector
        raw.append(time.perf_counter() - started)
    print(f"{len(table)} transitions; raw product {min(raw):.4f} s")
    who = "P000007"
    cohort.progression(patient=who, n_draws=0)
    timed("progression, no test", lambda: cohort.progression(patient=who, n_draws=0))
    timed("progression, 999 draws", lambda: cohort.progression(patient=who))
    cohort.progression(patient=who, direction_only=True, n_draws=0)
    timed("... direction only", lambda: cohort.progression(patient=who, direction_only=True))
    timed("trajectory", lambda: cohort.trajectory(who, k=0))
    timed("trajectory and the 5 nearest", lambda: cohort.trajectory(who))


def main() -> None:
    """Make the store, ask it twice: without the cache and with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=125_000)
    args = parser.parse_args()
    path = args.folder / "changes.zarr"
    make_store(path, args.scans // VISITS * VISITS)
    for name in ("without cache", "with cache"):
        print(f"\n{name}")
        ask(path)
    shutil.rmtree(path)
    shutil.rmtree(cache_folder(path))


if __name__ == "__main__":
    main()
