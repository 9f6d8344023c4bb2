"""What an objective is: a card that says where it comes from, and a loss.

The labels' scale is fitted here too; which objectives there are is the job of `registry`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from learner_index.errors import NotEnoughDataError, SettingsError

Setting = float | str
_MOST_COMPARED = 2000  # scores whose pairs are all compared; more are thinned out evenly


@dataclass(frozen=True, slots=True)
class Card:
    """Where an objective comes from, and what can be set.

    Attributes:
        name: the name it is chosen by; also its file's.
        title: what it asks of the embeddings, in a few words.
        kind: "regression" looks at single predicted scores and stands alone, "contrastive" at
            pairs of scans, beside `mse`.
        status: "published" with its formula, "reconstruction" of one that is not public, or
            "standard" textbook.
        formula: plain text; i is a row of the batch, j, k and t are its partners.
        citation: paper, venue and year.
        note: what is ours, what differs from published code, what is unknown.
        settings: defaults of its keyword settings; the loss's docstring says what they mean.
        choices: words allowed for each setting that is a word.
        may_be_zero: numbers among the settings that may be 0; all others are above 0.
        reads_prediction: pairs are compared by predicted scores instead of embeddings, so the
            head is trained.
        assumes: what it takes for granted of the disease, as the end of "it assumes that"; ""
            where nothing is.
    """

    name: str
    title: str
    kind: Literal["regression", "contrastive"]
    status: Literal["published", "reconstruction", "standard"]
    formula: str
    citation: str
    note: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    may_be_zero: tuple[str, ...] = ()
    reads_prediction: bool = False
    assumes: str = ""


@dataclass(frozen=True, slots=True)
class LabelScale:
    """How far apart the training patients' health scores lie, in the units of `score`.

    Attributes:
        range: what a difference of scores is divided by to become a share δ of the range.
        kernel_width: σ of a kernel over scores.

    Raises:
        SettingsError: one of them is not a number above 0.
    """

    range: float
    kernel_width: float

    def __post_init__(self) -> None:
        """Refuse a scale nothing can be divided by."""
        for name in ("range", "kernel_width"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise SettingsError(
                    f"the {name} of the labels is {value}, not a number above 0: "
                    "fit it on training scores"
                )

    @classmethod
    def fit(cls, scores: NDArray[np.floating]) -> Self:
        """The scale of some training scores.

        Args:
            scores: (n,) health scores; those that are not finite are left out.

        Returns:
            `range`: from the 5th to the 95th percentile, widened to the nearest observed scores,
            or from the lowest to the highest score where these two are equal. `kernel_width`: half
            the median difference of two scores or, where most are equal, half the mean of the
            differences that are not 0. Both scale with the scores.

        Raises:
            NotEnoughDataError: all known scores are equal, or there are none.
        """
        known = np.sort(np.asarray(scores, np.float64)[np.isfinite(scores)])
        n_distinct = len(np.unique(known))
        if n_distinct < 2:
            raise NotEnoughDataError(
                f"{len(known)} known health scores have {n_distinct} distinct values: "
                "training needs patients of at least two"
            )
        low = np.percentile(known, 5, method="lower")
        high = np.percentile(known, 95, method="higher")
        spread = high - low if high > low else known[-1] - known[0]
        return cls(float(spread), _typical_difference(known) / 2)


def _typical_difference(ascending: NDArray[np.float64]) -> float:
    """Median difference of two scores; if that is 0, the mean of those that are not."""
    n = len(ascending)
    if n > _MOST_COMPARED:
        ascending = ascending[np.linspace(0, n - 1, _MOST_COMPARED).round().astype(int)]
    first, second = np.triu_indices(len(ascending), 1)
    apart = ascending[second] - ascending[first]
    median = float(np.median(apart))
    return median if median > 0 else float(apart[apart > 0].mean())


class Loss(Protocol):
    """How far a batch is from what an objective asks for; smaller is better."""

    def __call__(
        self,
        embedding: Tensor,
        score: Tensor,
        patient: Tensor,
        visit: Tensor,
        *,
        prediction: Tensor,
        labels: LabelScale,
        **settings: Setting,
    ) -> Tensor:
        """The loss of a batch.

        Args:
            embedding: (b, e).
            score: (b,) standardized health scores, higher is healthier; rows whose score is not
                finite are left out.
            patient: (b,) int64 codes of patients.
            visit: (b,) int64 codes of visits, unique over the cohort: equal where patient and
                visit are; below 0 where nothing says which visit a row is of.
            prediction: (b,) scores the network predicts.
            labels: scale of the training scores, in the units of `score`.
            settings: the objective's own.

        Returns:
            () loss; exactly 0, with gradients of 0, where nothing can be compared.
        """
        ...


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss with its card."""

    card: Card
    loss: Loss
