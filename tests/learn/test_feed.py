"""The feed: pixels are a function of seed, epoch, step and process."""

import threading
from contextlib import closing

import numpy as np
import pytest
import torch

from learner_index.config import AugmentOptions
from learner_index.learn.feed import Feed

BATCHES = [np.array(rows) for rows in ([0, 1, 2, 3], [4, 5, 6, 7], [3, 2, 1, 0])]
PIXELS = np.random.default_rng(0).random((8, 6, 5, 5)).astype(np.float16)
N_FRAMES = 2


def _read(row: int) -> np.ndarray:
    """Three candidates of each frame; every fourth scan is a single image."""
    return PIXELS[row, :1] if row % 4 == 3 else PIXELS[row]


def _feed(read=_read, augment: AugmentOptions | None = None, **options) -> Feed:
    return Feed(read, N_FRAMES, augment or AugmentOptions(), **({"seed": 5} | options))


def _pixels(feed: Feed, epoch: int = 0, first_step: int = 0) -> list[list[torch.Tensor]]:
    return [
        [group.frames for group in groups]
        for _, _, groups in feed.epoch(BATCHES, epoch, first_step)
    ]


def _are_equal(one: list[list[torch.Tensor]], other: list[list[torch.Tensor]]) -> bool:
    pairs = [zip(a, b, strict=True) for a, b in zip(one, other, strict=True)]
    return all(torch.equal(a, b) for pair in pairs for a, b in pair)


def test_pixels_do_not_depend_on_workers():
    """One reader and five give the same pixels, and so does a second pass."""
    feed = _feed(workers=1)

    assert _are_equal(_pixels(feed), _pixels(_feed(workers=5)))
    assert _are_equal(_pixels(feed), _pixels(feed))


def test_an_epoch_can_be_entered_anywhere():
    """From a later step on, the pixels are those of the undisturbed epoch."""
    assert _are_equal(_pixels(_feed(), epoch=2, first_step=1), _pixels(_feed(), epoch=2)[1:])


def test_nothing_is_left_after_the_last_step():
    """An epoch entered after its last step is empty."""
    assert list(_feed().epoch(BATCHES, 0, len(BATCHES))) == []


@pytest.mark.parametrize("change", [{"seed": 6}, {"rank": 1}])
def test_seed_and_process_change_the_draws(change):
    """Another seed, or another process of the same run, sees other pixels."""
    assert not _are_equal(_pixels(_feed()), _pixels(_feed(**change)))


def test_epochs_and_steps_differ():
    """The same scans are changed otherwise in another epoch, and in another step."""
    feed, same = _feed(), [BATCHES[0], BATCHES[0]]
    first, second = [groups[1].frames for _, _, groups in feed.epoch(same, 0)]
    later = [groups[1].frames for _, _, groups in feed.epoch(same, 1)]

    assert not torch.equal(first, second)
    assert not torch.equal(first, later[0])


def test_steps_and_rows_come_with_the_pixels():
    """Each batch names its step and its rows."""
    found = [(step, rows.tolist()) for step, rows, _ in _feed().epoch(BATCHES, 0, 1)]

    assert found == [(1, [4, 5, 6, 7]), (2, [3, 2, 1, 0])]


def test_plain_scans_are_the_middle_frames():
    """Without augmentation a clip is the middle candidates, an image itself, in float32."""
    image, clip = _feed().plain([3, 1])

    assert torch.equal(image.frames, torch.from_numpy(PIXELS[3:4, :1]).float().unsqueeze(2))
    assert torch.equal(clip.frames, torch.from_numpy(PIXELS[1:2, [1, 4]]).float().unsqueeze(2))


def test_without_jitter_training_sees_the_middle_frames():
    """With all changes off, an epoch shows exactly what `plain` shows."""
    still = AugmentOptions(0, 0, 0, 0, 0, flip=False, time_jitter=False)
    feed = _feed(augment=still)

    plain = [[group.frames for group in feed.plain(rows.tolist())] for rows in BATCHES]

    assert _are_equal(_pixels(feed), plain)


def test_places_restore_the_order_of_a_batch():
    """Images and clips come in groups, shortest first, that know where their scans stood."""
    rows = [3, 0, 7, 5]

    groups = _feed().plain(rows)

    assert [tuple(group.frames.shape) for group in groups] == [(2, 1, 1, 5, 5), (2, 2, 1, 5, 5)]
    assert [group.places.tolist() for group in groups] == [[0, 2], [1, 3]]
    for group in groups:
        for place, frames in zip(group.places.tolist(), group.frames, strict=True):
            assert torch.equal(frames, _feed().plain([rows[place]])[0].frames[0])


@pytest.mark.parametrize("broken", [0, 6])
def test_what_goes_wrong_in_reading_reaches_the_caller(broken):
    """An error in a reader's thread, in the first or a later batch, is raised by the loop."""

    def read(row: int) -> np.ndarray:
        if row == broken:
            raise OSError(f"no scan {row}")
        return _read(row)

    done = []
    with pytest.raises(OSError, match=f"no scan {broken}"):
        done.extend(step for step, _, _ in _feed(read).epoch(BATCHES, 0))

    assert done == ([] if broken == 0 else [0])


def test_leaving_early_ends_the_threads():
    """Whoever stops after the first batch waits for nothing but the one being made."""
    before = threading.active_count()

    with closing(_feed().epoch(BATCHES, 0)) as steps:
        next(steps)

    assert threading.active_count() == before
