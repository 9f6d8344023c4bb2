"""A folder in memory for tests that kill writers over and over, and how far they go."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
IS_EXHAUSTIVE = os.environ.get("LEARNER_INDEX_EXHAUSTIVE") == "1"


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A new folder in memory where there is such a file system, else a folder of a test."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        yield otherwise
        return
    folder = Path(tempfile.mkdtemp(prefix="learner-index-", dir=MEMORY))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
