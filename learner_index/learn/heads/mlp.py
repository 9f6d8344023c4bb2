"""A small network with one hidden layer, for outcomes that no linear head can tell apart.

Torch trains it; a trained one answers without torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from learner_index.data.heads import Floats, HeadKind, Lesson
from learner_index.errors import NotEnoughDataError

if TYPE_CHECKING:
    import torch

_WIDTH = 32
_STEPS = 250
_BATCH = 4096  # rows a step; all of them where there are no more
_RATE = 0.01  # of the first step; it falls to zero along half a cosine
_NAMES = ("hidden_weight", "hidden_bias", "weight", "bias")
Arrays = dict[str, NDArray[np.generic]]
Single = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Mlp:
    """A hidden layer of rectified units, and a linear layer of the classes.

    Attributes:
        hidden_weight: (m, u) to u units, from standardized features.
        hidden_bias: (u,).
        weight: (u, c).
        bias: (c,) minus infinity for a class without rows.
    """

    hidden_weight: Single
    hidden_bias: Single
    weight: Single
    bias: Single

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """(t, c) logits of (t, m) features, computed in float32."""
        rows = np.asarray(features, np.float32)
        hidden = np.maximum(rows @ self.hidden_weight + self.hidden_bias, 0)
        return np.asarray(hidden @ self.weight + self.bias, np.float64)

    def arrays(self) -> Arrays:
        """Weights and biases."""
        return {name: getattr(self, name) for name in _NAMES}


def fit(lesson: Lesson, strength: float, seed: int) -> Mlp:
    """A network after a fixed number of steps of Adam on the CPU, without early stopping.

    What is minimized is the weighted mean log loss plus the sum of squared weights over 2 strength
    times the lesson's weight: strength means what it means for the multinomial head. Torch's own
    generator of random numbers is left as it is.

    Args:
        lesson: rows to learn from.
        strength: variance expected of a weight; larger is less regularized.
        seed: of the first weights, and of the rows in each step where there are many.

    Raises:
        NotEnoughDataError: fewer than two classes have rows.
    """
    classes, target = np.unique(lesson.target, return_inverse=True)
    if len(classes) < 2:
        raise NotEnoughDataError(
            f"{len(lesson.target)} transitions with {len(classes)} of {lesson.n_classes} outcomes "
            "to learn from: add patients until two outcomes are seen"
        )
    share = np.bincount(target, lesson.weight) / lesson.weight.sum()
    solved = _trained(lesson, target, np.log(share), penalty=0.5 / strength, seed=seed)
    weight = np.zeros((_WIDTH, lesson.n_classes), np.float32)
    bias = np.full(lesson.n_classes, -np.inf, np.float32)
    weight[:, classes], bias[classes] = solved[2], solved[3]
    return Mlp(solved[0], solved[1], weight, bias)


def load(arrays: Mapping[str, NDArray[np.generic]]) -> Mlp:
    """The head of its arrays."""
    return Mlp(*(np.asarray(arrays[name], np.float32) for name in _NAMES))


def _trained(
    lesson: Lesson, target: NDArray[np.int64], start: Floats, *, penalty: float, seed: int
) -> list[Single]:
    """Weights and biases of both layers, classes without rows left out.

    Args:
        lesson: rows to learn from.
        target: (t,) number among the k classes that have rows.
        start: (k,) first biases.
        penalty: of the sum of squared weights, in a loss that is a sum over rows.
        seed: of all draws.
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    rows, weight = _tensor(lesson.features), _tensor(lesson.weight)
    wanted = torch.as_tensor(target)
    layers = _first_layers(rows.shape[1], _tensor(start), random)
    share = penalty / float(lesson.weight.sum())
    optimizer = torch.optim.Adam(layers, lr=_RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        batch = (rows, wanted, weight)
        if len(rows) > _BATCH:
            few = torch.randint(len(rows), (_BATCH,), generator=random)
            batch = (rows[few], wanted[few], weight[few])
        with torch.enable_grad():
            loss = _loss(layers, *batch)
            loss = loss + share * (layers[0].square().sum() + layers[2].square().sum())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        falling.step()
    return [layer.detach().numpy().copy() for layer in layers]


def _tensor(values: NDArray[np.floating]) -> "torch.Tensor":
    """Values as float32, apart from the array they come from."""
    import torch

    return torch.tensor(values, dtype=torch.float32)


def _first_layers(
    n_features: int, start: "torch.Tensor", random: "torch.Generator"
) -> "list[torch.Tensor]":
    """Weights and biases before the first step: normal, scaled so that logits begin small."""
    import torch

    shapes = ((n_features, _WIDTH), (_WIDTH,), (_WIDTH, len(start)), (len(start),))
    layers = [torch.zeros(shape) for shape in shapes]
    layers[0].normal_(0.0, (2 / max(n_features, 1)) ** 0.5, generator=random)
    layers[2].normal_(0.0, 0.1 * (2 / _WIDTH) ** 0.5, generator=random)
    layers[3] += start
    return [layer.requires_grad_() for layer in layers]


def _loss(
    layers: "list[torch.Tensor]",
    rows: "torch.Tensor",
    target: "torch.Tensor",
    weight: "torch.Tensor",
) -> "torch.Tensor":
    """Weighted mean log loss."""
    import torch

    hidden = torch.relu(rows @ layers[0] + layers[1])
    losses = torch.nn.functional.cross_entropy(
        hidden @ layers[2] + layers[3], target, reduction="none"
    )
    return (weight * losses).sum() / weight.sum()


KIND = HeadKind(
    name="mlp",
    title="small network with one hidden layer",
    tasks=("detect", "predict"),
    needs_order=False,
    is_linear=False,
    strengths=(1e-3, 1e-2, 1e-1, 1.0),
    fit=fit,
    load=load,
)
