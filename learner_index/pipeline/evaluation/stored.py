"""Encoders of stores, taken as they are: nothing is trained, and who was seen is told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from learner_index.config import EvaluateOptions, PretrainOptions
from learner_index.data.split import draw_folds
from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.evaluation.crossfit import Contest
from learner_index.pipeline.evaluation.material import Material, require_changes, same_scans
from learner_index.pipeline.evaluation.models import CONSTANTS, Fixed, pick_against
from learner_index.pipeline.roles import SEEN
from learner_index.search.filters import fulfils_all


def contest_of_stores(
    paths: Sequence[Path], options: EvaluateOptions, pretraining: PretrainOptions
) -> Contest:
    """Stores as models, on the scans that all of them hold.

    Args:
        paths: stores.
        options: folds of the read-outs, and their seed.
        pretraining: its score kind and threshold say what a change is, and its `split.where`
            which scans count.

    Raises:
        StoreError, QueryError: a store cannot be read, or they share no scan.
        NotEnoughDataError: there is too little to measure.
        SettingsError: two stores have one name, or the score kind needs a manifest.
    """
    stores = [Cohort(path) for path in paths]
    names = [store.path.stem for store in stores]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SettingsError(f"two stores are called {min(twice)}: rename one, names go into tables")
    if set(names) & set(CONSTANTS):
        raise SettingsError(f"a store is called {min(set(names) & set(CONSTANTS))}, as a baseline "
                            "is: rename it, names go into tables")  # fmt: skip
    score = pretraining.score
    if score.kind == "sf94":
        raise SettingsError(
            "--score-kind sf94 leaves scores out by saturation, which stores do not keep: "
            "take sf, or a manifest"
        )
    scans = _only_where(stores[0], same_scans(stores), pretraining.split.where)
    material = Material.from_store(
        stores[0],
        scans,
        kind=score.kind,
        threshold=score.change_threshold,
        mode=options.transitions,
    )
    split = replace(pretraining.split, folds=options.folds, seed=options.seed, test_share=0.0)
    owners = [material.patients[code] for code in material.owners.tolist()]
    splits = draw_folds(owners, material.score, split)
    require_changes(material, splits)
    pick_against(options.against, [*names, *(CONSTANTS if len(material.changes) else ())])
    models = tuple(_model(store, scans) for store in stores)
    return Contest(material, splits, models, (*material.notes, *_left_out(stores, scans)))


def _only_where(store: Cohort, scans: Sequence[str], conditions: Sequence[str]) -> tuple[str, ...]:
    """Those of some scans whose columns in a store fulfil all conditions.

    Raises:
        QueryError: a condition is not understood.
        NotEnoughDataError: no scan fulfils them.
    """
    chosen = set(store.table.obs["scan_id"][fulfils_all(store.table, conditions)])
    found = tuple(scan for scan in scans if scan in chosen)
    if not found:
        raise NotEnoughDataError(
            f"no scan of {store.path.name} fulfils {' and '.join(conditions)}: loosen --where"
        )
    return found


def _left_out(stores: Sequence[Cohort], scans: Sequence[str]) -> list[str]:
    """What of each store is not measured."""
    return [
        f"{store.path.name}: {len(scans)} of its {len(store)} scans are measured"
        for store in stores
        if len(scans) < len(store)
    ]


def _model(store: Cohort, scans: Sequence[str]) -> Fixed:
    """A store's encoder, with whom it has seen."""
    obs = store.obs
    place = {str(scan): row for row, scan in enumerate(obs["scan_id"])}
    rows = [place[scan] for scan in scans]
    is_seen = obs["encoder_role"].isin(SEEN).to_numpy(bool)
    seen = frozenset(map(str, obs["patient_id"][is_seen]))
    card = store.settings["encoder"]
    says = f"{card['spec']}, space {card['space']}"
    return Fixed(store.path.stem, "store", says, np.asarray(store.embeddings)[rows], seen)
