"""Learning curves of a pretraining run, or of all its folds, from the run's folder."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learner_index.analysis.plots.curves import Curves, lay_out_curves
from learner_index.analysis.plots.page import SEEN, plural, span
from learner_index.errors import RunFormatError
from learner_index.pipeline.runs import read_run

if TYPE_CHECKING:
    from learner_index.analysis.plots.drawing import Drawing

CURVES_NAME = "curves.csv"


def learning_curves(run: str | Path, *, title: str | None = None) -> "Drawing":
    """What the losses did in training, and what validation said of it, by epoch.

    A run that is still going, or was cut off, is drawn as far as it went. Folds are thin lines in
    the same panels.

    Args:
        run: the folder that `pretrain` wrote.
        title: stands above; None: the objective, and what was trained on.

    Raises:
        RunFormatError: the folder holds no run, or its `curves.csv` cannot be read.
        NotEnoughDataError: no epoch is done.
    """
    folder = Path(run)
    record = read_run(folder)
    folders = [folder]
    if record.get("kind") == "folds":
        folders = [folder / name for name in record["folds"] if (folder / name).is_dir()]
    records = [record] if folders == [folder] else [read_run(one) for one in folders]
    return lay_out_curves(
        [
            Curves(read_history(one), own.get("best_epoch"))
            for one, own in zip(folders, records, strict=True)
        ],
        title=title or _title(record, len(records)),
        caption=_caption(records),
        is_simulated=bool(record.get("is_simulated", False)),
    )


def read_history(folder: Path) -> list[dict[str, float]]:
    """What was measured at each epoch of a run, an empty cell left out; [] before the first.

    Raises:
        RunFormatError: `curves.csv` was altered.
    """
    try:
        text = (folder / CURVES_NAME).read_text()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as problem:
        raise RunFormatError(
            f"{CURVES_NAME} in {folder.name!r} cannot be read: {problem}"
        ) from None
    try:
        rows = [
            {name: float(cell) for name, cell in row.items() if cell}
            for row in csv.DictReader(text.splitlines())
        ]
    except (TypeError, ValueError):
        rows = [{}]
    if any(not math.isfinite(row.get("epoch", math.nan)) for row in rows):
        raise RunFormatError(
            f"{CURVES_NAME} in {folder.name!r} was altered: a row has no epoch, or a cell is no "
            "number; restore it from a copy"
        )
    return rows


def _title(record: Mapping[str, Any], n_runs: int) -> str:
    """The objective, what was trained on, and how often."""
    objective = record.get("options", {}).get("objective", {}).get("name", "pretraining")
    folds = f", {plural(n_runs, 'fold')}" if record.get("kind") == "folds" else ""
    state = record.get("state")
    stage = "" if state == "done" else f" ({state or 'not finished'})"
    return f"{objective} on {record.get('cohort', 'a cohort')}{folds}{stage}"


def _caption(records: list[dict[str, Any]]) -> str:
    """How many patients were trained on, and which figure chose the epoch."""
    told = []
    for role, words in (("train", "trained on"), ("val", "validated on")):
        counts = [record.get("n_patients", {}).get(role, 0) for record in records]
        if any(counts):
            told.append(f"{words} {span(counts)} patients")
    criterion = next((record["criterion"] for record in records if record.get("criterion")), None)
    chosen = f" These chose the epoch, by {criterion} ({SEEN})." if criterion else ""
    return f"n: {', '.join(told)}.{chosen}" if told else ""
