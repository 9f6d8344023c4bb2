"""A build killed at any moment and run again leaves the store an undisturbed build leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scratch import IS_EXHAUSTIVE, in_memory

ROOT = Path(__file__).parents[2]


def trials(tmp_path: Path, *arguments: str) -> list[list[str]]:
    """Lines `NUMBER DIED WHERE VERDICT` of the crash driver."""
    driver = ROOT / "tests" / "pipeline" / "crash_driver.py"
    with in_memory(tmp_path) as folder:
        done = subprocess.run(
            [sys.executable, str(driver), str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=900,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    return [line.split(maxsplit=3) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_killed_at_named_steps(tmp_path):
    """Creation, appends, swaps, reordering and reference: killed at named steps, then rerun.

    At every second distinct name: `tests/store` kills a writer at each. At every step when asked.
    """
    found = trials(tmp_path, *(("steps", "1") if IS_EXHAUSTIVE else ("names", "2")))

    assert len(found) >= 20
    assert all(line[1] == "True" for line in found)
    assert [line for line in found if line[3] != "same"] == []


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """Ten kills at random moments, then rerun: byte for byte the undisturbed store."""
    count = 40 if IS_EXHAUSTIVE else 10
    found = trials(tmp_path, "moments", str(count))

    assert len(found) == count
    assert sum(line[1] == "True" for line in found) >= count // 2
    assert [line for line in found if line[3] != "same"] == []
