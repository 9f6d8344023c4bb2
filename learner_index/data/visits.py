"""Which scans belong to one visit: same patient and `visit`, or same `day` where none is given."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def visit_codes(table: pd.DataFrame) -> NDArray[np.int64]:
    """(n,) number of each scan's visit, in order of first appearance; -1 where nothing says.

    Args:
        table: a manifest's table, or any frame with patient_id and perhaps visit and day.
    """
    patients = pd.factorize(table["patient_id"])[0].astype(np.int64)
    labels, days = _codes(table, "visit"), _codes(table, "day")
    has_label = labels >= 0
    within = np.where(has_label, labels, days)
    known = (patients >= 0) & (within >= 0)
    keys = (2 * patients + has_label) * (within.max(initial=0) + 1) + within
    codes = np.full(len(table), -1, dtype=np.int64)
    codes[known] = pd.factorize(keys[known])[0]
    return codes


def _codes(table: pd.DataFrame, name: str) -> NDArray[np.int64]:
    if name not in table:
        return np.full(len(table), -1, dtype=np.int64)
    return pd.factorize(table[name])[0].astype(np.int64)
