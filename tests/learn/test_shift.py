"""Temporal shift: which channels move, where, and which networks can have it."""

import copy

import pytest
import timm
import torch
from torch import nn

from learner_index.errors import EncoderError
from learner_index.learn.network import Network
from learner_index.learn.shift import add_shift, clips_of, is_shifted, shift_frames, shift_sites
from learner_index.learn.weights import untrained


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _backbone() -> nn.Module:
    return untrained("test_resnet", size=32, seed=0)


def _network(*, shift: bool = True) -> Network:
    return Network(_backbone(), 96, width=None, temporal_shift=shift).eval()


def _run(network: nn.Module, clips: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network(clips).embedding


def _slow_shift(maps: torch.Tensor, frames: int) -> torch.Tensor:
    """The definition, one channel of one frame at a time."""
    fold = max(1, maps.shape[1] // 8)
    shifted = torch.zeros_like(maps)
    for row in range(len(maps)):
        clip, frame = divmod(row, frames)
        for channel in range(maps.shape[1]):
            step = 1 if channel < fold else -1 if channel < 2 * fold else 0
            if 0 <= frame + step < frames:
                shifted[row, channel] = maps[clip * frames + frame + step, channel]
    return shifted


@pytest.mark.parametrize("channels", [2, 5, 8, 17, 64])
@pytest.mark.parametrize("frames", [1, 2, 3, 6])
def test_equals_the_definition(channels, frames):
    """Every channel of every frame comes from where the definition says."""
    maps = _noise(2 * frames, channels, 3, 2)

    shifted = shift_frames(maps, frames)

    assert torch.equal(shifted, _slow_shift(maps, frames))


def test_keeps_channels_last():
    """Feature maps in channels-last layout stay in it, so that no copy follows."""
    maps = _noise(6, 16, 4, 4).contiguous(memory_format=torch.channels_last)

    assert shift_frames(maps, 3).is_contiguous(memory_format=torch.channels_last)


def test_leaves_its_input_alone():
    """The identity path of a block, which shares the input, is not shifted."""
    maps = _noise(4, 8, 2, 2)
    before = maps.clone()

    shift_frames(maps, 4)

    assert torch.equal(maps, before)


def test_gradient_is_right():
    """Gradients through the shift agree with finite differences."""
    maps = _noise(4, 9, 2, 2).double().requires_grad_()

    assert torch.autograd.gradcheck(lambda x: shift_frames(x, 2), maps)


def test_refuses_a_broken_clip():
    """A batch that is no whole number of clips would mix patients, and is refused."""
    with pytest.raises(EncoderError, match="7 frames are no whole number of clips of 4"):
        shift_frames(_noise(7, 8, 2, 2), 4)


def test_refuses_a_single_channel():
    """With one channel nothing could be shifted both ways."""
    with pytest.raises(EncoderError, match="needs 2 channels or more"):
        shift_frames(_noise(4, 1, 2, 2), 4)


def test_names_of_weights_stay():
    """A shifted backbone has the state-dict keys of the plain one, so published weights load."""
    plain, shifted = _backbone(), _backbone()

    n_blocks = add_shift(shifted)

    assert n_blocks == 4
    assert list(plain.state_dict()) == list(shifted.state_dict())


def test_shifts_every_second_block_of_deep_nets():
    """From 23 blocks in layer3 on, every second block of each layer is shifted."""
    with torch.device("meta"):
        deep = timm.create_model("resnet101", num_classes=0, in_chans=1)

    assert len(shift_sites(deep)) == 2 + 2 + 12 + 2


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "seresnet18"])
def test_knows_the_residual_families(name):
    """Each block of these networks has a site, at its first convolution."""
    with torch.device("meta"):
        backbone = timm.create_model(name, num_classes=0, in_chans=1)

    sites = shift_sites(backbone)

    blocks = sum(len(backbone.get_submodule(f"layer{i}")) for i in (1, 2, 3, 4))
    assert len(sites) == blocks
    assert all(isinstance(site, nn.Conv2d) for site in sites)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "resnest14d"])
def test_refuses_unknown_blocks(name):
    """A backbone without known residual blocks is refused, with networks that have them."""
    with torch.device("meta"):
        backbone = timm.create_model(name, num_classes=0, in_chans=1)

    with pytest.raises(EncoderError, match="take timm:resnet18"):
        add_shift(backbone)


def test_order_of_frames_matters():
    """Shuffled frames change a shifted network's output, and not a plain one's mean."""
    clip = _noise(1, 4, 1, 32, 32)
    shuffled = clip[:, [2, 0, 3, 1]]

    assert not torch.allclose(_run(_network(), clip), _run(_network(), shuffled), rtol=1e-3)
    plain = _network(shift=False)
    torch.testing.assert_close(_run(plain, clip), _run(plain, shuffled))


def test_one_frame_equals_zeroed_channels():
    """With one frame the network is the 2-D one with the shifted channels set to zero."""
    image = _noise(2, 1, 1, 32, 32)
    zeroed = _network(shift=False)

    def drop(_module, inputs):
        maps = inputs[0].clone()
        maps[:, : 2 * max(1, maps.shape[1] // 8)] = 0
        return (maps,)

    for site in shift_sites(zeroed.backbone):
        site.register_forward_pre_hook(drop)

    torch.testing.assert_close(_run(_network(), image), _run(zeroed, image), rtol=0, atol=0)


def test_clips_do_not_mix():
    """Altering one clip leaves the other clip's output the same, bit for bit."""
    clips = _noise(2, 4, 1, 32, 32)
    altered = clips.clone()
    altered[0] = _noise(4, 1, 32, 32, seed=1)
    network = _network()

    before, after = _run(network, clips), _run(network, altered)

    assert torch.equal(before[1], after[1])
    assert not torch.equal(before[0], after[0])


def test_same_output_at_any_batch_size():
    """Clips alone, in pairs or all together have the same output (TSM issue 134)."""
    clips = _noise(6, 4, 1, 32, 32)
    network = _network()
    golden = _run(network, clips)

    for size in (1, 2, 3):
        parts = torch.cat([_run(network, part) for part in clips.split(size)])
        torch.testing.assert_close(parts, golden, rtol=1e-5, atol=1e-6)


def test_clip_length_is_the_forward_s_own():
    """One network takes clips of 4, 1 and 2 frames in turn, none of which is remembered."""
    network = _network()
    clips = [_noise(1, frames, 1, 32, 32) for frames in (4, 1, 2)]

    first = [_run(network, clip) for clip in clips]
    again = [_run(network, clip) for clip in reversed(clips)][::-1]

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_refuses_a_backbone_on_its_own():
    """Without the network around it a shifted backbone cannot know its clips' length."""
    network = _network()

    with pytest.raises(EncoderError, match="run the network around it"):
        network.backbone(_noise(4, 1, 32, 32))


def test_wrong_clip_length_is_refused():
    """A declared length that does not divide the batch stops the forward."""
    network = _network()

    with clips_of(3), pytest.raises(EncoderError, match="4 frames are no whole number"):
        network.backbone(_noise(4, 1, 32, 32))


def test_copies_are_shifted_too():
    """A deep copy of a shifted network gives the same output."""
    clip = _noise(1, 4, 1, 32, 32)
    network = _network()

    copied = copy.deepcopy(network)

    assert is_shifted(copied)
    assert not is_shifted(_network(shift=False))
    assert torch.equal(_run(copied, clip), _run(network, clip))
