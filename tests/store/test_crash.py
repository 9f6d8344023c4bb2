"""A writer killed at any step leaves what was committed; the next one ends in the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scratch import IS_EXHAUSTIVE, in_memory

PROGRAM = Path(__file__).with_name("crash.py")


@pytest.fixture
def folder(tmp_path):
    """Where stores are made and killed."""
    with in_memory(tmp_path) as found:
        yield found


def run(folder, *arguments):
    """(kill points tried, what the program printed) of one sweep; it must not have failed."""
    command = [sys.executable, "-W", "error", PROGRAM, folder / "sweep", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.split()[-3])  # "N kill points"


@pytest.mark.parametrize("how", [["43"], ["79", "again"], ["67", "renames"]])
def test_some_kills(folder, how):
    """Killed at a sample of steps, the finished store is the undisturbed one."""
    assert run(folder, *how) >= 1


@pytest.mark.slow
def test_a_kill_at_every_named_step(folder):
    """Killed at each step of each change, the finished store is the undisturbed one."""
    assert run(folder, "1" if IS_EXHAUSTIVE else "names") > (90 if IS_EXHAUSTIVE else 45)


@pytest.mark.slow
def test_a_kill_of_recovery(folder):
    """Recovery may be killed at each of its steps as well."""
    assert run(folder, "3" if IS_EXHAUSTIVE else "names", "again") > (30 if IS_EXHAUSTIVE else 15)


@pytest.mark.slow
def test_a_kill_at_the_steps_of_two_renames(folder):
    """Where folders cannot be swapped at once, a kill between the renames is mended too."""
    assert run(folder, "1" if IS_EXHAUSTIVE else "names", "renames") > (90 if IS_EXHAUSTIVE else 18)
