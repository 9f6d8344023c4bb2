"""Pictures (PNG, JPEG, TIFF, BMP, GIF) and folders of them, through Pillow."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learner_index.data.readers.grey import Grey, as_pixels, luma
from learner_index.data.readers.guards import Request, fenced
from learner_index.data.records import Scan
from learner_index.errors import ScanError

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
_PAGED = ("TIFF", "GIF")
_WHITE_IS_ZERO, _PHOTOMETRIC = 0, 262


def read_picture(path: Path, request: Request) -> Scan:
    """One picture, or a clip when a TIFF or GIF has several pages."""
    with fenced("picture"), _opened(path) as image:
        n = _pages(image)
        if n == 1:
            request.check_size(1, image.height, image.width)
            return Scan(as_pixels(_grey(image)[None]), None, "image")
        chosen = request.indices(n, image.height, image.width)
        frames = {int(page): _page(image, int(page)) for page in np.unique(chosen)}
        return Scan(_stacked([frames[int(page)] for page in chosen]), None, "clip")


def read_frames(paths: Iterable[Path], request: Request) -> Scan:
    """A clip from a folder's pictures, in natural order: frame2 comes before frame10.

    Raises:
        ScanError: the pictures differ in size or depth, or one has several pages.
    """
    ordered = sorted(paths, key=lambda path: natural_key(path.name))
    with fenced("folder of frames"):
        sizes = [_size(path) for path in ordered]
        if len(set(sizes)) > 1:
            raise ScanError(
                f"{len(ordered)} frames of {len(set(sizes))} sizes ({sizes[0][1]} × {sizes[0][0]} "
                "first); put scans of different sizes in different folders"
            )
        width, height = sizes[0]
        chosen = request.indices(len(ordered), height, width)
        frames = {int(index): _file_grey(ordered[index]) for index in np.unique(chosen)}
        return Scan(_stacked([frames[int(index)] for index in chosen]), None, "clip")


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key under which digits count as numbers."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name.casefold())
    key = [(int(digits), "") if digits else (-1, text) for digits, text in parts]
    return (*key, (-2, name))


def _opened(path: Path) -> "Image":
    """The picture, its header read; Pillow refuses huge dimensions here."""
    from PIL import Image

    try:
        return Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise ScanError("oversized: more pixels than Pillow allows; shrink the picture") from error


def _pages(image: "Image") -> int:
    """Number of pages; a photograph's embedded previews do not count."""
    return int(getattr(image, "n_frames", 1)) if image.format in _PAGED else 1


def _page(image: "Image", page: int) -> Grey:
    """One page of the same size as the first."""
    size = image.size
    image.seek(page)
    if image.size != size:
        raise ScanError(f"pages of different sizes ({page + 1} differs); save one page a file")
    return _grey(image)


def _size(path: Path) -> tuple[int, int]:
    """(width, height) from the header of a single-page picture."""
    with _opened(path) as image:
        if _pages(image) > 1:
            raise ScanError("a folder of frames holds a file with several pages; split it")
        return image.size


def _file_grey(path: Path) -> Grey:
    """Grey pixels of a single-page picture."""
    with _opened(path) as image:
        return _grey(image)


def _grey(image: "Image") -> Grey:
    """(h, w) grey of the page at hand, whatever its mode; transparency lies on black."""
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        return as_pixels(_white_high(image, np.asarray(image)))
    if mode == "1":
        return np.asarray(image.convert("L"))
    has_alpha = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if mode == "L" and not has_alpha:
        return np.asarray(image)
    if not has_alpha:
        return luma(np.asarray(image.convert("RGB")))
    return _on_black(np.asarray(image.convert("RGBA")))


def _on_black(colour: NDArray[Any]) -> Grey:
    """(h, w, 4) composited on black; opaque pixels keep their value exactly."""
    product = colour[..., :3].astype(np.uint32) * colour[..., 3:].astype(np.uint32)
    return luma(((product + 127) // 255).astype(np.uint8))


def _white_high(image: "Image", values: NDArray[Any]) -> NDArray[Any]:
    """16-bit TIFFs whose zero is white are turned; Pillow turns only 8-bit ones."""
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return np.asarray(65535 - values.astype(np.int64))
    return values


def _stacked(frames: Sequence[Grey]) -> Grey:
    """(f, h, w) of frames that share a depth."""
    if len({frame.dtype for frame in frames}) > 1:
        raise ScanError("frames of 8 and of 16 bits are mixed; save them with one depth")
    return as_pixels(np.stack(frames))
