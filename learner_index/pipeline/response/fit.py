"""Fit a response head from a store alone, try it on patients left out, and keep it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from dataclasses import replace as change
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.config.response import ResponseOptions
from learner_index.data.show import Card, Shown
from learner_index.errors import SettingsError
from learner_index.pipeline.cohort import Cohort, open_store, texts
from learner_index.pipeline.response.cohort import ResponseCohort, read_response_cohort
from learner_index.pipeline.response.crossfit import CrossFit, draw_patient_folds, fit_and_try
from learner_index.pipeline.response.draw import CONFUSION, DECISION, RELIABILITY, draw_figures
from learner_index.pipeline.response.figures import Figures, figures_dict, take_figures
from learner_index.pipeline.response.headfolder import (
    ARRAYS,
    CARD,
    Axis,
    SavedHead,
    card_of,
    patient_mark,
    write_head,
)
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.procedure import FittedHead
from learner_index.pipeline.response.report import NAME, fit_card, write_report
from learner_index.pipeline.runs import versions

LIMITS = (
    "For research, not a medical device.",
    (
        "It tells what went with what in these patients. Unless treatments were drawn by lot, "
        "nothing is said of what a treatment does."
    ),
    (
        "Sets hold the outcome for the share they promise of patients like those it was calibrated "
        "on, not of each class or group of them."
    ),
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ResponseFit(Shown):
    """A fitted response head with what was measured.

    Attributes:
        folder: where it lies.
        card: what `head.json` says.
        figures: on patients left out.
        cohort: what it was fitted on.
        crossfit: what each model said of patients left out.
        head: the head.
    """

    folder: Path
    card: dict[str, Any]
    figures: Figures
    cohort: ResponseCohort
    crossfit: CrossFit
    head: FittedHead

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know, the worst first."""
        return tuple(self.card["notes"])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: where it lies and all its card says."""
        return {"folder": str(self.folder), **self.card}

    def _card(self) -> Card:
        """Each model with its figures on patients left out."""
        return fit_card(self.card, self.figures)


def fit_response(
    store: Path | str,
    folder: Path | str,
    options: ResponseOptions | None = None,
    *,
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ResponseFit:
    """Fit a head, try it beside its baselines on patients left out, and write it.

    Args:
        store: with embeddings and outcomes; no scan is read.
        folder: of the head: card, arrays, report and figures.
        options: task, outcome, head.
        replace: a head that is there already may be replaced.
        progress: told after each fold.

    Raises:
        StoreError: the store cannot be read.
        QueryError, SettingsError, NotEnoughDataError: see `read_response_cohort`.
        OSError: the disk refused.
    """
    options, folder = _listed(options or ResponseOptions()), Path(folder)
    _check_folder(folder, replace=replace)
    cohort = open_store(store)
    found = read_response_cohort(cohort, options)
    kind = head_kind(options.head, options.task)
    _check_kind(options, found)
    folds = draw_patient_folds(found.pool, options.folds, options.seed)
    fitted, crossfit = fit_and_try(found.pool, folds, options, progress)
    measured = np.ones(len(found.pool.code), bool)
    figures = take_figures(
        found.pool,
        crossfit,
        measured,
        found.is_seen,
        n_draws=options.n_bootstraps,
        seed=options.seed,
    )
    reference = cohort.reference
    known = None if reference is None else reference.changes.get(found.pool.material.modality)
    card = {
        "title": kind.title,
        "task": options.task,
        **_about(cohort, found, options),
        **card_of(fitted),
        "figures": figures_dict(figures),
        "leaks": [str(leak) for leak in found.leaks],
        "notes": [
            *map(str, found.leaks),
            *found.notes,
            *fitted.notes,
            *_missing(crossfit, options),
        ],
        "limits": list(LIMITS),
        "versions": versions(),
    }
    result = ResponseFit(folder, card, figures, found, crossfit, fitted)
    is_simulated = bool(card["is_simulated"])
    draw_figures(found, crossfit, folder, is_simulated=is_simulated, seed=options.seed)
    write_report(card, figures, folder)
    write_head(folder, SavedHead(fitted, Axis.of(known), card))
    return result


def _missing(crossfit: CrossFit, options: ResponseOptions) -> list[str]:
    """Why baselines that were due are not in the tables."""
    flat = f"{', '.join(options.clinical)}: nothing varies among those fitted on in some fold"
    due = {
        "no change": "the outcome is not known at any visit that is started from",
        "score alone": "no visit that is started from has a health score",
        "single scans": "too few visits have a health score",
    }
    if options.clinical:
        due["clinical"] = flat
        due["embedding" if options.with_clinical else "clinical + embedding"] = flat
    had = {one.name for one in crossfit.tried}
    return [f"no baseline {name!r}: {why}" for name, why in due.items() if name not in had]


def _listed(options: ResponseOptions) -> ResponseOptions:
    """Options with texts in place of tuples made tuples, as a condition typed alone is one."""
    return change(
        options,
        classes=texts(options.classes),
        scans=texts(options.scans),
        where=texts(options.where),
        clinical=texts(options.clinical),
    )


def _check_folder(folder: Path, *, replace: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        SettingsError: a head is there, or something else.
    """
    for place in (folder, *folder.parents):
        if place.is_file():
            raise SettingsError(f"{place} is a file: name a folder for the head with -o")
    if (folder / CARD).exists() and not replace:
        raise SettingsError(
            f"a head is in {folder} already: name another folder with -o, or say --replace"
        )
    own = {ARRAYS, NAME, CONFUSION, RELIABILITY, DECISION} if replace else set()  # of a fit cut off
    if folder.is_dir() and not (folder / CARD).exists() and _names(folder) - own:
        raise SettingsError(f"{folder} holds other files: name a folder of its own with -o")


def _names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {file.name for file in folder.iterdir()}


def _check_kind(options: ResponseOptions, found: ResponseCohort) -> None:
    """Refuse a head that these classes are not for."""
    kind = head_kind(options.head, options.task)
    if kind.is_antisymmetric and found.targets.threshold is None:
        raise SettingsError(
            f"--head {options.head} turns worsened into improved when visits are swapped, and "
            f"{options.target} is no health change: take multinomial, or leave out --target"
        )
    if kind.needs_order and not found.pool.is_ordinal:
        raise SettingsError(
            f"--head {options.head} needs classes in an order, and those of {options.target} "
            "have none: give it with --classes, worst first"
        )


def _about(cohort: Cohort, found: ResponseCohort, options: ResponseOptions) -> dict[str, Any]:
    """The part of a card that says what was learned from whom."""
    pool, targets, card = found.pool, found.targets, cohort.settings["encoder"]
    material, owners = pool.material, np.unique(pool.patient)
    names = [material.patients[code] for code in owners.tolist()]
    by_class = {
        name: {
            "examples": int((pool.code == number).sum()),
            "patients": len(np.unique(pool.patient[pool.code == number])),
        }
        for number, name in enumerate(pool.classes)
    }
    n_seen = int(found.is_seen[owners].sum())
    return {
        "target": {
            "name": targets.name,
            "column": targets.column,
            "threshold": targets.threshold,
            "classes": list(pool.classes),
            "is_ordinal": pool.is_ordinal,
        },
        "options": asdict(options),
        "space": card["space"],
        "encoder": card.get("spec", ""),
        "width": int(material.embeddings.shape[1]),
        "modality": material.modality,
        "is_simulated": bool(cohort.settings.get("is_simulated", False)),
        "data": {
            "store": cohort.path.name,
            "fingerprint": found.fingerprint,
            "n_patients": len(owners),
            "n_examples": len(pool.code),
            "classes": by_class,
            "n_died": targets.n_died,
            "n_lost": targets.n_lost,
            "n_unknown": targets.n_unknown,
        },
        "seen_by_encoder": {"n_patients": n_seen, "share": n_seen / len(owners)},
        "patients": sorted(patient_mark(name, card["space"]) for name in names),
    }
