"""Scans per second of `build` against the encoder's bare forward on the same frames in memory.

    python benchmarks/build.py [--scans 24] [--rounds 2] [--spec imagenet]

Decoding, preprocessing, hashing and writing are in the one, nothing but the network in the other;
both take turns in one process with the same encoder. A build of the first 8 scans alone is timed
too: what a store costs once, whatever its size, is told apart from what each further scan costs.
Generated clips are .npz of 8 x 224 x 224; with ../shared/data/covid_blues beside the checkout the
same is done with real .mp4 clips.
"""

import argparse
import csv
import operator
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.config import BuildOptions, Preprocessing
from learner_index.data.manifest import Manifest
from learner_index.learn.encoder import Encoder, make_encoder
from learner_index.pipeline.build import build
from learner_index.pipeline.embed import read_frames

REAL = Path(__file__).resolve().parents[2] / "shared/data/covid_blues"
FEW = 8


class Given:
    """Gives a build the encoder that is loaded already."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def for_new_store(self, manifest: Manifest, cache: Path) -> Encoder:
        """The encoder."""
        return self.encoder

    def for_store(self, card: Mapping[str, Any], cache: Path) -> Encoder:
        """The encoder."""
        return self.encoder

    def check(self, card: Mapping[str, Any]) -> None:
        """Every store fits."""


def main() -> None:
    """Generated clips, then real ones where there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--spec", default="imagenet")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    encoder = make_encoder(args.spec, preprocessing=Preprocessing(), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        made = write_clips(Path(folder), args.scans)
        report("generated .npz", made, Path(folder), encoder, args)
        if (REAL / "cohort.csv").exists():
            real = real_clips(Path(folder), args.scans)
            report("covid_blues .mp4", real, Path(folder), encoder, args)


def write_clips(folder: Path, n: int) -> Path:
    """A manifest of n clips of noise."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        pixels = rng.integers(0, 256, (8, 224, 224), dtype=np.uint8)
        np.savez(folder / f"s{i}.npz", pixels=pixels, kind="clip")
        rows.append((f"s{i}", f"p{i // 4}", f"s{i}.npz"))
    return write_manifest(folder / "made.csv", rows)


def real_clips(folder: Path, n: int) -> Path:
    """A manifest of the first n real clips."""
    files = sorted((REAL / "videos").glob("*.mp4"))[:n]
    rows = [(file.stem, file.stem.rpartition("_")[0], str(file)) for file in files]
    return write_manifest(folder / "real.csv", rows)


def write_manifest(path: Path, rows: list[tuple[str, ...]]) -> Path:
    """A manifest with these rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("scan_id", "patient_id", "path"), *rows])
    return path


def report(
    title: str, manifest: Path, folder: Path, encoder: Encoder, args: argparse.Namespace
) -> None:
    """Time both in turn and print scans per second and the ratio."""
    with manifest.open(encoding="utf-8") as file:
        paths = [manifest.parent / row["path"] for row in csv.DictReader(file)]
    start = time.process_time()
    frames = np.stack([read_frames(path, encoder.preprocessing)[0] for path in paths])
    decode_s = time.process_time() - start
    stores = iter(folder / f"{manifest.stem}{i}.zarr" for i in range(2 * args.rounds))

    def build_first(n: int) -> None:
        options = BuildOptions(workers=args.workers, limit=n)
        outside = {"allow_outside": True}
        build(manifest, next(stores), Given(encoder), manifest_changes=outside, options=options)

    encoder.embed(frames[: encoder.batch_size])
    n = len(paths)
    runs = [lambda: forward(encoder, frames), lambda: build_first(n), lambda: build_first(FEW)]
    for unit, (bare, whole, few) in in_turn(runs, args.rounds).items():
        all_of_it = statistics.median(map(operator.truediv, bare, whole))
        each = [(a / n) / ((b - c) / (n - FEW)) for a, b, c in zip(bare, whole, few, strict=True)]
        print(
            f"{title}, {unit}: bare forward {n / min(bare):.2f} scans/s, "
            f"build of {n} {n / min(whole):.2f}, ratio {all_of_it:.2f}; "
            f"each further scan {statistics.median(each):.2f}"
        )
        if unit == "CPU":
            print(f"  decoding alone is {decode_s / min(bare):.1%} of the forward's CPU")


def forward(encoder: Encoder, frames: NDArray[np.float32]) -> None:
    """Nothing but the network, batch by batch."""
    for start in range(0, len(frames), encoder.batch_size):
        encoder.embed(frames[start : start + encoder.batch_size])


def in_turn(runs: list[Callable[[], object]], rounds: int) -> dict[str, list[list[float]]]:
    """Wall and CPU seconds of each run, turn by turn."""
    taken: dict[str, list[list[float]]] = {unit: [[] for _ in runs] for unit in ("wall", "CPU")}
    for _ in range(rounds):
        for number, run in enumerate(runs):
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            taken["wall"][number].append(time.perf_counter() - wall)
            taken["CPU"][number].append(time.process_time() - cpu)
    return taken


if __name__ == "__main__":
    main()
