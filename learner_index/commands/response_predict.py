"""`learner-index response predict`: what a head says of a patient, of new scans, or of a store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import labelled, plural, print_json_text, progress_bar, say
from learner_index.commands.table import print_table
from learner_index.data.response import part_words

if TYPE_CHECKING:
    from learner_index.data.response import NearExample, Prediction, Predictions

HEADER = ("patient_id", "from", "to", "likeliest", "p", "set", "abstains")
_SHOWN = 20  # skipped scans that are named
_WIDEST = {"patient_id": 14, "likeliest": 12, "set": 20}


def predict(
    head: Annotated[
        Path,
        typer.Argument(
            metavar="HEAD", autocompletion=complete.heads, help="Folder of a fitted head."
        ),
    ],
    store: shared.StorePath,
    patient: Annotated[
        str | None, typer.Option(help="Whose response.  [default: the whole store]")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            autocompletion=complete.manifests,
            help="New scans to be asked about, embedded on the fly.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            autocompletion=complete.words("first", "every", "latest", "treatment"),
            help="predict: from which visit: first, every, latest, treatment or 'day N'.  "
            "[default: as in the fit]",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Start only from visits such as 'day <= 3'."),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", min=0, help="Nearest patients that vote, and that speak.")
    ] = 5,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A .csv, .json or .parquet file for the answer."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Name the store's encoder again if its cache is gone.")
    ] = None,
    device: shared.Device = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that read new scans.  [default: one a core]")
    ] = None,
    json: shared.Json = False,
) -> None:
    """Predict the response with a fitted head, and say how sure that is and why.

    Example: learner-index response predict heads/icu stores/cohort.zarr --patient P017
    """
    import os

    from learner_index.config import EncoderOptions
    from learner_index.data.response import check_suffix
    from learner_index.pipeline.response.predict import predict_response
    from learner_index.pipeline.source import ChosenEncoder

    if output is not None:
        check_suffix(output)
    with progress_bar("embedding") as progress:
        found = predict_response(
            head,
            store,
            patient=patient,
            manifest=manifest,
            at=at,
            where=where or (),
            k=k,
            encoder=ChosenEncoder(EncoderOptions(spec=encoder, device=device)),
            workers=workers or os.cpu_count() or 1,
            progress=progress,
        )
    if output is not None:
        found.write(output)
    if json:
        print_json_text(found.to_json())
    else:
        _print(found, output)
        _say_next(found, head, store, patient, manifest, output)
    if found.skipped:
        raise typer.Exit(3)


def _say_next(found: "Predictions", head: Path, store: Path, *asked: object) -> None:
    """From the whole store to the surest patient, from a patient to the report."""
    patient, manifest, output = asked
    surest = max(
        (row for row in found if not row.reasons),
        key=lambda row: row.probabilities[row.likeliest],
        default=None,
    )
    if manifest is not None:
        if output is None:
            words = ("response", "predict", head, store, "--manifest", manifest)
            say_next(*words, "-o", "predictions.csv")
    elif patient is not None:
        say_next("report", store, "--patient", patient, "--head", head)
    elif surest is not None:
        say_next("response", "predict", head, store, "--patient", surest.patient_id)


def _print(found: "Predictions", output: Path | None) -> None:
    """The answer as a person reads it: a line a prediction, what to think of them on stderr."""
    n_patients = len({row.patient_id for row in found})
    counts = f"{plural(len(found), 'prediction')} of {plural(n_patients, 'patient')}"
    if output is None:
        print_table(HEADER, [_cells(row) for row in found])
    else:
        typer.echo(f"{output}: {counts}")
    simulated = "SIMULATED patients; " if found.is_simulated else ""
    silent = sum(row.is_abstaining for row in found)
    say(f"{simulated}{found.target}; {counts}, {silent} abstaining")
    if n_patients == 1:
        say(f"\n{labelled(_details(found, found[-1]))}")
    for problem in found.skipped[:_SHOWN]:
        say(f"skipped {problem}")
    if len(found.skipped) > _SHOWN:
        say(f"skipped {len(found.skipped) - _SHOWN:,} more: --json lists all")
    for note in (*found.notes, *found.limits[:1]):
        say(f"note: {note}")


def _cells(row: "Prediction") -> list[object]:
    """One line of the table, short enough for 80 columns."""
    held = row.set
    texts = {
        "patient_id": row.patient_id,
        "likeliest": row.likeliest,
        "set": None
        if held is None
        else "any"
        if len(held) == len(row.probabilities)
        else " | ".join(held),
    }
    short = {name: _short(text, _WIDEST[name]) for name, text in texts.items()}
    share = round(row.probabilities[row.likeliest], 2)
    days = (row.from_day, row.to_day)
    ends = (short["likeliest"], share, short["set"], "yes" if row.reasons else "no")
    return [short["patient_id"], *days, *ends]


def _short(text: str | None, width: int) -> str | None:
    """A text, cut where it is too wide."""
    return text if text is None or len(text) <= width else f"{text[: width - 1]}…"


def _details(found: "Predictions", row: "Prediction") -> list[tuple[str, str]]:
    """Label and text of each line about one prediction."""
    shares = ", ".join(f"{name}: {share:.2f}" for name, share in row.probabilities.items())
    said = [(row.patient_id, _days(row.from_day, row.to_day)), ("probabilities", shares)]
    if row.set is not None:
        promise = f"holds the outcome of {found.set_share:.0%} of patients like those fitted on"
        said.append(("set", f"{', '.join(row.set)} ({promise})"))
    if row.reasons:
        said.append(("abstains", "; ".join(row.reasons)))
    said.append(
        ("log odds", f"{row.log_odds:+.2f} for {row.likeliest} against the others, of which")
    )
    said += [
        (f"{round(value, 2) + 0.0:+.2f}", part_words(name)) for name, value in row.parts.items()
    ]
    if row.votes:
        votes = ", ".join(f"{name}: {n}" for name, n in row.votes.items() if n)
        said.append(("nearest", f"of {plural(sum(row.votes.values()), 'patient')}: {votes}"))
    said += [(f"{each.rank}.", _speaker(each)) for each in row.nearest]
    if row.outcome is not None:
        said.append(("came about", f"{row.outcome}, as the store knows"))
    if len(found) > 1:
        said.append(("more", f"the latest of {len(found)} predictions; --json tells all of each"))
    return said


def _speaker(near: "NearExample") -> str:
    """Whose example it is, when, and what came about."""
    days = _days(near.from_day, near.to_day)
    return f"{near.patient_id}, {days}: {near.outcome}, distance {near.distance:.2f}"


def _days(first: float, last: float | None) -> str:
    """One day or two, in words."""
    return f"day {first:g}" if last is None else f"day {first:g} to {last:g}"
