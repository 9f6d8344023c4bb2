"""`learner-index demo`: everything once, on simulated scans, in under four minutes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learner_index.commands.nextstep import pasteable
from learner_index.commands.show import plural, progress_bar
from learner_index.commands.table import print_table

if TYPE_CHECKING:
    from learner_index.pipeline.demo import Demo
    from learner_index.pipeline.gain import Gain


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path(
        "learner-index-demo"
    ),
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 0,
) -> None:
    """Simulate, pretrain, build a store and ask who looks like whom; everything is simulated.

    Example: learner-index demo --folder demo
    """
    from learner_index.pipeline.demo import run_demo

    with progress_bar("demo") as progress:
        found = run_demo(
            folder, seed=seed, say=lambda line: typer.echo(f"· {line}"), progress=progress
        )
    _print(found)


def _closer(gain: "Gain") -> str:
    """By how much the nearest are closer, with its interval."""
    return f"{gain.chance - gain.near:.0f} closer ({gain.low:.0f} to {gain.high:.0f})"


def _print(found: "Demo") -> None:
    """What was found, and what to type next."""
    from learner_index.pipeline.demo import NEW

    built, gain = found.built, found.gain
    typer.echo(
        f"\n{found.store}: {plural(built.n_rows, 'SIMULATED scan')} of "
        f"{plural(built.n_patients, 'patient')}, encoder {found.encoder}"
    )
    typer.echo(f"\nSIMULATED patients most like {found.query}:")
    shown = ("rank", "patient_id", "day", "scan_id", "similarity", "health_score")
    print_table(shown, [[getattr(hit, name) for name in shown] for hit in found.hits])
    better = found.improvement
    typer.echo(
        f"\nS/F of a scan and its nearest patients differs by {gain.near:.0f} on average, of "
        f"random ones by {gain.chance:.0f}:\n"
        f"{_closer(gain)} with the pretrained encoder,\n"
        f"{_closer(found.gain_before)} with {found.before}; better by {better.mean:.0f} "
        f"({better.low:.0f} to {better.high:.0f})\n"
        f"(95 % intervals by patient, n = {gain.n_patients} simulated patients neither has seen)"
    )
    typer.echo(f"picture: {found.sheet}\n\nnext, try:")
    store, patient, head = found.store, found.query, found.store.parent / "head"
    for words in (
        ("info", store),
        ("similar", store, "--patient", patient, "-k", 5),
        ("progression", store, "--patient", patient, "-k", 5),
        ("trajectory", store, "--patient", patient),
        ("map", store, "-o", store.parent / "map"),
        ("report", store, "--patient", patient, "-o", store.parent / "report.html"),
        ("response", "fit", store, "--score-kind", "sf", "-o", head),
        ("similar", store, "--scan", found.hits[0].scan_id, "--where", "day <= 2"),
        ("check", found.manifest),
        ("build", found.manifest, "-o", store, "--where", NEW),
    ):
        typer.echo(f"  {pasteable(*words)}{'   # embeds 0 scans' if words[0] == 'build' else ''}")
