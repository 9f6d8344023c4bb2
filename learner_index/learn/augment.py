"""Changes of a training scan that keep its meaning: chance draws numbers, a function applies them.

Rows keep their order and nothing is cropped or turned upside down, since depth and the extent of
the field carry meaning; how batches are put together is left to `batches`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from learner_index.config import AugmentOptions
from learner_index.errors import SettingsError

_MIDDLE = 0.5  # grey that a change of contrast leaves as it is
_LIMITS = {"gain": 0.5, "contrast": 0.9, "gamma": 1.0, "noise": 0.5, "shift": 0.49}
_CANDIDATES = 3  # frames kept of each segment of a clip whose frames may jitter


@dataclass(frozen=True, slots=True, eq=False)
class Augmentation:
    """What happens to each of n scans; all frames of a scan share it, but for the noise.

    Attributes:
        flip: (n,) whether left and right change places.
        shift_px: (n,) columns the picture moves, positive to the right; what is left free is 0.
        gamma: (n,) power that grey values in 0..1 are raised to; 1 changes nothing.
        contrast: (n,) share by which grey values move away from the middle grey 0.5.
        gain: (n,) added to grey values.
        noise: (n,) standard deviation of Gaussian noise, new for each frame.
        noise_seed: (n,) seed of that noise.
    """

    flip: NDArray[np.bool_]
    shift_px: NDArray[np.int64]
    gamma: NDArray[np.float64]
    contrast: NDArray[np.float64]
    gain: NDArray[np.float64]
    noise: NDArray[np.float64]
    noise_seed: NDArray[np.int64]


def check_augment(options: AugmentOptions) -> None:
    """Refuse changes that would not keep a scan's meaning.

    Raises:
        SettingsError: names the option, its value and its range.
    """
    for name, limit in _LIMITS.items():
        value = getattr(options, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= limit:
            raise SettingsError(f"augment.{name} is {value!r}: give a number in 0..{limit:g}")
    for name in ("flip", "time_jitter"):
        value = getattr(options, name)
        if not isinstance(value, bool):
            raise SettingsError(f"augment.{name} is {value!r}: give true or false")


def draw_augmentation(
    rng: np.random.Generator, n: int, width: int, options: AugmentOptions
) -> Augmentation:
    """Chance's part: what happens to each of n scans.

    An option set to 0 leaves what is drawn for the others as it was.

    Args:
        rng: source of chance; moves on by the same number of draws whatever the options.
        n: scans in the batch.
        width: columns w of a frame.
        options: how far each change may go.

    Raises:
        SettingsError: an option is out of range.

    Example:
        >>> still = AugmentOptions(gain=0.1, noise=0, shift=0, flip=False)
        >>> draw_augmentation(np.random.default_rng(0), 2, 64, still).gain.round(3).tolist()
        [0.027, -0.046]
    """
    check_augment(options)
    shares = rng.uniform(-1.0, 1.0, (4, n))  # gain, contrast, gamma, shift
    return Augmentation(
        gain=options.gain * shares[0],
        contrast=options.contrast * shares[1],
        gamma=np.exp(options.gamma * shares[2]),
        shift_px=np.rint(options.shift * width * shares[3]).astype(np.int64),
        noise=options.noise * rng.random(n),
        flip=(rng.random(n) < 0.5) & options.flip,
        noise_seed=rng.integers(0, 2**32, n, dtype=np.int64),
    )


def apply_augmentation(frames: torch.Tensor, drawn: Augmentation) -> torch.Tensor:
    """The part without chance: the changes drawn, applied scan by scan.

    A scan comes out the same whatever else is in its batch. Noise is drawn on the frames' own
    device, so that two kinds of device give different noise. Pixels that are exactly 0, as
    outside the fan, stay 0.

    Args:
        frames: (b, f, h, w) float32 in 0..1; not changed.
        drawn: for b scans.

    Returns:
        (b, f, h, w) float32 in 0..1.
    """
    changed = torch.empty_like(frames, memory_format=torch.contiguous_format)
    for scan, target, row in zip(frames, changed, range(len(drawn.gain)), strict=True):
        _move(scan, target, int(drawn.shift_px[row]), is_flipped=bool(drawn.flip[row]))
        seen = target.sign()  # 0 outside the field, else 1
        _change_grey(target, drawn, row)
        target.clamp_(0.0, 1.0).mul_(seen)
    return changed


def _move(scan: torch.Tensor, target: torch.Tensor, shift: int, *, is_flipped: bool) -> None:
    """Write a scan into `target`, mirrored and moved along its columns."""
    source = scan.flip(-1) if is_flipped else scan
    width = scan.shape[-1]
    kept = max(0, width - abs(shift))
    if shift >= 0:
        target[..., width - kept :] = source[..., :kept]
        target[..., : width - kept] = 0.0
    else:
        target[..., :kept] = source[..., width - kept :]
        target[..., kept:] = 0.0


def _change_grey(target: torch.Tensor, drawn: Augmentation, row: int) -> None:
    """Gamma, contrast, gain and noise, in place; what changes nothing is left out exactly."""
    gamma, contrast = float(drawn.gamma[row]), float(drawn.contrast[row])
    gain, noise = float(drawn.gain[row]), float(drawn.noise[row])
    if gamma != 1:
        target.pow_(gamma)
    if contrast or gain:  # (1 + c)·(x - middle) + middle + gain
        target.mul_(1.0 + contrast).add_(gain - contrast * _MIDDLE)
    if noise:
        source = torch.Generator(device=target.device).manual_seed(int(drawn.noise_seed[row]))
        target.add_(torch.empty_like(target).normal_(0.0, noise, generator=source))


def pick_frames(rng: np.random.Generator, m: int, f: int, *, jitter: bool) -> NDArray[np.intp]:
    """Which of a decoded scan's m frames to train on.

    Args:
        rng: source of chance, used only for a clip with neighbours and `jitter`.
        m: frames kept of the scan: 1 for an image, f, or 3·f, three of each segment.
        f: frames the encoder takes.
        jitter: take any of the three; else the middle one, as embedding does.

    Returns:
        (f,) ascending indices, or (1,) for an image.

    Raises:
        SettingsError: m is none of these.
    """
    if m == f * _CANDIDATES:
        offset = rng.integers(0, _CANDIDATES, f) if jitter else np.full(f, _CANDIDATES // 2)
        return (_CANDIDATES * np.arange(f) + offset).astype(np.intp)
    if m not in (1, f):
        raise SettingsError(
            f"a decoded scan has {m} frames where 1, {f} or {f * _CANDIDATES} are usable: "
            "decode it with the frames the encoder takes"
        )
    return np.arange(m, dtype=np.intp)
