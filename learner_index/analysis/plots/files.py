"""Writes figures as files: whole or not at all, without a date, the same for the same figure."""

import io
import re
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learner_index.data.replace import replace_file
from learner_index.errors import RunWriteError, SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNDATED: dict[str, dict[str, Any]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
_CLIP = re.compile(r'<clipPath id="([^"]+)">(.*?)</clipPath>', flags=re.DOTALL)
_CLIPPED = re.compile(r"url\(#([^)]+)\)")


def write_figure(figure: "Figure", path: Path) -> None:
    """Writes a figure whole or not at all; equal figures give equal bytes.

    Raises:
        SettingsError: the file's ending is none of .png, .svg and .pdf.
        RunWriteError: the disk refused.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in _UNDATED:
        raise SettingsError(f"{path} is no kind of figure: end its name in .png, .svg or .pdf")
    content = picture_of(figure, ending)
    try:
        replace_file(path, [content])
    except OSError as error:
        raise RunWriteError(
            f"{path} cannot be written ({error.strerror or error}): "
            "make room, or choose another folder"
        ) from error


def picture_of(figure: "Figure", ending: str) -> bytes:
    """A figure as the content of a file: "png", "svg" or "pdf"; the same for the same figure."""
    from matplotlib import rc_context

    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "learner-index", "pdf.fonttype": 42}):
        figure.savefig(picture, format=ending, metadata=_UNDATED[ending])
    content = picture.getvalue()
    return _settled(content.decode()).encode() if ending == "svg" else content


def _settled(svg: str) -> str:
    """A drawing whose clip paths are named by what they hold.

    matplotlib names them by where they lie in memory, so that equal figures differ at times.
    """
    names: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        old, held = found.groups()
        new = f"p{blake2b(held.encode(), digest_size=5).hexdigest()}"
        is_known = new in names.values()
        names[old] = new
        return "" if is_known else f'<clipPath id="{new}">{held}</clipPath>'

    text = _CLIP.sub(named, svg)
    return _CLIPPED.sub(lambda found: f"url(#{names.get(found[1], found[1])})", text)
