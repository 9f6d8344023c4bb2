"""What may be trained on: a cohort's health scores, checked against what they measure.

Classes cut at quantiles are left to `data.coarse`, because training patients alone may set them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.config import ScoreOptions
from learner_index.data.coarse import check_class_options, coarse
from learner_index.data.columns import UNDERSTOOD
from learner_index.data.manifest import Manifest
from learner_index.data.problems import listed, place
from learner_index.data.records import Problem
from learner_index.data.score_kinds import SCORE_KINDS, SF94_LIMIT, ScoreKind, score_kind
from learner_index.data.scores import turned
from learner_index.data.suggest import close_names, some_of, squashed
from learner_index.errors import ManifestError, NotEnoughDataError, SettingsError


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Health scores of a cohort's scans, in the manifest's order.

    Attributes:
        score: (n,) health score, turned so that higher is healthier; NaN where unknown.
        target: (n,) what may be trained on: the score, or the class number (0 the sickest) where
            a column of classes or edges are given; NaN where unknown. Classes at quantiles
            (`bins`) are not cut yet.
        is_ceiling: (n,) the score is so high that a change for the better cannot show.
        kind: what is measured; its range and ceiling are raw values.
        threshold: θ, the change that counts as one, in score units; None: not known.
        notes: what a person should know.
    """

    score: NDArray[np.float64]
    target: NDArray[np.float64]
    is_ceiling: NDArray[np.bool_]
    kind: ScoreKind
    threshold: float | None
    notes: tuple[Problem, ...]


def read_labels(manifest: Manifest, options: ScoreOptions) -> Labels:
    """Labels of a manifest that has no errors.

    Args:
        manifest: its health scores are turned already: higher is healthier.
        options: what the score is, and which classes to make of it; edges are turned scores. In
            a column of numbered classes, higher numbers are healthier.

    Raises:
        SettingsError: the options contradict each other or are out of range.
        ManifestError: a score, saturation or class cannot be right, or a column is absent.
        NotEnoughDataError: no scan has a health score or class, or all have the same.
    """
    kind = _checked(options)
    raw, notes = _raw_scores(manifest, kind, is_needed=options.class_column is None)
    score = turned(raw, manifest.options.score_direction)
    is_ceiling = raw >= (math.inf if kind.ceiling is None else kind.ceiling)  # NaN: False
    target = coarse(score, options.edges) if options.edges else score
    if options.class_column is not None:
        target = _classes(manifest, options.class_column, options.classes)
    _check_varied(manifest, target, options)
    notes += _notes(manifest, raw, is_ceiling, kind)
    threshold = options.change_threshold or kind.change_threshold
    return Labels(score, target, is_ceiling, kind, threshold, tuple(notes))


def _checked(options: ScoreOptions) -> ScoreKind:
    """The kind of score, once the options hold together."""
    kind, theta = score_kind(options.kind), options.change_threshold
    if theta is not None and not (math.isfinite(theta) and theta > 0):
        raise SettingsError(f"change_threshold {theta:g}: give a number above 0")
    check_class_options(options)
    return kind


def _raw_scores(
    manifest: Manifest, kind: ScoreKind, *, is_needed: bool
) -> tuple[NDArray[np.float64], list[Problem]]:
    """(n,) scores as charted, NaN where unknown or left out, and notes on those left out."""
    if manifest.score is None:
        if is_needed:
            raise NotEnoughDataError(_no_score(manifest))
        return np.full(manifest.n_scans, np.nan), []
    raw = turned(_numbers(manifest, "health_score"), manifest.score.direction)
    _check_range(manifest, raw, kind)
    notes: list[Problem] = []
    if kind.name == "sf94":
        raw, notes = _up_to_94(manifest, raw)
    if is_needed and np.isnan(raw).all():
        why = "".join(f"; {note.message}" for note in notes)
        raise NotEnoughDataError(
            f"manifest {manifest.path} has no health score, column {manifest.score.column!r} has "
            f"no value that counts{why}: fill it in, or name another with --score-column NAME"
        )
    return raw, notes


def _no_score(manifest: Manifest) -> str:
    """What to tell about a manifest without health scores, with columns that look like one."""
    numbers = [name for name, kind in manifest.kinds.items() if kind == "number"]
    free = [name for name in numbers if name not in UNDERSTOOD]
    near = [name for name in free if "score" in squashed(name) or squashed(name) in SCORE_KINDS]
    hint = f" (perhaps {listed(near[:3])})" if near else ""
    return (
        f"manifest {manifest.path} has no health score: add a column health_score, "
        f"or name the one that holds it with --score-column NAME{hint}"
    )


def _check_range(manifest: Manifest, raw: NDArray[np.float64], kind: ScoreKind) -> None:
    told = "is not finite: leave it empty if it is unknown"
    _refuse(manifest, np.isinf(raw), raw, kind.title, told)
    low, high = kind.valid_range
    told = (
        f"is outside {low:g} to {high:g} ({kind.range_reason}): "
        "correct it, or take --score-kind generic"
    )
    _refuse(manifest, (raw < low) | (raw > high), raw, kind.title, told)


def _refuse(
    manifest: Manifest,
    is_bad: NDArray[np.bool_],
    values: NDArray[np.float64] | list[str | None],
    name: str,
    told: str,
) -> None:
    """Raises a ManifestError about the first bad row, if there is any."""
    if is_bad.any():
        row, n = int(is_bad.argmax()), int(is_bad.sum())
        where = place(manifest.row_word, [int(manifest.lines[row])])
        scan_id = manifest.table["scan_id"].iloc[row]
        more = f" (first of {n} such scans)" if n > 1 else ""
        raise ManifestError(f"{where} {scan_id}: {name} {values[row]} {told}{more}")


def _numbers(manifest: Manifest, name: str) -> NDArray[np.float64]:
    return manifest.table[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _up_to_94(
    manifest: Manifest, raw: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[Problem]]:
    """Scores where SpO2 is known and at most 94 %, else NaN; and how many were left out."""
    column = "" if manifest.score is None else manifest.score.column
    if "spo2" not in manifest.table and squashed(column) == "sf94":
        return raw, []
    spo2, known = _spo2(manifest), ~np.isnan(raw)
    reasons = {
        f"SpO2 is above {SF94_LIMIT:g} %": known & (spo2 > SF94_LIMIT),
        "SpO2 is unknown": known & np.isnan(spo2),
    }
    notes = [
        _note(f"{_counted(rows, known, 'score')} left out because {reason}")
        for reason, rows in reasons.items()
        if rows.any()
    ]
    return np.where(spo2 <= SF94_LIMIT, raw, np.nan), notes


def _spo2(manifest: Manifest) -> NDArray[np.float64]:
    """(n,) saturation in percent, NaN where unknown."""
    if manifest.kinds.get("spo2") != "number":
        near = "" if "spo2" in manifest.kinds else close_names("spo2", manifest.kinds)
        raise ManifestError(
            f"--score-kind sf94: no column spo2 with numbers in {manifest.path}{near}: add SpO2 in "
            "percent, give S/F94 itself with --score-column sf94, or take --score-kind sf"
        )
    spo2 = _numbers(manifest, "spo2")
    if (spo2 <= 1.0).any() and not (spo2 > 1.0).any():
        raise ManifestError(
            f"column spo2 in {manifest.path} goes up to {np.nanmax(spo2):g}, so it holds shares: "
            "write it in percent"
        )
    is_bad = (spo2 < 0) | (spo2 > 100)
    _refuse(manifest, is_bad, spo2, "SpO2", "is no percentage: correct it, or leave it empty")
    return spo2


def _classes(manifest: Manifest, column: str, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """(n,) number of each scan's class, 0 the sickest; NaN where none is given."""
    if column not in manifest.kinds:
        near = close_names(column, manifest.kinds)
        raise ManifestError(
            f"class_column {column}: no such column in {manifest.path}{near}; "
            f"there are {some_of(manifest.kinds)}"
        )
    texts = _texts(manifest, column)
    if classes:
        is_bad = np.array([text is not None and text not in classes for text in texts], dtype=bool)
        told = f"is none of --score-classes {', '.join(classes)}: correct it, or list every class"
        _refuse(manifest, is_bad, texts, column, told)
        return np.array([math.nan if text is None else classes.index(text) for text in texts])
    first = next((text for text in texts if text is not None), None)
    if manifest.kinds[column] != "number" and first is not None:
        raise ManifestError(
            f"class_column {column} holds {first!r}, no number: "
            "give its classes, sickest first, with --score-classes"
        )
    is_score = manifest.score is not None and manifest.score.column == column
    values = _numbers(manifest, "health_score" if is_score else column)
    return np.where(np.isnan(values), np.nan, np.unique(values, return_inverse=True)[1])


def _texts(manifest: Manifest, column: str) -> list[str | None]:
    """A column's values as its file spells them, near enough; None where missing."""
    series = manifest.table[column]
    is_number, is_flag = (manifest.kinds[column] == kind for kind in ("number", "flag"))
    texts = (f"{x:.15g}" if is_number else str(x).lower() if is_flag else x for x in series)
    return [None if gone else text for text, gone in zip(texts, series.isna(), strict=True)]


def _check_varied(manifest: Manifest, target: NDArray[np.float64], options: ScoreOptions) -> None:
    known = target[~np.isnan(target)]
    if len(np.unique(known)) > 1:
        return
    what = f"class in column {options.class_column}" if options.class_column else "health score"
    what = "class between the edges" if options.edges else what
    found = f"no {what}" if not len(known) else f"the same {what} in all {len(known)} scans"
    raise NotEnoughDataError(
        f"manifest {manifest.path} has {found}: nothing can be learned from it; "
        "add scans that differ, or choose another column"
    )


def _notes(
    manifest: Manifest, raw: NDArray[np.float64], is_ceiling: NDArray[np.bool_], kind: ScoreKind
) -> list[Problem]:
    notes, known = [], ~np.isnan(raw)
    if manifest.options.score_direction != kind.direction and kind.name != "generic":
        notes.append(f"lower {kind.title} is read as healthier: is --score-direction lower meant?")
    if not known.all():
        notes.append(f"{_counted(~known, np.ones_like(known), 'scan')} without a health score")
    if is_ceiling.any():
        where = f"at the ceiling of {kind.ceiling:.4g} ({kind.ceiling_reason})"
        notes.append(f"{_counted(is_ceiling, known, 'score')} {where}")
    return [_note(text) for text in notes]


def _counted(some: NDArray[np.bool_], of: NDArray[np.bool_], word: str) -> str:
    """A share in words: "3 of 12 scores (25 %)"."""
    n, total = int(some.sum()), int(of.sum())
    return f"{n} of {total} {word}s ({100 * n / total:.0f} %)"


def _note(message: str) -> Problem:
    return Problem("", "", message, is_error=False)
