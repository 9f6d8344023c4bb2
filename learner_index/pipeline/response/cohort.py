"""What a response head is fitted on: a store's examples, their outcomes, and who may be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import get_args

import numpy as np
from pandas.api.types import is_numeric_dtype

from learner_index.config.response import ClassWeight, Patients, ResponseOptions, Task, Until
from learner_index.data.suggest import close_names
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.response.examples import Examples, find_examples
from learner_index.pipeline.response.leaks import Leak, find_leaks
from learner_index.pipeline.response.material import Masks, Material
from learner_index.pipeline.response.models import Pool
from learner_index.pipeline.response.targets import Targets, find_targets, require_learnable
from learner_index.pipeline.roles import MARK, SEEN, TRAINED_OR_TUNED
from learner_index.search.eligible import OUTCOMES
from learner_index.search.filters import ColumnKind, column_kinds, parse_where
from learner_index.search.table import SearchTable

_WORDS: Mapping[str, tuple[str, ...]] = {
    "task": get_args(Task),
    "until": get_args(Until),
    "patients": get_args(Patients),
    "class_weight": get_args(ClassWeight),
}
_IDS = ("patient_id", "scan_id")
_OF_EXAMPLES: dict[str, ColumnKind] = {"delta_day": "number", "later_day": "number"}
_WORDS_AT_MOST = 20
_ENOUGH = 30  # unseen patients, with two of each of two classes, from which on others are left out


@dataclass(frozen=True, slots=True, eq=False)
class ResponseCohort:
    """Examples with known outcomes of patients who may be learned from.

    Attributes:
        pool: the examples.
        targets: what came about of them, and of how many it is not known.
        is_seen: (p,) patients the encoder was trained or tuned on.
        leaks: columns that tell the outcome by themselves.
        fingerprint: of scans, embeddings and outcomes.
        notes: what a person should know.
    """

    pool: Pool
    targets: Targets
    is_seen: Masks
    leaks: tuple[Leak, ...]
    fingerprint: str
    notes: tuple[str, ...]


def read_response_cohort(store: Cohort, options: ResponseOptions) -> ResponseCohort:
    """The cohort of a store, refused where nothing can be learned from it.

    Raises:
        QueryError: an unknown column, a condition that is not understood or nothing fulfils.
        SettingsError: no θ, or options that do not go together.
        NotEnoughDataError: no outcome, one class only, or too few patients.
    """
    _check_options(options)
    table = store.table
    _check_conditions(table, options)
    material = Material.of(
        table.embeddings, table.obs, modality=options.modality, scans=options.scans
    )
    _check_clinical(material, options)
    found = find_examples(material, options)
    if not len(found):
        raise NotEnoughDataError(_why_none(material, options))
    targets = find_targets(material, found, options)
    is_seen = _seen(material)
    used, notes = _used(options, targets, found.patient, is_seen)
    examples, targets = found.only(used), targets.only(used)
    _check_fates(examples, targets, options)
    require_learnable(targets, examples.patient, options.folds)
    pool = Pool(
        material, examples, targets.code, targets.before, targets.classes, targets.is_ordinal
    )
    _check_values(pool, options)
    notes = (*notes, *targets.notes, *_remarks(pool))
    leaks = find_leaks(pool, options.target)
    return ResponseCohort(pool, targets, is_seen, leaks, _fingerprint(pool), notes)


def _check_options(options: ResponseOptions) -> None:
    """Refuse unknown words, options of one task beside the other, and shares that are none."""
    for name, words in _WORDS.items():
        if getattr(options, name) not in words:
            raise SettingsError(
                f"--{name.replace('_', '-')} {getattr(options, name)} is unknown: take "
                f"{' or '.join(words)}"
            )
    if not 0 < options.alpha < 1:
        raise SettingsError(f"--alpha {options.alpha:g} is no share: give one such as 0.1")
    for name, least in (("folds", 2), ("n_bootstraps", 1), ("seed", 0)):
        value = getattr(options, name)
        if not isinstance(value, int) or value < least:
            raise SettingsError(f"--{name.replace('_', '-')} {value}: give {least} or more")
    if options.target is not None and options.score_kind != "generic":
        raise SettingsError("--score-kind is for health scores: leave it out beside --target")
    if options.with_clinical and not options.clinical:
        raise SettingsError("--with-clinical needs columns: name them with --clinical")
    if options.task == "detect" and (options.at != "first" or options.until != "next"):
        raise SettingsError("--at and --until belong to --task predict: leave them out")
    if options.task == "detect" and (options.died_as or options.lost_as):
        raise SettingsError(
            "--died-as and --lost-as belong to --task predict: to detect a change both scans "
            "must be there"
        )
    if options.task == "predict" and options.transitions != "consecutive":
        raise SettingsError("--transitions belongs to --task detect: take --until next or last")


def _check_conditions(table: SearchTable, options: ResponseOptions) -> None:
    """Refuse conditions that choose by the outcome, or that would write ids into the head."""
    kinds = column_kinds(table.obs)
    for option, asked in (("scans", options.scans), ("where", options.where)):
        for text in asked:
            column = parse_where(text, {**kinds, **_OF_EXAMPLES}).column
            too_late = (*OUTCOMES, *((options.target,) if option == "scans" else ()))
            if column in too_late:
                raise QueryError(f"--{option} {text!r} asks what came later: leave it out")
            if column in _IDS:
                raise QueryError(
                    f"--{option} {text!r} would write ids into the head: leave patients out of "
                    "the manifest"
                )


def _check_clinical(material: Material, options: ResponseOptions) -> None:
    """Refuse clinical columns that are not there, or that tell the outcome by design."""
    known = [str(name) for name in material.of_visits.columns]
    for name in options.clinical:
        if name in (*OUTCOMES, options.target):
            raise QueryError(f"--clinical {name} tells what came later: leave it out")
        if name not in known or name in ("patient_id", "visit", "encoder_role"):
            raise QueryError(
                f"--clinical {name}: no such column{close_names(name, known)}: there are "
                f"{', '.join(known)}"
            )


def _check_values(pool: Pool, options: ResponseOptions) -> None:
    """Refuse clinical columns without any value, and texts that are nearly ids."""
    for name in options.clinical:
        column = pool.examples.columns[name]
        n_words = 0 if is_numeric_dtype(column.dtype) else column.nunique()
        if n_words > _WORDS_AT_MOST:
            raise SettingsError(
                f"--clinical {name} has {n_words} different texts, more than {_WORDS_AT_MOST} "
                "categories: they would stand in the head; put them into groups, or leave it out"
            )
        if column.isna().all():
            raise NotEnoughDataError(
                f"--clinical {name} has no value in {len(pool.code)} examples: leave it out, or "
                "fill it in and build again"
            )


def _check_fates(examples: Examples, targets: Targets, options: ResponseOptions) -> None:
    """Refuse a class of the dead or the lost that nobody is in."""
    for option, name in (("died-as", options.died_as), ("lost-as", options.lost_as)):
        if name is None:
            continue
        is_in = (examples.later < 0) & (targets.code == targets.classes.index(name))
        if not is_in.any():
            known = "column event says so of none" if option == "died-as" else "all have one"
            what = "to have died" if option == "died-as" else "without a later visit"
            raise NotEnoughDataError(
                f"--{option} {name}: nobody is known {what} ({known}): leave it out"
            )


def _why_none(material: Material, options: ResponseOptions) -> str:
    """Why there is nothing to ask."""
    n = len(material.patients)
    where = f" fulfils {' and '.join(options.where)}" if options.where else ""
    if options.task == "detect":
        return (
            f"none of {n} patients has two visits on two days that share a view"
            f"{' where the earlier' + where if where else ''}: a change needs both scans"
            f"{'' if where else '; `similar` finds who looks alike from one'}"
        )
    return (
        f"none of {n} patients has a dated visit to predict from (--at {options.at})"
        f"{where and ' that' + where}: take another --at, or loosen the conditions"
    )


def _seen(material: Material) -> Masks:
    """(p,) patients the encoder was trained or tuned on."""
    found = np.zeros(len(material.patients), bool)
    if "encoder_role" in material.of_visits:
        is_seen = material.of_visits["encoder_role"].isin(SEEN).to_numpy(bool)
        found[material.visits.patient[is_seen]] = True
    return found


def _used(
    options: ResponseOptions, targets: Targets, patient: np.ndarray, is_seen: Masks
) -> tuple[Masks, tuple[str, ...]]:
    """(t,) examples with a known outcome, of patients who may be used; and what to say of it."""
    known = targets.is_known
    is_unseen = known & ~is_seen[patient]
    n_seen = len(np.unique(patient[known & is_seen[patient]]))
    n_unseen = len(np.unique(patient[is_unseen]))
    if options.patients == "unseen" and n_seen and not n_unseen:
        raise NotEnoughDataError(
            f"--patients unseen: all {n_seen} patients with a known outcome are those "
            f"{TRAINED_OR_TUNED}: take --patients all, and every figure flatters"
        )
    if n_seen == 0 or options.patients == "all":
        return known, _seen_note(n_seen, n_unseen)
    if options.patients == "unseen" or _is_enough(targets, patient, is_unseen):
        left_out = (
            f"{n_seen} patients {TRAINED_OR_TUNED} are left out; --patients all takes them in"
        )
        return is_unseen, (left_out,)
    return known, _seen_note(n_seen, n_unseen)


def _is_enough(targets: Targets, patient: np.ndarray, rows: Masks) -> bool:
    """Whether some examples are of enough patients of two classes."""
    owners = [
        len(np.unique(patient[rows & (targets.code == number)]))
        for number in range(len(targets.classes))
    ]
    return len(np.unique(patient[rows])) >= _ENOUGH and sum(n >= 2 for n in owners) >= 2


def _seen_note(n_seen: int, n_unseen: int) -> tuple[str, ...]:
    """That figures flatter."""
    if n_seen == 0:
        return ()
    n = n_seen + n_unseen
    return (
        f"{MARK}: {n_seen} of {n} patients are those {TRAINED_OR_TUNED}, so every figure flatters",
    )


def _remarks(pool: Pool) -> tuple[str, ...]:
    """What of the features does not vary."""
    columns = pool.examples.columns
    if "treatment" not in columns or columns["treatment"].isna().all():
        return ("no treatment is written: what is learned is the course, whatever was given",)
    found = sorted({str(name) for name in columns["treatment"].dropna()})
    if len(found) == 1 and columns["treatment"].notna().all():
        return (
            f"treatment is {found[0]} throughout: it tells nothing, and nothing is said of others",
        )
    return ()


def _fingerprint(pool: Pool) -> str:
    """Hash over embeddings, visits and outcomes of all examples, in the order of names and days."""
    digest = blake2b(digest_size=8)
    examples, visits = pool.examples, pool.material.visits
    names = np.array(pool.material.patients, object)[pool.patient]
    order = np.lexsort((examples.later, examples.earlier, np.unique(names, return_inverse=True)[1]))
    digest.update("\0".join(names[order]).encode())
    for rows in (examples.earlier[order], examples.later[order]):
        digest.update((rows >= 0).tobytes())
        digest.update(np.ascontiguousarray(visits.day[rows[rows >= 0]]).tobytes())
        digest.update(np.ascontiguousarray(pool.material.pooled[rows[rows >= 0]]).tobytes())
    digest.update(pool.code[order].tobytes() + "\0".join(pool.classes).encode())
    return digest.hexdigest()
