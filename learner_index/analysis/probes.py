"""Confounder probes: how well something that is not health can be read out of embeddings.

A site, a view or a patient's identity that is easily read can pass for disease. Probing says what
is there to be used, not that a prediction uses it.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.by_patient import ByClass, ByPatient, by_patient, patient_names
from learner_index.analysis.distance import (
    Floats,
    Integers,
    Names,
    Reals,
    patient_codes,
    view_codes,
)
from learner_index.analysis.ordering import cross_distances
from learner_index.analysis.resample import Interval, draw_weights, interval
from learner_index.analysis.within import BOOTSTRAPS
from learner_index.config import Metric
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

PERMUTATIONS = 20
_STRENGTH = 0.1  # inverse of the ridge penalty: light, for more dimensions than patients
_STEPS = 2000  # solver iterations; it stops long before

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """How well a label of scans is told from embeddings of patients the classifier never saw.

    Attributes:
        balanced_accuracy: mean over classes of the share of their scans told right; 1 is full
            leakage.
        chance: 1 / n_classes.
        low, high: ends of the 95 % percentile interval, from resampling patients after the
            classifiers were trained; NaN if none.
        null: balanced accuracy with labels permuted between patients, one each permutation.
        n_patients, n_scans, n_classes: used.
        n_splits: folds of patients, fewer than asked for where a class has fewer patients.
        dropped: classes left out since they have fewer than two patients.
        n_unlabeled: scans left out since they have no label.
        told: what was told right of whom, to compare encoders on the same draws.
    """

    balanced_accuracy: float
    chance: float
    low: float
    high: float
    null: tuple[float, ...]
    n_patients: int
    n_scans: int
    n_classes: int
    n_splits: int
    dropped: tuple[str, ...]
    n_unlabeled: int
    told: ByClass = field(repr=False)

    @property
    def p_value(self) -> float:
        """Share of permutations that do as well, itself counted as one; 1 without permutations."""
        n_as_good = sum(found >= self.balanced_accuracy for found in self.null)
        return (1 + n_as_good) / (1 + len(self.null))


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """How often a scan's nearest scan of other visits shows the same patient.

    Attributes:
        hit: share of each patient's scans whose nearest scan is the patient's; no count for
            patients without a second visit.
        chance: what random order is expected to give.
        interval: of the mean of `hit`, from resampling patients.
    """

    hit: ByPatient
    chance: ByPatient
    interval: Interval


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    """What a probe learns from.

    Attributes:
        rows: (m,) scans used.
        classes: (m,) class of each, as a place in names.
        owners: (m,) patient of each, as a place in patient.
        names: classes used.
        dropped: classes too rare.
        patient: (p,) as in `ByPatient`.
    """

    rows: Codes
    classes: Codes
    owners: Codes
    names: tuple[str, ...]
    dropped: tuple[str, ...]
    patient: NDArray[np.object_]


def probe(
    embeddings: Reals,
    label: Names,
    patient: Names,
    *,
    n_splits: int = 5,
    n_permutations: int = PERMUTATIONS,
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Probe:
    """How well a site, a device or a view is read out of embeddings, patients kept apart.

    Logistic regression on standardised dimensions, classes weighted alike, in cross-validation
    whose folds share no patient and have about the same classes. For the null, labels that are
    constant within patients are permuted between patients; others are dealt anew, patient by
    patient and in random order within each.

    Args:
        embeddings: (n, e).
        label: (n,) class of each scan; None, NaN and "" are unknown.
        patient: (n,) patient of each scan.
        n_splits: folds, 2 or more.
        n_permutations: of the null; the p-value is 1/(n_permutations + 1) or more.
        n_bootstraps: draws of patients for the interval; 0 gives none.
        seed: of folds, permutations and draws.

    Raises:
        NotEnoughDataError: fewer than two classes have two patients.
        QueryError: an embedding holds NaN or infinity, or a scan has no patient.
        SettingsError: fewer than two folds.

    Source:
        Balanced accuracy of a linear probe by site, as in OpenBHB: Dufumier et al. 2022,
        NeuroImage 263.
    """
    if n_splits < 2:
        raise SettingsError(f"n_splits {n_splits} leaves nothing to train on: use 2 or more")
    labels = _labels(label, patient)
    rows = np.asarray(embeddings, np.float64)[labels.rows]
    if not np.isfinite(rows).all():
        raise QueryError("an embedding holds NaN or infinity: look for a diverged encoder")
    rng = np.random.default_rng(seed)
    told, used = _told(rows, labels, n_splits, rng)
    permuted = (replace(labels, classes=_permuted(labels, rng)) for _ in range(n_permutations))
    null = tuple(_told(rows, other, n_splits, rng)[0].mean() for other in permuted)
    ends = interval(told.mean(draw_weights(len(told.patient), n_bootstraps, seed)))
    return Probe(
        balanced_accuracy=told.mean(),
        chance=1.0 / len(labels.names),
        low=ends.low,
        high=ends.high,
        null=null,
        n_patients=told.n_patients,
        n_scans=len(rows),
        n_classes=len(labels.names),
        n_splits=used,
        dropped=labels.dropped,
        n_unlabeled=int(np.count_nonzero(_label_codes(label)[0] < 0)),
        told=told,
    )


def identity_probe(
    embeddings: Reals,
    patient: Names,
    visit: Integers,
    view: Names | None = None,
    *,
    metric: Metric = "cosine",
    center: Reals | None = None,
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Identity:
    """Whether the nearest scan of any other visit shows the same patient.

    Every scan whose patient has a second visit asks; the gallery is all scans of its view but
    those of its own visit. Ties for nearest count by the share that is right. Scans of unknown
    visit are left out of both. The gallery is not resampled for the interval.

    Args:
        embeddings: (n, e).
        patient: (n,) patient of each scan.
        visit: (n,) visit numbers within the patient; -1 is unknown.
        view: (n,) views, unknown ones match each other; None: any scan may answer.
        metric: which distance.
        center: (e,) what "centered" subtracts; None for other metrics.
        n_bootstraps: draws; 0 gives no interval.
        seed: of the draws.

    Raises:
        NotEnoughDataError: fewer than two patients, or none with a view at two visits.
        QueryError, SettingsError: as in `distance.pair_distance`.
    """
    codes, visits = patient_codes(patient), np.asarray(visit)
    views = np.zeros(len(codes), np.int64) if view is None else view_codes(view)
    hit, chance = np.full(len(codes), np.nan), np.full(len(codes), np.nan)
    known = visits >= 0
    for rows in (np.flatnonzero(known & (views == each)) for each in np.unique(views)):
        table, own, when = np.asarray(embeddings)[rows], codes[rows], visits[rows]
        for block, distance in cross_distances(table, table, metric, center):
            is_own = own[block, None] == own
            is_other = ~(is_own & (when[block, None] == when))
            found, expected = _nearest_is_own(distance, is_own, is_other)
            hit[rows[block]], chance[rows[block]] = found, expected
    asked = by_patient(hit, patient)
    if len(asked.patient) < 2 or asked.n_patients == 0:
        raise NotEnoughDataError(
            f"{asked.n_patients} of {len(asked.patient)} patients have scans of one view at two "
            "visits: at least one must, beside another patient"
        )
    drawn = asked.mean(draw_weights(len(asked.patient), n_bootstraps, seed))
    return Identity(asked, by_patient(chance, patient), interval(drawn))


def _nearest_is_own(
    distance: Floats, is_own: NDArray[np.bool_], is_other: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """(block,) share of the nearest, and of all, that are the own patient's; NaN if none can be."""
    seen = np.where(is_other, distance, np.inf)
    is_nearest = is_other & (seen == seen.min(axis=1, keepdims=True))
    can_hit = (is_own & is_other).any(axis=1)
    shares = []
    for chosen in (is_nearest, is_other):
        share = np.full(len(distance), np.nan)
        n_right = np.sum(chosen & is_own, axis=1)
        np.divide(n_right, chosen.sum(axis=1), out=share, where=can_hit)
        shares.append(share)
    return shares[0], shares[1]


def _labels(label: Names, patient: Names) -> _Labels:
    """Scans whose class is known and has two patients."""
    codes, names = _label_codes(label)
    owners = patient_codes(patient)
    if len(codes) != len(owners):
        raise QueryError(f"{len(codes)} labels for {len(owners)} patients: give one for each")
    n_owners = _patients_of(codes[codes >= 0], owners[codes >= 0])
    is_kept = n_owners >= 2
    if np.count_nonzero(is_kept) < 2:
        counts = ", ".join(f"{name} {n}" for name, n in zip(names, n_owners, strict=True))
        raise NotEnoughDataError(
            f"nothing to tell apart: patients of each class are {counts or 'none'}; "
            "two classes with two patients each are needed"
        )
    rows = np.flatnonzero((codes >= 0) & is_kept[codes])
    place = np.cumsum(is_kept) - 1
    kept = tuple(name for name, keep in zip(names, is_kept, strict=True) if keep)
    dropped = tuple(name for name, keep in zip(names, is_kept, strict=True) if not keep)
    return _Labels(rows, place[codes[rows]], owners[rows], kept, dropped, patient_names(patient))


def _patients_of(classes: Codes, owners: Codes) -> Codes:
    """(c,) how many patients have a scan of each class."""
    return np.bincount(np.unique(np.stack([classes, owners]), axis=1)[0]).astype(np.int64)


def _label_codes(label: Names) -> tuple[Codes, list[str]]:
    """(n,) number of each scan's class in order of names, -1 for unknown; and the names."""
    named = pd.Series(np.asarray(label, dtype=object))
    texts = named.map(str).where(named.notna() & (named != ""), None)
    codes, names = pd.factorize(texts.to_numpy(object), sort=True)
    return codes.astype(np.int64), [str(name) for name in names]


def _told(
    rows: Floats, labels: _Labels, n_splits: int, rng: np.random.Generator
) -> tuple[ByClass, int]:
    """What classifiers of other patients tell right; and folds used, no more than patients."""
    from sklearn.model_selection import StratifiedGroupKFold

    classes, owners = labels.classes, labels.owners
    n_folds = max(2, min(n_splits, int(_patients_of(classes, owners).min())))
    seed = int(rng.integers(2**31))
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    is_right = np.zeros(len(rows))
    for train, test in folds.split(rows, classes, owners):
        is_right[test] = _predicted(rows[train], classes[train], rows[test]) == classes[test]
    size = (len(labels.patient), len(labels.names))
    right, count = np.zeros(size), np.zeros(size)
    np.add.at(right, (owners, classes), is_right)
    np.add.at(count, (owners, classes), 1.0)
    return ByClass(right, count, labels.names, labels.patient), n_folds


def _predicted(train: Floats, classes: Codes, test: Floats) -> Codes:
    """(m,) class of each test row; the only one where all training rows are of one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(test) == 0 or len(np.unique(classes)) < 2:  # folds of very unequal patients
        return np.full(len(test), classes[0])
    model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=_STEPS)
    found = make_pipeline(StandardScaler(), model).fit(train, classes).predict(test)
    return np.asarray(found, np.int64)


def _permuted(labels: _Labels, rng: np.random.Generator) -> Codes:
    """(m,) classes as if they had nothing to do with the scans, as often as before."""
    people, first, whose = np.unique(labels.owners, return_index=True, return_inverse=True)
    own = labels.classes[first]  # (p,)
    if (labels.classes == own[whose]).all():
        return np.asarray(rng.permutation(own)[whose])
    place = rng.permutation(len(people))[whose]
    dealt = np.lexsort((rng.random(len(place)), place))
    permuted = np.empty_like(labels.classes)
    permuted[np.argsort(whose, kind="stable")] = labels.classes[dealt]
    return permuted
