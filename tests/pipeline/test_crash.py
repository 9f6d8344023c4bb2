"""A build killed at any moment and run again leaves the store an undisturbed build leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def trials(folder: Path, kind: str, first: int, stride: int) -> list[list[str]]:
    """Lines `NUMBER DIED WHERE VERDICT` of the crash driver."""
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "pipeline" / "crash_driver.py"),
            str(folder),
            kind,
            str(first),
            str(stride),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return [line.split(maxsplit=3) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_killed_at_named_steps(tmp_path):
    """Creation, appends, swaps, reordering and reference: killed at steps all over, then rerun."""
    found = trials(tmp_path, "steps", 1, 13)

    assert len(found) >= 10
    assert [line for line in found if line[3] != "same"] == []


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """Forty kills at random moments, then rerun: byte for byte the undisturbed store."""
    found = trials(tmp_path, "moments", 0, 40)

    assert len(found) == 40
    assert sum(line[1] == "True" for line in found) >= 20
    assert [line for line in found if line[3] != "same"] == []
