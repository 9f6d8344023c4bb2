"""Folded batch norms: found, folded, and given up when they would change the result."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from learner_index.learn.fuse import conv_norm_pairs, fused_copy
from learner_index.learn.weights import untrained

NOISE = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def _lively(network: nn.Module) -> nn.Module:
    """The network with batch statistics that are not the trivial ones."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def _timm(name: str) -> nn.Module:
    return _lively(untrained(name, size=32, seed=0))


def _norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def _run(network: nn.Module, images: torch.Tensor = NOISE) -> torch.Tensor:
    with torch.inference_mode():
        return network(images)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet"])
def test_folds_every_norm_and_agrees(name):
    """No batch norm is left, and the output is the same to 1e-4 of its length."""
    network = _timm(name)

    fused = fused_copy(network, NOISE)

    assert _norms(network) > 0
    assert _norms(fused) == 0
    images = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(7))
    wanted = _run(network, images)
    assert (_run(fused, images) - wanted).norm() < 1e-4 * wanted.norm()


def test_leaves_the_network_as_it_was():
    """Folding works on a copy: the network's own weights do not change."""
    network = _timm("test_resnet")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    fused_copy(network, NOISE)

    after = network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_copy_is_channels_last():
    """The copy's convolutions are in channels-last layout."""
    fused = fused_copy(_timm("test_resnet"), NOISE)

    weights = [module.weight for module in fused.modules() if isinstance(module, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


def test_activation_of_a_norm_stays():
    """What timm's norm does after normalizing (its activation) is still done."""
    network = _timm("test_efficientnet")

    fused = fused_copy(network, NOISE)

    n_before = sum(isinstance(module, nn.SiLU) for module in network.modules())
    assert sum(isinstance(module, nn.SiLU) for module in fused.modules()) == n_before > 0


def test_network_without_norms_is_only_copied():
    """A transformer has nothing to fold and gives the same output."""
    network = untrained("test_vit", size=32, seed=0)

    torch.testing.assert_close(_run(fused_copy(network, NOISE)), _run(network))


class _Branching(nn.Module):
    """Uses a convolution's output both with and without its norm: cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.conv(x)
        return made + self.norm(made)


def test_gives_up_when_the_output_would_change():
    """A convolution used twice makes folding wrong; the copy is then left unfolded."""
    network = _lively(_Branching())

    fused = fused_copy(network, NOISE)

    assert _norms(fused) == 1
    torch.testing.assert_close(_run(fused), _run(network))


class _Repeating(nn.Module):
    """Runs the same convolution and norm twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(self.norm(self.conv(x))))


class _Indirect(_Repeating):
    """Something comes between the convolution and its norm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(functional.relu(self.conv(x)))


@pytest.mark.parametrize("kind", [_Repeating, _Indirect])
def test_other_arrangements_are_no_pairs(kind):
    """Shared modules and norms behind something else are left alone."""
    assert conv_norm_pairs(_lively(kind()), NOISE) == []


def test_training_norms_are_no_pairs():
    """A norm that uses its batch's own statistics cannot be folded."""
    assert conv_norm_pairs(_Branching().train(), NOISE) == []
