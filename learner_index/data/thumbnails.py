"""A scan as a small picture, for pages that were asked to show scans."""

from io import BytesIO

import numpy as np

from learner_index.data.records import Scan

_DARK, _BRIGHT = 1, 99  # percentiles shown as black and white


def thumbnail(scan: Scan, side: int) -> bytes:
    """The middle frame or slice as a grey PNG whose longer side is `side` pixels.

    A picture can show what the pseudonym hides: make one only when asked.

    Args:
        scan: frames or slices; pixels that are not square are stretched to be so.
        side: longest side, in pixels.
    """
    from PIL import Image

    middle = np.asarray(scan.pixels[len(scan.pixels) // 2], np.float64)
    low, high = np.nanpercentile(middle, [_DARK, _BRIGHT])
    grey = np.clip((middle - low) / ((high - low) or 1.0), 0, 1)
    row_mm, column_mm = (scan.spacing_mm or (1.0, 1.0))[-2:]
    height, width = middle.shape[0] * row_mm, middle.shape[1] * column_mm
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    file = BytesIO()
    picture = Image.fromarray(np.round(255 * np.nan_to_num(grey)).astype(np.uint8))
    picture.resize(size, Image.Resampling.BILINEAR).save(file, "PNG", optimize=True)
    return file.getvalue()
