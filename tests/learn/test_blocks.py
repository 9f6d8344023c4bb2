"""A backbone's last block: which weights it is, and that nothing else of a network learns."""

from copy import deepcopy

import pytest
import timm
import torch
from torch import nn

from learner_index.errors import EncoderError
from learner_index.learn.blocks import last_block, train_last_block
from learner_index.learn.network import Network
from learner_index.learn.weights import build_backbone, parse_spec


def backbone(name: str) -> nn.Module:
    """A network's shape, without weights."""
    with torch.device("meta"):
        return timm.create_model(name, num_classes=0, in_chans=1)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("test_resnet", {"layer4.0"}),
        ("resnet18", {"layer4.1"}),
        ("test_vit", {"blocks.5", "norm"}),
        ("test_convnext", {"stages.3.blocks.1", "head.norm"}),
        ("test_efficientnet", {"blocks.4.0", "conv_head", "bn2"}),
        ("mobilenetv3_small_050", {"conv_head"}),
    ],
)
def test_finds_the_last_block_with_what_follows_it(name, parts):
    """Whole parts, a final norm with the block before it, and all of their weights."""
    network = backbone(name)

    found = last_block(network)

    wanted = {
        f"{part}.{weight}"
        for part in parts
        for weight, _ in network.get_submodule(part).named_parameters()
    }
    assert found == wanted


@pytest.mark.parametrize(
    ("network", "kind"),
    [(nn.Sequential(nn.Conv2d(1, 2, 3)), "Sequential"), (backbone("poolformer_s12"), "MetaFormer")],
)
def test_refuses_a_backbone_that_names_no_blocks(network, kind):
    """One line with the kind of network and two ways on."""
    says = rf"last block of {kind} .* it does not name its blocks: train all .* timm:resnet18$"

    with pytest.raises(EncoderError, match=says):
        last_block(network)


def test_refuses_a_backbone_of_one_block():
    """Nothing would be held still."""
    network = backbone("test_resnet")
    network.group_matcher = lambda coarse: lambda name: 0

    with pytest.raises(EncoderError, match=r"the last block of ResNet .* it is a single block"):
        last_block(network)


def toy(name: str = "timm:test_resnet") -> Network:
    """A small network of which only the last block learns."""
    made = build_backbone(parse_spec(name), size=32, seed=0)
    network = Network(made.module, made.features, width=4)
    train_last_block(network)
    return network


def test_only_last_block_projection_and_head_learn():
    """By name; the head's own switch stays with the trainer."""
    network = toy()

    learning = {name for name, weight in network.named_parameters() if weight.requires_grad}

    parts = {name.split(".")[1] if name.startswith("b") else name for name in learning}
    assert parts == {"layer4", "projection.weight", "head.weight", "head.bias"}


@pytest.mark.parametrize("copied", [lambda network: network, deepcopy])
def test_still_parts_compute_as_in_evaluation(copied):
    """In training, too, and in a copy; the last block's own norms are in training."""
    network = copied(toy()).eval().train()

    is_training = {name for name, part in network.named_modules() if part.training}

    assert {"backbone.layer4.0.bn1", "backbone.layer4.0", "projection"} <= is_training
    assert not [name for name in is_training if "layer3" in name or name == "backbone.bn1"]
    assert not any(part.training for part in network.eval().modules())


def test_a_block_is_found_within_its_stage():
    """Of ResNet-18's last stage the first block is still and the second learns."""
    network = Network(backbone("resnet18"), 512)

    train_last_block(network)

    stage = network.train().backbone.layer4
    assert [any(part.training for part in block.modules()) for block in stage] == [False, True]
    assert all(part.training for part in stage[1].modules())


def test_parts_are_still_at_once():
    """A network that is in training already does not wait for the next epoch."""
    made = build_backbone(parse_spec("timm:test_resnet"), size=32, seed=0)
    network = Network(made.module, made.features).train()

    network.hold_still(["backbone.layer1"])

    assert not network.backbone.layer1.training
    assert network.backbone.layer2.training


def test_still_parts_survive_conversion_for_several_processes():
    """Norms are exchanged for ones that synchronize; the still ones stay in evaluation."""
    network = nn.SyncBatchNorm.convert_sync_batchnorm(toy()).train()

    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.SyncBatchNorm)}

    assert {name.split(".")[1] for name, norm in norms.items() if norm.training} == {"layer4"}
    assert {"backbone.bn1", "backbone.layer1.0.bn1"} <= norms.keys()


def test_still_statistics_do_not_move_and_the_others_do():
    """A forward in training leaves every still buffer as it was, to the bit."""
    network = toy().train()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}

    network(torch.randn(4, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0)))

    moved = {
        name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])
    }
    assert moved
    assert all(name.startswith("backbone.layer4.") for name in moved)


def test_a_network_without_still_parts_trains_whole():
    """Nothing is held still unless it is asked for, and the mode is handed back as ever."""
    made = build_backbone(parse_spec("timm:test_resnet"), size=32, seed=0)
    network = Network(made.module, made.features)

    assert all(part.training for part in network.train().modules())
    assert network.eval() is network
