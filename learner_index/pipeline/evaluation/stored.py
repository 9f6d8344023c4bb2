"""Encoders of stores, taken as they are: nothing is trained, and who was seen is told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from learner_index.config import EvaluateOptions, PretrainOptions
from learner_index.data.split import draw_folds
from learner_index.errors import SettingsError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.evaluation.crossfit import Contest
from learner_index.pipeline.evaluation.material import Material, require_changes, same_scans
from learner_index.pipeline.evaluation.models import Fixed
from learner_index.pipeline.roles import SEEN


def contest_of_stores(
    paths: Sequence[Path], options: EvaluateOptions, pretraining: PretrainOptions
) -> Contest:
    """Stores as models, on the scans that all of them hold.

    Args:
        paths: stores.
        options: folds of the read-outs, and their seed.
        pretraining: its score kind and threshold say what a change is.

    Raises:
        StoreError, QueryError: a store cannot be read, or they share no scan.
        NotEnoughDataError: there is too little to measure.
        SettingsError: two stores have one name.
    """
    stores = [Cohort(path) for path in paths]
    names = [store.path.stem for store in stores]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SettingsError(f"two stores are called {min(twice)}: rename one, names go into tables")
    scans = same_scans(stores)
    score = pretraining.score
    material = Material.from_store(
        stores[0],
        scans,
        kind=score.kind,
        threshold=score.change_threshold,
        mode=options.transitions,
    )
    if len(material.changes):
        require_changes(material)
    split = replace(pretraining.split, folds=options.folds, seed=options.seed, test_share=0.0)
    owners = [material.patients[code] for code in material.owners.tolist()]
    splits = draw_folds(owners, material.score, split)
    models = tuple(_model(store, scans) for store in stores)
    return Contest(material, splits, models, material.notes)


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
