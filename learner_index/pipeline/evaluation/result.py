"""What an evaluation found, before anybody writes it down."""

from dataclasses import dataclass
from pathlib import Path

from learner_index.config import EvaluateOptions, PretrainOptions
from learner_index.data.show import Card, Shown, plural
from learner_index.data.split import PatientSplit
from learner_index.pipeline.evaluation.compare import Comparison
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.measures import MEASURES, PRIMARY, Outcome
from learner_index.pipeline.roles import MARK


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation(Shown):
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

    def _card(self) -> Card:
        """Each model by the primary measure, or by the first there is without health changes."""
        present = [name for name in MEASURES if any(name in one.figures for one in self.outcomes)]
        name = PRIMARY if PRIMARY in present else next(iter(present), PRIMARY)
        rows = [
            (
                one.name,
                one.figures[name].value if name in one.figures else None,
                *(one.intervals[name] if name in one.figures else (None, None)),
                MARK if one.n_seen else "unseen",
            )
            for one in self.outcomes
        ]
        title = MEASURES[name].title
        caption = (
            f"{plural(self.material.n_patients, 'patient')}, "
            f"{plural(self.material.n_scans, 'scan')}, {plural(len(self.splits), 'fold')}; low to "
            f"high: 95 % by patient; compared with {self.against}; all else is in report.md"
        )
        return Card(
            f"Evaluation by {title}",
            ("model", title, "low", "high", "patients"),
            rows,
            caption,
            self.notes,
            self.material.is_simulated,
            "outcomes",
        )
