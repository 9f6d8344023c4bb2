"""The network: scans as stacks of frames in, one embedding and one health score each out.

Backbone on each frame, mean over frames, linear projection, linear health-score head. Where the
backbone's weights come from is the job of `weights`.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from learner_index.errors import EncoderError
from learner_index.learn.shift import add_shift, clips_of

_GRID = 2.0**-20  # projections are rounded to it, so that every machine makes the same bytes


class Output(NamedTuple):
    """What the network says of a batch of scans.

    Attributes:
        embedding: (b, e).
        score: (b,) predicted health score, or class where classes were trained on; higher is
            healthier; 0 from a head that was never trained.
    """

    embedding: Tensor
    score: Tensor


class Network(nn.Module):
    """Any timm backbone with a projection and a health-score head.

    The projection has no bias: a bias would move every embedding alike, which no distance, delta
    or centered similarity sees, and uncentered cosines would depend on it for no reason.

    Args:
        backbone: maps (n, c, h, w) images to (n, features) vectors.
        features: width of what the backbone returns.
        width: width e of the embedding; None keeps the backbone's own, without a projection.
        temporal_shift: let residual blocks look at neighbouring frames.
        seed: fixes the projection; the untrained health-score head is all zeros.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        *,
        width: int | None = 128,
        temporal_shift: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if width is not None and width < 1:
            raise EncoderError(f"an embedding has 1 value or more, not {width}")
        self.backbone = backbone
        self.width = features if width is None else width
        self.projection: nn.Module = nn.Identity()
        if width is not None:
            self.projection = _linear(orthonormal(width, features, seed))
        self.reset_head()
        self._still: tuple[str, ...] = ()  # names, so that copies and conversions keep them
        if temporal_shift:
            add_shift(backbone)

    def reset_head(self) -> None:
        """Forget what the health-score head has learned."""
        self.head = _linear(torch.zeros(1, self.width), bias=torch.zeros(1))

    def hold_still(self, names: Iterable[str]) -> None:
        """Let parts of the network compute as in evaluation even while it trains.

        A batch norm whose weights do not learn would otherwise drift to the statistics of a small
        new cohort, and the trained parts would be validated behind another network.

        Args:
            names: of modules, as `named_modules` gives them; all that is in them is meant.
        """
        self._still = tuple(names)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Go into training, but for the parts that are held still, or out of it."""
        super().train(mode)
        for name in self._still:
            self.get_submodule(name).eval()
        return self

    def forward(self, scans: Tensor) -> Output:
        """Embeddings and health scores of (b, f, c, h, w) normalized scans.

        Autocast reaches the backbone only: mean, projection and head are float32 throughout.

        Raises:
            EncoderError: the input has not these five axes.
        """
        if scans.ndim != 5:
            raise EncoderError(f"the network takes (b, f, c, h, w), not {tuple(scans.shape)}")
        frames = scans.shape[1]
        with clips_of(frames):
            features = self.backbone(scans.flatten(0, 1))  # (b·f, features)
        with torch.autocast(scans.device.type, enabled=False):  # half would blur near-equal visits
            clips = torch.unflatten(features.float(), 0, (-1, frames))  # (b, f, features)
            embedding = self.projection(clips.mean(1))
            return Output(embedding, self.head(embedding).squeeze(1))


def orthonormal(width: int, features: int, seed: int) -> Tensor:
    """Seeded (width, features) float32 matrix with orthonormal rows, or columns if it is tall.

    A wide matrix shrinks distances by about √(width/features), all of them alike; a tall one
    keeps them. It is computed in double precision and rounded to a grid of 2⁻²⁰, so that the
    last bits do not depend on the machine or its number of threads.
    """
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.empty(width, features, dtype=torch.float64)
    nn.init.orthogonal_(matrix, generator=generator)
    return ((matrix / _GRID).round() * _GRID).float()


def _linear(weight: Tensor, *, bias: Tensor | None = None) -> nn.Linear:
    """A linear layer with these values, made without drawing from the global random state."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer
