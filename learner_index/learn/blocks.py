"""A backbone's last block: which weights it has, and how to train these and no others.

A block is what timm groups for rates that differ by layer: a residual block, or a transformer's
layer. What a network does with parts held still is left to `network`.
"""

from collections.abc import Iterator

from torch import nn

from learner_index.errors import EncoderError
from learner_index.learn.network import Network


def last_block(backbone: nn.Module) -> frozenset[str]:
    """Names of the weights of a backbone's last block, with all that comes after it.

    A lone norm at the end is no block: the last group counts that has a weight of two or more
    axes, and every group behind it. Of a MobileNetV3 this is its last convolution.

    Raises:
        EncoderError: it cannot be told which block is the last.
    """
    from timm.models import group_parameters

    matcher = getattr(backbone, "group_matcher", None)
    if not callable(matcher):
        raise _untold(backbone, "it does not name its blocks")
    groups = group_parameters(backbone, matcher(coarse=False))
    weights = dict(backbone.named_parameters())
    wide = [n for n, names in groups.items() if any(weights[name].ndim > 1 for name in names)]
    found = frozenset(name for n, names in groups.items() if n >= max(wide) for name in names)
    if found == weights.keys():
        raise _untold(backbone, "it is a single block")
    return found


def train_last_block(network: Network) -> None:
    """Let a network learn with its last block, projection and head only.

    All else is held still: weights and running statistics, in training too.

    Raises:
        EncoderError: it cannot be told which block is the last.
    """
    trained = last_block(network.backbone)
    for name, weight in network.backbone.named_parameters():
        weight.requires_grad_(name in trained)
    network.hold_still(f"backbone.{name}" for name in _still(network.backbone, trained))


def _still(module: nn.Module, trained: frozenset[str], above: str = "") -> Iterator[str]:
    """Names of the largest parts without a trained weight, from the input to the output."""
    for name, part in module.named_children():
        path = f"{above}{name}"
        is_trained = {f"{path}.{weight}" in trained for weight, _ in part.named_parameters()}
        if True not in is_trained:
            yield path
        elif False in is_trained:
            yield from _still(part, trained, f"{path}.")


def _untold(backbone: nn.Module, reason: str) -> EncoderError:
    return EncoderError(
        f"the last block of {type(backbone).__name__} cannot be told, {reason}: "
        "train all blocks, or take another backbone such as timm:resnet18"
    )
