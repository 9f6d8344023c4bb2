"""A folder to run `learner-index pretrain` in, and a manifest to spoil."""

import csv
from collections.abc import Callable
from pathlib import Path

from tests.toy import write_manifest

FLAGS = (
    *("--encoder", "timm:test_resnet", "--size", "32", "--frames", "1", "--device", "cpu"),
    *("--patients", "4", "--scans", "2", "--epochs", "1"),
    *("--set", "encoder.width=8", "--set", "encoder.pixel_mm=0", "--set", "encoder.anchor=center"),
)
PRETRAIN = ("pretrain", "cohort.csv", "-o", "run", *FLAGS)


def rows_of(home: Path) -> list[dict[str, object]]:
    """The manifest's rows."""
    with (home / "cohort.csv").open(encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file)]


def altered(column: str, value: Callable[[int, dict[str, object]], object]) -> Callable[[], None]:
    """Gives a column of the manifest in this folder other values, by row number and row."""

    def alter() -> None:
        rows = rows_of(Path())
        for number, row in enumerate(rows):
            row[column] = value(number, row)
        write_manifest(Path("cohort.csv"), rows)

    return alter
