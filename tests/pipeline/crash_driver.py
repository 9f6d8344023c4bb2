"""Kill builds of a toy cohort and finish them; run by test_crash.py in its own interpreter.

Forks one child a trial, before any thread is started, so that a trial costs no import.
Usage: crash_driver.py FOLDER names|steps STRIDE | moments COUNT   (prints one line a trial)
`names` kills once at every STRIDE-th distinctly named step, `steps` at every STRIDE-th step.
"""

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from learner_index.config import BuildOptions
from learner_index.pipeline.build import build
from tests.toy import ToySource, make_cohort, write_manifest, write_scan

SMALL = BuildOptions(commit_bytes=48, workers=2)


def prepare(folder: Path) -> None:
    """A cohort in three states: built, then changed so that appends and swaps are both needed."""
    rows = make_cohort(folder, n_patients=4, n_days=2)
    write_manifest(folder / "cohort.csv", rows[:4])
    build(folder / "cohort.csv", folder / "first.zarr", ToySource(), options=SMALL)
    write_scan(folder / "scans" / "p0d1.npy", (0.9, 0.8, 0.7, 0.6))
    rows[2]["site"] = "corrected"
    for row in rows:
        row["age"] = 50 + len(str(row["scan_id"]))
    write_manifest(folder / "cohort.csv", [rows[5], *rows[:4], *rows[6:]])


def start(folder: Path, number: int) -> Path:
    """The store a trial begins with: none for odd numbers, the first build's for even ones."""
    trial = folder / "trial"
    shutil.rmtree(trial, ignore_errors=True)
    trial.mkdir()
    if number % 2 == 0:
        shutil.copytree(folder / "first.zarr", trial / "c.zarr")
        shutil.copytree(folder / "first.cache", trial / "c.cache")
    return trial / "c.zarr"


def in_child(work: Callable[[], None]) -> int:
    """Run something in a forked child; returns its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except Exception as error:
            sys.stdout.write(f"child failed: {error!r}\n")
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    return child


def finish(folder: Path, store: Path) -> int:
    """Build to the end in a child; returns its exit code."""
    child = in_child(lambda: void(build(folder / "cohort.csv", store, ToySource(), options=SMALL)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def void(_: object) -> None:
    """Drop a value."""


def bytes_of(store: Path) -> dict[str, bytes]:
    """Every file of a store with its bytes."""
    return {
        str(file.relative_to(store)): file.read_bytes()
        for file in sorted(store.rglob("*"))
        if file.is_file()
    }


def reference_bytes(folder: Path, number: int) -> dict[str, bytes]:
    """Bytes of an undisturbed store."""
    store = start(folder, number)
    assert finish(folder, store) == 0
    return bytes_of(store)


def kill_at_step(folder: Path, store: Path, k: int) -> tuple[bool, str]:
    """Build in a child that kills itself at its k-th step; whether it died, and where."""
    seen = store.parent / "steps.txt"

    def work() -> None:
        count = 0

        def step(name: str) -> None:
            nonlocal count
            count += 1
            if count == k:
                seen.write_text(name, encoding="utf-8")
                os.kill(os.getpid(), signal.SIGKILL)

        build(folder / "cohort.csv", store, ToySource(), options=SMALL, step=step)

    status = os.waitpid(in_child(work), 0)[1]
    died = os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    return died, seen.read_text(encoding="utf-8") if died else ""


def kill_after(folder: Path, store: Path, wait_s: float) -> bool:
    """Build in a child that is killed after some time; whether it was still at work."""
    child = in_child(lambda: void(build(folder / "cohort.csv", store, ToySource(), options=SMALL)))
    time.sleep(wait_s)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def judge(folder: Path, store: Path, wanted: dict[str, bytes]) -> str:
    """Finish a killed build and say whether the store is as if nothing had happened."""
    if finish(folder, store) != 0:
        return "the second build failed"
    found = bytes_of(store)
    if found != wanted:
        odd = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
        return f"differs in {odd[:3]}"
    cache = store.with_suffix(".cache")
    left = [f.name for f in cache.iterdir() if f.suffix in (".tmp", ".zarr")]
    return f"left {left}" if left else "same"


def tell(
    number: int, died: bool, where: str, folder: Path, store: Path, wanted: dict[str, bytes]
) -> None:
    """Print one trial's line."""
    sys.stdout.write(f"{number} {died} {where} {judge(folder, store, wanted)}\n")
    sys.stdout.flush()


def step_names(folder: Path, parity: int) -> list[str]:
    """The names of all steps of an undisturbed build, in order."""
    store, names = start(folder, parity), folder / "names.txt"

    def work() -> None:
        seen: list[str] = []
        build(folder / "cohort.csv", store, ToySource(), options=SMALL, step=seen.append)
        names.write_text("\n".join(seen), encoding="utf-8")

    assert os.waitpid(in_child(work), 0)[1] == 0
    return names.read_text(encoding="utf-8").split("\n")


def one_of_each_name(folder: Path) -> list[tuple[int, int]]:
    """(parity, step number from 1) of each distinct name once, in turn at its first to last."""
    places: dict[str, list[tuple[int, int]]] = {}
    for parity in (0, 1):
        for k, name in enumerate(step_names(folder, parity), start=1):
            places.setdefault(name, []).append((parity, k))
    return [found[i % len(found)] for i, found in enumerate(places.values())]


def every_nth(folder: Path, stride: int) -> list[tuple[int, int]]:
    """(parity, step number from 1) of every n-th step of both builds."""
    return [
        (parity, k)
        for parity in (0, 1)
        for k in range(1, len(step_names(folder, parity)) + 1, stride)
    ]


def main() -> None:
    """Run trials and print `NUMBER DIED WHERE VERDICT` for each."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    # Prepare in a child too: this process must not start threads before it forks.
    assert os.waitpid(in_child(lambda: prepare(folder)), 0)[1] == 0
    wanted = {parity: reference_bytes(folder, parity) for parity in (0, 1)}
    if kind != "moments":
        chosen = (
            one_of_each_name(folder)[:: int(sys.argv[3])]
            if kind == "names"
            else every_nth(folder, int(sys.argv[3]))
        )
        for parity, k in chosen:
            store = start(folder, parity)
            died, where = kill_at_step(folder, store, k)
            tell(2 * k + parity, died, where.replace(" ", "_"), folder, store, wanted[parity])
        return
    rng = random.Random(0)
    begun = time.monotonic()
    reference_bytes(folder, 1)
    whole_s = time.monotonic() - begun
    for number in range(int(sys.argv[3])):
        store = start(folder, number)
        died = kill_after(folder, store, rng.uniform(0.0, whole_s))
        tell(number, died, "-", folder, store, wanted[number % 2])


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
