"""Augmentation: what is drawn, what it does to pixels, and what it never does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import AugmentOptions
from learner_index.data.decoded import NEIGHBORS
from learner_index.errors import SettingsError
from learner_index.learn.augment import (
    Augmentation,
    apply_augmentation,
    check_augment,
    draw_augmentation,
    pick_frames,
)

NONE = AugmentOptions(gain=0, contrast=0, gamma=0, noise=0, shift=0, flip=False, time_jitter=False)
STRONG = AugmentOptions(gain=0.4, contrast=0.8, gamma=0.9, noise=0.3, shift=0.4, flip=True)
_SEEDS = st.integers(0, 2**32)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _frames(b: int = 5, f: int = 3, h: int = 6, w: int = 10, seed: int = 0) -> torch.Tensor:
    """Noise in 0..1 with a black margin on the left, like the outside of a fan."""
    frames = torch.from_numpy(_rng(seed).random((b, f, h, w), dtype=np.float32))
    frames[..., :2] = 0.0
    return frames


def _only(n: int = 1, **changes: float) -> Augmentation:
    """The same chosen changes for n scans, nothing else."""
    still = {"flip": False, "shift_px": 0, "gamma": 1.0, "contrast": 0, "gain": 0, "noise": 0}
    values = {name: np.full(n, value) for name, value in (still | changes).items()}
    return Augmentation(**values, noise_seed=np.arange(n))


def _row(drawn: Augmentation, i: int) -> Augmentation:
    """What was drawn for one of the scans."""
    names = Augmentation.__slots__
    return Augmentation(**{name: getattr(drawn, name)[i : i + 1] for name in names})


# chance


def test_the_same_source_draws_the_same():
    """What is drawn is a function of the generator's state."""
    one, other = (draw_augmentation(_rng(), 9, 64, STRONG) for _ in range(2))

    for name in Augmentation.__slots__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).shape == (9,)


@given(seed=_SEEDS)
def test_what_is_drawn_stays_within_the_options(seed):
    """Each change lies within ± its option, noise within 0 and its option."""
    drawn = draw_augmentation(_rng(seed), 50, 64, STRONG)

    assert np.abs(drawn.gain).max() <= STRONG.gain
    assert np.abs(drawn.contrast).max() <= STRONG.contrast
    assert np.abs(np.log(drawn.gamma)).max() <= STRONG.gamma + 1e-12
    assert np.abs(drawn.shift_px).max() <= round(STRONG.shift * 64)
    assert 0 <= drawn.noise.min() <= drawn.noise.max() <= STRONG.noise


def test_draws_fill_their_range_on_both_sides():
    """Over many scans, every change goes both ways, and half are mirrored."""
    drawn = draw_augmentation(_rng(), 4000, 64, STRONG)

    for values, limit in [
        (drawn.gain, STRONG.gain),
        (drawn.contrast, STRONG.contrast),
        (np.log(drawn.gamma), STRONG.gamma),
        (drawn.shift_px, STRONG.shift * 64),
    ]:
        assert values.min() < -0.95 * limit
        assert values.max() > 0.95 * limit
        assert abs(values.mean()) < 0.05 * limit
    assert abs(drawn.noise.mean() - STRONG.noise / 2) < 0.01
    assert 0.46 < drawn.flip.mean() < 0.54
    assert len(set(drawn.noise_seed.tolist())) > 3990


@pytest.mark.parametrize("name", ["gain", "contrast", "gamma", "noise", "shift", "flip"])
def test_switching_one_change_off_leaves_the_others(name):
    """An option at 0 does not move what is drawn for the others, nor what comes afterwards."""
    full, part = _rng(), _rng()
    all_drawn = draw_augmentation(full, 6, 64, STRONG)

    drawn = draw_augmentation(part, 6, 64, replace(STRONG, **{name: getattr(NONE, name)}))

    own = {"shift": "shift_px"}.get(name, name)
    for field in set(Augmentation.__slots__) - {own}:
        np.testing.assert_array_equal(getattr(drawn, field), getattr(all_drawn, field))
    assert full.random() == part.random()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("gain", -0.1),
        ("gain", 0.6),
        ("contrast", 1.0),
        ("gamma", 1.5),
        ("noise", float("nan")),
        ("noise", -0.01),
        ("shift", 0.5),
        ("shift", "much"),
        ("gain", True),
    ],
)
def test_refuses_a_change_out_of_range(option, value):
    """Negative, excessive or odd values are refused with their range."""
    options = replace(AugmentOptions(), **{option: value})

    with pytest.raises(SettingsError, match=rf"augment\.{option} is .*: give a number in 0\.\."):
        check_augment(options)
    with pytest.raises(SettingsError, match=option):
        draw_augmentation(_rng(), 1, 8, options)


@pytest.mark.parametrize("option", ["flip", "time_jitter"])
def test_refuses_a_switch_that_is_neither_on_nor_off(option):
    """Switches are true or false, nothing that looks like it."""
    with pytest.raises(SettingsError, match=rf"augment\.{option} is 1: give true or false"):
        check_augment(replace(AugmentOptions(), **{option: 1}))


def test_the_defaults_are_in_range():
    """The settings that nobody changed are accepted."""
    assert check_augment(AugmentOptions()) is None


# what it does


@settings(max_examples=30)
@given(seed=_SEEDS)
def test_pixels_stay_in_0_to_1(seed):
    """Whatever is drawn, shape, type and range are kept, and the input is left alone."""
    frames = _frames(seed=seed)
    before = frames.clone()

    changed = apply_augmentation(frames, draw_augmentation(_rng(seed), 5, 10, STRONG))

    assert (changed.shape, changed.dtype) == (frames.shape, torch.float32)
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(frames, before)


def test_nothing_drawn_changes_no_bit():
    """With every option at 0 the frames come back bit for bit."""
    frames = _frames()

    changed = apply_augmentation(frames, draw_augmentation(_rng(), 5, 10, NONE))

    assert changed.numpy().tobytes() == frames.numpy().tobytes()


def test_the_same_draw_gives_the_same_bytes():
    """Applying is without chance, noise included, whatever torch's own generator does."""
    frames, drawn = _frames(), draw_augmentation(_rng(), 5, 10, STRONG)
    first = apply_augmentation(frames, drawn)
    torch.rand(3)

    assert torch.equal(apply_augmentation(frames, drawn), first)


@settings(max_examples=20)
@given(f=st.integers(1, 5), h=st.integers(1, 9), w=st.integers(2, 9), seed=_SEEDS)
def test_a_scan_alone_comes_out_as_in_a_batch(f, h, w, seed):
    """A scan's bytes do not depend on the others in its batch, whatever its shape."""
    frames = torch.from_numpy(_rng(seed).random((4, f, h, w), dtype=np.float32))
    drawn = draw_augmentation(_rng(seed), 4, w, STRONG)

    together = apply_augmentation(frames, drawn)
    alone = [apply_augmentation(frames[i : i + 1], _row(drawn, i)) for i in range(4)]

    assert torch.equal(torch.cat(alone), together)


def test_grey_values_follow_the_formula():
    """Gamma, then contrast about 0.5, then gain, as a slow loop over pixels has it."""
    frames = _frames(b=1)
    drawn = _only(gamma=1.3, contrast=-0.2, gain=0.1)

    changed = apply_augmentation(frames, drawn)

    for x, y in zip(frames.flatten().tolist(), changed.flatten().tolist(), strict=True):
        expected = 0.5 + 0.8 * (x**1.3 - 0.5) + 0.1 if x > 0 else 0.0
        assert y == pytest.approx(min(max(expected, 0.0), 1.0), abs=1e-6)


@pytest.mark.parametrize(
    "change", [{"gain": 0.2}, {"contrast": -0.5}, {"gamma": 0.5}, {"noise": 0.3}]
)
def test_black_stays_black(change):
    """Pixels that are exactly 0 stay so under every change of grey, others change."""
    frames = _frames()

    changed = apply_augmentation(frames, _only(5, **change))

    assert changed[..., :2].abs().max() == 0
    assert (changed[..., 2:] != frames[..., 2:]).float().mean() > 0.9


def test_a_shift_moves_columns_and_fills_with_black():
    """Positive goes right, negative left; every row moves alike, and nothing wraps around."""
    frames = torch.arange(1.0, 6.0).div(10).expand(3, 2, 4, 5)
    drawn = _only(3, gain=0.0)
    drawn.shift_px[:] = [2, -1, 7]

    changed = apply_augmentation(frames, drawn)

    rows = [[0.0, 0.0, 0.1, 0.2, 0.3], [0.2, 0.3, 0.4, 0.5, 0.0], [0.0] * 5]
    for scan, row in zip(changed, rows, strict=True):
        assert torch.equal(scan, torch.tensor(row).expand(2, 4, 5))


def test_what_a_shift_leaves_free_stays_black():
    """Neither gain nor noise fills the columns that a shift has emptied."""
    changed = apply_augmentation(_frames(), _only(5, shift_px=-3, gain=0.3, noise=0.1))

    assert changed[..., -3:].abs().max() == 0


def test_a_flip_mirrors_columns_only():
    """Left and right change places, in every frame and row alike."""
    frames = _frames()

    assert torch.equal(apply_augmentation(frames, _only(5, flip=True)), frames.flip(-1))


@settings(max_examples=30)
@given(seed=_SEEDS)
def test_rows_keep_their_order(seed):
    """Depth is kept: brighter rows below stay below, whatever is drawn but noise."""
    levels = torch.linspace(0.2, 0.8, 12)
    frames = levels[:, None].expand(4, 2, 12, 16)
    options = replace(AugmentOptions(), noise=0, flip=True)

    changed = apply_augmentation(frames, draw_augmentation(_rng(seed), 4, 16, options))

    assert (changed.mean(dim=-1).diff(dim=-1) > 0).all()
    assert (changed.amax(dim=-1).argmax(dim=-1) == 11).all()


def test_a_mark_stays_in_its_row():
    """A bright line keeps its depth under the strongest changes, noise included."""
    frames = torch.full((40, 1, 9, 16), 0.3)
    frames[:, :, 2] = 1.0
    options = replace(STRONG, noise=0.05, contrast=0.3, gain=0.1)

    changed = apply_augmentation(frames, draw_augmentation(_rng(), 40, 16, options))

    assert (changed.mean(dim=-1).argmax(dim=-1) == 2).all()


def test_frames_of_a_scan_share_everything_but_noise():
    """Equal frames stay equal without noise, to the last bit of a power, and differ with it."""
    frames = _frames(f=1).expand(5, 4, 6, 10)
    drawn = draw_augmentation(_rng(), 5, 10, replace(STRONG, noise=0))

    quiet = apply_augmentation(frames, drawn)
    noisy = apply_augmentation(frames, _only(5, noise=0.1))

    torch.testing.assert_close(quiet, quiet[:, :1].expand_as(quiet), atol=5e-7, rtol=0)
    assert (noisy[:, 0, :, 2:] != noisy[:, 1, :, 2:]).float().mean() > 0.9


def test_noise_has_the_standard_deviation_drawn():
    """Noise is centred on 0, as strong as drawn, and another for each scan."""
    frames = torch.full((2, 4, 64, 64), 0.5)

    noise = apply_augmentation(frames, _only(2, noise=0.05)) - frames

    assert abs(float(noise.mean())) < 1e-3
    assert float(noise.std()) == pytest.approx(0.05, rel=0.02)
    correlation = torch.corrcoef(noise.reshape(2, -1))[0, 1]
    assert abs(float(correlation)) < 0.03


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_the_gpu_changes_grey_as_the_cpu_does():
    """Without noise a GPU gives the CPU's pixels, to rounding; with it, always the same bytes."""
    frames = _frames()
    quiet = draw_augmentation(_rng(), 5, 10, replace(STRONG, noise=0))
    noisy = draw_augmentation(_rng(), 5, 10, STRONG)

    on_gpu = apply_augmentation(frames.cuda(), quiet).cpu()
    twice = [apply_augmentation(frames.cuda(), noisy) for _ in range(2)]

    torch.testing.assert_close(on_gpu, apply_augmentation(frames, quiet), atol=1e-6, rtol=1e-5)
    assert torch.equal(twice[0], twice[1])


# frames in time


@given(f=st.integers(1, 40), seed=_SEEDS)
def test_jitter_takes_one_frame_of_each_segment(f, seed):
    """Of three frames a segment one is taken, so that the order of time is kept."""
    picked = pick_frames(_rng(seed), NEIGHBORS * f, f, jitter=True)

    np.testing.assert_array_equal(picked // NEIGHBORS, np.arange(f))


def test_jitter_takes_each_of_the_three_equally_often():
    """First, middle and last of a segment come about a third of the time each."""
    counts = np.bincount(pick_frames(_rng(), 9000, 3000, jitter=True) % 3)

    assert counts.min() > 900


@given(f=st.integers(1, 40))
def test_without_jitter_the_middle_frames_are_taken(f):
    """A clip with neighbours gives the frames that are embedded."""
    picked = pick_frames(_rng(), NEIGHBORS * f, f, jitter=False)

    np.testing.assert_array_equal(picked, np.arange(NEIGHBORS * f)[1::3])


@pytest.mark.parametrize("jitter", [True, False])
@pytest.mark.parametrize(("m", "f"), [(1, 4), (4, 4), (1, 1), (3, 3)])
def test_scans_without_neighbors_are_taken_whole(m, f, jitter):
    """An image, a volume and a short clip give all they have."""
    np.testing.assert_array_equal(pick_frames(_rng(), m, f, jitter=jitter), np.arange(m))


def test_refuses_a_scan_decoded_for_another_encoder():
    """A number of frames that fits neither way is refused."""
    with pytest.raises(SettingsError, match="has 7 frames where 1, 4 or 12 are usable"):
        pick_frames(_rng(), 7, 4, jitter=True)
