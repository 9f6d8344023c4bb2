"""`learner-index info` and `refit`: what a store holds and what its searches rest on."""

from typing import TYPE_CHECKING, Annotated

import typer

from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import labelled, plural, print_json, say

if TYPE_CHECKING:
    from learner_index.pipeline.info import StoreInfo


def info(store: shared.StorePath, json: shared.Json = False) -> None:
    """Show what a store holds: patients, scans, encoder, reference and its drift.

    Example: learner-index info stores/cohort.zarr
    """
    from learner_index.pipeline.info import store_info

    found = store_info(store)
    print_json(found.to_dict()) if json else _print(found)


def refit(
    store: shared.StorePath,
    patients: Annotated[
        str | None, typer.Option(help="Patients to fit on, separated by commas.  [default: all]")
    ] = None,
) -> None:
    """Fit the reference again, after the cohort has grown; `build` never does.

    Example: learner-index refit stores/cohort.zarr
    """
    from learner_index.pipeline.cohort import open_store

    chosen = [name.strip() for name in (patients or "").split(",") if name.strip()]
    found = open_store(store).refit(chosen or None)
    typer.echo(
        f"reference {found.fingerprint}: {plural(found.n_scans, 'scan')} of "
        f"{plural(len(found.patients), 'patient')}"
    )
    say_next("info", store)


def _content(found: "StoreInfo") -> str:
    """Scans, visits and patients in words."""
    counts = [
        plural(found.n_scans, "scan"),
        plural(found.n_visits, "visit"),
        plural(found.n_patients, "patient"),
    ]
    return f"{', '.join(counts)} ({found.n_patients_followed:,} seen twice or more)"


def _print(found: "StoreInfo") -> None:
    """The store as a person reads it."""
    from learner_index.pipeline.progression.drift import changes_in_words

    views = ", ".join(f"{name} {n:,}" for name, n in found.views.items()) or "none"
    lines = [
        ("store", found.path),
        ("content", _content(found)),
        ("views", views),
        ("health score", found.score),
        ("encoder", found.encoder),
        ("space", found.space),
        ("SEEN BY ENCODER" if found.is_seen else "seen by encoder", found.roles),
        ("reference", found.reference),
        *changes_in_words(found.changes),
        (
            "disk",
            f"{found.n_bytes / 1e6:.1f} MB, generation {found.generation}, layout {found.layout}",
        ),
        ("columns", ", ".join(found.columns)),
    ]
    typer.echo(labelled(lines))
    for note in found.notes:
        say(f"note: {note}")
    if found.example_patient is not None:
        say_next("similar", found.path, "--patient", found.example_patient, "-k", 5)
