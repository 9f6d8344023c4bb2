"""`learner-index simulate`: cohorts with planted truth, always labelled as simulated."""

from pathlib import Path
from typing import Annotated, Any

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import plural, progress_bar

app = typer.Typer(
    help="Write a simulated cohort with its truth table.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _simulate() -> None:
    """Write a simulated cohort with its truth table."""


@app.command("lus", short_help="Lung-ultrasound clips with S/F ratios and treatments.")
def lus(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    tier: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("smoke", "demo", "paper", "power"),
            help="smoke (24 patients), paper (189), power (600) or demo (720 small ones).",
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
    settings: dict[str, Any] = {
        "tier": shared.one_of("--tier", tier, ("smoke", "demo", "paper", "power")),
        "seed": seed,
        "noise": noise,
        "confounder": confounder,
        "effect": effect,
        "randomized": randomized,
        "workers": workers,
    }
    _simulated(folder, "lus", settings)


@app.command("brain", short_help="Brain MRI with MMSE.")
def brain(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    tier: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("smoke", "paper", "power"),
            help="smoke (24 patients), paper (189) or power (600).",
        ),
    ] = "smoke",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    noise: Annotated[
        float, typer.Option(min=0, help="Noise of the MMSE; 0 none, 1 as measured.")
    ] = 1.0,
    confounder: Annotated[
        float, typer.Option(min=0, max=1, help="How closely site and severity go together.")
    ] = 0.0,
    effect: Annotated[
        float, typer.Option(min=0, help="How far disease moves between visits; 0 not at all.")
    ] = 1.0,
    lead: Annotated[
        float, typer.Option(min=0, help="Years by which imaging leads cognition.")
    ] = 0.0,
    reversible: Annotated[
        float, typer.Option(min=0, max=1, help="Share of patients who truly improve.")
    ] = 0.0,
    layout: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("npz", "nifti"),
            help="npz (a clip a visit) or nifti (a volume a view).",
        ),
    ] = "npz",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Simulate brain MRI with MMSE and repeat scans; nobody truly improves unless told to.

    Example: learner-index simulate brain sim --tier paper --workers 2
    """
    settings: dict[str, Any] = {
        "tier": shared.one_of("--tier", tier, ("smoke", "paper", "power")),
        "seed": seed,
        "noise": noise,
        "confounder": confounder,
        "effect": effect,
        "lead": lead,
        "reversible": reversible,
        "layout": shared.one_of("--layout", layout, ("npz", "nifti")),
        "workers": workers,
    }
    _simulated(folder, "brain", settings)


def _simulated(folder: Path, kind: str, settings: dict[str, Any]) -> None:
    """Simulate, and say what was written and what to type next."""
    from learner_index.pipeline.simulate import simulate

    with progress_bar("simulating") as progress:
        found = simulate(folder, kind, **settings, progress=progress)
    counts = plural(found.n_scans, "SIMULATED scan"), plural(found.n_patients, "patient")
    typer.echo(f"{folder}: {counts[0]} of {counts[1]}")
    is_volume = settings.get("layout") == "nifti"  # one plane a store: slices are cut along it
    plane = ("--plane", "coronal", "--where", "view == coronal") if is_volume else ()
    say_next("build", found.manifest, *plane)
