"""What is known already: who of those asked about is no stranger, and what came about of others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learner_index.config.response import ResponseOptions
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError
from learner_index.pipeline.response.asked import Rows, material_of
from learner_index.pipeline.response.examples import Examples, find_examples
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.headfolder import SavedHead
from learner_index.pipeline.response.material import Codes, Material
from learner_index.pipeline.response.procedure import embedding_features
from learner_index.pipeline.response.speak import Memory
from learner_index.pipeline.response.targets import UNKNOWN, find_targets
from learner_index.pipeline.roles import SEEN

UNTOLD = (QueryError, SettingsError, NotEnoughDataError)
"""Why a store may be unable to tell what came about."""
_REMEMBERED = 5_000  # examples that may be found, at least
_COMPARED = 500_000_000  # distances to work out, at most


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a patient is.

    Attributes:
        names: under which the store may have them: their own, and those of patients with one of
            their scans, byte for byte.
        is_fitted_on: they helped to fit or calibrate the head.
        is_seen: the encoder was trained or tuned on them.
    """

    names: frozenset[str]
    is_fitted_on: bool
    is_seen: bool


def identify(
    saved: SavedHead, rows: Rows, store: Rows, patients: Sequence[str]
) -> dict[str, Identity]:
    """Who some patients are, by name.

    Args:
        saved: the head.
        rows: their scans, and perhaps others'.
        store: the store's scans.
        patients: names; may repeat.
    """
    asked = list(dict.fromkeys(patients))
    names: dict[str, set[str]] = {name: {name} for name in asked}
    for one, other in _same_bytes(rows, store, asked):
        names[one].add(other)
    everyone = sorted(set().union(*names.values()))
    fitted = dict(zip(everyone, saved.was_fitted_on(everyone), strict=True))
    seen = _seen(rows) | _seen(store)
    return {
        name: Identity(frozenset(own), any(fitted[one] for one in own), not seen.isdisjoint(own))
        for name, own in names.items()
    }


def _same_bytes(rows: Rows, store: Rows, asked: Sequence[str]) -> list[tuple[str, str]]:
    """Patients asked about, each with a patient of the store who has one of their scans."""
    if "content_hash" not in rows.obs or "content_hash" not in store.obs:
        return []
    kept = ["patient_id", "content_hash"]
    own = rows.obs.loc[rows.obs["patient_id"].isin(asked), kept].dropna().drop_duplicates()
    others = store.obs.loc[store.obs["content_hash"].isin(own["content_hash"]), kept]
    both = own.merge(others.drop_duplicates(), on="content_hash", suffixes=("", "_stored"))
    pairs = both[["patient_id", "patient_id_stored"]].itertuples(index=False, name=None)
    return [(str(one), str(other)) for one, other in pairs]


def _seen(rows: Rows) -> set[str]:
    """Patients the encoder was trained or tuned on."""
    if "encoder_role" not in rows.obs:
        return set()
    return set(rows.obs.loc[rows.obs["encoder_role"].isin(SEEN).to_numpy(bool), "patient_id"])


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """The store's examples of whom it is known what came about.

    Attributes:
        material: they are of.
        examples: in the order of `memory`.
        memory: their features and outcomes.
        notes: what a person should know.
    """

    material: Material
    examples: Examples
    memory: Memory
    notes: tuple[str, ...]


def outcomes(material: Material, examples: Examples, options: ResponseOptions) -> list[str | None]:
    """(t,) the class that came about, None where it is not known.

    Raises:
        QueryError, SettingsError, NotEnoughDataError: nothing is known of any.
    """
    found = find_targets(material, examples, options)
    return [None if code == UNKNOWN else found.classes[code] for code in found.code.tolist()]


def remember(
    saved: SavedHead,
    store: Rows,
    options: ResponseOptions,
    n_asked: int,
    material: Material | None = None,
) -> Remembered:
    """The examples of a store that may speak for an answer: of those the head might learn from.

    Patients the encoder has seen are among them only if the head was fitted on such patients.

    Args:
        saved: the head.
        store: its scans.
        options: of the head.
        n_asked: examples asked about; where they are very many, a sample is remembered.
        material: the store's visits, where they are worked out already.

    Raises:
        QueryError, SettingsError, NotEnoughDataError: the store cannot tell what came about.
    """
    encoding = saved.fitted.model.encoding
    material = material or material_of(store, options, encoding)
    found = find_examples(material, options)
    place = {name: code for code, name in enumerate(saved.classes)}
    told = outcomes(material, found, options)
    code = np.array([UNKNOWN if name is None else place.get(name, UNKNOWN) for name in told])
    usable = code != UNKNOWN
    if saved.card["seen_by_encoder"]["n_patients"] == 0:
        seen = _seen(store)
        usable &= np.array([name not in seen for name in material.patients])[found.patient]
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise NotEnoughDataError(f"{store.place} has no example whose outcome is known")
    sample, notes = _sample(rows, found.patient, n_asked)
    examples = found.only(sample)
    features = embedding_features(saved.fitted.model, encoding.features(material, examples))
    memory = Memory(features, examples.patient, code[sample], len(saved.classes))
    return Remembered(material, examples, memory, notes)


def _sample(rows: Codes, patient: Codes, n_asked: int) -> tuple[Codes, tuple[str, ...]]:
    """Rows in their order, or as many of them as can be compared with all that is asked."""
    most = max(_REMEMBERED, _COMPARED // max(n_asked, 1))
    if len(rows) <= most:
        return rows, ()
    weight = patient_weights(patient[rows])
    rng = np.random.default_rng(0)
    kept = rng.choice(rows, most, replace=False, p=weight / weight.sum())
    return np.sort(kept), (f"the nearest are looked for among {most:,} of {len(rows):,} examples",)
