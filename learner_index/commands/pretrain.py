"""`learner-index pretrain`: coarse health scores between patients in, an encoder out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import plural, print_json, say, training_bar
from learner_index.commands.table import print_table

if TYPE_CHECKING:
    from learner_index.config import PretrainOptions
    from learner_index.pipeline.pretrain import PretrainResult

SHOWN = 10
_FLAGS = {  # option -> setting; those that were typed win over the file
    "objective": "objective.name",
    "encoder": "encoder.spec",
    "size": "encoder.size",
    "frames": "encoder.frames",
    "epochs": "training.epochs",
    "learning_rate": "training.learning_rate",
    "blocks": "training.blocks",
    "patients": "batches.patients",
    "scans": "batches.scans",
    "score_kind": "score.kind",
    "score_bins": "score.bins",
    "class_column": "score.class_column",
    "score_classes": "score.classes",
    "threshold": "score.change_threshold",
    "val_share": "split.val_share",
    "test_share": "split.test_share",
    "folds": "split.folds",
    "where": "split.where",
    "device": "encoder.device",
    "precision": "encoder.precision",
}


def pretrain(
    manifest: shared.ManifestPath,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run's folder.  [default: runs/COHORT]"),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings in TOML; flags win over it.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete.objectives,
            help="See `learner-index objectives`.  [default: see there]",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            autocompletion=complete.words("imagenet", "timm:"),
            help="timm:NAME (untrained), timm:NAME@FILE, timm:NAME@pretrained, imagenet, or the "
            "folder of a finished run to start from.  [default: timm:resnet18]",
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(min=8, help="Input pixels a side.")] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a clip, slices of a volume.  [default: 8]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most.  [default: 30]")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="After the warm-up.  [default: 0.001]")
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            autocompletion=complete.words("all", "last"),
            help="all, or last: hold still all but the encoder's last block.  [default: all]",
        ),
    ] = None,
    patients: Annotated[
        int | None, typer.Option(min=2, help="Patients a batch.  [default: 16]")
    ] = None,
    scans: Annotated[
        int | None, typer.Option(min=1, help="Scans of each patient a batch.  [default: 2]")
    ] = None,
    score_kind: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            autocompletion=complete.score_kinds,
            help="generic, sf, sf94 or mmse.  [default: generic]",
        ),
    ] = None,
    score_bins: Annotated[
        int | None, typer.Option(min=2, help="Train on this many coarse classes of the score.")
    ] = None,
    class_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Train on this column of ordinal classes.")
    ] = None,
    score_classes: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Its classes, from the sickest to the healthiest."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="θ: change of score that counts.  [default: the score kind's]"),
    ] = None,
    val_share: Annotated[
        float | None,
        typer.Option(help="Share of patients that choose when to stop.  [default: 0.2]"),
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(help="Share of patients left unseen.  [default: 0]")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Cross-fit this many encoders, each unseen by a fold.")
    ] = None,
    where: shared.Where = None,
    seed: Annotated[
        int | None, typer.Option(help="Of weights, batches and split.  [default: 0]")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.NAME=VALUE",
            help="Any other setting, as in the TOML file; none leaves it open; repeat for more.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run from its last checkpoint and with its own settings; where "
            "there is no run yet, start one.",
        ),
    ] = False,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.words("auto", "fp32", "bf16", "fp16"),
            help="auto, fp32, bf16 or fp16.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that read scans.  [default: one a core]")
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
    """Train an encoder on coarse health scores between patients.

    Several GPUs: torchrun --nproc-per-node N -m learner_index pretrain …

    Example: learner-index pretrain cohort.csv -o runs/first --score-kind sf --score-bins 4
    """
    import os

    from learner_index.pipeline.pretrain import Talk
    from learner_index.pipeline.pretrain import pretrain as run

    typed = {_FLAGS[name]: value for name, value in locals().items() if name in _FLAGS}
    typed["split.where"] = tuple(where) if where else None
    if score_classes is not None:
        typed["score.classes"] = tuple(name.strip() for name in score_classes.split(","))
    if seed is not None:
        typed |= {"training.seed": seed, "split.seed": seed}
    folder = output or Path("runs") / shared.default_store(manifest).stem
    changes = shared.manifest_changes(
        score_column, score_direction, score_per, clock, keep_column, drop_column, allow_outside
    )
    with training_bar() as (progress, watch):
        result = run(
            manifest,
            folder,
            read_options(config, typed, setting or [], folder if resume else None),
            manifest_changes=changes,
            resume=resume,
            workers=workers or os.cpu_count() or 1,
            talk=Talk(lambda line: say(f"· {line}"), progress, watch),
        )
    if result.is_first:
        print_json(dict(result.run)) if json else _print(result)
        _say(result, manifest, changes)
    if result.skipped:
        raise typer.Exit(3)


def read_options(
    config: Path | None, typed: Mapping[str, Any], settings: list[str], known: Path | None = None
) -> "PretrainOptions":
    """The settings of a run; those of a run that goes on, in a known folder, need no repeating."""
    from learner_index.pipeline.configfile import read_pretrain_options, toml_value
    from learner_index.pipeline.runfolder import known_run

    changes = {name: value for name, value in typed.items() if value is not None}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not SECTION.NAME=VALUE", param_hint="--set")
        changes[name.strip()] = toml_value(value.strip())
    base = known_run(known, resume=True).get("options") if known else None
    return read_pretrain_options(config, changes, base=base)


def _print(result: "PretrainResult") -> None:
    """The result as a person reads it."""
    run = result.run
    runs = result.folds or (result,)
    typer.echo(f"{result.folder}: {_names(run)} on {run['cohort']}, score {_score(run)}")
    rows = [_row(one) for one in runs]
    header = ("run", "train", "val", "unseen", "epochs", "kept", "rho", "95 %", "pairs", "of")
    print_table(header, rows)
    if result.folds:
        typer.echo(_mean(run))
    typer.echo(
        "rho: Spearman of embedding distance and size of score change within patients; "
        "interval by patient"
    )
    if not any(_counts(one.run)["unseen"] for one in runs):
        typer.echo(
            "no patient was left unseen, so the figure flatters: --folds or --test-share shows "
            "an honest one"
        )
    elif not any(one.run["figures"]["unseen"] for one in runs):
        typer.echo("fewer than 3 unseen patients have two scored visits, so nothing honest to show")


def _say(result: "PretrainResult", manifest: Path, changes: Mapping[str, Any]) -> None:
    """Notes, what was left out, and what to do next."""
    for note in result.notes:
        say(f"noticed {note}")
    for line in result.skipped[:SHOWN]:
        say(f"skipped {line}")
    if len(result.skipped) > SHOWN:
        more = len(result.skipped) - SHOWN
        say(f"skipped {more:,} more: run.json lists all")
    first = (result.folds or (result,))[0].folder
    say_next("build", manifest, "--encoder", first, *shared.typed_again(changes))


def _names(run: Mapping[str, Any]) -> str:
    """What was trained, in words."""
    options = run["options"]
    what = ", last block" if options["training"].get("blocks") == "last" else ""
    return f"{options['objective']['name']} with {options['encoder']['spec']}{what}"


def _score(run: Mapping[str, Any]) -> str:
    """The health score and how reliable a change of it is."""
    score = run["health_score"]
    if score["threshold"] is None:
        return f"{score['kind']}, no threshold of change given"
    words = f"{score['kind']}, θ {score['threshold']:g} {score['unit']}".rstrip()
    own = score["reliability"]
    if own and own["share"] is not None:
        return (
            f"{words} ({own['share']:.0%} of {plural(own['n_pairs'], 'pair')} of repeats would "
            "be called changed)"
        )
    return f"{words} ({score['known_reliability']})" if score["known_reliability"] else words


def _row(result: "PretrainResult") -> list[object]:
    """One run's line of the table."""
    from learner_index.pipeline.roles import MARK

    run = result.run
    counts = [_counts(run)[role] for role in ("train", "val", "unseen")]
    figures = run["figures"]
    role = "unseen" if figures["unseen"] else "val"
    found = figures[role] or {"rho": None, "low": None, "high": None, "n_pairs": 0}
    interval = None
    if found["low"] is not None:
        interval = f"{found['low']:.2f} to {found['high']:.2f}"
    rho = None if found["rho"] is None else round(found["rho"], 3)
    name = result.folder.name
    return [
        name,
        *counts,
        run["n_epochs"],
        run["best_epoch"],
        rho,
        interval,
        found["n_pairs"],
        role if role == "unseen" else f"{role} ({MARK})",
    ]


def _counts(run: Mapping[str, Any]) -> Mapping[str, int]:
    """Patients of the cohort by role; a run may name more, of the one it started from."""
    named = {role: len(patients) for role, patients in run["patients"].items()}
    counted: Mapping[str, int] = run.get("n_patients", named)
    return counted


def _mean(run: Mapping[str, Any]) -> str:
    """The mean over folds, with whom it rests on."""
    mean, n_folds = run["figures"]["unseen_mean"], run["figures"]["n_folds"]
    if mean is None:
        return "no fold has a rho for its unseen patients"
    interval = "" if mean["low"] is None else f" ({mean['low']:.2f} to {mean['high']:.2f})"
    return (
        f"mean over {plural(n_folds, 'fold')}: rho {mean['rho']:.3f}{interval}, "
        f"{plural(mean['n_patients'], 'unseen patient')}, {plural(mean['n_pairs'], 'pair')}"
    )
