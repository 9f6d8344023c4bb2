"""A cohort on its map: fits one or takes the kept one, then places scans and changes on it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.maps.quality import agreement_by_chance, kept_by_placed
from learner_index.config import MapOptions
from learner_index.data.maps import CohortMap
from learner_index.data.show import plural
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.maps.fit import fit_map, limits, require_finite
from learner_index.pipeline.maps.kept import Floats, KeptMap, has_map, moved_by, read_map, write_map
from learner_index.pipeline.progression.reference import rows_by_modality
from learner_index.pipeline.progression.source import ChangeSource, Followed
from learner_index.pipeline.progression.visits import VisitArrays, patient_numbers, visit_arrays
from learner_index.pipeline.roles import MARK, TRAINED_OR_TUNED, n_seen
from learner_index.search.filters import fulfils_all, unmet_hint

_METHODS = ("auto", "pca", "umap")


def map_cohort(
    source: ChangeSource,
    settings: Mapping[str, Any],
    options: MapOptions,
    folder: Path | None = None,
) -> CohortMap:
    """A store's scans on a map, and the changes of its patients as arrows.

    Args:
        source: the store.
        settings: what it remembers.
        options: how.
        folder: where the map is kept: taken from there if it is there, else fitted and written.
            None: fitted, and not kept.

    Raises:
        QueryError: an option cannot be met.
        SpaceMismatchError: the kept map is of another encoder.
        MapFormatError: the kept map cannot be read.
        NotEnoughDataError: there are too few scans.
        OSError: the disk refused.
    """
    found, kept = place_cohort(source, settings, options, folder)
    if folder is not None and not found.is_kept:
        write_map(folder, kept)
    return found


def place_cohort(
    source: ChangeSource,
    settings: Mapping[str, Any],
    options: MapOptions,
    folder: Path | None,
    *,
    must_exist: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> tuple[CohortMap, KeptMap]:
    """The same, with the map, and nothing written.

    Args:
        source: the store.
        settings: what it remembers.
        options: how.
        folder: where a map may be kept.
        must_exist: refuse a folder without a map instead of fitting one.
        say: told before a map is fitted, in words.
    """
    _check(options)
    _require_company(source, options.modality)
    followed = source.followed("consecutive", options.modality)
    is_drawn = _drawn(source, followed, options)
    is_kept = False
    if folder is not None and (must_exist or (has_map(folder) and not options.refit)):
        kept, is_kept = read_map(folder), True
        kept.require_space(str(settings["encoder"]["space"]), followed.modality)
        _require_same(kept.card, options, folder)
    else:
        kept = fit_map(followed, settings, options, say)
    found = _placed(followed, kept, is_drawn)
    simulated = bool(settings.get("is_simulated", False))
    notes = _notes(found, kept, is_kept=is_kept, is_simulated=simulated)
    return replace(found, is_simulated=simulated, is_kept=is_kept, notes=notes), kept


def _check(options: MapOptions) -> None:
    """Refuse options that mean nothing.

    Raises:
        QueryError: one of them.
    """
    if options.method not in _METHODS:
        raise QueryError(f"no method {options.method!r}: choose auto, pca or umap")
    for name, value, least in (("seed", options.seed, 0), ("most_fitted", options.most_fitted, 3)):
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_whole and least <= value < 2**32):
            raise QueryError(f"{name} is {value!r}: give a whole number from {least}")


def _require_company(source: ChangeSource, modality: str | None) -> None:
    """Refuse a map of a single patient: its center and view means would be the patient's own.

    Raises:
        NotEnoughDataError: the modality has fewer than two patients.
    """
    by_modality = rows_by_modality(source.table.obs)
    if modality is None and len(by_modality) == 1:
        (modality,) = by_modality
    if modality not in by_modality:
        return
    n = int(source.table.obs["patient_id"].iloc[by_modality[modality]].nunique())
    if n < 2:
        said = f" of modality {modality!r}" if modality else ""
        raise NotEnoughDataError(
            f"a map needs two patients or more, and the store has {n}{said}: build more into it"
        )


def named_apart(obs: pd.DataFrame) -> pd.DataFrame:
    """Scans' columns, those that a map has itself under other names: `manifest_x` for `x`."""
    names: dict[str, str] = {}
    for name in ("x", "y", "is_fitted"):
        if name in obs:
            names[name] = f"manifest_{name}"
            while names[name] in obs:
                names[name] += "_"
    return obs.rename(columns=names)


def _drawn(source: ChangeSource, followed: Followed, options: MapOptions) -> NDArray[np.bool_]:
    """(n,) which scans of the modality are drawn.

    Raises:
        QueryError: a condition is not understood.
        NotEnoughDataError: none fulfils them.
    """
    rows = rows_by_modality(source.table.obs)[followed.modality]
    found = fulfils_all(source.table, options.where)[rows]
    if not found.any():
        raise NotEnoughDataError(
            f"none of {len(rows)} scans fulfils {' and '.join(options.where)}: ask for less"
            f"{unmet_hint(source.table, options.where)}"
        )
    return found


def _require_same(card: Mapping[str, Any], options: MapOptions, folder: Path) -> None:
    """Refuse options that the kept map was not made with.

    Raises:
        QueryError: the method, the seed or the size of the sample is another.
    """
    wanted = {"method": options.method, "seed": options.seed, "most_fitted": options.most_fitted}
    for name, value in wanted.items():
        if value not in (None, "auto", card[name]):
            raise QueryError(
                f"the map kept in {str(folder)!r} has {name} {card[name]}, not {value}: say "
                "--refit to fit it again, or name another folder with -o"
            )


def _placed(followed: Followed, kept: KeptMap, is_drawn: NDArray[np.bool_]) -> CohortMap:
    """Scans and changes on the map, without its notes."""
    rows = np.flatnonzero(is_drawn)
    obs = followed.obs.iloc[rows].reset_index(drop=True)
    known = kept.known(followed.known)
    moved = moved_by(known, followed.embeddings[rows], obs)
    require_finite(moved)
    places, is_fitted = kept.map.place(moved), kept.is_fitted(obs)
    scans = named_apart(obs.drop(columns="content_hash"))
    scans = scans.assign(x=places[:, 0], y=places[:, 1], is_fitted=is_fitted)
    visits = followed.visits
    if kept.card["reference"] != followed.fingerprint:
        numbers = patient_numbers(followed.obs)[0]
        visits = visit_arrays(followed.embeddings, followed.obs, numbers, known, "consecutive")
    card, taken = kept.card, _changes_drawn(visits, is_drawn)
    shares = _shares(visits, kept, taken)
    return CohortMap(
        scans=scans,
        arrows=_arrows(followed, visits, kept, taken),
        method=card["method"],
        seed=card["seed"],
        axes=_axes(card),
        space=card["space"],
        modality=card["modality"],
        n_fitted=card["fitted"]["n_scans"],
        n_fitted_patients=card["fitted"]["n_patients"],
        quality={**_quality(card, moved, places, is_fitted), **shares},
        is_simulated=False,
    )


def _quality(
    card: Mapping[str, Any], moved: Floats, places: Floats, is_fitted: NDArray[np.bool_]
) -> dict[str, Any]:
    """What the card says of scans fitted on, and the same of scans placed, if all are drawn."""
    is_whole = int(is_fitted.sum()) == card["fitted"]["n_scans"]
    placed = kept_by_placed(moved, places, is_fitted) if is_whole else None
    return {**card["quality"], "n_kept_placed": placed}


def _changes_drawn(visits: VisitArrays, is_drawn: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(t,) which changes are between visits that both have a scan drawn."""
    has_scan = np.zeros(len(visits.patient), bool)
    has_scan[visits.scan_visit[is_drawn]] = True
    return np.flatnonzero(has_scan[visits.earlier] & has_scan[visits.later])


def _shares(
    visits: VisitArrays, kept: KeptMap, taken: NDArray[np.int64]
) -> dict[str, float | None]:
    """How far neighbors of a UMAP agree on its arrows, beside what chance gives."""
    found = None
    if kept.card["method"] == "umap":
        earlier = visits.earlier[taken]
        found = agreement_by_chance(
            kept.map.arrows,
            visits.embeddings[earlier],
            visits.deltas[taken],
            visits.patient[earlier],
            kept.card["seed"],
        )
    own, chance = found or (None, None)
    return {"median_share": own, "median_share_by_chance": chance}


def _arrows(
    followed: Followed, visits: VisitArrays, kept: KeptMap, taken: NDArray[np.int64]
) -> pd.DataFrame:
    """A row for each change drawn."""
    earlier, later = visits.earlier[taken], visits.later[taken]
    ends = np.unique(np.concatenate([earlier, later]))
    places = np.full((len(visits.patient), 2), np.nan)
    if len(ends):
        places[ends] = kept.map.place(visits.embeddings[ends])
    arrows, shares = kept.map.arrows(visits.embeddings[earlier], visits.deltas[taken])
    names = np.array(followed.patients, object)
    return pd.DataFrame(
        {
            "patient_id": names[visits.patient[earlier]],
            "from_day": visits.day[earlier],
            "to_day": visits.day[later],
            "x": places[earlier, 0],
            "y": places[earlier, 1],
            "end_x": places[later, 0],
            "end_y": places[later, 1],
            "dx": arrows[:, 0],
            "dy": arrows[:, 1],
            "share": shares,
            "delta_score": visits.delta_score[taken],
        }
    )


def _axes(card: Mapping[str, Any]) -> tuple[str, str]:
    """What the axes are, with their unit."""
    if card["method"] == "umap":
        return ("UMAP 1 (no unit)", "UMAP 2 (no unit)")
    first, second = card["parameters"]["variance_shares"]
    return (f"PC 1 ({100 * first:.0f} % of variance)", f"PC 2 ({100 * second:.0f} % of variance)")


def _notes(
    found: CohortMap, kept: KeptMap, *, is_kept: bool, is_simulated: bool
) -> tuple[str, ...]:
    """What a reader should know, the worst first."""
    notes, n_known = [], n_seen(found.scans)
    if n_known:
        notes.append(
            f"{MARK}: {n_known} of {found.n_patients} patients drawn are ones {TRAINED_OR_TUNED}"
        )
    n_fitted_seen = kept.card["fitted"].get("n_seen_by_encoder", 0)
    if n_fitted_seen and not n_known:
        notes.append(
            f"the map was fitted on {plural(n_fitted_seen, 'patient')} {TRAINED_OR_TUNED}; none of "
            "those drawn is"
        )
    if kept.card["is_simulated"] and not is_simulated:
        notes.append("the map was fitted on SIMULATED scans")
    if found.n_placed:
        how = "the kept map" if is_kept else "the map"
        notes.append(f"{found.n_placed} scans were placed on {how}, which was not fitted on them")
    if not len(found.arrows):
        notes.append("no arrows: no patient drawn has two visits with days and a view in common")
    return (*notes, *_arrow_words(found.quality), *limits(found.method))


def _arrow_words(quality: Mapping[str, Any]) -> tuple[str, ...]:
    """How far neighbors agree on arrows beyond chance, where that was measured."""
    own, chance = quality.get("median_share"), quality.get("median_share_by_chance")
    if own is None or chance is None:
        return ()
    words = f"neighbors agree on arrows by {own:.2f} (median of 0 to 1)"
    return (f"{words}; on changes permuted between patients by {chance:.2f}",)
