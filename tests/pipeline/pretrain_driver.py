"""Kill pretraining runs and let them go on; run by test_pretrain_crash.py in its own interpreter.

Forks one child a run, before torch has computed anything, so that a trial costs no import.
Usage: pretrain_driver.py FOLDER names|steps COUNT   (prints one line a trial)
`names` kills before one file operation of each kind, `steps` before every one; then COUNT runs
are killed at a random moment, and once more as they go on.
"""

import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import scipy.stats  # noqa: F401  imported here once, for all children
import timm.optim
import timm.scheduler
import timm.utils  # noqa: F401
import torch

from learner_index.data.replace import replace_file
from learner_index.learn import trainer
from learner_index.pipeline import pretrain as module
from learner_index.pipeline.pretrain import pretrain
from tests.pipeline.pretrain_toy import changed, scored_cohort

ANEW = changed(
    split={"test_share": 0.3},
    batches={"patients": 2, "scans": 1},
    training={"epochs": 2, "patience": 0},
)
"""Two epochs of three steps."""

Step = Callable[[str], None]


def watch_files(folder: Path, step: Step) -> None:
    """Calls back before this process opens for writing, renames or removes anything in a folder."""
    kinds = {"os.rename": "rename", "os.remove": "remove", "open": "write"}

    def hook(event: str, given: Sequence[Any]) -> None:
        if event not in kinds or not str(given[0]).startswith(f"{folder}/"):
            return
        if event == "open" and not given[2] & (os.O_WRONLY | os.O_RDWR):
            return
        name = Path(str(given[1] if event == "os.rename" else given[0])).name
        step(f"{kinds[event]}-{re.sub('[0-9]+', 'N', name)}")

    sys.addaudithook(hook)


def work(folder: Path, run: Path, step: Step | None = None, *, resume: bool) -> None:
    """One run; the picture of the curves is a stand-in, for speed."""
    torch.set_num_threads(1)
    trainer.CHECKPOINT_S = 0.0  # a checkpoint after every step
    module.draw_curves = lambda history, path, **_: replace_file(path, [b"picture"])
    if step is not None:
        watch_files(run, step)
    pretrain(folder / "cohort.csv", run, None if resume else ANEW, resume=resume, workers=1)


def in_child(job: Callable[[], None]) -> int:
    """Run something in a forked child; returns its process id."""
    child = os.fork()
    if child == 0:
        try:
            job()
        except BaseException as error:
            sys.stdout.write(f"child failed: {error!r}\n")
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    return child


def exit_code(child: int) -> int:
    """How a child ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def left_by(run: Path) -> dict[str, bytes]:
    """Every file of a run with its bytes; run.json without the time it took."""
    found = {path.name: path.read_bytes() for path in run.iterdir()}
    record = json.loads(found["run.json"])
    found["run.json"] = json.dumps({**record, "elapsed_s": 0}).encode()
    return found


def verdict(folder: Path, run: Path, wanted: dict[str, bytes]) -> str:
    """Let a killed run go on, or start where nothing is left, and compare."""
    begun = (run / "run.json").exists()
    if exit_code(in_child(lambda: work(folder, run, resume=begun))) != 0:
        return "cannot go on"
    found = left_by(run)
    odd = sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))
    return f"differs in {odd[:3]}" if odd else "same"


def killed_at(folder: Path, run: Path, k: int) -> bool:
    """Run in a child that kills itself before its k-th file operation; whether it died."""
    count = 0

    def step(_: str) -> None:
        nonlocal count
        count += 1
        if count == k:
            os.kill(os.getpid(), signal.SIGKILL)

    return exit_code(in_child(lambda: work(folder, run, step, resume=False))) == -signal.SIGKILL


def killed_after(folder: Path, run: Path, wait_s: float) -> bool:
    """Run or go on in a child that is killed after some time; whether it was still at work."""
    begun = (run / "run.json").exists()
    child = in_child(lambda: work(folder, run, resume=begun))
    time.sleep(wait_s)
    os.kill(child, signal.SIGKILL)
    return exit_code(child) == -signal.SIGKILL


def operations(folder: Path, run: Path) -> list[str]:
    """The file operations of an undisturbed run, in order."""
    log = folder / "operations.txt"

    def step(name: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")

    assert exit_code(in_child(lambda: work(folder, run, step, resume=False))) == 0
    return log.read_text(encoding="utf-8").split()


def one_of_each(names: list[str]) -> list[int]:
    """Number from 1 of each distinct operation once, in turn at its first to last."""
    places: dict[str, list[int]] = {}
    for k, name in enumerate(names, 1):
        places.setdefault(name, []).append(k)
    return [found[i % len(found)] for i, found in enumerate(places.values())]


def main() -> None:
    """Run trials and print `NUMBER DIED WHERE VERDICT` for each."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    scored_cohort(folder, n_patients=7, n_visits=2)
    names = operations(folder, folder / "whole")
    wanted = left_by(folder / "whole")
    begun = time.monotonic()
    assert exit_code(in_child(lambda: work(folder, folder / "again", resume=False))) == 0
    whole_s = time.monotonic() - begun
    rng, run = random.Random(0), folder / "trial"

    def tell(number: int, died: bool, where: str) -> None:
        sys.stdout.write(f"{number} {died} {where} {verdict(folder, run, wanted)}\n")
        sys.stdout.flush()
        shutil.rmtree(run)

    for k in one_of_each(names) if kind == "names" else range(1, len(names) + 1):
        tell(k, killed_at(folder, run, k), names[k - 1])
    for number in range(int(sys.argv[3])):
        died = [killed_after(folder, run, rng.uniform(0.1, whole_s)) for _ in range(2)]
        tell(number, died[0], "random")


if __name__ == "__main__":
    main()
