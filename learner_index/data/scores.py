"""The health score: turned so that higher is always healthier, and one per visit if so declared."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.problems import ProblemList, groups_of
from learner_index.data.visits import visit_codes


def turned(
    values: NDArray[np.float64], direction: Literal["higher", "lower"]
) -> NDArray[np.float64]:
    """Scores for which higher is healthier; turning twice gives the values back.

    Args:
        values: (n,) raw scores, NaN where missing.
        direction: whether "higher" or "lower" raw values are healthier.

    Returns:
        (n,) scores, never a negative zero.
    """
    return 0.0 - values if direction == "lower" else values + 0.0


def check_visit_scores(table: pd.DataFrame, problems: ProblemList) -> None:
    """Reports visits whose scans carry different health scores."""
    scores = table["health_score"].to_numpy(dtype=np.float64)
    codes = visit_codes(table)
    usable = (codes >= 0) & ~np.isnan(scores)
    keys = [int(code) if ok else None for code, ok in zip(codes, usable, strict=True)]
    for rows in groups_of(keys).values():
        if len({float(scores[row]) for row in rows}) > 1:
            patient = table["patient_id"].iloc[rows[0]]
            problems.error(
                rows,
                f"one visit of patient {patient!r} has different health scores: "
                "correct them, or declare --score-per scan",
            )


def check_visit_days(table: pd.DataFrame, problems: ProblemList) -> None:
    """Reports visit ids of one patient that stand at more than one day."""
    if "visit" not in table or "day" not in table:
        return
    known = (table["visit"].notna() & table["patient_id"].notna()).to_numpy()
    days = table["day"].to_numpy(dtype=np.float64)
    codes = visit_codes(table)
    usable = known & ~np.isnan(days)
    keys = [int(code) if ok else None for code, ok in zip(codes, usable, strict=True)]
    for rows in groups_of(keys).values():
        if len({float(days[row]) for row in rows}) > 1:
            first = table.iloc[rows[0]]
            problems.note(
                rows,
                f"visit {first['visit']!r} of patient {first['patient_id']!r} "
                "is on more than one day",
            )
