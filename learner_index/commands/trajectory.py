"""`learner-index trajectory`: one patient's path, and who took the same one."""

from typing import TYPE_CHECKING, Annotated

import typer

from learner_index.commands import options as shared
from learner_index.commands.nextstep import carried, say_next
from learner_index.commands.show import noise_floor_words, plural, print_json_text, say
from learner_index.commands.table import print_table

if TYPE_CHECKING:
    from learner_index.data.progression import Trajectory

STOPS = ("day", "health_score", "position", "low", "high", "noise")
STEPS = ("from_day", "to_day", "delta_score", "speed", "axis_speed", "off_share", "verdict")
LIKES = (
    "rank",
    "patient_id",
    "distance",
    "day_shift",
    "shift_spread",
    "n_visits",
    "delta_score",
)


def trajectory(
    store: shared.StorePath,
    patient: Annotated[str, typer.Option(help="Whose path.")],
    k: Annotated[
        int, typer.Option("-k", min=0, help="Patients with the most similar paths; 0: none.")
    ] = 5,
    alpha: Annotated[
        float, typer.Option(help="A step counts when repeats differ as much in a smaller share.")
    ] = 0.1,
    softness: Annotated[
        float, typer.Option(help="Of the alignment of two paths, in squared bandwidths.")
    ] = 0.1,
    where: shared.Where = None,
    match: shared.Match = None,
    modality: shared.Modality = None,
    as_of: shared.AsOf = None,
    until_day: shared.UntilDay = None,
    json: shared.Json = False,
) -> None:
    """Show a patient's path along the severity axis, step by step, and who took the same one.

    Example: learner-index trajectory stores/cohort.zarr --patient P017
    """
    from learner_index.pipeline.cohort import open_store

    found = open_store(store).trajectory(
        patient,
        k=k,
        alpha=alpha,
        softness=softness,
        where=where or (),
        match=match or (),
        modality=modality,
        as_of=as_of,
        until_day=until_day,
    )
    if json:
        print_json_text(found.to_json())
        return
    _print(found)
    say_next("report", store, "--patient", found.patient_id, *carried(modality=modality))


def _print(found: "Trajectory") -> None:
    """The answer as a person reads it."""
    said = found.to_dict()
    typer.echo(f"{found.patient_id}: {plural(len(found.stops), 'visit')}")
    for title, names, rows in (
        ("visits", STOPS, said["stops"]),
        ("steps", STEPS, said["steps"]),
        ("same path", LIKES, said["likes"]),
    ):
        if rows:
            typer.echo(f"\n{title}")
            print_table(names, [[row[name] for name in names] for row in rows])
    for line in (*_about(found), *(f"note: {note}" for note in found.notes)):
        say(line)


def _about(found: "Trajectory") -> list[str]:
    """What positions, steps and likes rest on, a line each."""
    lines = []
    axis, n_single = found.axis, found.n_single
    if axis is not None:
        lines.append(
            f"position: along the severity axis, higher is sicker, in {axis['unit']}; low to "
            f"high: 95 % by {axis['n_draws']} bootstrap draws of "
            f"{plural(axis['n_patients'], 'patient')}; R² {axis['r2']:.2f} for patients left out"
        )
    if found.noise is not None:  # else a note says why
        lines.append(noise_floor_words(found.noise))
    if found.likes:
        lines.append(
            f"{plural(found.n_eligible_patients, 'patient')} compared; day_shift: days by which "
            "they reach the same state later"
        )
    if n_single:
        verb = "is no path" if n_single == 1 else "are no paths"
        lines.append(f"{plural(n_single, 'patient')} of one visit {verb}")
    return lines
