"""Cohorts and stores of any size for the benchmarks, and timing of whole processes in turn."""

import csv
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Preprocessing
from learner_index.data.content import HashCache
from learner_index.data.manifest import Manifest, read_manifest, require_valid
from learner_index.pipeline.settings import with_manifest
from learner_index.pipeline.sync import rows_from_manifest, wanted_kinds
from learner_index.search.reference import fit_reference
from learner_index.store.writer import open_writer

LONG_AGO_S = 1_600_000_000
PER_PATIENT = 5
BLOCK = 20_000
COLUMNS = "scan_id patient_id path day view modality site sex age device treatment health_score"


def write_cohort(folder: Path, n: int) -> Path:
    """Tiny .npy scans, a folder for each patient's five, and a manifest of 12 columns."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    head = _npy_head()
    with (folder / "cohort.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split())
        for i in range(n):
            patient, visit = f"P{i // PER_PATIENT:06d}", i % PER_PATIENT
            path = f"scans/{patient}/v{visit}.npy"
            if visit == 0:
                (folder / "scans" / patient).mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(head + rng.bytes(64))
            os.utime(folder / path, (LONG_AGO_S, LONG_AGO_S))
            words = (f"L{1 + visit % 3}", "us", "AB"[i % 2], "mf"[i // 5 % 2], 20 + i // 5 % 70)
            rest = (f"probe{i % 4}", "" if visit < 3 else "drug", round(100 * rng.random(), 1))
            writer.writerow((f"{patient}_v{visit}", patient, path, 7 * visit, *words, *rest))
    return folder / "cohort.csv"


def write_store(manifest_path: Path, store: Path, width: int) -> None:
    """A store in step with the manifest, hashes and cache as by `build`."""
    manifest = read_manifest(manifest_path)
    require_valid(manifest)
    kinds = wanted_kinds(manifest.kinds, {}, has_unlisted=False)
    rng = np.random.default_rng(1)
    with open_writer(store) as writer:
        hashes = HashCache.load(writer.cache / "hashes.json")
        writer.create(width, kinds, with_manifest({"encoder": _card(width)}, manifest))
        for start in range(0, manifest.n_scans, BLOCK):
            rows = np.arange(start, min(start + BLOCK, manifest.n_scans))
            embeddings = rng.standard_normal((len(rows), width), dtype=np.float32) + 0.5
            writer.append(embeddings.astype(np.float32), _obs(manifest, rows, kinds, hashes))
        hashes.save()
        present = writer.read()
        obs = present.obs(["patient_id", "view"])
        writer.add_reference(fit_reference(present.embeddings(), obs["patient_id"], obs["view"]))


def _obs(
    manifest: Manifest, rows: NDArray[np.intp], kinds: Mapping[str, str], hashes: HashCache
) -> pd.DataFrame:
    """Columns of these rows, content hashes among them."""
    obs = rows_from_manifest(manifest.table, rows, kinds)
    ids = manifest.texts("scan_id")
    found = [hashes.hash(str(ids[row]), manifest.paths[row]) for row in rows]
    obs["content_hash"] = pd.array(found, dtype="string")
    obs["encoder_role"] = pd.array(["unseen"] * len(rows), dtype="string")
    return obs


def _card(width: int) -> dict[str, object]:
    """What a store needs to know of its encoder."""
    return {
        "space": "benchmark",
        "spec": "benchmark",
        "embedding_width": width,
        "projection": "none",
        "is_trained": False,
        "preprocessing": asdict(Preprocessing()),
    }


def _npy_head() -> bytes:
    """Header of an 8 x 8 uint8 .npy file."""
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8), }"
    padded = text + b" " * (64 - 10 - len(text) - 1 + 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def processes_in_turn(
    commands: Mapping[str, list[str]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """(wall, CPU) seconds of whole processes, turn by turn after one round of warming up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            wall, cpu = _time_process(command)
            if turn:
                taken[name].append((wall, cpu))
    return taken


def _time_process(command: list[str]) -> tuple[float, float]:
    """(wall, CPU) seconds of one process, which must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def program(*arguments: str) -> list[str]:
    """The command line of `learner-index` with this Python."""
    return [sys.executable, "-m", "learner_index", *arguments]
