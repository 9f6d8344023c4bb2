"""Gathers what a report tells of a cohort: its data, its space, its confounders, its results."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.reports.base import base_of
from learner_index.pipeline.reports.confounders import confounders_of, sample_patients
from learner_index.pipeline.reports.quality import quality_of
from learner_index.pipeline.reports.records import CohortReport
from learner_index.pipeline.reports.space import space_quality
from learner_index.pipeline.response.headfolder import read_head

RECORD = "evaluation.json"
_NEEDED = ("cohort", "models", "measures", "comparisons", "against", "primary", "score")


@dataclass(frozen=True, slots=True)
class AskedOfCohort:
    """What a cohort's report is to hold.

    Attributes:
        evaluation: folder that `evaluate` wrote; None: none.
        head: folder of a response head; None: none.
        seed: of the audit's shuffles.
    """

    evaluation: Path | None
    head: Path | None
    seed: int = 0


def gather_cohort(cohort: Cohort, asked: AskedOfCohort) -> CohortReport:
    """All that is told of a cohort.

    Raises:
        NotEnoughDataError: the store has no scan.
        SettingsError: there is no evaluation in the folder named.
        HeadFormatError, SpaceMismatchError: the head cannot be used with this store.
    """
    if not len(cohort):
        raise NotEnoughDataError(
            f"{cohort.path.name} has no scan, so nothing to report: `learner-index build` adds some"
        )
    evaluation = None if asked.evaluation is None else read_evaluation(asked.evaluation)
    head = None if asked.head is None else _card(cohort, asked.head)
    obs = cohort.table.obs
    sample = sample_patients(obs, cohort.embeddings, seed=asked.seed)
    return CohortReport(
        base=base_of(cohort),
        quality=quality_of(obs),
        space=space_quality(cohort, sample),
        confounders=confounders_of(sample, seed=asked.seed),
        n_left_out=sample.n_left_out,
        measured=tuple(sample.obs["patient_id"].drop_duplicates().astype(str)),
        evaluation=evaluation,
        head=head,
    )


def read_evaluation(folder: Path) -> Mapping[str, Any]:
    """What `evaluate` has written into a folder.

    Raises:
        SettingsError: there is none, or it cannot be read.
    """
    try:
        found = json.loads(
            (folder / RECORD).read_bytes(), parse_float=_number, parse_constant=_number
        )
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError(
            f"no evaluation in {str(folder)!r}: `learner-index evaluate` writes one"
        ) from None
    except (OSError, ValueError) as problem:
        raise SettingsError(
            f"{RECORD} in {str(folder)!r} cannot be read ({problem}): evaluate again"
        ) from None
    if not isinstance(found, dict) or any(name not in found for name in _NEEDED):
        raise SettingsError(
            f"{RECORD} in {str(folder)!r} is no evaluation of this version: evaluate again"
        )
    return found


def _number(text: str) -> float:
    """A number of the record; NaN and infinity are none.

    Raises:
        ValueError: it is not finite.
    """
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def _card(cohort: Cohort, folder: Path) -> Mapping[str, Any]:
    """A head's card; the head must be of the store's space."""
    saved = read_head(folder)
    saved.require_space(cohort.settings["encoder"]["space"], cohort.path.name)
    return saved.card
