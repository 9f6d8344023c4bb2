"""Which scans a map is fitted on: at most so many, and of each patient as equally many as can be.

What is drawn depends on the scans' names and the seed alone, not on the order of rows.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def balanced_sample(
    scan_ids: Sequence[str], patient_ids: Sequence[str], most: int, seed: int
) -> NDArray[np.int64]:
    """Rows of a sample in which no patient has two scans more than another who has scans left.

    Each patient gives one scan, then each a second, and so on until the sample is full; which
    scan, and who comes first in the last round, is drawn by hashes of the names.

    Args:
        scan_ids: (n,) unique.
        patient_ids: (n,) of each scan.
        most: scans wanted; fewer only where there are fewer.
        seed: another one draws another sample.

    Returns:
        (s,) rows in the order of the scans' names, so that a fit sees them in one order.
    """
    by_name = np.argsort(np.asarray(scan_ids, dtype=object), kind="stable")
    if len(by_name) > most:
        scans, patients = _drawn(scan_ids, seed), _drawn(patient_ids, seed)
        order = np.lexsort((scans, patients))
        starts = np.flatnonzero(np.diff(patients[order], prepend=patients[order][:1] ^ 1))
        turn = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        chosen = order[np.lexsort((patients[order], turn))[:most]]
        by_name = by_name[np.isin(by_name, chosen)]
    return by_name.astype(np.int64)


def _drawn(names: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """(n,) a number for each name, the same wherever it stands."""
    of_name = {name: _number(f"{seed}\0{name}") for name in set(names)}
    return np.array([of_name[name] for name in names], np.uint64)


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
