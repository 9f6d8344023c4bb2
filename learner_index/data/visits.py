"""Which scans belong to one visit, and which are compared with each other."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

STRATA = ("view", "modality")
"""Columns that tell which scans are alike enough to be compared."""


def visit_codes(table: pd.DataFrame) -> NDArray[np.int64]:
    """(n,) number of each scan's visit, in order of first appearance; -1 where nothing says.

    Scans of one patient are of one visit where `visit` is the same, or `day` where none is given.

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


def strata(table: pd.DataFrame) -> NDArray[np.object_]:
    """(n,) view and modality of each scan in one text, within which scans are compared.

    What is missing is one value, the same as "". Texts are equal only where both parts are, and
    hold no NUL, at which pandas would cut them when it numbers or groups texts.

    Args:
        table: any frame, perhaps with view and modality.
    """
    found = np.full(len(table), "", dtype=object)
    parts = [_filled(table, name) for name in STRATA]
    found[:] = [repr(part) for part in zip(*parts, strict=True)]
    return found


def _filled(table: pd.DataFrame, name: str) -> list[str]:
    if name not in table:
        return [""] * len(table)
    return list(table[name].astype("string").fillna(""))


def _codes(table: pd.DataFrame, name: str) -> NDArray[np.int64]:
    if name not in table:
        return np.full(len(table), -1, dtype=np.int64)
    return pd.factorize(table[name])[0].astype(np.int64)
