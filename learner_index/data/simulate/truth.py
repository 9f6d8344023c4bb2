"""The planted truth of a simulated cohort, for those who judge; nothing may be trained on it."""

from pathlib import Path

import pandas as pd

from learner_index.data.simulate.write import is_simulated

TRUTH_NAME = "truth.csv"


def read_truth(folder: Path, scan_ids: list[str]) -> pd.DataFrame | None:
    """Truth of some scans, one row each in their order; None for real or unknown scans.

    Args:
        folder: of a manifest.
        scan_ids: (n,) scans of that manifest.
    """
    path = folder / TRUTH_NAME
    if not (is_simulated(folder) and path.is_file()):
        return None
    table = pd.read_csv(path, dtype={"scan_id": str}).set_index("scan_id")
    if not set(scan_ids) <= set(table.index):
        return None
    return table.loc[scan_ids].reset_index()
