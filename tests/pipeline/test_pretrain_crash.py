"""Pretraining killed at any moment and resumed ends as an undisturbed run does, to the byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scratch import IS_EXHAUSTIVE, in_memory

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_killed_runs_end_as_undisturbed_ones(tmp_path):
    """Killed before a file operation of each kind and at random: same encoder, curves and record.

    run.json may differ in the time the run took; no checkpoint and no half-written file is left.
    """
    driver = ROOT / "tests" / "pipeline" / "pretrain_driver.py"
    arguments = ("steps", "40") if IS_EXHAUSTIVE else ("names", "3")

    with in_memory(tmp_path) as folder:
        done = subprocess.run(
            [sys.executable, str(driver), str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=900,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    trials = [line.split(maxsplit=3) for line in done.stdout.splitlines()]
    named = [line for line in trials if line[2] != "random"]
    assert {line[2] for line in named} >= {
        "write-.run.json.N",
        "rename-checkpoint.safetensors",
        "remove-best-N.safetensors",
        "rename-encoder.safetensors",
    }
    assert all(line[1] == "True" for line in named)
    assert [line for line in trials if line[3] != "same"] == []
