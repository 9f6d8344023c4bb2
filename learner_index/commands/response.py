"""`learner-index response`: fit a head that tells the response, and ask it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from learner_index.commands import complete, response_predict
from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import labelled, plural, print_json, progress_bar, say
from learner_index.commands.table import print_table

if TYPE_CHECKING:
    from learner_index.config.response import ClassWeight, Patients, Task, Until
    from learner_index.config.words import Transition
    from learner_index.pipeline.response.fit import ResponseFit

app = typer.Typer(
    help="Learn the response to treatment from a store, and predict it.", no_args_is_help=True
)
_SHOWN = {"auroc": "AUROC", "nll": "log loss", "macro_f1": "macro-F1"}


@app.command("fit", short_help="Fit a head on a store, and try it on patients left out.")
def fit(
    store: shared.StorePath,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of the head.  [default: heads/STORE-TASK]"),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("detect", "predict"),
            help="detect (both scans are given) or predict (nothing after one visit is).",
        ),
    ] = "detect",
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of outcomes, read at the later visit.  [default: the health change]",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="θ: change of health score that counts.")
    ] = None,
    score_kind: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            autocompletion=complete.score_kinds,
            help="generic, sf, sf94 or mmse; gives θ.",
        ),
    ] = "generic",
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="The outcomes in order, worst first: then ordinal."),
    ] = None,
    transitions: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words(*shared.MODES),
            help="detect: which visits are paired: consecutive, all or baseline.",
        ),
    ] = "consecutive",
    at: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("first", "every", "treatment"),
            help="predict: from which visit: first, every, treatment or 'day N'.",
        ),
    ] = "first",
    until: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("next", "last"),
            help="predict: the outcome of the next visit, or of the last.",
        ),
    ] = "next",
    died_as: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="predict: who died before the outcome counts as this."),
    ] = None,
    lost_as: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="predict: who was not seen again counts as this."),
    ] = None,
    scans: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Use only scans such as 'view == ap'; repeat."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Start only from visits such as 'icu == true'."),
    ] = None,
    clinical: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns the clinical baselines know, as in age,sex."),
    ] = None,
    with_clinical: Annotated[
        bool, typer.Option("--with-clinical", help="The head itself knows them, too.")
    ] = False,
    head: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=complete.words(*complete.HEADS),
            help="multinomial, antisymmetric, ordinal or mlp.",
        ),
    ] = "multinomial",
    class_weight: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("none", "balanced"),
            help="none, or balanced: rare classes weigh more in the fit.",
        ),
    ] = "none",
    patients: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("auto", "unseen", "all"),
            help="unseen by the encoder, all, or auto: unseen where they are enough.",
        ),
    ] = "auto",
    folds: Annotated[int, typer.Option(min=2, help="Of patients, for the figures.")] = 5,
    alpha: Annotated[
        float, typer.Option(help="Sets may miss the outcome of this share of patients.")
    ] = 0.1,
    n_bootstraps: Annotated[
        int, typer.Option(min=100, help="Draws of patients for intervals.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, draws and heads.")] = 0,
    modality: shared.Modality = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the head that is there.")
    ] = False,
    json: shared.Json = False,
) -> None:
    """Fit a response head from a store alone, and try it beside its baselines.

    Example: learner-index response fit stores/cohort.zarr --threshold 50 --clinical age,sex
    """
    from learner_index.config.response import ResponseOptions
    from learner_index.pipeline.response.fit import fit_response

    options = ResponseOptions(
        task=cast("Task", shared.one_of("--task", task, ("detect", "predict"))),
        target=target,
        threshold=threshold,
        score_kind=score_kind,
        classes=_names(classes),
        transitions=cast("Transition", shared.one_of("--transitions", transitions, shared.MODES)),
        at=at,
        until=cast("Until", shared.one_of("--until", until, ("next", "last"))),
        died_as=died_as,
        lost_as=lost_as,
        scans=tuple(scans or ()),
        where=tuple(where or ()),
        clinical=_names(clinical),
        with_clinical=with_clinical,
        modality=modality,
        patients=cast("Patients", shared.one_of("--patients", patients, ("auto", "unseen", "all"))),
        head=head,
        class_weight=cast(
            "ClassWeight", shared.one_of("--class-weight", class_weight, ("none", "balanced"))
        ),
        folds=folds,
        alpha=alpha,
        n_bootstraps=n_bootstraps,
        seed=seed,
    )
    folder = output or Path("heads") / f"{store.stem}-{task}"
    with progress_bar("fitting folds") as progress:
        found = fit_response(store, folder, options, replace=replace, progress=progress)
    print_json(found.to_dict()) if json else _print(found, store)


app.command("predict", short_help="Ask a head of a patient, a store or new scans.")(
    response_predict.predict
)


def _names(text: str | None) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _print(found: "ResponseFit", store: Path) -> None:
    """What was fitted and how good it is, as a person reads it."""
    from learner_index.pipeline.response.report import NAME, TASKS, set_words
    from learner_index.pipeline.roles import MARK

    card, figures = found.card, found.figures
    data = card["data"]
    counts = ", ".join(f"{name} ({n['examples']})" for name, n in data["classes"].items())
    simulated = "SIMULATED patients; " if card["is_simulated"] else ""
    seen = f" ({figures.n_seen} {MARK})" if figures.n_seen else ""
    typer.echo(
        labelled(
            [
                ("head", f"{found.folder} ({card['head']}, {card['title']})"),
                ("task", TASKS[card["task"]]),
                ("outcome", f"{card['target']['name']}: {counts}"),
                (
                    "patients",
                    f"{simulated}{figures.n_patients}{seen}, each left out once",
                ),
            ]
        )
    )
    typer.echo()
    print_table(*_table(found))
    for line in _comments(found, set_words(card, figures)):
        say(line)
    say(f"report and figures: {found.folder / NAME}")
    say_next("response", "predict", found.folder, store)


def _table(found: "ResponseFit") -> tuple[list[str], list[list[Any]]]:
    """Header and rows: values of each model, intervals stand in the report."""
    header = ["model", *_SHOWN.values(), "against the head"]
    verdicts = _verdicts(found)
    rows = [
        [
            model,
            *(own[name].value if name in own else None for name in _SHOWN),
            verdicts.get(model),
        ]
        for model, own in found.figures.models.items()
    ]
    return header, rows


def _verdicts(found: "ResponseFit") -> dict[str, str]:
    """What the gains say of each baseline."""
    from learner_index.pipeline.response.report import gain_table

    return {row[0]: row[-1] for row in gain_table(found.figures)[1]}


def _comments(found: "ResponseFit", sets: list[str]) -> list[str]:
    """Figures of the sets, who is missing, and notes, a line each."""
    figures, data = found.figures, found.card["data"]
    lines = list(sets)
    silent = figures.sets["abstaining"].value
    lines.append(f"abstains in {100 * silent:.0f} % of patients" if silent is not None else "")
    for name, words in (
        ("n_died", "died before the outcome"),
        ("n_lost", "without a later visit"),
        ("n_unknown", "without a written or scored outcome"),
    ):
        if data[name]:
            lines.append(f"{plural(data[name], 'example')} {words}, not learned from")
    return [line for line in (*lines, *(f"note: {note}" for note in found.notes)) if line]
