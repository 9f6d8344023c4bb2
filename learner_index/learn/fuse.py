"""Faster inference: batch norms folded into the convolutions before them, and checked to agree.

Which norm follows which convolution is seen by running the network once, so it works for any
architecture; a result that does not agree is thrown away.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

_TOLERANCE = 1e-4  # of the length of the output


def fused_copy(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy for inference that computes the same faster; the network itself stays as it is.

    Args:
        network: in evaluation mode; returns a tensor, or a tuple whose first item is one.
        example: an input of the shape that will come.

    Returns:
        The copy in channels-last layout, batch norms folded in. Where folding would move the
        output by more than 1e-4 of its length, the copy is left unfolded.
    """
    wanted = _first(network, example)
    copied = copy.deepcopy(network)
    for conv, norm in conv_norm_pairs(copied, example):
        _fold(copied, conv, norm)
    if not _agree(_first(copied, example), wanted):
        copied = copy.deepcopy(network)
    return copied.to(memory_format=torch.channels_last)


def conv_norm_pairs(network: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Names of each convolution and the batch norm that receives its output directly.

    Modules that run more than once in a forward are left out, as are those in training mode.
    """
    made_by: dict[str, Tensor] = {}
    pairs: list[tuple[str, str]] = []
    runs: dict[str, int] = {}

    def watch(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        runs[name] = runs.get(name, 0) + 1
        if isinstance(module, nn.Conv2d):
            made_by[name] = output  # held, so that no other tensor can take its identity
            return
        pairs.extend((conv, name) for conv, made in made_by.items() if made is inputs[0])

    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: watch(name, module, inputs, output)
        )
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) or _is_foldable(module)
    ]
    _first(network, example)
    for hook in hooks:
        hook.remove()
    return [pair for pair in pairs if all(runs[name] == 1 for name in pair)]


def _is_foldable(module: nn.Module) -> bool:
    """Whether a module is a batch norm with fixed statistics (timm's with activation included)."""
    fixed = isinstance(module, nn.BatchNorm2d) and module.running_mean is not None
    return fixed and not module.training


def _fold(network: nn.Module, conv_name: str, norm_name: str) -> None:
    """Put a norm's scale and offset into its convolution; what is left of it is its activation."""
    conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
    weight, bias = fuse_conv_bn_weights(
        conv.weight,  # type: ignore[arg-type]
        conv.bias,  # type: ignore[arg-type]
        norm.running_mean,  # type: ignore[arg-type]
        norm.running_var,  # type: ignore[arg-type]
        norm.eps,  # type: ignore[arg-type]
        norm.weight,  # type: ignore[arg-type]
        norm.bias,  # type: ignore[arg-type]
    )
    conv.weight, conv.bias = weight, bias
    rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    parent, _, leaf = norm_name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, nn.Sequential(*rest))


def _first(network: nn.Module, example: Tensor) -> Tensor:
    """The network's output, its first item if it is a tuple."""
    with torch.inference_mode():
        output = network(example)
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first


def _agree(output: Tensor, wanted: Tensor) -> bool:
    """Whether two outputs differ by less than the tolerance, relative to their length."""
    return bool((output - wanted).norm() <= _TOLERANCE * wanted.norm())
