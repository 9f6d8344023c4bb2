"""What came about: health changes by θ, or any column of outcomes; death and loss are counted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from learner_index.analysis.change import health_changes
from learner_index.config.response import ResponseOptions
from learner_index.data.score_kinds import score_kind
from learner_index.data.suggest import close_names
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError
from learner_index.pipeline.response.examples import Examples
from learner_index.pipeline.response.material import Codes, Material
from learner_index.search.filters import column_kinds, parse_where

CHANGES = ("worsened", "stable", "improved")
_DEATH = ("death", "died", "dead", "deceased")
_FLAGS = ("0", "1", "false", "true", "no", "yes")  # an event written so is a flag
_MOST = 20  # classes; a column with more is no outcome
_FEWEST_PATIENTS = 6
_DESIGN = ("patient_id", "day", "visit", "view", "treatment", "encoder_role", "split", "modality")
UNKNOWN = -1

Fate = Literal["died", "lost"]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What came about of t examples.

    Attributes:
        name: of the outcome, as a person reads it.
        classes: (c,) names; worst first where they are ordinal.
        is_ordinal: they are in an order.
        code: (t,) number of the class; -1 where it is not known.
        before: (t,) the class that means no change: stable, or the column's value at the earlier
            visit; -1 where there is none.
        threshold: θ in score units; None: not by health scores.
        column: that holds the outcome; None: by health scores.
        n_died: examples left out because the patient died before the outcome.
        n_lost: examples left out for want of a later visit, for no reason that is known.
        n_unknown: examples with a later visit whose outcome is not written, or not scored.
        notes: what a person should know.
    """

    name: str
    classes: tuple[str, ...]
    is_ordinal: bool
    code: Codes
    before: Codes
    threshold: float | None = None
    column: str | None = None
    n_died: int = 0
    n_lost: int = 0
    n_unknown: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """(t,) True where it is known what came about."""
        return np.asarray(self.code != UNKNOWN)

    def only(self, rows: NDArray[np.bool_]) -> "Targets":
        """Those of some examples; what was counted stays."""
        return replace(self, code=self.code[rows], before=self.before[rows])


def find_targets(material: Material, examples: Examples, options: ResponseOptions) -> Targets:
    """What came about of each example.

    Args:
        material: the cohort.
        examples: of it.
        options: the outcome, θ, the order of classes, and what death and loss count as.

    Raises:
        QueryError: no such column.
        SettingsError: no θ, or classes that do not fit the column.
        NotEnoughDataError: the cohort has no health score, or the column no outcome.
    """
    if options.target is None:
        found = _health_change(material, examples, options)
    else:
        found = _from_column(material, examples, options)
    return _with_fates(material, examples, found, options)


def _health_change(material: Material, examples: Examples, options: ResponseOptions) -> Targets:
    """Improved, stable or worsened by θ."""
    if options.classes:
        raise SettingsError("--classes names outcomes of a column: give it with --target COLUMN")
    if not material.is_scored:
        raise NotEnoughDataError(
            "no health score in the store: build it with --score-column NAME, or name a column "
            "of outcomes with --target"
        )
    kind = score_kind(options.score_kind)
    theta = options.threshold if options.threshold is not None else kind.change_threshold
    if theta is None:
        raise SettingsError(
            "no θ is given, the change of health score that counts: give it with --threshold "
            "NUMBER, or say what the score is with --score-kind"
        )
    score = material.visits.score
    delta = np.full(len(examples), np.nan)
    has_later = examples.later >= 0
    delta[has_later] = score[examples.later[has_later]] - score[examples.earlier[has_later]]
    is_known = np.isfinite(delta)
    code = np.full(len(examples), UNKNOWN, np.int64)
    code[is_known] = health_changes(delta[is_known], theta) + 1
    name = f"change of {kind.title} by {theta:g} or more"
    return Targets(name, CHANGES, True, code, np.ones_like(code), threshold=theta)


def _from_column(material: Material, examples: Examples, options: ResponseOptions) -> Targets:
    """The column's value at the later visit; one value a patient counts wherever it is written."""
    column = str(options.target)
    if column not in material.of_visits:
        names = [str(name) for name in material.of_visits.columns]
        raise QueryError(
            f"--target {column}: no such column{close_names(column, names)}: "
            f"there are {', '.join(names)}"
        )
    if column in _DESIGN:
        raise QueryError(f"--target {column} is no outcome: name a column of what came about")
    if options.threshold is not None:
        raise SettingsError("--threshold is for health scores: leave it out beside --target")
    values = material.of_visits[column]
    notes: tuple[str, ...] = ()
    by_patient = values.groupby(material.visits.patient)
    if int(by_patient.nunique().max()) > 1:
        later = np.where(examples.later >= 0, examples.later, examples.earlier)
        written = values.iloc[later].mask(examples.later < 0)
    else:
        written = by_patient.transform("first").iloc[examples.earlier]
        _refuse_chosen_by(column, examples, options)
        notes = (f"{column} has one value a patient, which counts at every visit",)
    classes, has_order = _classes(values, column, options.classes)
    code = _codes(written, classes)
    before = (
        np.full_like(code, UNKNOWN) if notes else _codes(values.iloc[examples.earlier], classes)
    )
    return Targets(column, classes, has_order, code, before, column=column, notes=notes)


def _refuse_chosen_by(column: str, examples: Examples, options: ResponseOptions) -> None:
    """Refuse to choose patients by what is to be told of them."""
    kinds = column_kinds(examples.columns)
    for text in options.where:
        if parse_where(text, kinds).column == column:
            raise QueryError(
                f"--where {text!r} chooses by the outcome, as {column} has one value a patient: "
                "leave it out"
            )


def _codes(values: "pd.Series[Any]", classes: Sequence[str]) -> Codes:
    """(t,) numbers of the classes that values are; -1 where missing."""
    place = {name: number for number, name in enumerate(classes)}
    return np.array(
        [UNKNOWN if pd.isna(value) else place.get(_text(value), UNKNOWN) for value in values],
        np.int64,
    )


def _classes(
    values: "pd.Series[Any]", column: str, wanted: Sequence[str]
) -> tuple[tuple[str, ...], bool]:
    """The outcomes, and whether they come in an order of their own."""
    found = sorted(values.dropna().unique().tolist())
    if len(found) > _MOST:
        raise SettingsError(
            f"--target {column} has {len(found)} values, more than {_MOST} outcomes: cut it into "
            "classes in the manifest, or build it as health score and give --threshold"
        )
    names = tuple(_text(value) for value in found)
    if wanted:
        missing = [name for name in names if name not in wanted]
        if missing:
            near = close_names(missing[0], list(wanted))
            raise SettingsError(
                f"--classes leaves out {missing[0]!r}, a value of {column}{near}: list every one "
                f"of {', '.join(names)}, worst first"
            )
        return tuple(dict.fromkeys(wanted)), True
    is_number = is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype)
    return names, is_number


def _text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        return f"{float(value):.15g}"
    return str(value)


def _with_fates(
    material: Material, examples: Examples, found: Targets, options: ResponseOptions
) -> Targets:
    """What became of those without a later visit, counted or made a class."""
    has_none = (examples.later < 0) & ~found.is_known
    died = has_none & _is_dead(material)[examples.patient]
    lost = has_none & ~died
    unknown = int((~found.is_known & ~has_none).sum())
    counted = replace(found, n_died=int(died.sum()), n_lost=int(lost.sum()), n_unknown=unknown)
    fates: dict[Fate, tuple[str | None, NDArray[np.bool_]]] = {
        "died": (options.died_as, died),
        "lost": (options.lost_as, lost),
    }
    has_order = options.target is None or bool(options.classes)
    for fate, (name, rows) in fates.items():
        if name is not None:
            counted = _as_class(counted, name, rows, fate, has_order=has_order)
            count: dict[str, Any] = {f"n_{fate}": 0}
            counted = replace(counted, **count)
    return replace(counted, is_ordinal=counted.is_ordinal or len(counted.classes) == 2)


def _as_class(
    found: Targets, name: str, rows: NDArray[np.bool_], fate: Fate, *, has_order: bool
) -> Targets:
    """Examples that ended in death or loss, as one of the classes or a class of their own.

    A new class of the dead is worse than all others where the others are known to be worst first:
    by health score or as `classes` names them. Else, and for the lost, it has no place in an order.
    """
    code = found.code.copy()
    if name in found.classes:
        code[rows] = found.classes.index(name)
        return replace(found, code=code)
    if fate == "died" and has_order:
        code[found.is_known] += 1
        code[rows] = 0
        before = np.where(found.before == UNKNOWN, UNKNOWN, found.before + 1)
        return replace(found, code=code, before=before, classes=(name, *found.classes))
    code[rows] = len(found.classes)
    hint = ": name all with --classes, worst first" if fate == "died" else ""
    note = f"classes are not ordinal: {name!r} has no place in their order{hint}"
    notes = (*found.notes, note) if found.is_ordinal else found.notes
    return replace(found, code=code, classes=(*found.classes, name), is_ordinal=False, notes=notes)


def _is_dead(material: Material) -> NDArray[np.bool_]:
    """(p,) True for patients whose column `event` says that they died.

    A flag means death, also one that is written as text; other texts say so in their first word.
    """
    found = np.zeros(len(material.patients), bool)
    if "event" not in material.of_visits:
        return found
    event = material.of_visits["event"].dropna()
    texts = event.map(_text).astype("string").str.strip().str.casefold()
    if texts.isin(_FLAGS).all():
        says = texts.isin(_FLAGS[1::2]).to_numpy(bool)
    else:
        says = texts.str.match(rf"(?:{'|'.join(_DEATH)})\b").to_numpy(bool)
    found[material.visits.patient[event.index[says]]] = True
    return found


def require_learnable(found: Targets, patient: Codes, n_folds: int) -> None:
    """Refuse a target that nothing can be learned of.

    Args:
        found: of the examples whose outcome is known.
        patient: (t,) whose they are.
        n_folds: of patients.

    Raises:
        NotEnoughDataError: fewer than two classes, or too few patients.
    """
    owners = [len(np.unique(patient[found.code == number])) for number in range(len(found.classes))]
    n_patients = len(np.unique(patient))
    counts = ", ".join(f"{name} {n}" for name, n in zip(found.classes, owners, strict=True))
    if not n_patients:
        raise NotEnoughDataError(
            f"{found.name}: no outcome is known of any example: fill it in and build again, or "
            "name another --target"
        )
    if sum(n > 0 for n in owners) < 2:
        advice = (
            "give another --threshold" if found.threshold is not None else "name another --target"
        )
        raise NotEnoughDataError(
            f"{found.name}: all {len(patient)} are {found.classes[int(np.argmax(owners))]}, and "
            f"there is nothing to tell apart: {advice}, or add patients who differ"
        )
    fewest = max(_FEWEST_PATIENTS, n_folds)
    if n_patients < fewest or sorted(owners)[-2] < 2:
        raise NotEnoughDataError(
            f"{n_patients} patients with a known outcome ({counts}): {n_folds} folds need "
            f"{fewest} or more, with two patients in each of two classes; add patients"
        )
