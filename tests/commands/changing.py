"""Stores on which changes can be asked for: planted patients who get better or worse."""

from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.progression.store_of import WIDTH, one_scan_visits, planted, write_store


def make_stores(folder: Path) -> None:
    """Stores of planted changes: c (own clock), k (one clock), bare (no repeats, no scores).

    In `single` everybody was seen once; in `odd` patients have odd names. v.npy is a direction.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)  # they need not survive a power cut
        _write_stores(folder)
    np.save(folder / "v.npy", np.array([3.0, 4, 0, 0, 0, 0]))


def _write_stores(folder: Path) -> None:
    x, obs = planted(0, 14, views=("L1", "R1"))
    write_store(folder / "k.zarr", x, obs, clock="cohort")
    write_store(folder / "c.zarr", x, obs)
    write_store(folder / "bare.zarr", *planted(1, 8, repeats=False, scored=False))
    once = {name: [(0.0, np.arange(WIDTH) + 1.0 * i, 1.0)] for i, name in enumerate("ABC")}
    write_store(folder / "single.zarr", *one_scan_visits(once))
    twice = [(0.0, np.ones(WIDTH), 5.0), (7.0, np.arange(WIDTH) * 1.0, 6.0)]
    odd = dict.fromkeys(("007", "Ä b,c"), twice)
    write_store(folder / "odd.zarr", *one_scan_visits({**odd, **once}))
