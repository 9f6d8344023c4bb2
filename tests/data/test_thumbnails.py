"""Small pictures of scans."""

from io import BytesIO

import numpy as np
from PIL import Image

from learner_index.data.records import Scan
from learner_index.data.thumbnails import thumbnail


def shown(pixels, spacing_mm=None, side=16):
    """The thumbnail as an array."""
    picture = Image.open(BytesIO(thumbnail(Scan(pixels, spacing_mm, "clip"), side)))
    return np.asarray(picture)


def test_the_middle_frame_is_shown_small():
    """Of three frames, the second; the longer side has the size asked for."""
    frames = np.zeros((3, 32, 64), np.uint8)
    frames[1, :, 32:] = 200

    picture = shown(frames)

    assert picture.shape == (8, 16)
    assert picture[:, :6].max() == 0
    assert picture[:, 10:].min() == 255


def test_pixels_that_are_not_square_are_stretched():
    """A pixel twice as high as wide makes the picture twice as high."""
    assert shown(np.eye(20)[None], (2.0, 1.0)).shape == (16, 8)


def test_a_flat_scan_is_black_and_no_error():
    """Nothing is divided by zero, and what is not finite is black."""
    flat = np.full((1, 8, 8), 3, np.float32)
    flat[0, 0, 0] = np.nan

    assert shown(flat).max() == 0
