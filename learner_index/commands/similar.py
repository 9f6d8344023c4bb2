"""`learner-index similar`: who looks like this patient, visit, scan or file."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import carried, of_visits, say_next
from learner_index.commands.show import chosen_columns, plural, print_json_text, say
from learner_index.commands.table import print_table

if TYPE_CHECKING:
    import pandas as pd

    from learner_index.data.records import Hit, Hits

SHOWN = ("rank", "patient_id", "day", "scan_id", "similarity", "health_score")
FIELDS = (*SHOWN, "distance", "query_scan_id")


def similar(
    store: shared.StorePath,
    patient: Annotated[
        str | None,
        typer.Option(help="A patient; with --file or --vector: whom these belong to."),
    ] = None,
    scan: Annotated[str | None, typer.Option(help="A stored scan.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A scan outside the store.")] = None,
    vector: Annotated[
        Path | None, typer.Option(help="A .npy file of one or more embeddings.")
    ] = None,
    day: Annotated[float | None, typer.Option(help="Only the patient's visit on this day.")] = None,
    visit: Annotated[str | None, typer.Option(help="Only this visit of the patient.")] = None,
    view: Annotated[str | None, typer.Option(help="View of the file or vector.")] = None,
    modality: Annotated[str | None, typer.Option(help="Modality of the file or vector.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Distinct hits wanted.")] = 10,
    level: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("scan", "visit", "patient"),
            help="What is distinct among the hits: scan, visit or patient.",
        ),
    ] = "patient",
    metric: Annotated[
        str,
        typer.Option(
            autocompletion=complete.words("centered", "cosine", "euclidean"),
            help="centered (cosine from the reference mean), cosine or euclidean.",
        ),
    ] = "centered",
    where: shared.Where = None,
    match: shared.Match = None,
    as_of: shared.AsOf = None,
    until_day: shared.UntilDay = None,
    include_self: Annotated[
        bool, typer.Option("--include-self", help="The query's patient may be a hit.")
    ] = False,
    any_view: Annotated[
        bool, typer.Option("--any-view", help="Compare scans across views and modalities.")
    ] = False,
    max_distance: Annotated[
        float | None, typer.Option(help="Leave out hits further than this.")
    ] = None,
    backend: shared.Backend = "auto",
    encoder: Annotated[
        str | None, typer.Option(help="Name the store's encoder again if its cache is gone.")
    ] = None,
    device: shared.Device = "auto",
    columns: shared.Columns = None,
    json: shared.Json = False,
) -> None:
    """Find the patients who look like this one, the most alike first.

    Example: learner-index similar stores/cohort.zarr --patient P017 -k 5 --where 'site == A'
    """
    from learner_index.config import EncoderOptions
    from learner_index.pipeline.asked import read_vector
    from learner_index.pipeline.cohort import open_store

    cohort = open_store(store)
    shown = chosen_columns(columns, SHOWN, [*FIELDS, *cohort.obs.columns])
    hits = cohort.similar(
        patient=patient,
        scan=scan,
        file=file,
        vector=read_vector(vector) if vector else None,
        day=day,
        visit=visit,
        view=view,
        modality=modality,
        encoder=EncoderOptions(spec=encoder, device=device),
        k=k,
        level=shared.one_of("--level", level, ("scan", "visit", "patient")),
        metric=shared.one_of("--metric", metric, ("centered", "cosine", "euclidean")),
        where=where or (),
        match=match or (),
        as_of=as_of,
        until_day=until_day,
        include_self=include_self,
        any_view=any_view,
        max_distance=max_distance,
        backend=shared.one_of("--backend", backend, shared.BACKENDS),
    )
    if json:
        print_json_text(hits.to_json())
    else:
        _print(hits, shown, cohort.settings.get("score") or {})
        say_next(*_next(store, cohort.obs, hits, modality))


def _next(
    store: Path, obs: "pd.DataFrame", hits: "Hits", modality: str | None
) -> tuple[object, ...]:
    """From who looks alike to who changed alike, or to the patient who looks most alike.

    Conditions go along. --until-day cuts the scans of the patient asked about, so it does not go
    to another patient; a modality is that of a file or vector, which is no longer asked about.
    """
    if not hits:
        return ("info", store)
    asked = hits.query
    where, match, as_of = list(asked["where"]), list(asked["match"]), asked["as_of"]
    patient, until_day = asked.get("patient_id"), asked["until_day"]
    last = min((day for day in (as_of, until_day) if day is not None), default=math.inf)
    days = obs.loc[(obs["patient_id"] == patient) & (obs["day"] <= last), "day"]
    if patient is not None and days.nunique() > 1:
        rules = {"where": of_visits(where), "match": of_visits(match), "modality": modality}
        words = carried(**rules, as_of=as_of, until_day=until_day)
        return ("progression", store, "--patient", patient, "-k", asked["k"], *words)
    words = carried(where=where, match=match, as_of=as_of)
    return ("similar", store, "--patient", hits[0].patient_id, *words)


def _print(hits: "Hits", shown: list[str], score: Mapping[str, Any]) -> None:
    """The answer as a person reads it."""
    if len({hit.query_scan_id for hit in hits}) > 1 and "query_scan_id" not in shown:
        shown = [*shown, "query_scan_id"]
    if hits:
        print_table(shown, [[_value(hit, name) for name in shown] for hit in hits])
    kind = "exact" if hits.exact else "approximate"
    say(
        f"{plural(len(hits), 'hit')} among {plural(hits.n_eligible, 'eligible scan')} of "
        f"{plural(hits.n_eligible_patients, 'patient')}; {kind}, {hits.backend}, "
        f"{hits.elapsed_ms:.1f} ms",
    )
    notes = list(hits.notes)
    if hits and score.get("direction") == "lower":
        notes.append(f"health_score is {score['column']} with its sign turned: higher is healthier")
    for note in notes:
        say(f"note: {note}")


def _value(hit: "Hit", name: str) -> object:
    """A hit's own field, or one of its columns."""
    return getattr(hit, name) if name in FIELDS else hit.columns[name]
