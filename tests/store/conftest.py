"""Lets the tests of the store import their toy, as the child processes they start do."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch):
    """A test's disk need not survive a power cut; one test restores this to look at the order."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def path(tmp_path):
    """Where a store may be made."""
    return tmp_path / "cohort.zarr"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of 3 embeddings and 4 values, so that few rows cross many borders, fast."""
    from store_toy import WIDTH

    monkeypatch.setattr("learner_index.store.layout.CHUNK_BYTES", 3 * 4 * WIDTH)
    monkeypatch.setattr("learner_index.store.layout.COLUMN_ROWS", 4)
