"""A map as a folder: a page, pictures, and the map itself for later scans."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from learner_index.analysis.plots.cohort_map import lay_out_cohort_map
from learner_index.analysis.plots.cohort_map_html import cohort_map_page
from learner_index.analysis.plots.files import picture_of
from learner_index.analysis.plots.map_colors import choose_column
from learner_index.config import MapLook, MapOptions
from learner_index.data.maps import CohortMap
from learner_index.data.replace import replace_file
from learner_index.errors import RunWriteError, SettingsError
from learner_index.pipeline.cohort import Cohort, open_store
from learner_index.pipeline.maps.kept import has_map, is_same_map, write_map
from learner_index.pipeline.maps.place import named_apart, place_cohort
from learner_index.pipeline.maps.thumbnails import read_thumbnails

PAGE, PICTURE = "map.html", "map"
FORMATS = ("png", "svg", "pdf")


def draw_map(
    store: Path | str,
    folder: Path | str,
    options: MapOptions | None = None,
    look: MapLook | None = None,
    *,
    kept: Path | str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda words: None,
) -> CohortMap:
    """Draw a store's scans on a map, and keep the map so that later scans can be placed on it.

    Writes `map.html`, `map.png` (and others asked for), and, where none was kept, `map.json` and
    `map.safetensors`. Nothing is written unless all could be drawn.

    Args:
        store: with embeddings; scans are opened for thumbnails alone.
        folder: of the map; a map that is there is used again.
        options: how the map is fitted, and which scans are drawn.
        look: colors, paths and formats.
        kept: another folder whose map is used instead.
        progress: told after each thumbnail.
        say: told before work that takes long, in words.

    Raises:
        StoreError: the store cannot be read.
        QueryError: no such column or patient, or an option that cannot be met.
        SpaceMismatchError: the kept map is of another encoder.
        MapFormatError: the kept map cannot be read.
        NotEnoughDataError: there are too few scans.
        SettingsError: a format is unknown, the folder cannot be one, or it holds another map than
            the one to use.
        RunWriteError: the disk refused.
    """
    options, look, folder = options or MapOptions(), look or MapLook(), Path(folder)
    _check(folder, look)
    if kept is not None and options.refit:
        raise SettingsError("--kept uses a map as it is and --refit fits one anew: choose one")
    if kept is not None and has_map(folder) and not is_same_map(Path(kept), folder):
        raise SettingsError(
            f"{folder} holds another map than {kept}: name another folder with -o, so that both "
            "stay"
        )
    cohort = open_store(store)
    _check_names(cohort, look)
    source = Path(kept) if kept is not None else folder
    found, fitted = place_cohort(
        cohort.changes, cohort.settings, options, source, must_exist=kept is not None, say=say
    )
    pictures: dict[str, bytes] = {}
    if look.thumbnails is not None:
        stored = dict(zip(cohort.obs["scan_id"], cohort.obs["content_hash"], strict=True))
        drawn = {name: stored[name] for name in found.scans["scan_id"]}
        pictures, notes = read_thumbnails(drawn, look.thumbnails, progress)
        found = replace(found, notes=found.notes + notes)
    shared: dict[str, Any] = {"color": look.color, "patients": look.patients, "unit": look.unit}
    drawing = lay_out_cohort_map(found, **shared)
    files = {PAGE: cohort_map_page(found, thumbnails=pictures, **shared).encode()}
    for ending in look.formats:
        files[f"{PICTURE}.{ending}"] = picture_of(drawing, ending)
    try:
        if not found.is_kept or kept is not None:
            write_map(folder, fitted)
        for name, content in files.items():
            replace_file(folder / name, [content])
    except OSError as error:
        raise RunWriteError(
            f"{folder} cannot be written ({error.strerror or error}): make room, or choose "
            "another folder with -o"
        ) from error
    return found


def _check(folder: Path, look: MapLook) -> None:
    """Refuse a place that is no folder, and formats that are none.

    Raises:
        SettingsError: one of them.
    """
    for place in (folder, *folder.parents):
        if place.is_file():
            raise SettingsError(f"{place} is a file: name a folder for the map with -o")
    for name in look.formats:
        if name not in FORMATS:
            raise SettingsError(f"no format {name!r} for a picture: take {', '.join(FORMATS)}")


def _check_names(cohort: Cohort, look: MapLook) -> None:
    """Refuse an unknown column or patient before anything takes time.

    Raises:
        QueryError: one of them.
    """
    choose_column(named_apart(cohort.table.obs.drop(columns="content_hash")), look.color)
    for patient in look.patients:
        cohort.table.rows_of(patient)
