"""Means whose parts stay known patient by patient, so that patients can be drawn anew.

Every measure of a space returns one of these records or rows for `by_patient`; an interval is
`resample.interval(found.mean(resample.draw_weights(...)))`, and two encoders compared on the same
weights are compared on the same patients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Integers, Names, Reals, patient_codes
from learner_index.errors import QueryError

_CELLS = 2_000_000  # parts times draws held at a time: 16 MB an array
_TRIES = 40  # batches sampled before rare tuples are given up on


@dataclass(frozen=True, slots=True, eq=False)
class ByPatient:
    """A measure of each patient; their mean is the measure of the cohort.

    Attributes:
        value: (p,) mean over the patient's own parts: scans, pairs or queries; NaN without any.
        count: (p,) how many parts that is.
        patient: (p,) every patient the measure was asked about, in order of names, also those
            without a part: records of one cohort share their weights.
    """

    value: Floats
    count: NDArray[np.int64]
    patient: NDArray[np.object_]

    @property
    def n_patients(self) -> int:
        """Patients with at least one part."""
        return int(np.count_nonzero(self.count))

    @overload
    def mean(self, weights: None = None, *, pooled: bool = False) -> float: ...
    @overload
    def mean(self, weights: Reals, *, pooled: bool = False) -> Floats: ...
    def mean(self, weights: Reals | None = None, *, pooled: bool = False) -> float | Floats:
        """The measure of the cohort, or of each draw of its patients.

        Args:
            weights: (draws, p) copies of each patient in each draw; None: one of each.
            pooled: whether parts weigh equally; patients do otherwise.

        Returns:
            One number, or (draws,); NaN where no patient with a part was drawn.

        Raises:
            QueryError: the weights are of other patients.
        """
        copies = copies_of(weights, len(self.patient))
        copies = copies * (self.count if pooled else self.count > 0)
        found = _ratio(copies @ np.where(self.count > 0, self.value, 0.0), copies.sum(axis=1))
        return float(found[0]) if weights is None else found


@dataclass(frozen=True, slots=True, eq=False)
class AcrossPatients:
    """A measure of pairs or triplets of scans whose patients differ; their mean is the cohort's.

    Attributes:
        value: (m,) of each pair or triplet.
        weight: (m,) what it weighs when every patient is there once, more than 0.
        owner: (m, r) the patients of its scans, as places in `patient`.
        patient: (p,) as in `ByPatient`.
    """

    value: Floats
    weight: Floats
    owner: NDArray[np.int64]
    patient: NDArray[np.object_]

    @property
    def n_patients(self) -> int:
        """Patients of at least one pair or triplet."""
        return len(np.unique(self.owner))

    @overload
    def mean(self, weights: None = None) -> float: ...
    @overload
    def mean(self, weights: Reals) -> Floats: ...
    def mean(self, weights: Reals | None = None) -> float | Floats:
        """The measure of the cohort, or of each draw of its patients; arguments as in `ByPatient`.

        A pair or triplet is drawn as often as the product of the copies of its scans' patients:
        what a loop over the drawn scans would meet. Copies of one patient are never paired.
        """
        copies = copies_of(weights, len(self.patient)).T  # (p, draws)
        top, bottom = np.zeros(copies.shape[1]), np.zeros(copies.shape[1])
        block = max(1, _CELLS // max(1, copies.shape[1]))
        for start in range(0, len(self.value), block):
            rows = slice(start, start + block)
            times = joint_copies(copies, self.owner[rows])  # (rows, draws)
            top += (self.weight[rows] * self.value[rows]) @ times
            bottom += self.weight[rows] @ times
        found = _ratio(top, bottom)
        return float(found[0]) if weights is None else found


@dataclass(frozen=True, slots=True, eq=False)
class ByClass:
    """How many scans of each patient and class were told right; their mean is balanced accuracy.

    Attributes:
        right: (p, c) scans told right.
        count: (p, c) scans.
        classes: c names.
        patient: (p,) as in `ByPatient`.
    """

    right: Floats
    count: Floats
    classes: tuple[str, ...]
    patient: NDArray[np.object_]

    @property
    def n_patients(self) -> int:
        """Patients with at least one scan of a class."""
        return int(np.count_nonzero(self.count.any(axis=1)))

    @overload
    def mean(self, weights: None = None) -> float: ...
    @overload
    def mean(self, weights: Reals) -> Floats: ...
    def mean(self, weights: Reals | None = None) -> float | Floats:
        """Mean over classes of the share of their scans told right; arguments as in `ByPatient`.

        NaN in draws that lack a class: without one, the rest is another and easier question.
        """
        copies = copies_of(weights, len(self.patient))
        found = _ratio(copies @ self.right, copies @ self.count).mean(axis=1)
        return float(found[0]) if weights is None else np.asarray(found)


@dataclass(frozen=True, slots=True, eq=False)
class PatientRows:
    """Which rows each patient has, to take some at random.

    Attributes:
        rows: (n,) row numbers, patient by patient.
        first: (p,) where each patient's begin in `rows`.
        count: (p,) how many they are.
    """

    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]

    def pick(self, patients: Integers, rng: np.random.Generator) -> NDArray[np.int64]:
        """One row at random of each of these patients, who have at least one."""
        places = (rng.random(len(patients)) * self.count[patients]).astype(np.int64)
        return np.asarray(self.rows[self.first[patients] + places])


def by_patient(rows: Reals, patient: Names) -> ByPatient:
    """What a measure of each row says of each patient.

    Args:
        rows: (n,) the measure; NaN where it is undefined, which leaves the row out.
        patient: (n,) patient of each row.

    Raises:
        QueryError: a row has no patient, or the lengths differ.
    """
    values = np.asarray(rows, np.float64)
    if len(values) != len(patient):
        raise QueryError(f"{len(values)} values but {len(patient)} patients: give one for each")
    codes, names = patient_codes(patient), patient_names(patient)
    known = ~np.isnan(values)
    count = np.bincount(codes[known], minlength=len(names)).astype(np.int64)
    total = np.bincount(codes[known], weights=values[known], minlength=len(names))
    return ByPatient(_ratio(np.asarray(total, np.float64), count.astype(np.float64)), count, names)


def patient_names(patient: Names) -> NDArray[np.object_]:
    """(p,) each patient once, in order of names: what `patient_codes` number."""
    codes, named = patient_codes(patient), np.asarray(patient, dtype=object)
    names = np.empty(codes.max(initial=-1) + 1, dtype=object)
    names[codes] = named
    return names


def patient_rows(patient: Names, is_used: NDArray[np.bool_]) -> PatientRows:
    """The rows of each patient among those used; patients as `patient_codes` number them."""
    codes = patient_codes(patient)
    used = np.flatnonzero(is_used)
    rows = used[np.argsort(codes[used], kind="stable")]
    count = np.bincount(codes[used], minlength=codes.max(initial=-1) + 1)
    return PatientRows(rows, np.cumsum(count) - count, count.astype(np.int64))


def sampled_rows(
    rows: PatientRows,
    width: int,
    n: int,
    keep: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows of a patient at random, each beside rows of other patients at random.

    Every patient is as likely as any other, whoever has more rows.

    Args:
        rows: those to choose from.
        width: rows in each tuple, two or more; those after the first may share a patient.
        n: tuples wanted.
        keep: which of (m, width) tuples are of use, (m,).
        rng: of the choice.

    Returns:
        (n, width) row numbers, fewer where useful ones are rare; none for one patient.
    """
    present = np.flatnonzero(rows.count)
    found, n_found = [np.empty((0, width), np.int64)], 0
    for _ in range(_TRIES if len(present) > 1 else 0):
        first = rng.integers(0, len(present), n)
        steps = rng.integers(1, len(present), (width - 1, n))
        owners = [first, *((first + step) % len(present) for step in steps)]
        tuples = np.column_stack([rows.pick(present[owner], rng) for owner in owners])
        found.append(tuples[keep(tuples)])
        n_found += len(found[-1])
        if n_found >= n:
            break
    return np.concatenate(found)[:n]


def copies_of(weights: Reals | None, n_patients: int) -> Floats:
    """(draws, p) copies of each patient in each draw, checked; one draw of everyone for None."""
    if weights is None:
        return np.ones((1, n_patients))
    found = np.asarray(weights, np.float64)
    if found.ndim != 2 or found.shape[1] != n_patients:
        raise QueryError(
            f"weights of shape {found.shape} for {n_patients} patients: "
            f"draw them with n_patients={n_patients}"
        )
    return found


def joint_copies(copies: Floats, owner: Integers) -> Floats:
    """(m, draws) product of the copies (p, draws) of the patients (m, r) of each pair."""
    times = copies[owner[:, 0]]
    for column in owner.T[1:]:
        times *= copies[column]
    return times


def _ratio(top: Reals, bottom: Reals) -> Floats:
    """Top over bottom; NaN where the bottom is 0."""
    found = np.full(np.shape(top), np.nan)
    np.divide(top, bottom, out=found, where=bottom > 0)
    return found
