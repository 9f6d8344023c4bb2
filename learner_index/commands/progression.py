"""`learner-index progression`: who changed like this patient, and how sure that is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import carried, of_visits, say_next
from learner_index.commands.show import (
    chosen_columns,
    noise_floor_words,
    plural,
    print_json_text,
    say,
)
from learner_index.commands.table import print_table

if TYPE_CHECKING:
    from learner_index.data.progression import Change, Progressions

_NULLS = {
    "flip": "if no direction were common",
    "permute": "if those who start alike changed no more alike than others",
}
SHOWN = (
    "rank",
    "patient_id",
    "from_day",
    "to_day",
    "similarity",
    "direction",
    "start",
    "days",
    "delta_score",
    "verdict",
)
_LABELS = {"from_day": "from", "to_day": "to", "similarity": "S", "delta_score": "d_score"}
_ROUNDED = ("similarity", "direction", "start", "days", "delta_score")
_UNTOLD = ("no noise floor", "no severity axis")  # a note says why
_NO_COLUMNS = ("scan_id", "content_hash", "rescan", "day", "view")  # of a scan, not of a change


def progression(
    store: shared.StorePath,
    patient: Annotated[
        str | None,
        typer.Option(help="Whose change; beside a direction, groups or vector: who starts there."),
    ] = None,
    from_day: Annotated[
        float | None, typer.Option(help="Day of the earlier visit.  [default: the one before]")
    ] = None,
    to_day: Annotated[
        float | None,
        typer.Option(help="Day of the later visit.  [default: the latest that is paired]"),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete.words("improving", "worsening"),
            help="improving or worsening: along the severity axis.",
        ),
    ] = None,
    from_where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="From the mean of the scans that fulfil this"),
    ] = None,
    to_where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="to the mean of those that fulfil this."),
    ] = None,
    vector: Annotated[
        Path | None, typer.Option(help="A .npy file: a difference of two embeddings.")
    ] = None,
    negate: Annotated[
        bool, typer.Option("--negate", help="Look for the opposite direction.")
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="Distinct hits wanted.")] = 10,
    level: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("patient", "transition"),
            help="What is distinct among the hits: patient or transition.",
        ),
    ] = "patient",
    transitions: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words(*shared.MODES),
            help="Which visits are paired: consecutive, all or baseline.",
        ),
    ] = "consecutive",
    direction_only: Annotated[
        bool, typer.Option("--direction-only", help="Rank by direction alone.")
    ] = False,
    weights: Annotated[
        str, typer.Option(help="Of direction, start state and days, separated by commas.")
    ] = "1,1,1",
    where: shared.Where = None,
    match: shared.Match = None,
    modality: shared.Modality = None,
    as_of: shared.AsOf = None,
    until_day: shared.UntilDay = None,
    include_self: Annotated[
        bool, typer.Option("--include-self", help="Other changes of the patient may be hits.")
    ] = False,
    min_support: Annotated[
        float, typer.Option(min=0, help="Patients who started alike below which nothing is said.")
    ] = 5.0,
    n_draws: Annotated[
        int, typer.Option(min=0, help="Draws of the test against chance; 0: no test.")
    ] = 999,
    seed: Annotated[int, typer.Option(min=0, help="Of these draws.")] = 0,
    backend: shared.Backend = "auto",
    columns: shared.Columns = None,
    json: shared.Json = False,
) -> None:
    """Find the patients who changed like this one, from a similar state, in a similar time.

    Example: learner-index progression stores/cohort.zarr --patient P017 -k 5 --match 'age±10'
    """
    from learner_index.data.progression import HIT_FIELDS
    from learner_index.pipeline.asked import read_vector
    from learner_index.pipeline.cohort import open_store

    cohort = open_store(store)
    known = [*HIT_FIELDS, *(name for name in cohort.obs.columns if name not in _NO_COLUMNS)]
    shown = chosen_columns(columns, SHOWN, known)
    found = cohort.progression(
        patient=patient,
        from_day=from_day,
        to_day=to_day,
        direction=shared.one_of("--direction", direction, ("improving", "worsening")),
        from_where=from_where or (),
        to_where=to_where or (),
        vector=read_vector(vector) if vector else None,
        negate=negate,
        k=k,
        level=shared.one_of("--level", level, ("patient", "transition")),
        transitions=shared.one_of("--transitions", transitions, shared.MODES),
        direction_only=direction_only,
        weights=_three(weights),
        where=where or (),
        match=match or (),
        modality=modality,
        as_of=as_of,
        until_day=until_day,
        include_self=include_self,
        min_support=min_support,
        n_draws=n_draws,
        seed=seed,
        backend=shared.one_of("--backend", backend, shared.BACKENDS),
    )
    if json:
        print_json_text(found.to_json())
        return
    _print(found, shown)
    whose = patient or (found[0].patient_id if len(found) else None)
    rules = {"where": of_visits(where), "match": of_visits(match), "modality": modality}
    words = carried(**rules, as_of=as_of, until_day=until_day)
    say_next(*(("trajectory", store, "--patient", whose, *words) if whose else ("info", store)))


def change_in_words(change: "Change") -> str:
    """A change in one line: days, health score, how far, what it means."""
    parts = [f"day {change.from_day:g} to {change.to_day:g} ({change.views or 'no view named'})"]
    if change.health_score is not None and change.later_health_score is not None:
        parts.append(f"health score {change.health_score:g} to {change.later_health_score:g}")
    p = "" if change.length_p is None else f" (p {change.length_p:.3f} among repeats)"
    parts.append(f"‖d‖ {change.length:.2f}{p}")
    if change.on_axis is not None:
        parts.append(f"{change.on_axis:+.2f} along the severity axis")
    return ", ".join([*parts, change.verdict])


def _three(text: str) -> tuple[float, ...]:
    """The three weights; anything else is wrong usage."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 3:
        raise typer.BadParameter(
            f"{text!r}: give three numbers, as in 1,1,1", param_hint="--weights"
        )
    return found


def _cell(name: str, value: Any) -> Any:
    """A value as the table shows it: short, for 80 columns."""
    if name in _ROUNDED and value is not None:
        return round(value, 2)
    if name == "verdict" and value in _UNTOLD:
        return None
    return ", ".join(value) if isinstance(value, list) else value


def _print(found: "Progressions", shown: list[str]) -> None:
    """The answer as a person reads it: hits on stdout, what to think of them on stderr."""
    rows = [hit.to_dict() for hit in found]
    if rows:
        cells = [[_cell(name, row.get(name)) for name in shown] for row in rows]
        print_table([_LABELS.get(name, name) for name in shown], cells)
        say("S = direction + start + days: larger is more alike")
    if found.change is not None:
        say(f"query: {change_in_words(found.change)}")
    say(
        f"{plural(len(found), 'hit')} among {plural(found.n_eligible, 'eligible transition')} of "
        f"{plural(found.n_eligible_patients, 'patient')}; exact, {found.backend}, "
        f"{found.elapsed_ms:.0f} ms",
    )
    for line in (*_sure(found), *(f"note: {note}" for note in found.notes)):
        say(line)


def _sure(found: "Progressions") -> list[str]:
    """Outcome, test and noise floor, a line each."""
    lines = []
    outcome, chance = found.outcome, found.chance
    if outcome is not None and outcome.median_delta_score is not None:
        counts = "no verdict can be given"
        if outcome.n_improving is not None:
            counts = (
                f"{outcome.n_improving} improving, {outcome.n_steady} steady, "
                f"{outcome.n_worsening} worsening"
            )
            counts += f", {outcome.n_uncertain} uncertain" if outcome.n_uncertain else ""
        lines.append(
            f"outcome: median change of health score {outcome.median_delta_score:+.3g} "
            f"(quartiles {outcome.low_delta_score:+.3g} to {outcome.high_delta_score:+.3g}) in "
            f"{outcome.n_scored} of {plural(outcome.n_hits, 'hit')}; {counts}"
        )
    if chance is not None:
        lines.append(
            f"chance: mean similarity of the hits {chance['statistic']:.2f}; "
            f"{_NULLS[chance['method']]}, {round(chance['null_mean'], 2) + 0.0:.2f} (95 % below "
            f"{chance['null_high']:.2f}): p = {chance['p_value']:.3f}, {chance['n_draws']} draws"
        )
    started = "started alike" if found.weights[1] else "are eligible; start states not compared"
    lines.append(
        f"support: {found.support.n_similar:.1f} patients {started}; deltas spread in "
        f"{found.effective_rank:.1f} directions; {noise_floor_words(found.noise)}"
    )
    return lines
