"""A writer killed at any step leaves what was committed; the next one ends in the same bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("crash.py")


def run(tmp_path, *arguments):
    """(kill points tried, what the program printed) of one sweep; it must not have failed."""
    command = [sys.executable, "-W", "error", PROGRAM, tmp_path / "sweep", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.split()[-3])  # "N kill points"


@pytest.mark.parametrize("how", [["43"], ["79", "again"], ["67", "renames"]])
def test_some_kills(tmp_path, how):
    """Killed at a sample of steps, the finished store is the undisturbed one."""
    assert run(tmp_path, *how) >= 1


@pytest.mark.slow
def test_a_kill_at_every_step(tmp_path):
    """Killed at every single step, the finished store is the undisturbed one."""
    assert run(tmp_path, "1") > 90


@pytest.mark.slow
def test_a_kill_of_every_third_recovery(tmp_path):
    """Recovery may be killed at each of its steps as well."""
    assert run(tmp_path, "3", "again") > 30


@pytest.mark.slow
def test_a_kill_at_every_step_of_two_renames(tmp_path):
    """Where folders cannot be swapped at once, a kill between the renames is mended too."""
    assert run(tmp_path, "1", "renames") > 90
