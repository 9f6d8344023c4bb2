"""Options several commands share, and how they become settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from learner_index.commands import complete
from learner_index.data.suggest import close_names

BACKENDS = ("auto", "numpy", "faiss-cpu", "faiss-gpu")
MODES = ("consecutive", "all", "baseline")
StorePath = Annotated[
    Path,
    typer.Argument(
        metavar="STORE", autocompletion=complete.stores, help="A store, ending in .zarr."
    ),
]
ManifestPath = Annotated[
    Path,
    typer.Argument(
        metavar="MANIFEST",
        autocompletion=complete.manifests,
        help="CSV, TSV or Parquet, one row a scan.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION", help="Condition such as 'view == L1' or 'age >= 60'; repeat for more."
    ),
]
Match = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="Like the query's patient: sex, 'age±5' (or 'age+-5'), 'site!='.",
    ),
]
Modality = Annotated[
    str | None, typer.Option(help="The modality meant, where the store has several.")
]
AsOf = Annotated[float | None, typer.Option(help="Cohort clock: hide everything after this day.")]
UntilDay = Annotated[
    float | None, typer.Option(help="Leave out the query's own scans after this day.")
]
Backend = Annotated[
    str,
    typer.Option(
        autocompletion=complete.words(*BACKENDS),
        help="auto, numpy, faiss-cpu or faiss-gpu; all are exact.",
    ),
]
Columns = Annotated[str | None, typer.Option(help="More columns to print, separated by commas.")]
ScoreColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Column of the health score.  [default: health_score]"),
]
ScoreDirection = Annotated[
    str | None,
    typer.Option(
        metavar="WORD",
        autocompletion=complete.words("higher", "lower"),
        help="Which raw values are healthier: higher or lower.  [default: higher]",
    ),
]
ScorePer = Annotated[
    str | None,
    typer.Option(
        metavar="WORD",
        autocompletion=complete.words("scan", "visit"),
        help="Whether a score belongs to a scan or a visit.  [default: scan]",
    ),
]
Clock = Annotated[
    str | None,
    typer.Option(
        metavar="WORD",
        autocompletion=complete.words("patient", "cohort"),
        help="cohort if days of two patients can be compared, else patient.",
    ),
]
KeepColumn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Keep a column that looks like a name, date or record number."
    ),
]
DropColumn = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Leave a column out.")]
AllowOutside = Annotated[
    bool | None,
    typer.Option("--allow-outside", help="Scans may lie outside the manifest's folder."),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        autocompletion=complete.words("auto", "cpu", "cuda"),
        help="auto, cpu, cuda or cuda:N.",
    ),
]


def one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    """The value, once it is one of those allowed; a wrong one is wrong usage (exit code 2)."""
    if value is not None and value not in allowed:
        known = f"{', '.join(allowed)}{close_names(value, allowed)}"
        raise typer.BadParameter(f"{value!r} is not one of {known}", param_hint=name)
    return value


def manifest_changes(
    score_column: str | None,
    score_direction: str | None,
    score_per: str | None,
    clock: str | None,
    keep_column: list[str] | None,
    drop_column: list[str] | None,
    allow_outside: bool | None,
) -> Mapping[str, Any]:
    """The fields of `ManifestOptions` that were typed."""
    typed = {
        "score_column": score_column,
        "score_direction": one_of("--score-direction", score_direction, ("higher", "lower")),
        "score_per": one_of("--score-per", score_per, ("scan", "visit")),
        "clock": one_of("--clock", clock, ("patient", "cohort")),
        "keep_columns": tuple(keep_column) if keep_column else None,
        "drop_columns": tuple(drop_column) if drop_column else None,
        "allow_outside": allow_outside,
    }
    return {name: value for name, value in typed.items() if value is not None}


def typed_again(changes: Mapping[str, Any]) -> list[str]:
    """The options behind `manifest_changes`, word by word, for another command."""
    words: list[str] = []
    for field, value in changes.items():
        option = f"--{field.removesuffix('s').replace('_', '-')}"
        values = value if isinstance(value, tuple) else (value,)
        for value in values:
            words += [option] if value is True else [option, str(value)]
    return words


def default_store(manifest: Path) -> Path:
    """Where a manifest's store goes when nobody says: stores/ here, named after the cohort."""
    stem = manifest.stem
    if stem in ("cohort", "manifest", "scans") and manifest.absolute().parent.name:
        stem = manifest.absolute().parent.name
    return Path("stores") / f"{stem}.zarr"
