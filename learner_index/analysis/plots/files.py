"""Writes figures as files: whole or not at all, without a date, the same for the same figure."""

import io
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


def write_figure(figure: "Figure", path: Path) -> None:
    """Writes a figure whole or not at all; equal figures give equal bytes.

    Raises:
        SettingsError: the file's ending is none of .png, .svg and .pdf.
        RunWriteError: the disk refused.
    """
    from matplotlib import rc_context

    ending = path.suffix.removeprefix(".").lower()
    if ending not in _UNDATED:
        raise SettingsError(f"{path} is no kind of figure: end its name in .png, .svg or .pdf")
    picture = io.BytesIO()
    with rc_context({"svg.hashsalt": "learner-index", "pdf.fonttype": 42}):
        figure.savefig(picture, format=ending, metadata=_UNDATED[ending])
    try:
        replace_file(path, [picture.getvalue()])
    except OSError as error:
        raise RunWriteError(
            f"{path} cannot be written ({error.strerror or error}): "
            "make room, or choose another folder"
        ) from error
