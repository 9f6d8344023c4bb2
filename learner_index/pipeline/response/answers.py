"""A head's answer put together: probabilities, what speaks for them, and what to think of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from learner_index.config.response import ResponseOptions
from learner_index.data.response import NearExample, Prediction, Predictions
from learner_index.pipeline.response.asked import (
    Asked,
    Rows,
    check_patient,
    material_of,
    whom_asked,
)
from learner_index.pipeline.response.headfolder import SavedHead
from learner_index.pipeline.response.known import (
    UNTOLD,
    Identity,
    Remembered,
    identify,
    outcomes,
    remember,
)
from learner_index.pipeline.response.material import Codes, Floats
from learner_index.pipeline.response.models import likeliest
from learner_index.pipeline.response.procedure import HeadAnswer, embedding_features
from learner_index.pipeline.response.remarks import remarks
from learner_index.pipeline.response.speak import Nearest, log_odds_parts, nearest_patients


@dataclass(frozen=True, slots=True)
class Asking:
    """One question to a head.

    Attributes:
        head: its folder.
        patient: the one meant; None: all.
        manifest: of new scans; None: the store's.
        at: the visit predicted from; None where the head detects.
        where: conditions on the visit started from.
        k: patients that vote, and that speak.
    """

    head: str
    patient: str | None
    manifest: Path | None
    at: str | None
    where: tuple[str, ...]
    k: int


@dataclass(frozen=True, slots=True, eq=False)
class FullAnswer:
    """What a head says of t examples, with all that belongs to it.

    Attributes:
        saved: the head.
        asking: the question.
        asked: the examples.
        places: names of the store, and of where the scans are from.
        answer: of the head.
        chosen: (t,) number of the likeliest class.
        log_odds: (t,) of that class against the others.
        parts: (t,) what adds up to them, by name.
        identities: who the patients are, by name.
        remembered: examples that may speak; None where there are none.
        outcomes: (t,) what came about, None where it is not known.
        skipped: scans that could not be used.
        notes: what a person should know, the worst first.
    """

    saved: SavedHead
    asking: Asking
    asked: Asked
    places: tuple[str, str]
    answer: HeadAnswer
    chosen: Codes
    log_odds: Floats
    parts: Mapping[str, Floats]
    identities: Mapping[str, Identity]
    remembered: Remembered | None
    outcomes: Sequence[str | None]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]

    def record(self, *, is_simulated: bool) -> Predictions:
        """The whole answer as a record; the store may be of simulated patients."""
        card, fitted = self.saved.card, self.saved.fitted
        is_simulated = is_simulated or bool(card.get("is_simulated"))
        return Predictions(
            query=self._query(),
            rows=self._predictions(is_simulated=is_simulated),
            task=card["task"],
            target=card["target"]["name"],
            classes=self.saved.classes,
            space=card["space"],
            head=fitted.model.kind.name,
            set_share=None if fitted.sets is None else 1 - fitted.sets.alpha,
            adds_up=fitted.model.kind.is_linear,
            is_simulated=is_simulated,
            skipped=self.skipped,
            limits=tuple(card.get("limits", ())),
            notes=self.notes,
        )

    def _query(self) -> dict[str, object]:
        """The question, JSON-ready."""
        asking, (store, place) = self.asking, self.places
        return {
            "head": asking.head,
            "store": store,
            "patient": asking.patient,
            "manifest": None if asking.manifest is None else place,
            "at": asking.at,
            "where": list(asking.where),
            "k": asking.k,
        }

    def _predictions(self, *, is_simulated: bool) -> tuple[Prediction, ...]:
        """One record an example."""
        nearest = _nearest(self)
        return tuple(
            replace(self._prediction(row, nearest[row]), is_simulated=is_simulated)
            for row in range(len(self.chosen))
        )

    def _prediction(self, row: int, nearest: Nearest | None) -> Prediction:
        """The record of one example."""
        material, examples = self.asked.material, self.asked.examples
        name = material.patients[examples.patient[row]]
        day, identity = material.visits.day, self.identities[name]
        is_pair, classes = self.saved.card["task"] == "detect", self.saved.classes
        sets = self.answer.sets
        given = examples.columns["treatment"].iloc[row] if "treatment" in examples.columns else None
        return Prediction(
            patient_id=name,
            task=self.saved.card["task"],
            from_day=float(day[examples.earlier[row]]),
            to_day=float(day[examples.later[row]]) if is_pair else None,
            treatment=given if isinstance(given, str) else None,
            probabilities=dict(zip(classes, self.answer.probability[row].tolist(), strict=True)),
            likeliest=classes[self.chosen[row]],
            set=None if sets is None else tuple(compress(classes, sets[row].tolist())),
            reasons=self.asked.reasons[row] + self.answer.reasons[row],
            votes={} if nearest is None else _by_class(classes, nearest.votes),
            nearest=() if nearest is None else self._speakers(nearest),
            log_odds=float(self.log_odds[row]),
            parts={part: float(values[row]) for part, values in self.parts.items()},
            is_fitted_on=identity.is_fitted_on,
            is_seen=identity.is_seen,
            outcome=self.outcomes[row],
        )

    def _speakers(self, nearest: Nearest) -> tuple[NearExample, ...]:
        """The examples that speak for one answer."""
        known = self.remembered
        if known is None:
            return ()
        visits, examples = known.material.visits, known.examples
        found = []
        for row, distance, rank in zip(nearest.rows, nearest.distance, nearest.rank, strict=True):
            later = examples.later[row]
            found.append(
                NearExample(
                    patient_id=known.material.patients[examples.patient[row]],
                    from_day=float(visits.day[examples.earlier[row]]),
                    to_day=float(visits.day[later]) if later >= 0 else None,
                    outcome=self.saved.classes[known.memory.code[row]],
                    distance=float(distance),
                    rank=int(rank),
                )
            )
        return tuple(found)


def ask_head(
    saved: SavedHead, options: ResponseOptions, asking: Asking, store: Rows, new: Rows
) -> FullAnswer:
    """Ask a head, and look up who is known and who may speak.

    Args:
        saved: the head.
        options: it was fitted with.
        asking: the question.
        store: its scans.
        new: the scans asked about; `store` where there is no manifest.

    Raises:
        QueryError, SettingsError, NotEnoughDataError: as of `predict_response`.
    """
    if asking.patient is not None:
        check_patient(new, asking.patient)
    options_asked = replace(options, at=asking.at or options.at)
    is_new = asking.manifest is not None
    asked = whom_asked(
        material_of(new, options, saved.fitted.model.encoding),
        options_asked,
        patient=asking.patient,
        where=asking.where,
        is_whole=asking.patient is None and not is_new,
    )
    remembered, untold = _remembered(saved, options, asking, store, asked)
    answer = saved.fitted.answer(asked.material, asked.examples)
    chosen = likeliest(answer.probability)
    log_odds, parts = log_odds_parts(saved.fitted.model, saved.axis, answer.features, chosen)
    identities = identify(saved, new, store, asked.patients)
    return FullAnswer(
        saved=saved,
        asking=asking,
        asked=asked,
        places=(store.place, new.place),
        answer=answer,
        chosen=chosen,
        log_odds=log_odds,
        parts=parts,
        identities=identities,
        remembered=remembered,
        outcomes=_outcomes(asked, None if is_new else options_asked),
        skipped=new.skipped,
        notes=(
            *remarks(saved, options, asked, identities, asking.at),
            *(_twice_notes(asked, store) if is_new else ()),
            *asked.notes,
            *new.notes,
            *untold,
        ),
    )


def _nearest(found: FullAnswer) -> Sequence[Nearest | None]:
    """(t,) who is nearest to each example; None where nobody can be found."""
    known = found.remembered
    if known is None:
        return [None] * len(found.chosen)
    place = {name: code for code, name in enumerate(known.material.patients)}
    barred = [
        [place[other] for other in found.identities[name].names if other in place]
        for name in found.asked.patients
    ]
    asked = embedding_features(found.saved.fitted.model, found.answer.features)
    return nearest_patients(known.memory, asked, barred, found.chosen, found.asking.k)


def _remembered(
    saved: SavedHead, options: ResponseOptions, asking: Asking, store: Rows, asked: Asked
) -> tuple[Remembered | None, tuple[str, ...]]:
    """The store's examples that may speak, and notes; None where there are none."""
    if not asking.k:
        return None, ()
    material = asked.material if asking.manifest is None else None
    try:
        found = remember(saved, store, options, len(asked.examples), material)
    except UNTOLD as problem:
        return None, (f"no patient can speak for an answer: {problem}",)
    return found, found.notes


def _outcomes(asked: Asked, options: ResponseOptions | None) -> Sequence[str | None]:
    """(t,) what came about, where it is known; without options, nothing is."""
    nothing = [None] * len(asked.examples)
    if options is None:
        return nothing
    try:
        return outcomes(asked.material, asked.examples, options)
    except UNTOLD:
        return nothing


def _twice_notes(asked: Asked, store: Rows) -> tuple[str, ...]:
    """A note on patients of a manifest whom the store has, too."""
    both = sorted(set(asked.patients) & set(store.obs["patient_id"]))
    if not both:
        return ()
    shown = ", ".join(both[:3]) + (", …" if len(both) > 3 else "")
    words = f"{store.place} has scans of {shown}, too: only what the manifest lists is used"
    return (words,)


def _by_class(classes: Sequence[str], counts: Codes) -> dict[str, int]:
    """Counts by the name of their class."""
    return dict(zip(classes, np.asarray(counts).tolist(), strict=True))
