"""A matplotlib figure that shows itself in a notebook and writes itself whole or not at all."""

import io
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from learner_index.analysis.plots.files import write_figure

_SCREEN_DPI = 150.0


class Drawing(Figure):
    """What `li.plot` gives: a matplotlib figure in every respect, with two habits more.

    A notebook shows it without pyplot, which would keep every figure in memory; `save` writes it
    as a file that is whole, has no date in it, and is the same for the same figure.
    """

    def save(self, path: str | Path) -> Path:
        """Write the figure.

        Args:
            path: ends in .png, .svg or .pdf.

        Raises:
            SettingsError: the ending is another.
            RunWriteError: the disk refused.
        """
        write_figure(self, Path(path))
        return Path(path)

    def _repr_png_(self) -> bytes:
        """The picture a notebook shows."""
        picture = io.BytesIO()
        with rc_context({"text.hinting": "none"}):  # else letters are wider than on paper
            self.savefig(picture, format="png", dpi=_SCREEN_DPI, metadata={"Software": None})
        return picture.getvalue()
