"""Append to a store and swap it, over and over: `python writing.py STORE SECONDS`.

Started by the tests, which read the store meanwhile. Row i of generation g holds i + 1000 g.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import store_toy

from learner_index.store import layout, recover
from learner_index.store.writer import open_writer


def write(path, seconds):
    """Keep changing the store; generations count up from 1."""
    end = time.monotonic() + seconds
    with open_writer(path) as writer:
        while time.monotonic() < end:
            present = writer.read()
            if present.n_rows < 10 + 3 * (present.generation % 2):
                stop = present.n_rows + 2
                writer.append(*store_toy.rows(present.n_rows, stop, present.generation))
                continue
            embeddings, obs = store_toy.rows(0, 5, present.generation + 1)
            kept = np.arange(5)
            writer.rewrite(obs, store_toy.KINDS, kept, replaced=dict(enumerate(embeddings)))


if __name__ == "__main__":
    os.fsync = lambda handle: None  # a kill loses nothing that was written
    layout.CHUNK_BYTES, layout.COLUMN_ROWS = 3 * 4 * store_toy.WIDTH, 4
    if "renames" in sys.argv:
        recover.exchange_folders = lambda one, other: False
    write(Path(sys.argv[1]), float(sys.argv[2]))
