"""The loss a run minimizes: score regression and, for most objectives, a contrastive term."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, Self

import torch
from torch import Tensor

from learner_index.config import ObjectiveOptions
from learner_index.errors import SettingsError
from learner_index.learn.objectives.pairs import at_least_float32
from learner_index.learn.objectives.record import LabelScale, Objective, Setting
from learner_index.learn.objectives.registry import checked_settings, objective


class Losses(NamedTuple):
    """The loss of a batch and the terms it is made of.

    Attributes:
        total: () weighted sum, to be minimized.
        regression: () its first term before weighting, for the log; 0 where it has weight 0.
        contrastive: () its second, likewise.
    """

    total: Tensor
    regression: Tensor
    contrastive: Tensor


@dataclass(frozen=True, slots=True)
class Term:
    """An objective with its weight in the total, above 0, and all its settings."""

    objective: Objective
    weight: float
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class JointLoss:
    """Weighted sum of a regression and a contrastive term; a term of weight 0 is not computed.

    So an objective with contrastive weight 0 is `mse`, bit for bit.

    Attributes:
        regression: the term on predicted scores, None at weight 0.
        contrastive: the term on pairs of scans; None at weight 0 or for regression alone.
        labels: scale of the training scores, in the units of the scores in a batch.
    """

    regression: Term | None
    contrastive: Term | None
    labels: LabelScale

    @classmethod
    def of(cls, options: ObjectiveOptions, labels: LabelScale) -> Self:
        """The loss some options ask for.

        Args:
            options: a regression objective is used alone; a contrastive one beside `mse`.
            labels: scale of the training scores.

        Raises:
            SettingsError: unknown objective, a setting that does not fit it, a weight that is
                negative or not finite, or no term with a weight above 0.
        """
        chosen = objective(options.name)
        settings = checked_settings(chosen.card, options.settings)
        weights = _checked_weights(options)
        if chosen.card.kind == "regression":
            first, second = _term(chosen, weights[0], settings), None
        else:
            first = _term(objective("mse"), weights[0], {})
            second = _term(chosen, weights[1], settings)
        if first is None and second is None:
            raise SettingsError(
                f"nothing to train for: {options.name} has regression weight {weights[0]:g} and "
                f"contrastive weight {weights[1]:g}; set one it uses above 0"
            )
        return cls(first, second, labels)

    @property
    def trains_head(self) -> bool:
        """Whether predicted scores play a part, or else the head would wait for a gradient."""
        second = self.contrastive
        reads = second is not None and second.objective.card.reads_prediction
        return self.regression is not None or reads

    @property
    def needs_visits(self) -> bool:
        """Whether the contrastive term compares visits of one patient and nothing else."""
        return self.contrastive is not None and self.contrastive.settings.get("pairs") == "intra"

    def __call__(
        self,
        embedding: Tensor,
        score: Tensor,
        patient: Tensor,
        visit: Tensor,
        *,
        prediction: Tensor,
    ) -> Losses:
        """The loss of a batch; arguments as in `record.Loss`.

        Half precision is lifted to float32 and autocast switched off, whatever surrounds the call.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            embedding, prediction = at_least_float32(embedding), at_least_float32(prediction)
            score = score.to(prediction.dtype)
            terms = [term for term in (self.regression, self.contrastive) if term is not None]
            values = {
                term.objective.card.kind: term.objective.loss(
                    embedding,
                    score,
                    patient,
                    visit,
                    prediction=prediction,
                    labels=self.labels,
                    **term.settings,
                )
                for term in terms
            }
            weighted = [term.weight * values[term.objective.card.kind] for term in terms]
        nothing = prediction.new_zeros(())
        shown = [values.get(kind, nothing).detach() for kind in ("regression", "contrastive")]
        return Losses(torch.stack(weighted).sum(), *shown)


def _term(chosen: Objective, weight: float, settings: Mapping[str, Setting]) -> Term | None:
    """A term of the total; None at weight 0."""
    return Term(chosen, weight, settings) if weight > 0 else None


def _checked_weights(options: ObjectiveOptions) -> tuple[float, float]:
    """Weights of regression and contrast, both finite and not negative."""
    weights = {
        "regression_weight": options.regression_weight,
        "contrastive_weight": options.contrastive_weight,
    }
    for name, weight in weights.items():
        if not (isfinite(weight) and weight >= 0):
            raise SettingsError(f"{name} is a number from 0 up, not {weight}")
    return options.regression_weight, options.contrastive_weight
