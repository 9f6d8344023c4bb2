"""Temporal shift: lets a 2-D residual network see the frames before and after.

Sites are the first convolution of each residual block; the identity path stays unshifted and the
names of the weights do not change. What runs the frames through lives in `network`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from learner_index.errors import EncoderError

_LAYERS = ("layer1", "layer2", "layer3", "layer4")
_MANY_BLOCKS = 23  # from this depth of layer3 on, every second block is shifted
_frames_per_clip: ContextVar[int] = ContextVar("frames_per_clip")


@contextmanager
def clips_of(frames: int) -> Iterator[None]:
    """Within it, every batch of images is read as clips of this many frames.

    It holds for this thread and this block only, so two networks or threads cannot disagree.
    """
    token = _frames_per_clip.set(frames)
    try:
        yield
    finally:
        _frames_per_clip.reset(token)


def shift_frames(maps: Tensor, frames: int) -> Tensor:
    """Feature maps in which some channels come from the next and the previous frame.

    Args:
        maps: (b·f, c, h, w) feature maps, the frames of a clip one after the other.
        frames: f, frames in a clip.

    Returns:
        (b·f, c, h, w). The first eighth of the channels (one at least) comes from the next
        frame, the second eighth from the previous one, with zeros beyond a clip's ends.

    Raises:
        EncoderError: the batch is no whole number of clips, or there are too few channels.

    Source:
        Lin, Gan, Han: TSM, ICCV 2019, section 3 (offline, residual shift).
    """
    batch, channels = maps.shape[0], maps.shape[1]
    fold = max(1, channels // 8)
    if frames < 1 or batch % frames:
        raise EncoderError(
            f"temporal shift: {batch} frames are no whole number of clips of {frames}: "
            "every clip of a batch needs the same number of frames"
        )
    if channels < 2 * fold:
        raise EncoderError(f"temporal shift needs 2 channels or more, the backbone has {channels}")
    source = torch.unflatten(maps, 0, (-1, frames))  # (b, f, c, h, w), a view
    shifted = source.clone()  # keeps the strides, so channels-last stays channels-last
    shifted[:, :-1, :fold] = source[:, 1:, :fold]
    shifted[:, -1, :fold] = 0
    shifted[:, 1:, fold : 2 * fold] = source[:, :-1, fold : 2 * fold]
    shifted[:, 0, fold : 2 * fold] = 0
    return shifted.flatten(0, 1)


def shift_sites(backbone: nn.Module) -> list[nn.Module]:
    """First convolutions of the residual blocks that are to be shifted; empty: none is known."""
    from timm.models.resnet import BasicBlock, Bottleneck

    stages = [getattr(backbone, name, None) for name in _LAYERS]
    if not all(isinstance(stage, nn.Sequential) for stage in stages):
        return []
    every = 2 if len(backbone.get_submodule("layer3")) >= _MANY_BLOCKS else 1  # type: ignore[arg-type]
    blocks = [block for stage in stages for block in list(stage or ())[::every]]
    if not all(isinstance(block, BasicBlock | Bottleneck) for block in blocks):
        return []
    return [block.get_submodule("conv1") for block in blocks]


def add_shift(backbone: nn.Module) -> int:
    """Make a residual backbone look at neighbouring frames; returns how many blocks now do.

    Raises:
        EncoderError: the backbone has no residual blocks of a kind that is known.
    """
    sites = shift_sites(backbone)
    if not sites:
        raise EncoderError(
            f"temporal shift needs a residual backbone, and {type(backbone).__name__} has no known "
            "residual blocks: take timm:resnet18, timm:resnet34 or timm:resnet50, or "
            "temporal_shift='off'"
        )
    for conv in sites:
        conv.register_forward_pre_hook(_shift_input)
    return len(sites)


def _shift_input(_conv: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Pre-hook of a shifted convolution; a plain function, so that copies of a net share it."""
    try:
        frames = _frames_per_clip.get()
    except LookupError:
        raise EncoderError(
            "a shifted backbone was run on its own: run the network around it, which knows how "
            "many frames a clip has"
        ) from None
    return (shift_frames(inputs[0], frames), *inputs[1:])


def is_shifted(network: nn.Module) -> bool:
    """Whether any convolution of the network looks at neighbouring frames."""
    return any(_shift_input in module._forward_pre_hooks.values() for module in network.modules())
