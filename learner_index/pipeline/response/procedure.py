"""The whole of a fit on some patients: head, temperature, sets, and whom it applies to.

A cross-validation runs it on the patients of each fold, and the head that is kept is its run on
all of them: what is measured is what is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.applicability import (
    Applicability,
    Known,
    Range,
    fit_applicability,
    fit_known,
    fit_limit,
    fit_range,
)
from learner_index.analysis.conformal import Calibrated, calibrate
from learner_index.config.response import ResponseOptions
from learner_index.pipeline.response.baselines import embedding_blocks
from learner_index.pipeline.response.examples import Examples
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.material import Codes, Floats, Masks, Material
from learner_index.pipeline.response.models import Model, Pool, fit_model
from learner_index.pipeline.response.roles import HeadRoles, draw_head_roles

EVERY_CLASS = "the set holds every class: nothing is ruled out"
_LOOKED_AT = 20_000  # examples that say what the patients fitted on are like
_SPAN = "days between the visits"


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A model that knows how sure it is and to whom it applies.

    Attributes:
        model: features, head and temperature.
        sets: how sets of classes are made; None where too few patients could calibrate.
        applicability: what its patients were like.
        roles: which part each patient had.
        notes: what a person should know.
    """

    model: Model
    sets: Calibrated | None
    applicability: Applicability
    roles: HeadRoles
    notes: tuple[str, ...]

    def answer(self, material: Material, examples: Examples) -> "HeadAnswer":
        """What the head says of some examples."""
        features = self.model.encoding.features(material, examples)
        probability = self.model.probability_of(features)
        held = None if self.sets is None else self.sets.sets(probability)
        seen = embedding_features(self.model, features)
        why = self.applicability.reasons(seen, _values(self.applicability, examples))
        why = _with_views(why, _strange_views(self.model.encoding.views, material, examples))
        return HeadAnswer(features, probability, held, _with_full_sets(why, held))


@dataclass(frozen=True, slots=True, eq=False)
class HeadAnswer:
    """What a head says of t examples.

    Attributes:
        features: (t, m) standardized.
        probability: (t, c) of each class.
        sets: (t, c) True for classes in the set; None where there are no sets.
        reasons: (t,) why it abstains; empty where it does not.
    """

    features: NDArray[np.float32]
    probability: Floats
    sets: Masks | None
    reasons: list[tuple[str, ...]]

    @property
    def is_abstaining(self) -> Masks:
        """(t,) True where it gives a reason not to answer."""
        return np.array([bool(why) for why in self.reasons], bool)


def fit_head(pool: Pool, patients: Codes, options: ResponseOptions, seed: int) -> FittedHead:
    """A head fitted on some patients, each of whom has one part in it.

    Args:
        pool: examples with known outcomes; those of other patients are not looked at.
        patients: who may be learned from.
        options: head, features, alpha.
        seed: of the parts and of the head.

    Raises:
        NotEnoughDataError: too little to learn from.
        SettingsError: no such head, or it cannot do what is asked.
    """
    roles = draw_head_roles(patients, len(pool.material.patients), options.alpha, seed)
    blocks = embedding_blocks(options)
    model = fit_model(
        pool,
        roles,
        head_kind(options.head, options.task),
        [*blocks, "clinical"] if options.with_clinical else blocks,
        clinical=options.clinical if options.with_clinical else (),
        class_weight=options.class_weight,
        seed=seed,
    )
    sets, notes = None, tuple(filter(None, [roles.note, model.temperature.note]))
    rows = pool.of(roles.calibrate)
    if rows.any():
        sets = calibrate(
            model.probability(pool.material, pool.examples.only(rows)),
            pool.code[rows],
            pool.patient[rows],
            options.alpha,
            is_ordinal=pool.is_ordinal,
            seed=seed,
        )
    applicability = _applicability(pool, roles, model, seed)
    notes += tuple(filter(None, [applicability.limit.note]))
    return FittedHead(model, sets, applicability, roles, notes)


def embedding_features(model: Model, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(t, w) the features of the state and of the change asked about, not of earlier visits."""
    spans = [model.encoding.span(name) for name in ("delta", "start", "middle")]
    return np.concatenate([features[:, span] for span in spans], axis=1)


def _applicability(pool: Pool, roles: HeadRoles, model: Model, seed: int) -> Applicability:
    """What the patients fitted on were like, and how far others of the cohort lie."""
    rows, held = _some(pool, roles.fit, seed), pool.of(roles.temper | roles.calibrate)
    own = pool.examples.only(pool.of(roles.fit))
    features = _seen(pool, model, rows)
    columns: list[Range | Known] = []
    if own.task == "detect":
        columns.append(fit_range(_SPAN, own.delta_day))
    columns += [fit_known(name, _texts(own, name)) for name in _categories(own, model)]
    found = fit_applicability(features, pool.patient[rows], columns)
    distances = found.distance(_seen(pool, model, held)) if held.any() else np.empty(0)
    limit = fit_limit(distances, pool.patient[held], seed=seed)
    return Applicability(found.whitening, limit, found.columns)


def _some(pool: Pool, patients: Masks, seed: int) -> Masks:
    """(t,) examples of some patients, of fewer of them where examples are very many."""
    rows = pool.of(patients)
    if rows.sum() <= _LOOKED_AT:
        return rows
    names = np.random.default_rng([seed, 5]).permutation(np.flatnonzero(patients))
    kept = np.zeros(len(patients), bool)
    kept[names[: int(len(names) * _LOOKED_AT / rows.sum())]] = True
    return pool.of(kept)


def _seen(pool: Pool, model: Model, rows: Masks) -> NDArray[np.float32]:
    features = model.encoding.features(pool.material, pool.examples.only(rows))
    return embedding_features(model, features)


def _categories(examples: Examples, model: Model) -> list[str]:
    """Columns whose unknown values the head cannot speak of."""
    clinical = [name for name in model.encoding.columns if name in model.encoding.levels]
    own = ["treatment"] if "treatment" in examples.columns else []
    return [*own, *clinical]


def _values(applicability: Applicability, examples: Examples) -> dict[str, Sequence[object]]:
    """What the applicability asks of each example."""
    found: dict[str, Sequence[object]] = {}
    for column in applicability.columns:
        if column.name == _SPAN:
            found[column.name] = examples.delta_day.tolist()
        else:
            found[column.name] = _texts(examples, column.name)
    return found


def _texts(examples: Examples, name: str) -> list[object]:
    """A column as text, None where missing."""
    if name not in examples.columns:
        return [None] * len(examples)
    column: pd.Series[str] = examples.columns[name].astype("string")
    return list(column.astype(object).where(column.notna(), None))


def _strange_views(views: Sequence[str], material: Material, examples: Examples) -> list[str]:
    """(t,) views of the earlier visit that no patient fitted on had; "" where there is none."""
    strange = [n for n, view in enumerate(material.visits.views) if view not in views]
    found = [""] * len(examples)
    has = material.visits.groups[examples.earlier][:, strange] >= 0
    for row in np.flatnonzero(has.any(axis=1)).tolist():
        names = [material.visits.views[strange[n]] for n in np.flatnonzero(has[row])]
        found[row] = ", ".join(names) or "none named"
    return found


def _with_views(why: Sequence[tuple[str, ...]], strange: Sequence[str]) -> list[tuple[str, ...]]:
    """Reasons to abstain, with that of a view which was not fitted on."""
    return [
        (*each, f"view {view!r} was not among those fitted on") if view else each
        for each, view in zip(why, strange, strict=True)
    ]


def _with_full_sets(why: Sequence[tuple[str, ...]], held: Masks | None) -> list[tuple[str, ...]]:
    """Reasons to abstain, with that of a set which rules nothing out."""
    if held is None:
        return list(why)
    is_full = [bool(row.all()) for row in held]
    return [(*each, EVERY_CLASS) if full else each for each, full in zip(why, is_full, strict=True)]
