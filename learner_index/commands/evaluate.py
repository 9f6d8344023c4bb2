"""`learner-index evaluate`: the honest table, for anyone's cohort."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.pretrain import SHOWN, read_options
from learner_index.commands.show import plural, print_json, say, training_bar
from learner_index.commands.table import print_table

if TYPE_CHECKING:
    from learner_index.config import Transition
    from learner_index.pipeline.evaluation.result import Evaluation

_FLAGS = {  # option -> setting of every training; those that were typed win over the file
    "encoder": "encoder.spec",
    "size": "encoder.size",
    "frames": "encoder.frames",
    "epochs": "training.epochs",
    "score_kind": "score.kind",
    "threshold": "score.change_threshold",
    "where": "split.where",
    "device": "encoder.device",
    "precision": "encoder.precision",
}
_SHOWN = ("macro_f1", "difference_macro_f1", "within_centered", "score_spearman")


def evaluate(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            autocompletion=complete.sources,
            help="A manifest, or stores (.zarr).",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of the report.  [default: results/COHORT]"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings of `pretrain` in TOML; flags win over it."),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete.objectives,
            help="To pretrain with; repeat; none: without.  [default: mse, learner_weighted]",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete.words("handcrafted", "imagenet", "none"),
            help="handcrafted, or a frozen encoder (imagenet, timm:NAME@FILE); repeat; none: "
            "without.  [default: handcrafted, imagenet]",
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare with this one.  [default: mse]")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each objective.")] = 3,
    folds: Annotated[int, typer.Option(min=2, help="Of patients.")] = 5,
    transitions: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            autocompletion=complete.words(*shared.MODES),
            help="consecutive, all or baseline.",
        ),
    ] = "consecutive",
    threshold: Annotated[
        float | None,
        typer.Option(help="θ: change of score that counts.  [default: the score kind's]"),
    ] = None,
    score_kind: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            autocompletion=complete.score_kinds,
            help="generic, sf, sf94 or mmse.  [default: generic]",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Backbone to pretrain.  [default: timm:resnet18]"),
    ] = None,
    size: Annotated[int | None, typer.Option(min=8, help="Input pixels a side.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Of a clip.  [default: 8]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most.  [default: 30]")] = None,
    where: shared.Where = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and draws.")] = 0,
    bootstraps: Annotated[int, typer.Option(min=100, help="Draws for intervals.")] = 2000,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.NAME=VALUE", help="Any other setting; repeat."),
    ] = None,
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
    """Compare objectives, stores and baselines on patients none of them has seen.

    Called again with the same folder, it goes on where it stopped.

    Example: learner-index evaluate cohort.csv --score-kind sf --objective mse --objective rnc
    """
    import os

    from learner_index.config import EvaluateOptions
    from learner_index.pipeline.evaluation.evaluate import evaluate as run
    from learner_index.pipeline.lesson import Talk

    typed = {_FLAGS[name]: value for name, value in locals().items() if name in _FLAGS}
    typed["split.where"] = tuple(where) if where else None
    changes = shared.manifest_changes(
        score_column, score_direction, score_per, clock, keep_column, drop_column, allow_outside
    )
    wanted = EvaluateOptions(
        against=against,
        seeds=seeds,
        folds=folds,
        transitions=cast("Transition", shared.one_of("--transitions", transitions, shared.MODES)),
        n_bootstraps=bootstraps,
        seed=seed,
    )
    if objective:
        wanted = replace(wanted, objectives=_unless_none(objective))
    if baseline:
        wanted = replace(wanted, baselines=_unless_none(baseline))
    with training_bar() as (progress, watch):
        found = run(
            sources,
            output or Path("results") / shared.default_store(sources[0]).stem,
            wanted,
            read_options(config, typed, setting or []),
            manifest_changes=changes,
            workers=workers or os.cpu_count() or 1,
            talk=Talk(lambda line: say(f"· {line}"), progress, watch),
        )
    print_json(_record(found)) if json else _print(found)
    _say(found)
    if found.skipped:
        raise typer.Exit(3)


def _unless_none(names: list[str]) -> tuple[str, ...]:
    """The names, or nothing for the word none."""
    return () if names == ["none"] else tuple(names)


def _record(found: "Evaluation") -> Mapping[str, Any]:
    """What `evaluation.json` says."""
    from learner_index.pipeline.evaluation.report import evaluation_record
    from learner_index.pipeline.runs import finite

    record: Mapping[str, Any] = finite(evaluation_record(found))
    return record


def _print(found: "Evaluation") -> None:
    """The headline as a person reads it."""
    from learner_index.pipeline.evaluation.measures import MEASURES
    from learner_index.pipeline.evaluation.tables import figure_text, seen_words

    material = found.material
    counts = plural(material.n_patients, "patient"), plural(material.n_scans, "scan")
    typer.echo(f"{material.name}: {' and '.join(counts)}, {plural(len(found.splits), 'fold')}")
    present = {name for outcome in found.outcomes for name in outcome.figures}
    names = [name for name in _SHOWN if name in present]
    rows = [
        [one.name, *(figure_text(one, name) for name in names), seen_words(one) or "unseen"]
        for one in found.outcomes
    ]
    titles = {"difference_macro_f1": "macro-F1 of two scores", "within_centered": "ρ within"}
    header = ["model", *(titles.get(name, MEASURES[name].title) for name in names), "patients"]
    print_table(header, rows)
    for name in names:
        one = next(one.figures[name] for one in found.outcomes if name in one.figures)
        title = titles.get(name, MEASURES[name].title)
        typer.echo(f"{title}: {plural(one.n_patients, 'patient')}, {plural(one.n_pairs, 'pair')}")
    for line in _verdicts(found):
        typer.echo(line)


def _verdicts(found: "Evaluation") -> list[str]:
    """The primary endpoint of every model that was tested, in words."""
    from learner_index.pipeline.evaluation.tables import seen_words

    seen = {one.name: seen_words(one) for one in found.outcomes}
    lines = []
    for one in found.comparisons:
        if one.p_holm is None:
            continue
        marks = "".join(f"; {name} {seen[name]}" for name in (one.model, one.against) if seen[name])
        lines.append(
            f"{one.model} against {one.against}: macro-F1 {one.difference:+.3f} "
            f"({one.low:+.3f} to {one.high:+.3f}), p {one.p_swap:.2g}, after Holm "
            f"{one.p_holm:.2g}{marks}"
        )
    return lines


def _say(found: "Evaluation") -> None:
    """Notes, what was left out, and where the report lies."""
    for note in found.notes:
        say(f"noticed {note}")
    for line in found.skipped[:SHOWN]:
        say(f"skipped {line}")
    if len(found.skipped) > SHOWN:
        say(f"skipped {len(found.skipped) - SHOWN:,} more")
    say(f"next: read {found.folder}/report.md; methods.md is for the paper")
