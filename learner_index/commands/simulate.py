"""`learner-index simulate`: cohorts with planted truth, always labelled as simulated."""

from pathlib import Path
from typing import Annotated

import typer

from learner_index.commands import options as shared
from learner_index.commands.show import plural, progress_bar

app = typer.Typer(
    help="Write a simulated cohort with its truth table.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _simulate() -> None:
    """Write a simulated cohort with its truth table."""


@app.command("lus")
def lus(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    tier: Annotated[
        str,
        typer.Option(
            help="smoke (24 patients), paper (189), power (600) or demo (720 small ones)."
        ),
    ] = "smoke",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    noise: Annotated[
        float, typer.Option(min=0, help="Noise of the S/F ratio; 0 none, 1 as measured.")
    ] = 1.0,
    confounder: Annotated[
        float, typer.Option(min=0, max=1, help="How closely device and severity go together.")
    ] = 0.0,
    effect: Annotated[
        float, typer.Option(min=0, help="What treatment and deterioration do; 0 nothing.")
    ] = 1.0,
    randomized: Annotated[
        float, typer.Option(min=0, max=1, help="Share of patients whose treatment is drawn.")
    ] = 0.7,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Simulate lung-ultrasound clips with S/F ratios, treatments and repeat scans.

    Example: learner-index simulate lus sim --tier paper --workers 2
    """
    from learner_index.pipeline.simulate import simulate

    chosen = shared.one_of("--tier", tier, ("smoke", "demo", "paper", "power"))
    with progress_bar("simulating") as progress:
        found = simulate(
            folder,
            tier=chosen,
            seed=seed,
            noise=noise,
            confounder=confounder,
            effect=effect,
            randomized=randomized,
            workers=workers,
            progress=progress,
        )
    counts = plural(found.n_scans, "SIMULATED scan"), plural(found.n_patients, "patient")
    typer.echo(f"{folder}: {counts[0]} of {counts[1]}")
    typer.echo(f"next: learner-index build {found.manifest}", err=True)
