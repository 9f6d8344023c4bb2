"""`learner-index report`: a patient or a cohort as one page that can be read, printed and kept."""

import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import carried, say_next
from learner_index.commands.show import print_json_text, say

if TYPE_CHECKING:
    from learner_index.pipeline.reports.report import Report

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def report(
    store: shared.StorePath,
    patient: Annotated[
        str | None, typer.Option(help="Whose report.  [default: of the whole cohort]")
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option(
            autocompletion=complete.heads, help="Folder of a response head to speak of, or to ask."
        ),
    ] = None,
    thumbnails: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST",
            autocompletion=complete.manifests,
            help="Show the scans found: the manifest of the store.  [patient]",
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", min=1, help="Patients alike, of each kind.  [patient: 5]")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="The modality meant, where there are several.  [patient]")
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="Folder that `evaluate` wrote.  [cohort]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="An .html file.  [default: reports/STORE.html or with PATIENT]"
        ),
    ] = None,
    json: shared.Json = False,
) -> None:
    """Write one page about a patient, or about the cohort: it needs no network and no script.

    Example: learner-index report stores/cohort.zarr --patient P017 -o P017.html
    """
    from learner_index.pipeline.cohort import open_store
    from learner_index.pipeline.reports.report import check_output, report_cohort, report_patient

    _check_usage(patient, evaluation, {"thumbnails": thumbnails, "k": k, "modality": modality})
    cohort = open_store(store)
    target = output or Path("reports") / _file_name(cohort.path.stem, patient)
    check_output(target, cohort.path)
    if patient is None:
        found = report_cohort(cohort, evaluation=evaluation, head=head)
    else:
        found = report_patient(
            cohort, patient, head=head, thumbnails=thumbnails, k=k or 5, modality=modality
        )
    if output is not None or not json:
        found.save(target)
    if json:
        print_json_text(found.to_json())
        return
    _print(found, target)
    near = found.most_alike if patient is not None else str(cohort.obs["patient_id"].iloc[0])
    whose = carried(patient=near, modality=modality if near else None)
    say_next("report", store, *whose, *carried(head=head))


def _check_usage(
    patient: str | None, evaluation: Path | None, of_patient: Mapping[str, object]
) -> None:
    """Options of one kind of report are not given to the other.

    Raises:
        BadParameter: one is.
    """
    if patient is not None and evaluation is not None:
        raise typer.BadParameter(
            "is of a cohort: leave out --patient, or this", param_hint="--evaluation"
        )
    for name, value in of_patient.items():
        if patient is None and value is not None:
            option = "-k" if name == "k" else f"--{name}"
            raise typer.BadParameter("is of a patient: name one with --patient", param_hint=option)


def _file_name(store: str, patient: str | None) -> str:
    """A file's name that any disk takes; a patient's own where it had to be changed."""
    if patient is None:
        return f"{store}.html"
    safe = _UNSAFE.sub("_", patient)
    if safe != patient:
        safe += f"-{blake2b(patient.encode(), digest_size=4).hexdigest()}"
    return f"{store}-{safe}.html"


def _print(found: "Report", target: Path) -> None:
    """Where it lies on stdout, what it lacks on stderr."""
    typer.echo(f"{target}: {found.title}")
    for title, reason in found.missing.items():
        say(f"not given: {title}: {reason}")
