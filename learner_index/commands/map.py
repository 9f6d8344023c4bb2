"""`learner-index map`: a cohort on a plane, as a page to explore and a picture to print."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from learner_index.commands import options as shared
from learner_index.commands.nextstep import carried, of_visits, say_next
from learner_index.commands.show import labelled, plural, print_json_text, progress_bar, say

if TYPE_CHECKING:
    from learner_index.config import MapMethod
    from learner_index.data.maps import CohortMap


def map_(
    store: shared.StorePath,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of the map.  [default: maps/STORE]"),
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="What colors a scan.  [default: health_score, else view]"
        ),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of that column, for its scale: 'S/F ratio'.")
    ] = None,
    patient: Annotated[
        list[str] | None, typer.Option(help="Draw this patient's path; repeat for up to 8.")
    ] = None,
    method: Annotated[str, typer.Option(help="pca, umap, or auto: pca below 200 scans.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the sample and of UMAP.  [default: 0]")
    ] = None,
    fit_scans: Annotated[
        int | None,
        typer.Option(
            min=3,
            metavar="N",
            help="Fit on so many scans, patients alike; place the rest.  [default: 5000]",
        ),
    ] = None,
    where: shared.Where = None,
    modality: shared.Modality = None,
    kept: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Use the map kept in this folder, and copy it."),
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit a map anew, though one is kept in the folder.")
    ] = False,
    picture: Annotated[
        list[str] | None,
        typer.Option(
            "--format", metavar="WORD", help="Of the picture: png, svg or pdf; repeat for more."
        ),
    ] = None,
    thumbnails: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST", help="Show small pictures of these scans in the page."),
    ] = None,
    json: shared.Json = False,
) -> None:
    """Draw the cohort as a map: a page to explore, a picture, and the map for later scans.

    A map that is in the folder is used again: new scans are placed on it, and it stays as it is.

    Example: learner-index map stores/cohort.zarr --color site --patient P017
    """
    from learner_index.config import MapLook, MapOptions
    from learner_index.pipeline.maps.draw import FORMATS, draw_map

    folder = output or Path("maps") / store.stem
    options = MapOptions(
        method=cast("MapMethod", shared.one_of("--method", method, ("auto", "pca", "umap"))),
        seed=seed,
        most_fitted=fit_scans,
        where=tuple(where or ()),
        modality=modality,
        refit=refit,
    )
    endings = tuple(shared.one_of("--format", word, FORMATS) or "" for word in picture or ("png",))
    files = [folder / f"map.{ending}" for ending in ("html", *endings)]
    look = MapLook(color, tuple(patient or ()), unit, endings, thumbnails)
    with progress_bar("reading thumbnails") as progress:
        found = draw_map(store, folder, options, look, kept=kept, progress=progress, say=say)
    print_json_text(found.to_json()) if json else _print(found)
    say(f"page and picture: {', '.join(map(str, files))}")
    _point_on(found, store, patient or (), where)


def _print(found: "CohortMap") -> None:
    """What was drawn, as a person reads it."""
    from learner_index.data.maps import kept_words

    simulated = "SIMULATED " if found.is_simulated else ""
    n_patients = plural(found.n_patients, "patient")
    fitted = f"{found.n_fitted:,} scans of {found.n_fitted_patients:,} patients"
    typer.echo(
        labelled(
            [
                ("map", f"{found.method.upper()}, seed {found.seed}: {' and '.join(found.axes)}"),
                ("scans", f"{len(found):,} {simulated}of {n_patients}"),
                ("fitted on", f"{fitted}; {plural(found.n_placed, 'scan')} placed on it"),
                ("neighbors", kept_words(found.quality)),
                ("changes", f"{plural(len(found.arrows), 'arrow')} between visits"),
            ]
        )
    )
    for note in found.notes:
        say(f"note: {note}")


def _point_on(
    found: "CohortMap", store: Path, patients: Sequence[str], where: list[str] | None
) -> None:
    """What to type next: the path of a patient asked for, or of one who has one."""
    moved = found.arrows["patient_id"].tolist()
    chosen = [patient for patient in patients if patient in moved] or moved
    if chosen:
        kept = carried(where=of_visits(where), modality=found.modality or None)
        say_next("trajectory", store, "--patient", chosen[0], *kept)
    else:
        one = found.scans["patient_id"].iloc[0]
        say_next("similar", store, "--patient", one, *carried(where=where))
