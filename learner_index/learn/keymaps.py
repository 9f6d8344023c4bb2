"""Weights published under other names, translated to timm's names."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_MARK = "_conv_stem.weight"  # only EfficientNet-PyTorch and its Lite variants have it
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_CLASSIFIER = {"_fc": "classifier"}
_EXPANDED = {  # inverted residual: expand, depthwise, project
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_SEPARABLE = {  # the first stage has no expansion
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
_BLOCK = re.compile(r"^blocks\.(\d+)\.(\d+)\.")


def is_efficientnet_pytorch(keys: Iterable[str]) -> bool:
    """Whether these weights are named as by EfficientNet-PyTorch (or its Lite variants)."""
    return _MARK in set(keys)


def efficientnet_to_timm(weights: Mapping[str, Any], timm_keys: Iterable[str]) -> dict[str, Any]:
    """The same weights under timm's names; names that are not understood stay as they are.

    Args:
        weights: tensors named as by EfficientNet-PyTorch.
        timm_keys: names in timm's network of the same architecture; they tell how the flat list
            of blocks falls into stages.
    """
    prefixes = _prefixes(list(timm_keys))
    return {_translate(key, prefixes): value for key, value in weights.items()}


def _prefixes(timm_keys: list[str]) -> dict[str, str]:
    """From each module's name in EfficientNet-PyTorch to its name in timm."""
    names = dict(_TOP) | _CLASSIFIER
    places = {match.groups() for key in timm_keys if (match := _BLOCK.match(key))}
    ordered = sorted((int(stage), int(block)) for stage, block in places)
    for flat, (stage, block) in enumerate(ordered):
        new = f"blocks.{stage}.{block}"
        is_expanded = f"{new}.conv_pwl.weight" in timm_keys
        inner = (_EXPANDED if is_expanded else _SEPARABLE) | _SQUEEZE
        names |= {f"_blocks.{flat}.{old}": f"{new}.{name}" for old, name in inner.items()}
    return names


def _translate(key: str, prefixes: Mapping[str, str]) -> str:
    """One tensor's name: the module is renamed, its last part (weight, bias, …) stays."""
    module, _, leaf = key.rpartition(".")
    return f"{prefixes.get(module, module)}.{leaf}" if module else key
