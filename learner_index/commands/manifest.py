"""`learner-index manifest` and `check`: from a folder tree to a table, and is the table sound."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import labelled, plural, print_json, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from learner_index.data.records import Problem
    from learner_index.data.report import Report, Spread
    from learner_index.data.writing import FolderResult

SHOWN = 5  # problems of one kind
_NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+|\(did you mean[^)]*\)")
CLOCKS = {
    "patient": "days count within one patient",
    "cohort": "days can be compared between patients",
}


def manifest(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Top of a tree of scans.")],
    pattern: Annotated[
        str | None,
        typer.Option(help="Such as '{patient_id}/{day}_{view}.mp4'; a trailing / means folders."),
    ] = None,
    bids: Annotated[bool, typer.Option("--bids", help="The tree follows BIDS.")] = False,
    suffix: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --bids: only these, such as T1w.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Table.  [default: DIR/cohort.csv]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an old table.")] = False,
) -> None:
    """Write a manifest from a folder tree.

    Example: learner-index manifest scans --pattern '{patient_id}/{day}_{view}.mp4'
    """
    from learner_index.pipeline.manifest import write_manifest

    if bids == (pattern is not None):
        raise typer.BadParameter("give either --pattern or --bids")
    target = output or folder / "cohort.csv"
    found = write_manifest(
        folder, target, pattern=pattern, suffixes=suffix or None, overwrite=overwrite
    )
    _print_written(found)


def check(
    manifest: shared.ManifestPath,
    score_column: shared.ScoreColumn = None,
    score_direction: shared.ScoreDirection = None,
    score_per: shared.ScorePer = None,
    clock: shared.Clock = None,
    keep_column: shared.KeepColumn = None,
    drop_column: shared.DropColumn = None,
    allow_outside: shared.AllowOutside = None,
    json: shared.Json = False,
) -> None:
    """Summarize a manifest and show all its problems at once; exit 1 if any is an error.

    Example: learner-index check cohort.csv --score-column mmse
    """
    from learner_index.pipeline.manifest import check_cohort

    changes = shared.manifest_changes(
        score_column, score_direction, score_per, clock, keep_column, drop_column, allow_outside
    )
    found = check_cohort(manifest, changes)
    print_json(found.to_dict()) if json else _print_report(found)
    if found.has_errors:
        raise typer.Exit(1)
    if not json:
        for line in _limits(found):
            say(f"note: {line}")
        say_next("build", manifest, *shared.typed_again(changes))


def _print_written(found: "FolderResult") -> None:
    """What became of the tree."""
    typer.echo(
        f"{found.output}: {plural(found.n_scans, 'scan')} of {plural(found.n_patients, 'patient')}"
    )
    if found.n_unmatched:
        some = ", ".join(found.unmatched)
        say(f"{plural(found.n_unmatched, 'other file')} left out, such as {some}")
    for line in (*found.left_out, *found.notes):
        say(line)
    say_next("check", found.output)


def _print_report(found: "Report") -> None:
    """The report as a person reads it: summary on stdout, problems after it."""
    lines = [
        ("manifest", found.manifest),
        ("content", _content(found)),
        ("visits", f"{_spread(found.visits_per_patient)} a patient"),
        ("days between", _spread(found.days_between_visits)),
        ("clock", f"{found.clock}: {CLOCKS[found.clock]}"),
        ("views", _counts(found.views)),
        ("modalities", _counts(found.modalities)),
        ("sites", _counts(found.sites)),
        ("treatments", _counts(found.treatments)),
        ("health score", _score(found)),
        ("columns", ", ".join(_columns(found))),
    ]
    typer.echo(labelled(lines))
    for line in _folded(found.problems):
        typer.echo(line)
    n_errors = sum(problem.is_error for problem in found.problems)
    typer.echo(f"{plural(n_errors, 'error')}, {plural(len(found.problems) - n_errors, 'note')}")


def _folded(problems: "Sequence[Problem]") -> list[str]:
    """A line a problem; of those that differ in names and numbers only, the first few."""
    alike: dict[tuple[bool, str], int] = {}
    lines = []
    for problem in problems:
        kind = (problem.is_error, _NAMES.sub("", problem.message))
        alike[kind] = alike.get(kind, 0) + 1
        if alike[kind] <= SHOWN:
            lines.append(f"{'error' if problem.is_error else 'note'}: {problem}")
    for (is_error, words), n in alike.items():
        if n > SHOWN:
            more = f"{n - SHOWN:,} more like it"
            lines.append(
                f"{'error' if is_error else 'note'}: {more} ({' '.join(words.split())}): "
                "--json lists all"
            )
    return lines


def _limits(found: "Report") -> tuple[str, ...]:
    """What these data cannot answer."""
    from learner_index.data.limits import cohort_limits

    n_scored = found.score.n_present if found.score else 0
    has_days = found.days_between_visits.median is not None
    n_followed = found.n_patients_followed if has_days else 0
    return cohort_limits(found.n_patients, n_followed, n_scored)


def _content(found: "Report") -> str:
    """Scans, visits and patients in words."""
    counts = (
        plural(found.n_scans, "scan"),
        plural(found.n_visits, "visit"),
        plural(found.n_patients, "patient"),
    )
    return f"{', '.join(counts)} ({found.n_patients_followed:,} seen twice or more)"


def _columns(found: "Report") -> list[str]:
    """Each column with its kind and what is missing."""
    words = []
    for name, column in found.columns.items():
        missing = f", {column.n_missing:,} missing" if column.n_missing else ""
        words.append(f"{name} ({column.kind}{missing})")
    return words


def _spread(spread: "Spread") -> str:
    """Least, median and largest in words."""
    if spread.median is None:
        return "none"
    if spread.minimum == spread.maximum:
        return f"{spread.median:g}"
    return f"{spread.minimum:g} to {spread.maximum:g}, median {spread.median:g}"


def _counts(counts: "Mapping[str, int]") -> str:
    """Values with their counts."""
    return ", ".join(f"{name} {n:,}" for name, n in counts.items()) or "none"


def _score(found: "Report") -> str:
    """The health scores in words."""
    score = found.score
    if score is None:
        return "none: --score-column names its column"
    return (
        f"{score.column}, {score.direction} is healthier: {score.n_present:,} of "
        f"{found.n_scans:,} scans, {_spread(score.values)}"
    )
