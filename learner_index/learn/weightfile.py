"""Weights files: read without running code from them, and fitted to a network or refused."""

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

from torch import Tensor, nn

from learner_index.errors import EncoderError
from learner_index.learn.keymaps import efficientnet_to_timm, is_efficientnet_pytorch

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors, .pth, .pt or .bin file.

    Training checkpoints are unwrapped as timm does: averaged (EMA) weights before plain ones.

    Raises:
        EncoderError: the file is absent, of another kind, unreadable, or holds more than tensors.
    """
    from safetensors import SafetensorError
    from timm.models import load_state_dict

    if not file.is_file():
        raise EncoderError(f"no weights file {str(file)!r}: check the path after @")
    if file.suffix not in _SUFFIXES:
        raise EncoderError(f"{file.name}: weights are read from {', '.join(_SUFFIXES)} only")
    try:
        with warnings.catch_warnings():  # torch warns of pickles that it goes on to refuse
            warnings.simplefilter("ignore")
            weights = load_state_dict(str(file), weights_only=True)
    except (RuntimeError, UnpicklingError) as problem:
        if "pickle" in str(problem).lower() or "weights_only" in str(problem).lower():
            raise EncoderError(
                f"{file.name} holds Python objects, which could run code and are refused: save "
                "the network's state_dict() as .safetensors and use that"
            ) from problem
        raise EncoderError(_unreadable(file)) from problem
    except AttributeError as problem:  # timm looked for names in what has none
        raise EncoderError(f"{file.name} holds no weights by name") from problem
    except (SafetensorError, OSError, EOFError, ValueError, KeyError) as problem:
        raise EncoderError(_unreadable(file)) from problem
    return _only_tensors(weights, file.name)


def _unreadable(file: Path) -> str:
    return f"{file.name} cannot be read: it is truncated or no weights file; copy it again"


def _only_tensors(weights: object, name: str) -> dict[str, Tensor]:
    """Refuse a file that does not map names to finite tensors."""
    if not isinstance(weights, Mapping) or not weights:
        raise EncoderError(f"{name} holds no weights by name")
    for key, value in weights.items():
        if not isinstance(value, Tensor):
            raise EncoderError(f"{name}: {str(key)!r} is no tensor; save the state_dict() alone")
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise EncoderError(f"{name}: {str(key)!r} has values that are not finite")
    return dict(weights)


def fit_weights(network: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Put weights into a timm network; a colour stem is summed to grey, a classifier ignored.

    Args:
        network: made by timm with num_classes=0.
        weights: from `read_weights`; EfficientNet-PyTorch's names are understood.
        name: the file's name, for messages.

    Raises:
        EncoderError: keys are missing or foreign, or shapes differ.
    """
    wanted = network.state_dict()
    fitted = dict(weights)
    if is_efficientnet_pytorch(fitted):
        fitted = efficientnet_to_timm(fitted, wanted)
    fitted = _as_timm_filters(network, fitted, name)
    _drop_classifier(network, fitted)
    _sum_colours(network, fitted, wanted)
    _check_fit(fitted, wanted, name)
    network.load_state_dict(fitted)


def _as_timm_filters(
    network: nn.Module, weights: dict[str, Tensor], name: str
) -> dict[str, Tensor]:
    """What timm does to files of this architecture (old names, other image sizes), if anything.

    By its convention the function stands beside the network's class.
    """
    module = sys.modules[type(network).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None)
    if convert is None:
        return weights
    try:
        return dict(convert(weights, network))
    except (KeyError, IndexError, RuntimeError, ValueError, AssertionError) as problem:
        raise EncoderError(
            f"{name} does not fit {type(network).__name__}: {type(problem).__name__} {problem}"
        ) from problem


def _names(network: nn.Module, entry: str) -> tuple[str, ...]:
    """Names of the classifiers or first convolutions in timm's description of a network."""
    found = dict(network.pretrained_cfg).get(entry) or ()  # type: ignore[arg-type]
    return (found,) if isinstance(found, str) else tuple(found)


def _drop_classifier(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Leave out the layer that names ImageNet's classes."""
    for classifier in _names(network, "classifier"):
        for leaf in ("weight", "bias"):
            weights.pop(f"{classifier}.{leaf}", None)


def _sum_colours(
    network: nn.Module, weights: dict[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Sum a first convolution's three colours to one grey channel, by timm's own rule."""
    from timm.models import adapt_input_conv

    for conv in _names(network, "first_conv"):
        key = f"{conv}.weight"
        if key not in weights or key not in wanted or weights[key].ndim != 4:
            continue
        if weights[key].shape[1] == 3 and wanted[key].shape[1] == 1:
            weights[key] = adapt_input_conv(1, weights[key])


def _check_fit(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str) -> None:
    """One line for the first thing that does not fit."""
    missing = [key for key in wanted if key not in weights]
    if missing:
        raise EncoderError(
            f"{name} lacks {len(missing)} of the network's {len(wanted)} tensors, first "
            f"{missing[0]!r}: is it a file for this architecture?"
        )
    foreign = [key for key in weights if key not in wanted]
    if foreign:
        raise EncoderError(
            f"{name} has {len(foreign)} tensors the network does not know, first {foreign[0]!r}: "
            "is it a file for this architecture?"
        )
    for key, tensor in wanted.items():
        if weights[key].shape != tensor.shape:
            raise EncoderError(
                f"{name}: {key!r} has shape {tuple(weights[key].shape)}, "
                f"the network needs {tuple(tensor.shape)}"
            )
