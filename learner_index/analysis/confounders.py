"""Confounder audit: do nearest patients share what is not health more often than chance gives?

A site or scanner that neighbours share can pass for disease. The audit says what they share, and
how much of it goes with the health score anyway; what to do about it is the reader's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.correlation import spearman
from learner_index.analysis.distance import Floats, Names, Reals, patient_codes, view_codes
from learner_index.analysis.resample import holm
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

K = 5
DRAWS = 999
LEAST_PATIENTS = 5
_BLOCK = 512  # scans asked at a time
_PER_COLUMN = 100  # draws: five times those below which Holm can flag nothing at 0.05
_FEW = 20  # of the first draws as good as the cohort, above which no more are needed
_PICKED = 30  # scans by lot beside each scan's nearest
_ROUNDING = 1e-12

Codes = NDArray[np.int64]
Kind = Literal["category", "number"]
Level = Literal["patient", "visit", "scan"]


@dataclass(frozen=True, slots=True)
class Shared:
    """How much nearest patients share one column.

    Attributes:
        column: its name.
        kind: a category is shared when it is equal, a number the more, the less it differs.
        level: what it belongs to, and so what is shuffled: all of a patient's scans have the same
            value, all of a visit's, or neither.
        observed: category: share of the nearest patients' scans with the same value, 0..1, higher
            is more alike; number: mean difference in its own units, lower is more alike.
        expected: the same of other patients picked by lot in the same stratum.
        low, high: 95 % of shuffles lie between, beside what is expected.
        p_value: share of shuffles in which neighbours are as much more alike than patients picked
            by lot, the cohort itself counted as one.
        p_holm: the same, adjusted for all columns of one audit.
        health: how much the column goes with the health score: category: share of the score's
            variance that lies between its values, corrected for their number; number: Spearman
            correlation of patients' means. None without enough scores.
        n_patients, n_scans, n_values: patients and scans it is known of, and different values.
    """

    column: str
    kind: Kind
    level: Level
    observed: float
    expected: float
    low: float
    high: float
    p_value: float
    p_holm: float
    health: float | None
    n_patients: int
    n_scans: int
    n_values: int


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Scans as the audit compares them.

    Attributes:
        embeddings: (n, e).
        patient: (n,) patient of each scan.
        visit: (n,) visit numbers, -1 where unknown.
        stratum: (n,) scans are compared with those of the same one, such as the same view.
        center: (e,) subtracted before the cosine.
        score: (n,) health scores, NaN where unknown.
    """

    embeddings: Reals
    patient: Names
    visit: Codes
    stratum: Names
    center: Reals
    score: Reals


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The scans of which a column is known.

    Attributes:
        values: (m,) a category's number, or the number itself.
        owner: (m,) patient, numbered from 0 without gaps.
        visit: (m,) visit within all, -1 where unknown.
    """

    values: Floats
    owner: Codes
    visit: Codes

    @property
    def n_patients(self) -> int:
        """Patients with a known value."""
        return int(self.owner.max(initial=-1)) + 1


def audit(
    space: Space,
    columns: Mapping[str, tuple[Kind, Names]],
    *,
    of_scans: Names | None = None,
    k: int = K,
    n_draws: int | None = None,
    seed: int = 0,
) -> tuple[tuple[Shared, ...], dict[str, str]]:
    """Which columns the nearest patients of a scan share more than patients picked by chance.

    Each scan's k nearest other patients are found once, each by their nearest scan, and others are
    picked by lot from the same stratum; the statistic is how much more alike the former are, so
    that a view which all patients of a site have makes nobody near. For the null, values are
    shuffled by patient: those of patients are handed from one to another; those of visits are
    handed over in their order, stretched, or thinned by lot, to as many visits as the other has;
    those of scans are dealt anew, patient by patient and in random order. Patients weigh equally.

    Args:
        space: the scans.
        columns: name -> kind and (n,) values; None, NaN and "" are unknown.
        of_scans: names of columns that differ by scan whatever they hold, such as the view; these
            are compared over all strata.
        k: nearest patients of a scan.
        n_draws: shuffles; the p-value is 1/(n_draws + 1) or more. None: 999, and `most_draws` for
            columns that at most 20 of these reach, so that Holm can flag one of many columns.
            The others, whose p is above 0.02 after the first 999, stop there.
        seed: of the shuffles.

    Returns:
        A record a column, in their order, and why others were left out, in a few words each.

    Raises:
        SettingsError: k or n_draws below 1.
        QueryError: an embedding holds NaN or infinity.

    Source:
        Labels of nearest neighbours beside the cohort's mix, as Büttner et al. 2019, "A test
        metric for assessing single-cell RNA-seq batch correction"; shuffling by patient is ours,
        since scans of one patient are no independent rows.
    """
    draws = (DRAWS, most_draws(len(columns))) if n_draws is None else (n_draws, n_draws)
    if k < 1 or min(draws) < 1:
        raise SettingsError(f"k {k} and n_draws {n_draws}: give 1 or more of each")
    if not np.isfinite(space.embeddings).all():
        raise QueryError("an embedding holds NaN or infinity: look for a diverged encoder")
    found, refused = [], {}
    free = frozenset(() if of_scans is None else map(str, of_scans))
    for name, (kind, values) in columns.items():
        rng = np.random.default_rng([seed, *name.encode()])
        try:
            found.append(_shared(space, name, (kind, values), rng, (k, draws, name in free)))
        except NotEnoughDataError as problem:
            refused[name] = str(problem)
    adjusted: Floats = holm([one.p_value for one in found])
    both = zip(found, adjusted, strict=True)
    return tuple(replace(one, p_holm=float(p)) for one, p in both), refused


def most_draws(n_columns: int) -> int:
    """Shuffles of an audit, at most: enough that a column among so many can pass Holm's bar."""
    return max(DRAWS, _PER_COLUMN * n_columns)


def nearest_patients(
    embeddings: Reals, patient: Codes, stratum: Codes, center: Reals, k: int
) -> Codes:
    """(n, k) row of the nearest scan of each of a scan's k nearest other patients; -1 for none.

    Args:
        embeddings: (n, e).
        patient: (n,) numbered from 0.
        stratum: (n,) scans of other strata are not compared.
        center: (e,) subtracted before the cosine.
        k: patients.
    """
    moved = np.asarray(embeddings, np.float64) - center
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    moved = np.divide(moved, lengths, out=np.zeros_like(moved), where=lengths > _ROUNDING)
    found = np.full((len(moved), k), -1, np.int64)
    for each in np.unique(stratum):
        rows = np.flatnonzero(stratum == each)
        for block in np.array_split(rows, -(-len(rows) // _BLOCK)):
            similarity = moved[block] @ moved[rows].T
            similarity[patient[block, None] == patient[rows]] = -np.inf
            order = np.argsort(-similarity, axis=1, kind="stable")
            for row, ranked, near in zip(block, order, similarity, strict=True):
                ranked = ranked[np.isfinite(near[ranked])]
                _, first = np.unique(patient[rows[ranked]], return_index=True)
                chosen = rows[ranked[np.sort(first)[:k]]]
                found[row, : len(chosen)] = chosen
    return found


def random_patients(patient: Codes, stratum: Codes, n: int, rng: np.random.Generator) -> Codes:
    """(m, n) rows of other patients' scans of the same stratum, by lot; -1 where there is nobody.

    Args:
        patient: (m,) numbered from 0; each is as likely, however many scans they have.
        stratum: (m,) as in `nearest_patients`.
        n: scans picked for each, with replacement.
        rng: the lot.
    """
    found = np.full((len(patient), n), -1, np.int64)
    for each in np.unique(stratum):
        rows = np.flatnonzero(stratum == each)
        rows = rows[np.argsort(patient[rows], kind="stable")]
        _, first, own, counts = np.unique(
            patient[rows], return_index=True, return_inverse=True, return_counts=True
        )
        if len(first) > 1:
            other = rng.integers(0, len(first) - 1, (len(rows), n))
            other += other >= own[:, None]
            within = (rng.random(other.shape) * counts[other]).astype(np.int64)
            found[rows] = rows[first[other] + within]
    return found


def _shared(
    space: Space,
    name: str,
    column: tuple[Kind, Names],
    rng: np.random.Generator,
    how: tuple[int, tuple[int, int], bool],
) -> Shared:
    """One column's record, not yet adjusted for the others."""
    k, draws, is_free = how
    rows, known, n_values = _known(space, column)
    kind = column[0]
    strata = np.zeros(len(rows), np.int64)
    if not is_free:
        strata = view_codes(np.asarray(space.stratum, object)[rows])
    near = nearest_patients(space.embeddings[rows], known.owner, strata, space.center, k)
    if not (near >= 0).any():
        raise NotEnoughDataError("no two patients can be compared")
    level: Level = "scan" if is_free else _level(known)
    pairs = [
        (rows_of, _weights(known.owner, rows_of))
        for rows_of in (near, random_patients(known.owner, strata, _PICKED, rng))
    ]
    observed, expected = (_alike(known.values, *pair, kind) for pair in pairs)
    both = np.hstack([pairs[0][0], pairs[1][0]]), np.hstack([pairs[0][1], -pairs[1][1]])
    drawn, n_as_good = np.empty(0), 0
    for n in (draws[0], draws[1] - draws[0]):
        if n_as_good <= _FEW:
            more = [_alike(one, *both, kind) for one in _shuffles(known, level, n, rng)]
            drawn = np.append(drawn, more)
            n_as_good = _count_as_good(drawn, observed - expected, kind)
    ends = expected + np.quantile(drawn, [0.025, 0.975])
    low, high = np.clip(ends, 0.0, 1.0 if kind == "category" else np.inf)
    return Shared(
        column=name,
        kind=kind,
        level=level,
        observed=observed,
        expected=expected,
        low=float(low),
        high=float(high),
        p_value=(1 + n_as_good) / (1 + len(drawn)),
        p_holm=float("nan"),
        health=_with_health(known, np.asarray(space.score, np.float64)[rows], kind),
        n_patients=known.n_patients,
        n_scans=len(rows),
        n_values=n_values,
    )


def _count_as_good(drawn: Floats, found: float, kind: Kind) -> int:
    """Shuffles in which neighbours are as much more alike than others by lot."""
    sign = 1.0 if kind == "category" else -1.0
    return int(np.count_nonzero(sign * drawn >= sign * found - _ROUNDING))


def _known(space: Space, column: tuple[Kind, Names]) -> tuple[Codes, _Known, int]:
    """Rows where the column is known, what is known there, and how many values there are.

    Raises:
        NotEnoughDataError: too few patients, or nothing that differs between them.
    """
    kind, given = column
    values = pd.Series(np.asarray(given, dtype=object))
    if kind == "number":
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        rows = np.flatnonzero(np.isfinite(numbers))
        coded = numbers[rows]
    else:
        codes = pd.factorize(values.where(values.notna() & (values != "")).astype("string"))[0]
        rows = np.flatnonzero(codes >= 0)
        coded = codes[rows].astype(np.float64)
    owner = patient_codes(np.asarray(space.patient, object)[rows])
    n_patients, n_values = int(owner.max(initial=-1)) + 1, len(np.unique(coded))
    if n_patients < LEAST_PATIENTS:
        raise NotEnoughDataError(f"known of {n_patients} patients, {LEAST_PATIENTS} are needed")
    if n_values < 2:
        raise NotEnoughDataError("the same everywhere")
    if kind == "category" and not _is_repeated(coded, owner):
        raise NotEnoughDataError("no two values are each shared by two patients")
    return rows, _Known(coded, owner, space.visit[rows]), n_values


def _is_repeated(values: Floats, owner: Codes) -> bool:
    """Whether two values have two patients each."""
    pairs = np.unique(np.stack([values, owner.astype(np.float64)]), axis=1)
    return bool(np.count_nonzero(np.unique(pairs[0], return_counts=True)[1] >= 2) >= 2)


def _level(known: _Known) -> Level:
    """Whether values belong to patients, to visits or to scans."""
    if _is_constant(known.values, known.owner):
        return "patient"
    dated = known.visit >= 0
    if dated.all() and _is_constant(known.values, known.visit):
        return "visit"
    return "scan"


def _is_constant(values: Floats, group: Codes) -> bool:
    """Whether all values within each group are equal."""
    _, first, whose = np.unique(group, return_index=True, return_inverse=True)
    return bool((values == values[first][whose]).all())


def _weights(owner: Codes, near: Codes) -> Floats:
    """(m, k) of each pair of a scan and a neighbour: scans weigh equally within a patient."""
    counts = np.count_nonzero(near >= 0, axis=1)
    asked = counts > 0
    n_scans = np.bincount(owner[asked], minlength=int(owner.max()) + 1)
    found = np.zeros(near.shape)
    found[asked] = 1.0 / (counts[asked] * n_scans[owner[asked]])[:, None]
    found[near < 0] = 0.0
    return np.asarray(found / np.count_nonzero(n_scans))


def _alike(values: Floats, near: Codes, weight: Floats, kind: Kind) -> float:
    """How much a scan has in common with its nearest patients; patients weigh equally."""
    own, theirs = values[:, None], values[near]
    each = own == theirs if kind == "category" else np.abs(own - theirs)
    return float(np.sum(weight * each))


def _shuffles(
    known: _Known, level: Level, n_draws: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Values as if they had nothing to do with the scans, one array a draw."""
    if level == "scan":
        order = np.argsort(known.owner, kind="stable")
        for _ in range(n_draws):
            place = rng.permutation(known.n_patients)[known.owner]
            dealt = np.lexsort((rng.random(len(place)), place))
            found = np.empty_like(known.values)
            found[order] = known.values[dealt]
            yield found
        return
    group = known.owner if level == "patient" else known.visit
    _, first, whose = np.unique(group, return_index=True, return_inverse=True)
    held, owner = known.values[first], known.owner[first]  # (g,) a row a patient or visit
    order = np.lexsort((first, owner))
    counts = np.bincount(owner)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, counts)
    for _ in range(n_draws):
        giver = rng.permutation(len(counts))[owner]
        begin = rng.random(len(counts))[owner]
        taken = ((rank + begin) * counts[giver] / counts[owner]).astype(np.int64)
        yield held[order[starts[giver] + taken]][whose]


def _with_health(known: _Known, score: Floats, kind: Kind) -> float | None:
    """How much a column goes with the health score; None where that cannot be told."""
    scored = np.isfinite(score)
    values, owner, score = known.values[scored], known.owner[scored], score[scored]
    people, whose, counts = np.unique(owner, return_inverse=True, return_counts=True)
    if len(people) < LEAST_PATIENTS:
        return None
    if kind == "number":
        means = [np.bincount(whose, one) / counts for one in (values, score)]
        rho = spearman(means[0], means[1])
        return float(rho) if np.isfinite(rho) else None
    weight = 1.0 / counts[whose]
    _, value = np.unique(values, return_inverse=True)
    of_value = np.bincount(value, weight)
    mean = np.bincount(value, weight * score) / of_value
    total = float(np.sum(weight * (score - np.average(score, weights=weight)) ** 2))
    within = float(np.sum(weight * (score - mean[value]) ** 2))
    spare = len(people) - len(of_value)
    if total <= _ROUNDING or spare < 1:
        return None
    return float(max(0.0, 1.0 - within / total * (len(people) - 1) / spare))
