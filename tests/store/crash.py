"""Kill a writer at each of its steps, let another finish, and compare with an undisturbed store.

Run as a program, so that each kill is a fork of a process that has imported zarr and not used it
yet: `python crash.py FOLDER EVERY [again] [renames]`. EVERY is a stride over the steps, or `names`:
each step of each change, where the steps that repeat for every array take turns over the appends.
`again` kills recovery too (all its steps when EVERY is below 10, else a sample), `renames` takes
the way of systems that cannot swap two folders at once (with `names`, only steps outside appends,
which are the same there). Prints what went wrong, then the count.
"""

import os
import shutil
import signal
import sys
import traceback
from itertools import pairwise
from pathlib import Path

import numpy as np
import store_toy

from learner_index.store import layout, recover
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer

BORDERS = [0, 2, 6, 7]
LAST = 10


def work(path, step):
    """Bring a store from wherever it stands to its final state; every commit is a border."""
    with open_writer(path, step=step) as writer:
        if not writer.exists:
            writer.create(store_toy.WIDTH, store_toy.KINDS, store_toy.SETTINGS)
        for start, stop in pairwise(BORDERS):
            if writer.read().generation == 1 and writer.read().n_rows == start:
                writer.append(*store_toy.rows(start, stop))
        if writer.read().reference() is None:
            writer.add_reference(store_toy.reference())
        if writer.read().generation == 1:
            embeddings, obs = store_toy.rows(0, BORDERS[-1], generation=2)
            replaced = dict(enumerate(embeddings))
            rows = np.arange(BORDERS[-1])
            writer.rewrite(obs, store_toy.KINDS, rows, replaced=replaced)
        if writer.read().n_rows < LAST:
            writer.append(*store_toy.rows(BORDERS[-1], LAST, generation=2))


def require_prefix(path):
    """What readers see after a kill: nothing yet, or the rows of one commit and generation."""
    if not path.exists() and not (path.with_suffix(".cache") / "previous.zarr").exists():
        return
    reader = StoreReader(path)
    embeddings, obs = store_toy.rows(0, reader.n_rows, reader.generation)
    assert reader.n_rows in {1: BORDERS, 2: [BORDERS[-1], LAST]}[reader.generation]
    assert np.array_equal(reader.embeddings(), embeddings)
    assert reader.obs()["day"].tolist() == obs["day"].tolist()
    assert verify_store(path) == ()


class Killer:
    """A step hook that kills its process at the k-th step whose name has a certain start."""

    def __init__(self, k, prefix=""):
        self.left, self.prefix = k, prefix

    def __call__(self, name):
        if name.startswith(self.prefix):
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1


def in_fork(action, *arguments):
    """Run something in a fork; True when it came to its end, False when it was killed."""
    child = os.fork()
    if child == 0:
        try:
            action(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("a child failed, see above")
    return os.WIFEXITED(status)


def kill_and_finish(path, k, recovery):
    """Kill at step k, kill recovery at some of its steps (first, stride), if any, then finish."""
    if in_fork(work, path, Killer(k)):
        raise RuntimeError(f"there was no step {k}")
    if recovery:
        again, stride = recovery
        while not in_fork(recover_only, path, Killer(again, "recover")):
            again += stride
    in_fork(look_and_finish, path)


def look_and_finish(path):
    """What readers see after the kill, and after another writer came to the end."""
    if not in_two_renames:
        require_prefix(path)
    work(path, lambda name: None)
    require_prefix(path)


def recover_only(path, step):
    """Open a writer and change nothing."""
    with open_writer(path, step=step):
        pass


def undisturbed(path):
    """The names of the steps of an undisturbed run, and the files it leaves."""
    path.parent.mkdir(parents=True)
    names = path.parent.with_suffix(".txt")

    def run():
        seen = []
        work(path, seen.append)
        names.write_text("\n".join(seen), encoding="utf-8")

    in_fork(run)
    return names.read_text(encoding="utf-8").split("\n"), store_toy.snapshot(path.parent)


def sample(steps, turns):
    """Step numbers: all that are no column's, and each column's in one of `turns` appends.

    Every name is there, X at each append, every change at its flush and at its commit.
    """
    columns = list(dict.fromkeys(name.split()[1] for name in steps if ": obs/" in name))
    chosen, n_appends = [], 0
    for k, name in enumerate(steps):
        is_column = ": obs/" in name
        if not is_column or (columns.index(name.split()[1]) + n_appends) % turns == 0:
            chosen.append(k)
        n_appends += name == "append: flushed"
    return chosen


def kill_points(steps, every):
    """The numbers of the steps to be killed at."""
    if every != "names":
        return range(int(int(every) > 1), len(steps), int(every))
    if in_two_renames:
        return [k for k, name in enumerate(steps) if not name.startswith("append")]
    return sample(steps, 4)


def main(folder, every, is_recovery_killed):
    """Go through the kill points; returns how many there were and how many failed."""
    steps, expected = undisturbed(folder / "undisturbed/cohort.zarr")
    points, failed = kill_points(steps, every), []
    if every == "names" and is_recovery_killed:
        points = points[::3]
    for trial, k in enumerate(points):
        path = folder / "killed/cohort.zarr"
        path.parent.mkdir()
        recovery = (0, 1) if is_thorough else (trial % 5, 5)
        kill_and_finish(path, k, recovery if is_recovery_killed else None)
        found = store_toy.snapshot(path.parent)
        differs = {n for n in {*found, *expected} if found.get(n) != expected.get(n)}
        if differs:
            failed.append(f"killed at step {k}, {steps[k]}: {sorted(differs)} differ")
        shutil.rmtree(path.parent)
    return len(points), failed


if __name__ == "__main__":
    os.fsync = lambda handle: None  # a kill loses nothing that was written
    in_two_renames = "renames" in sys.argv
    is_thorough = sys.argv[2].isdigit() and int(sys.argv[2]) < 10
    layout.CHUNK_BYTES, layout.COLUMN_ROWS = 3 * 4 * store_toy.WIDTH, 4
    if in_two_renames:
        recover.exchange_folders = lambda one, other: False
    tried, wrong = main(Path(sys.argv[1]), sys.argv[2], "again" in sys.argv)
    sys.stdout.write("\n".join([*wrong, f"{tried} kill points\n"]))
    sys.exit(bool(wrong))
