"""Weights files: what is read, how it is fitted, and what is refused in one line."""

import datetime
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from learner_index.errors import EncoderError
from learner_index.learn.weightfile import fit_weights, read_weights
from learner_index.learn.weights import untrained


def _colour(name: str = "test_resnet", **options) -> torch.nn.Module:
    """A colour network with a classifier, as it would be published."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return timm.create_model(name, **options).eval()


def _grey(name: str = "test_resnet", size: int = 32) -> torch.nn.Module:
    return untrained(name, size=size, seed=0)


def _features(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.forward_head(network.forward_features(images), pre_logits=True)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
def test_published_colour_weights_fit_grey(tmp_path, suffix):
    """A published file loads; a grey image has the features of its three-channel copy."""
    colour, grey = _colour(), _grey()
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(colour.state_dict(), file)
    else:
        torch.save(colour.state_dict(), file)

    fit_weights(grey, read_weights(file), file.name)

    image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        _features(grey, image), _features(colour, image.expand(-1, 3, -1, -1))
    )


@pytest.mark.parametrize("wrap", ["state_dict", "model", "model_ema", "state_dict_ema"])
def test_training_checkpoints_are_unwrapped(tmp_path, wrap):
    """The weights inside a training checkpoint are found, averaged ones before plain ones."""
    weights = {f"module.{key}": value for key, value in _colour().state_dict().items()}
    zeros = {key: torch.zeros_like(value) for key, value in weights.items()}
    torch.save({"state_dict": zeros, "epoch": 3} | {wrap: weights}, tmp_path / "last.pth")

    found = read_weights(tmp_path / "last.pth")

    if wrap != "model":  # a plain "model" yields to a plain "state_dict", as in timm
        assert torch.equal(found["layer1.0.conv1.weight"], weights["module.layer1.0.conv1.weight"])
    assert "conv1.0.weight" in found


def test_transformer_of_another_size_is_resampled(tmp_path):
    """Position embeddings of a published transformer are brought to the size asked for."""
    save_file(_colour("test_vit").state_dict(), tmp_path / "vit.safetensors")
    network = _grey("test_vit", size=64)

    fit_weights(network, read_weights(tmp_path / "vit.safetensors"), "vit.safetensors")

    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 64)


def test_half_precision_files_load(tmp_path):
    """Weights published in half precision become the network's float32."""
    weights = {
        key: v.half() if v.is_floating_point() else v for key, v in _colour().state_dict().items()
    }
    save_file(weights, tmp_path / "half.safetensors")
    network = _grey()

    fit_weights(network, read_weights(tmp_path / "half.safetensors"), "half.safetensors")

    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_refuses_an_absent_file(tmp_path):
    """A file that is not there is named."""
    with pytest.raises(EncoderError, match=r"no weights file '.*absent\.pth'"):
        read_weights(tmp_path / "absent.pth")


def test_refuses_other_kinds_of_file(tmp_path):
    """A suffix that is none of the four is refused before the file is opened."""
    (tmp_path / "weights.npz").write_bytes(b"")

    with pytest.raises(EncoderError, match=r"read from \.safetensors, \.pth"):
        read_weights(tmp_path / "weights.npz")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_refuses_a_truncated_file(tmp_path, suffix, share):
    """A file cut anywhere gives one line, never a traceback from the reader."""
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    weights = _colour().state_dict()
    save_file(weights, whole) if suffix == ".safetensors" else torch.save(weights, whole)
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])

    with pytest.raises(EncoderError, match="truncated or no weights file"):
        read_weights(cut)


@pytest.mark.parametrize("content", [b"<html>404</html>" * 20, b"hello\n", bytes(100)])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_refuses_what_is_no_weights_file(tmp_path, suffix, content):
    """A web page or text saved under a weights file's name is refused."""
    file = tmp_path / f"page{suffix}"
    file.write_bytes(content)

    with pytest.raises(EncoderError, match=r"page\..* (cannot be read|holds Python objects)"):
        read_weights(file)


class _Runs:
    """Runs code when unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


def test_pickled_code_does_not_run(tmp_path):
    """A file that would run code is refused, and the code does not run."""
    witness = tmp_path / "ran"
    torch.save({"state_dict": _Runs(witness)}, tmp_path / "evil.pth")

    with pytest.raises(EncoderError, match=r"evil\.pth holds Python objects"):
        read_weights(tmp_path / "evil.pth")
    assert not witness.exists()


def test_refuses_a_pickled_network(tmp_path):
    """A whole network saved with torch.save is refused with what to save instead."""
    torch.save(_colour(), tmp_path / "whole.pt")

    with pytest.raises(EncoderError, match=r"save the network's state_dict\(\)"):
        read_weights(tmp_path / "whole.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no weights by name"),
        (torch.zeros(3), "no weights by name"),
        ({"model": {"a": 1}}, "'a' is no tensor"),
        ({"a": torch.tensor([1.0, float("nan")])}, "'a' has values that are not finite"),
        ({"when": [1, "x"]}, "'when' is no tensor"),
    ],
)
def test_refuses_other_content(tmp_path, content, message):
    """A file must map names to finite tensors."""
    torch.save(content, tmp_path / "odd.pth")

    with pytest.raises(EncoderError, match=message):
        read_weights(tmp_path / "odd.pth")


def test_refuses_foreign_objects_beside_weights(tmp_path):
    """Even harmless Python objects in a checkpoint are refused, not skipped."""
    torch.save({"model": {}, "when": datetime.date(2024, 1, 1)}, tmp_path / "dated.pth")

    with pytest.raises(EncoderError, match="holds Python objects"):
        read_weights(tmp_path / "dated.pth")


def test_names_the_first_missing_tensor():
    """Missing tensors are counted and the first is named."""
    weights = dict(_colour().state_dict())
    del weights["layer2.0.conv1.weight"], weights["layer3.0.conv1.weight"]

    with pytest.raises(EncoderError, match=r"f\.pth lacks 2 of .* 'layer2\.0\.conv1\.weight'"):
        fit_weights(_grey(), weights, "f.pth")


def test_names_the_first_foreign_tensor():
    """Tensors the network does not know are counted and the first is named."""
    weights = dict(_colour().state_dict()) | {"decoder.weight": torch.zeros(2)}

    with pytest.raises(EncoderError, match=r"1 tensors the network does not know.*decoder"):
        fit_weights(_grey(), weights, "f.pth")


def test_names_the_first_shape_that_differs():
    """A wrong shape is given beside the one that is needed."""
    weights = dict(_colour().state_dict()) | {"layer2.0.bn1.weight": torch.zeros(5)}

    with pytest.raises(
        EncoderError, match=r"'layer2\.0\.bn1\.weight' has shape \(5,\), .*\(\d+,\)"
    ):
        fit_weights(_grey(), weights, "f.pth")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_refuses_another_architecture(name):
    """A file for another network is refused, whatever timm does to such files."""
    weights = _colour("test_efficientnet").state_dict()

    with pytest.raises(EncoderError, match=r"f\.pth (lacks|does not fit)"):
        fit_weights(_grey(name), weights, "f.pth")


def test_failing_conversion_is_one_line(monkeypatch):
    """When timm's own conversion of a file fails, the message names file and network."""
    import timm.models.vision_transformer as home

    def fail(*_):
        raise KeyError("pos_embed")

    monkeypatch.setattr(home, "checkpoint_filter_fn", fail)
    network = _grey("test_vit")

    with pytest.raises(EncoderError, match=r"f\.pth does not fit VisionTransformer: KeyError"):
        fit_weights(network, network.state_dict(), "f.pth")
