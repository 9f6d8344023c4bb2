"""`learner-index build`: manifest and scans in, store out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import pasteable, say_next
from learner_index.commands.show import plural, print_json, progress_bar, say

if TYPE_CHECKING:
    from learner_index.data.records import Problem
    from learner_index.pipeline.result import BuildResult

SHOWN = 20


def build(
    manifest: shared.ManifestPath,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The store.  [default: stores/COHORT.zarr]"),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.words("imagenet", "timm:"),
            help="imagenet, timm:NAME@FILE, timm:NAME@pretrained, timm:NAME (untrained), or the "
            "folder of a pretraining run.  "
            "[default: the store's own; imagenet for a new store]",
        ),
    ] = None,
    embedding_width: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.words("native"),
            help="Values an embedding, or native.  [default: 128]",
        ),
    ] = None,
    temporal_shift: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("auto", "on", "off"),
            help="auto, on or off: residual blocks see neighbouring frames.",
        ),
    ] = "auto",
    size: Annotated[int | None, typer.Option(min=8, help="Input pixels a side.")] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a clip, slices of a volume.  [default: 8]")
    ] = None,
    pixel_mm: Annotated[
        float | None,
        typer.Option(
            min=0, help="Millimetres an input pixel; 0: stretch.  [default: the common field]"
        ),
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.words("top", "center"),
            help="What a physical crop keeps: top or center.",
        ),
    ] = None,
    intensity: Annotated[
        str | None, typer.Option(help="auto, range, percentile:LO,HI or window:LO,HI.")
    ] = None,
    plane: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.words("axial", "coronal", "sagittal"),
            help="Slices of volumes: axial, coronal or sagittal.",
        ),
    ] = None,
    slices: Annotated[
        str | None, typer.Option(help="Share of a volume to take slices from, such as 0.2:0.8.")
    ] = None,
    where: shared.Where = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take only this many rows from the top.")
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop scans the manifest no longer lists.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Go on when every stored scan has other bytes now.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1, not 3, when some scans were skipped.")
    ] = False,
    device: shared.Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("auto", "fp32", "bf16", "fp16"),
            help="auto, fp32, bf16 or fp16.",
        ),
    ] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Scans computed together.  [default: 8]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that read scans.  [default: one a core]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of untrained weights.  [default: 0]")
    ] = None,
    score_column: shared.ScoreColumn = None,
    score_direction: shared.ScoreDirection = None,
    score_per: shared.ScorePer = None,
    clock: shared.Clock = None,
    keep_column: shared.KeepColumn = None,
    drop_column: shared.DropColumn = None,
    allow_outside: shared.AllowOutside = None,
    json: shared.Json = False,
) -> None:
    """Embed a cohort's scans into a store; again: only what is new or changed.

    Example: learner-index build cohort.csv -o stores/cohort.zarr --score-column mmse
    """
    import os

    from learner_index.config import BuildOptions, EncoderOptions
    from learner_index.pipeline.build import build as run
    from learner_index.pipeline.source import ChosenEncoder

    asked = EncoderOptions(
        spec=encoder,
        width=_width(embedding_width),
        temporal_shift=shared.one_of("--temporal-shift", temporal_shift, ("auto", "on", "off")),  # type: ignore[arg-type]
        size=size,
        frames=frames,
        pixel_mm=pixel_mm,
        anchor=shared.one_of("--anchor", anchor, ("top", "center")),  # type: ignore[arg-type]
        intensity=intensity,
        plane=shared.one_of("--plane", plane, ("axial", "coronal", "sagittal")),  # type: ignore[arg-type]
        slice_range=_range(slices),
        seed=seed,
        batch_size=batch_size,
        device=device,
        precision=precision,
    )
    changes = shared.manifest_changes(
        score_column, score_direction, score_per, clock, keep_column, drop_column, allow_outside
    )
    work = BuildOptions(
        where=tuple(where or ()),
        limit=limit,
        workers=workers or os.cpu_count() or 1,
        prune=prune,
        replace=replace,
    )
    with progress_bar("embedding") as progress:
        result = run(
            manifest,
            output or shared.default_store(manifest),
            ChosenEncoder(asked),
            manifest_changes=changes,
            options=work,
            progress=progress,
        )
    print_json(result.to_dict()) if json else _print(result)
    if result.skipped:
        raise typer.Exit(1 if strict or not result.n_rows else 3)


def _width(text: str | None) -> int | None:
    """--embedding-width as a number; 0 stands for the backbone's own width."""
    if text is None or text == "native":
        return None if text is None else 0
    if not text.isdecimal() or int(text) == 0:
        raise typer.BadParameter(
            f"{text!r} is neither a number nor native", param_hint="--embedding-width"
        )
    return int(text)


def _range(text: str | None) -> tuple[float, float] | None:
    """--slices as two shares of the volume."""
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 1:
        raise typer.BadParameter(f"{text!r} is not LOW:HIGH within 0:1", param_hint="--slices")
    return low, high


def _print(result: "BuildResult") -> None:
    """The result as a person reads it."""
    typer.echo(
        f"{result.store}: {plural(result.n_rows, 'scan')} of {plural(result.n_patients, 'patient')}"
    )
    speed = f" ({result.scans_per_s:.1f} scans/s)" if result.n_embedded else ""
    typer.echo(
        f"embedded {result.n_embedded:,}{speed}, shared {result.n_shared:,}, "
        f"changed {result.n_changed:,}, unchanged {result.n_unchanged:,}, "
        f"skipped {len(result.skipped):,}"
    )
    if not result.is_trained:
        typer.echo("the encoder is untrained: its similarities are a baseline, no more")
    if result.n_seen:
        has_others = result.n_seen < result.n_patients
        typer.echo(
            f"SEEN BY ENCODER: it was trained or tuned on {result.n_seen} of the "
            f"{plural(result.n_patients, 'patient')}; "
            f"{'the others' if has_others else 'none'} are 'encoder_role == unseen'"
        )
    if result.n_reference_gone:
        typer.echo(
            f"the reference rests on {plural(result.n_reference_gone, 'patient')} no longer in the "
            f"store: `{pasteable('refit', result.store)}` renews it"
        )
    elif result.n_reference_patients < result.n_patients:
        typer.echo(
            f"the reference rests on {result.n_reference_patients} of {result.n_patients} "
            f"patients: `{pasteable('refit', result.store)}` renews it"
        )
    for line in _difference(result):
        typer.echo(line)
    _problems("noticed", result.notes)
    _problems("skipped", result.skipped)
    for line in result.limits:
        say(f"note: {line}")
    if result.difference is None and result.n_rows:
        say_next("info", result.store)


def _difference(result: "BuildResult") -> list[str]:
    """What was brought into step, one line each."""
    found = result.difference
    lines = [f"dropped {plural(result.n_pruned, 'scan')} (--prune)"] if result.n_pruned else []
    if result.unlisted:
        some = ", ".join(result.unlisted[:3])
        lines.append(
            f"kept {plural(len(result.unlisted), 'scan')} the manifest no longer lists "
            f"({some}{', …' if len(result.unlisted) > 3 else ''}): --prune drops them"
        )
    if found is None:
        return lines
    lines += [f"corrected {name} of {plural(n, 'scan')}" for name, n in found.corrected.items()]
    lines += [f"dropped column {name} (--drop-column)" for name in found.dropped]
    lines += [f"added column {name}" for name in found.added]
    lines += [f"column {change}" for change in found.retyped]
    return lines + [
        f"kept column {name}, which the manifest no longer has" for name in found.absent
    ]


def _problems(word: str, problems: "Sequence[Problem]") -> None:
    """Scans and reasons on stderr, the first 20."""
    for problem in problems[:SHOWN]:
        say(f"{word} {problem}")
    if len(problems) > SHOWN:
        say(f"{word} {len(problems) - SHOWN:,} more: --json lists all")
