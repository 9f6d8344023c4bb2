"""Learning curves as a table: one row an epoch, in columns that never change place."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from learner_index.data.replace import replace_file
from learner_index.errors import RunWriteError

COLUMNS = (
    "epoch",
    "loss",
    "regression",
    "contrastive",
    "val_spearman",
    "val_mae",
    "learning_rate",
)


def write_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Writes what was measured at each epoch as CSV, whole or not at all.

    The columns are `COLUMNS`, then any further keys in alphabetical order. A cell is empty where
    an epoch lacks the figure and "nan" where it was measured as such; numbers read back exactly.

    Args:
        history: one mapping an epoch, in order.
        path: the file to write; one that is there is replaced.

    Raises:
        RunWriteError: the disk refused.
    """
    extra = sorted({key for row in history for key in row} - set(COLUMNS))
    columns = [*COLUMNS, *extra]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row, name) for name in columns] for row in history)
    try:
        replace_file(path, [text.getvalue().encode()])
    except OSError as error:
        raise RunWriteError(
            f"{path} cannot be written ({error.strerror or error}): "
            "make room, then go on with --resume"
        ) from error


def _cell(row: Mapping[str, float], name: str) -> str:
    """A number in its shortest exact form; an epoch is a whole number."""
    if name not in row:
        return ""
    return str(int(row[name])) if name == "epoch" else repr(float(row[name]))
