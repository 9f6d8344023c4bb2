"""What an evaluation found, before anybody writes it down."""

from dataclasses import dataclass
from pathlib import Path

from learner_index.config import EvaluateOptions, PretrainOptions
from learner_index.data.split import PatientSplit
from learner_index.pipeline.evaluation.compare import Comparison
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.measures import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What an evaluation found.

    Attributes:
        material: the cohort.
        splits: patients by role in each fold.
        outcomes: every model.
        comparisons: every model against one.
        against: that model's name.
        options, pretraining: what was asked for.
        notes: what a person should know.
        skipped: scans that could not be used.
        folder: where the report lies; None before it is written.
    """

    material: Material
    splits: tuple[PatientSplit, ...]
    outcomes: tuple[Outcome, ...]
    comparisons: tuple[Comparison, ...]
    against: str
    options: EvaluateOptions
    pretraining: PretrainOptions
    notes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    folder: Path | None = None
