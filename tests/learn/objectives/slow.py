"""Batches and the words of the formulas, in plain Python and double precision, for slow loops."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from learner_index.learn.objectives.record import LabelScale

LABELS = LabelScale(range=2.5, kernel_width=0.4)


@dataclass(frozen=True)
class Batch:
    """What a loss takes; scores are coarse, so that many are tied."""

    embedding: Tensor
    score: Tensor
    patient: Tensor
    visit: Tensor
    prediction: Tensor

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        return self.embedding, self.score, self.patient, self.visit

    def known(self) -> list[int]:
        """Rows whose score is known."""
        return [i for i, y in enumerate(self.score.tolist()) if math.isfinite(y)]

    def partners(self, i: int, pairs: str) -> list[int]:
        """Rows that row i may be compared with."""
        p, v = self.patient.tolist(), self.visit.tolist()
        others = [j for j in self.known() if j != i and i in self.known()]
        if pairs == "inter":
            return [j for j in others if p[i] != p[j]]
        if pairs == "inter+visit":
            return [j for j in others if p[i] != p[j] or v[i] == v[j]]
        if pairs == "intra":
            return [j for j in others if p[i] == p[j] and v[i] != v[j] and min(v[i], v[j]) >= 0]
        return others

    def pairs(self, pairs: str) -> list[tuple[int, int]]:
        """All ordered pairs that may be compared."""
        return [(i, j) for i in self.known() for j in self.partners(i, pairs)]

    def apart(self, i: int, j: int) -> float:
        """Absolute difference of health score."""
        return abs(self.score[i].item() - self.score[j].item())

    def distance(self, i: int, j: int, metric: str) -> float:
        """Distance of two embeddings."""
        if metric == "cosine":
            return 1 - self.cosine(i, j)
        return math.dist(self.embedding[i].tolist(), self.embedding[j].tolist())

    def cosine(self, i: int, j: int) -> float:
        """Cosine of two embeddings."""
        a, b = self.embedding[i].tolist(), self.embedding[j].tolist()
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / (math.hypot(*a) * math.hypot(*b))

    def kernel(self, i: int, j: int, width: float) -> float:
        """Gaussian kernel of two health scores."""
        return math.exp(-(self.apart(i, j) ** 2) / (2 * width**2))

    def cast(self, dtype: torch.dtype) -> "Batch":
        """The same batch in another precision."""
        return replace(
            self,
            embedding=self.embedding.to(dtype),
            score=self.score.to(dtype),
            prediction=self.prediction.to(dtype),
        )

    def reordered(self, order: list[int]) -> "Batch":
        """The same batch with its rows in another order."""
        return Batch(
            self.embedding[order],
            self.score[order],
            self.patient[order],
            self.visit[order],
            self.prediction[order],
        )


def make_batch(seed: int = 0, n: int = 14, width: int = 5, **changes: Any) -> Batch:
    """Scans of five patients, each with two visits; scores on a grid, two unknown."""
    generator = torch.Generator().manual_seed(seed)
    patient = torch.randint(5, (n,), generator=generator)
    score = torch.randint(-3, 4, (n,), generator=generator).double() / 2
    score[[1, n // 2]] = torch.nan
    batch = Batch(
        embedding=torch.randn(n, width, generator=generator, dtype=torch.float64),
        score=score,
        patient=patient,
        visit=2 * patient + torch.randint(2, (n,), generator=generator),
        prediction=torch.randn(n, generator=generator, dtype=torch.float64),
    )
    return replace(batch, **changes)


def mean(values: list[float]) -> float:
    """Mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
