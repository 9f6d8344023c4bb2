"""Columns that tell the outcome by themselves: known too late, or the outcome by another name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from learner_index.analysis.classes import weighted_auroc
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.material import Codes, Masks
from learner_index.pipeline.response.models import Pool

_TELLS = 0.95  # AUROC, or balanced accuracy, from which on a column is called the outcome's twin
_FEWEST = 6  # patients with a class, and without it; with fewer, chance alone makes twins
_SKIPPED = (
    *("patient_id", "visit", "encoder_role", "split", "modality"),
    *("day", "later_day", "delta_day", "health_score"),  # known by design, and in baselines
)


@dataclass(frozen=True, slots=True)
class Leak:
    """A column from which the outcome can be read.

    Attributes:
        column: its name.
        found: how well it tells, 0.95 to 1.
        is_number: "AUROC" of its order where True, else balanced accuracy of its values, or of
            whether it is missing, in patients left out.
    """

    column: str
    found: float
    is_number: bool

    def __str__(self) -> str:
        """One line for a person."""
        how = "AUROC" if self.is_number else "balanced accuracy"
        return (
            f"column {self.column!r} tells the outcome by itself ({how} {self.found:.2f}): was it "
            "known when the question is asked? If not, drop it from the manifest"
        )


def find_leaks(pool: Pool, outcome: str | None) -> tuple[Leak, ...]:
    """Columns known at the start that tell the outcome nearly without fail.

    One class is told from the rest, where six patients or more have it and as many do not. A number
    is tried by its order, and by whether it is missing; a text or flag by what is commonest among
    those with its value, missing being one: learned on half of the patients and tried on the
    others, both ways. Each column is looked at alone, so two that tell it together pass.

    Args:
        pool: examples with known outcomes.
        outcome: the column that holds it, which is passed over.
    """
    columns, halves = pool.examples.columns, _halves(pool)
    found = []
    for name in map(str, columns.columns):
        column = columns[name]
        if name in (*_SKIPPED, outcome) or column.isna().all():
            continue
        is_number = is_numeric_dtype(column.dtype) and not is_bool_dtype(column.dtype)
        by_order = _by_order(pool, column) if is_number else 0.0
        by_values = _by_values(pool, column.isna() if is_number else column, halves)
        if max(by_order, by_values) >= _TELLS:
            found.append(Leak(name, max(by_order, by_values), by_order >= by_values))
    return tuple(found)


def _by_order(pool: Pool, column: "pd.Series[float]") -> float:
    """Best AUROC of a number, either way, for any class; 0 without enough patients."""
    values = column.to_numpy(np.float64, na_value=np.nan)
    is_known = np.isfinite(values)
    patient = pool.patient[is_known]
    weight, best = patient_weights(patient)[None], 0.0
    for is_class in _told_apart(pool.code[is_known], patient, len(pool.classes)):
        area = float(weighted_auroc(values[is_known], is_class, weight)[0])
        best = max(best, area, 1 - area)
    return best


def _by_values(pool: Pool, column: "pd.Series[Any]", halves: Codes) -> float:
    """Best balanced accuracy of what each value stands for in the other half of the patients."""
    codes, values = pd.factorize(column.astype("string"), use_na_sentinel=False)
    if len(values) < 2:
        return 0.0
    weight, best = patient_weights(pool.patient), 0.0
    for is_class in _told_apart(pool.code, pool.patient, len(pool.classes)):
        signed = np.where(is_class, weight, -weight)
        sums = np.zeros((2, len(values)))
        np.add.at(sums, (halves, codes), signed)
        hits = (sums[1 - halves, codes] > 0) == is_class
        shares = [np.average(hits[some], weights=weight[some]) for some in (is_class, ~is_class)]
        best = max(best, float(np.mean(shares)))
    return best


def _told_apart(code: Codes, patient: Codes, n_classes: int) -> Iterator[Masks]:
    """(t,) for each class that enough patients have and enough do not, who has it."""
    for number in range(n_classes):
        is_class = code == number
        if min(len(np.unique(patient[some])) for some in (is_class, ~is_class)) >= _FEWEST:
            yield is_class


def _halves(pool: Pool) -> Codes:
    """(t,) 0 or 1: half of the patients of each class, in turns."""
    names, owner = np.unique(pool.patient, return_inverse=True)
    counts = np.zeros((len(names), len(pool.classes)), np.int64)
    np.add.at(counts, (owner, pool.code), 1)
    half = np.empty(len(names), np.int64)
    half[np.argsort(counts.argmax(axis=1), kind="stable")] = np.arange(len(names)) % 2
    return half[owner]
