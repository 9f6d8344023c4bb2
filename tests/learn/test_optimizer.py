"""Steps: rate, decay, clipping, averaging, and going on exactly after a pause."""

import math

import pytest
import torch
from torch import Tensor, nn

from learner_index.config import TrainOptions
from learner_index.learn.optimizer import Optimizer

CPU = torch.device("cpu")
N_STEPS = 40


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


def _network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 1))


def _optimizer(network: nn.Module, *, is_scaled: bool = False, **options) -> Optimizer:
    return Optimizer(network, TrainOptions(**options), N_STEPS, is_scaled, CPU)


def _loss(network: nn.Module, step: int) -> Tensor:
    pixels = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(step))
    return (network(pixels).squeeze(1) - pixels.mean((1, 2, 3))).square().mean()


def _run(network: nn.Module, optimizer: Optimizer, steps: range) -> list[float]:
    return [optimizer.step(_loss(network, step), lambda norm: None).item() for step in steps]


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _are_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("warmup", [0.0, 0.25, 1.0])
def test_rate_rises_then_falls_along_a_cosine(warmup):
    """Linear to the rate asked for, then a half cosine that would be 0 after the last step."""
    network = _network()
    optimizer = _optimizer(network, learning_rate=0.01, warmup=warmup)
    n_warm = round(warmup * N_STEPS)

    for t in range(1, N_STEPS + 1):
        _run(network, optimizer, range(1))
        rising = 0.01 * t / max(n_warm, 1)
        falling = 0.01 * (1 + math.cos(math.pi * t / (N_STEPS + 1))) / 2
        wanted = rising if t < n_warm else falling
        assert optimizer.rate == pytest.approx(wanted, abs=1e-9)
        assert optimizer.rate > 0


@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("n_steps", [1, 2, 7])
def test_every_step_moves(n_steps, warmup):
    """Neither the first step of a warm-up nor the last one of a run is lost."""
    network = _network()
    optimizer = Optimizer(network, TrainOptions(warmup=warmup), n_steps, False, CPU)

    for step in range(n_steps):
        before = network[3].weight.detach().clone()
        _run(network, optimizer, range(step, step + 1))
        assert not torch.equal(network[3].weight, before)


def test_only_weights_of_two_axes_decay():
    """With gradients of 0 kernels and matrices shrink by rate x decay; biases and norms stay."""
    network = _network()
    nn.init.ones_(network[0].bias)
    before = _weights(network)
    optimizer = _optimizer(network, learning_rate=0.1, weight_decay=0.5, warmup=0)

    optimizer.step(sum(p.sum() for p in network.parameters()) * 0.0, lambda norm: None)

    left = 1 - optimizer.rate * 0.5
    for name, after in network.named_parameters():
        expected = before[name] * left if after.ndim > 1 else before[name]
        torch.testing.assert_close(after.detach(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("clip_norm", "largest"), [(0.25, 0.25), (0.0, 1000.0)])
def test_clipping_bounds_the_gradient(clip_norm, largest):
    """A gradient of norm 1000 is cut to what was asked for, or left; its own norm is returned."""
    network = nn.Linear(1, 1, bias=False)
    optimizer = _optimizer(network, clip_norm=clip_norm)

    norm = optimizer.step(1000 * network.weight.sum(), lambda norm: None)

    assert norm.item() == pytest.approx(1000)
    assert network.weight.grad.norm().item() == pytest.approx(largest, rel=1e-4)


def test_without_averaging_the_network_itself_counts():
    """A decay of 0 averages nothing."""
    network = _network()

    assert _optimizer(network, ema_decay=0.0).averaged is network


def test_averaging_is_quick_at_first_and_slow_later():
    """The first step hardly keeps the first weights, and no step moves further than it may."""
    network = _network()
    optimizer = _optimizer(network, ema_decay=0.9, warmup=0, learning_rate=0.01)
    first = _weights(network)["3.weight"]

    _run(network, optimizer, range(1))
    after_one = _weights(network)["3.weight"], _weights(optimizer.averaged)["3.weight"]
    _run(network, optimizer, range(1, N_STEPS - 1))
    before = _weights(optimizer.averaged)["3.weight"]
    _run(network, optimizer, range(N_STEPS - 1, N_STEPS))

    last = 0.9 * before + 0.1 * _weights(network)["3.weight"]
    assert (after_one[1] - after_one[0]).norm() < 0.5 * (first - after_one[0]).norm()
    torch.testing.assert_close(_weights(optimizer.averaged)["3.weight"], last)


def test_check_comes_before_the_step():
    """Whoever refuses the gradient's norm finds the weights and averages as they were."""
    network = _network()
    optimizer = _optimizer(network)
    before = _weights(network), _weights(optimizer.averaged)
    loss = _loss(network, 0)
    seen = _weights(network)  # batch norm has counted; nothing else moved

    def refuse(norm: Tensor) -> None:
        raise ArithmeticError(f"norm {norm.item():.0e}")

    with pytest.raises(ArithmeticError, match="norm"):
        optimizer.step(loss, refuse)

    assert _are_equal(_weights(network), seen)
    assert _are_equal(_weights(optimizer.averaged), before[1])
    assert optimizer.tensors()["n_done"] == 0


@pytest.mark.parametrize("is_scaled", [False, True])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_goes_on_exactly(is_scaled, ema_decay):
    """Put away and taken back by another optimizer, all further steps are the same bit for bit."""
    options = {"is_scaled": is_scaled, "ema_decay": ema_decay, "learning_rate": 0.01}
    network, other = _network(), _network(seed=1)
    for one in (network, other):
        one.to(memory_format=torch.channels_last)
    optimizer, second = _optimizer(network, **options), _optimizer(other, **options)
    _run(network, optimizer, range(7))
    kept = {name: tensor.clone() for name, tensor in optimizer.tensors().items()}

    norms = _run(network, optimizer, range(7, 20))
    second.restore(kept)
    again = _run(other, second, range(7, 20))

    assert norms == again
    assert second.rate == optimizer.rate
    assert _are_equal(second.tensors(), optimizer.tensors())


def test_an_overflow_of_scaled_losses_is_skipped():
    """A gradient too large for its scale lowers the scale and leaves the weights as they are."""
    network = nn.Linear(1, 1, bias=False)
    optimizer = _optimizer(network, is_scaled=True, ema_decay=0.0)
    before = _weights(network)

    optimizer.step(network.weight.sum() * 1e38, _refuse)

    assert _are_equal(_weights(network), before)
    assert optimizer.tensors()["scaler"].tolist() == [32768.0, 0.0]


def test_gradients_that_overflow_without_scale_are_refused():
    """Once the scale is spent, what is not finite is the gradient itself."""
    network = nn.Linear(1, 1, bias=False)
    optimizer = _optimizer(network, is_scaled=True)

    with pytest.raises(ArithmeticError, match="nan"):
        for _ in range(20):
            optimizer.step(network.weight.sum() * math.nan, _refuse)

    assert bool(torch.isfinite(network.weight).all())


def _refuse(norm: Tensor) -> None:
    if not torch.isfinite(norm):
        raise ArithmeticError(str(norm.item()))
