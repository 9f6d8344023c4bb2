"""Visits and transitions: who was examined when, and what lies between two examinations.

Pooling scans into visits and taking differences is linear, so each is kept as a sparse matrix over
scans: made once for a cohort, it serves every encoder.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.distance import (
    Floats,
    Integers,
    Names,
    Reals,
    patient_codes,
    view_codes,
)
from learner_index.config import Transition
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MODES: tuple[Transition, ...] = get_args(Transition)


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """The visits of a cohort; v of them, ordered by patient and day, those without a day last.

    A group is what a visit has of one view: a scan and its repeats; g of them.

    Attributes:
        patient: (v,) patient of each visit, numbered as by `patient_codes`.
        number: (v,) visit number of its scans; a scan of unknown visit is a visit of its own,
            with number -1 and no day.
        day: (v,) day, NaN where unknown.
        score: (v,) mean of its scans' known health scores, NaN where none is known.
        groups: (v, m) the visit's group in each of m views, -1 where it has none.
        group_visit: (g,) visit of each group, as a position.
        group_view: (g,) view of each group, as a column of `groups`.
        scan_group: (n,) group of each scan.
        views: (m,) the views' names, in the order of `groups`' columns; "" is a missing one.
        means: (g, n) sparse; times (n, e) embeddings: the mean of each group.
    """

    patient: NDArray[np.int64]
    number: NDArray[np.int64]
    day: Floats
    score: Floats
    groups: NDArray[np.int64]
    group_visit: NDArray[np.int64]
    group_view: NDArray[np.int64]
    scan_group: NDArray[np.int64]
    views: tuple[str, ...]
    means: "csr_array"

    @classmethod
    def of(
        cls, patient: Names, visit: Integers, view: Names | None, day: Reals, score: Reals
    ) -> Self:
        """The visits of n scans.

        Args:
            patient: (n,) patient of each scan.
            visit: (n,) visit number of each scan, of one patient each; -1 is unknown.
            view: (n,) view, with the modality where there are several; None, NaN and "" are one.
                None: there are no views.
            day: (n,) day, NaN where unknown; the earliest known one counts for the whole visit.
            score: (n,) health score, NaN where unknown.

        Raises:
            QueryError: a scan has no patient, or a visit has scans of two patients.
        """
        owners, numbers = patient_codes(patient), np.asarray(visit, np.int64)
        n = len(owners)
        is_known = numbers >= 0
        own = np.where(is_known, numbers, numbers.max(initial=0) + 1 + np.arange(n))
        labels, first, code = np.unique(own, return_index=True, return_inverse=True)
        _require_one_patient(patient, owners, first[code])
        days = _earliest(np.where(is_known, np.asarray(day, np.float64), np.nan), code, len(first))
        order = np.lexsort((labels, days, owners[first]))
        code, first = np.argsort(order)[code], first[order]
        views, names = _views(view, n)
        groups, scan_group = _group(code, views, len(first))
        group_visit, group_view = np.nonzero(groups >= 0)
        return cls(
            patient=owners[first],
            number=numbers[first],
            day=days[order],
            score=_mean_known(np.asarray(score, np.float64), code, len(first)),
            groups=groups,
            group_visit=group_visit,
            group_view=group_view,
            scan_group=scan_group,
            views=names,
            means=_averaging(scan_group, len(group_visit)),
        )

    @property
    def scan_visit(self) -> NDArray[np.int64]:
        """(n,) visit of each scan, as a position."""
        return self.group_visit[self.scan_group]

    def __len__(self) -> int:
        """Number of visits."""
        return len(self.patient)

    def pool(
        self,
        embeddings: Reals,
        fitted_on: NDArray[np.bool_] | None = None,
        *,
        view_means: Floats | None = None,
    ) -> Floats:
        """Visit embeddings: means over repeats, then over views.

        Args:
            embeddings: (n, e) one a scan.
            fitted_on: (v,) visits of the patients that view means are fitted on, each patient
                weighing the same. Less these means, a visit with few views is moved no more by
                which ones they are. None: nothing is subtracted, or
            view_means: (m, e) what is subtracted, known from elsewhere.

        Returns:
            (v, e) one a visit.

        Raises:
            NotEnoughDataError: there is no visit to fit on.
        """
        rows = self.group_means(embeddings)
        if fitted_on is not None:
            view_means = self.means_by_view(rows, fitted_on)
        if view_means is not None:
            rows -= view_means[self.group_view]
        return self.average(rows)

    def group_means(self, embeddings: Reals) -> Floats:
        """(g, e) mean embedding of each group: a visit's scans of one view."""
        return np.asarray(self.means @ np.asarray(embeddings, np.float64))

    def average(self, rows: Reals) -> Floats:
        """(v, e) mean over each visit's groups, given (g, e) one a group."""
        return np.asarray(_averaging(self.group_visit, len(self)) @ rows)

    def view_means(self, embeddings: Reals) -> Floats:
        """(m, e) mean embedding of each view, patients weighted equally.

        Raises:
            NotEnoughDataError: there is no visit.
        """
        return self.means_by_view(self.group_means(embeddings), np.ones(len(self), np.bool_))

    def noise_scales(self) -> Floats:
        """(v,) standard deviation of a visit embedding's noise, in those of one scan's.

        1 for a visit of one scan, less for more: sqrt(sum of squared weights). It takes the noise
        of a visit's scans to be independent; what they share makes it too small.
        """
        weights = _averaging(self.group_visit, len(self)) @ self.means
        return np.sqrt(np.asarray(weights.power(2).sum(axis=1), np.float64))

    def within_views(self, embeddings: Reals, fitted_on: NDArray[np.bool_]) -> Floats:
        """(n, e) embeddings of scans less the mean of their view; arguments as in `pool`."""
        means = self.means_by_view(self.group_means(embeddings), fitted_on)
        return np.asarray(embeddings - means[self.group_view[self.scan_group]])

    def means_by_view(self, rows: Floats, fitted_on: NDArray[np.bool_]) -> Floats:
        """(m, e) mean of each view over patients; the mean of the others for one none has.

        Args:
            rows: (g, e) as of `group_means`.
            fitted_on: (v,) visits of the patients it is fitted on, each weighing the same.

        Raises:
            NotEnoughDataError: there is no visit to fit on.
        """
        from scipy.sparse import csr_array

        used = np.flatnonzero(fitted_on[self.group_visit])
        if not len(used):
            raise NotEnoughDataError("no visit to take view means from: name patients with scans")
        view, n_views = self.group_view[used], self.groups.shape[1]
        keys = self.patient[self.group_visit[used]] * n_views + view
        keys, code, n_groups = np.unique(keys, return_inverse=True, return_counts=True)
        n_patients = np.bincount(keys % n_views, minlength=n_views)  # (m,)
        weights = 1.0 / (n_groups[code] * n_patients[view])
        found = csr_array((weights, (view, used)), shape=(n_views, len(rows))) @ rows
        found[n_patients == 0] = found[n_patients > 0].mean(axis=0)
        return np.asarray(found)


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Ordered pairs of visits of one patient that share a view; t of them.

    Attributes:
        patient: (t,) patient.
        earlier, later: (t,) positions among the visits.
        delta_day: (t,) days between them, above 0.
        delta_score: (t,) later health score minus earlier, NaN where one is unknown; positive is
            improvement.
        n_views: (t,) views both visits have; differences are taken over these alone.
        difference: (t, n) sparse; times (n, e) embeddings: later minus earlier embedding.
    """

    patient: NDArray[np.int64]
    earlier: NDArray[np.int64]
    later: NDArray[np.int64]
    delta_day: Floats
    delta_score: Floats
    n_views: NDArray[np.int64]
    difference: "csr_array"

    @classmethod
    def of(cls, visits: Visits, mode: Transition = "consecutive") -> Self:
        """The transitions between visits whose days are known.

        Args:
            visits: ordered by patient and day.
            mode: "consecutive" pairs each visit with the patient's next, "all" with every later
                one, "baseline" each later visit with the patient's first. A pair of one day, or
                without a view that both have, is left out; no other takes its place.

        Raises:
            SettingsError: the mode is unknown.
        """
        if mode not in MODES:
            raise SettingsError(f"transitions {mode!r} are unknown: use {', '.join(MODES)}")
        earlier, later = _pairs(visits, mode)
        has_view = visits.groups >= 0
        is_shared = has_view[earlier] & has_view[later]  # (t, m)
        kept = is_shared.any(axis=1) & (visits.day[later] > visits.day[earlier])
        earlier, later, is_shared = earlier[kept], later[kept], is_shared[kept]
        return cls(
            patient=visits.patient[earlier],
            earlier=earlier,
            later=later,
            delta_day=visits.day[later] - visits.day[earlier],
            delta_score=visits.score[later] - visits.score[earlier],
            n_views=np.count_nonzero(is_shared, axis=1),
            difference=_difference(visits, earlier, later, is_shared),
        )

    def __len__(self) -> int:
        """Number of transitions."""
        return len(self.patient)

    def only(self, kept: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of them: a mask, or positions in the order wanted."""
        return type(self)(
            self.patient[kept],
            self.earlier[kept],
            self.later[kept],
            self.delta_day[kept],
            self.delta_score[kept],
            self.n_views[kept],
            self.difference[np.arange(len(self))[kept]],
        )

    def noise_scales(self) -> Floats:
        """(t,) standard deviation of a delta's noise, in that of two single scans' difference.

        1 where each visit has one scan of one view, less where more are averaged; as in
        `Visits.noise_scales`.
        """
        return np.sqrt(np.asarray(self.difference.power(2).sum(axis=1), np.float64) / 2)

    def deltas(self, embeddings: Reals) -> Floats:
        """(t, e) later minus earlier embedding, over the views both visits have."""
        return np.asarray(self.difference @ np.asarray(embeddings, np.float64))


def _views(view: Names | None, n: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """(n,) number of each scan's view, and the views' names in alphabetical order.

    Sums over views are then in one order, whichever scans a cohort begins with: some patients'
    visits are, to the last bit, what they are among all others.
    """
    if view is None or n == 0:
        return np.zeros(n, np.int64), ("",)
    codes = view_codes(view)
    first = np.unique(codes, return_index=True)[1]
    named = ["" if pd.isna(name) else str(name) for name in np.asarray(view, dtype=object)[first]]
    place = np.argsort(np.argsort(named, kind="stable"))
    return place[codes], tuple(sorted(named))


def _require_one_patient(
    patient: Names, owners: NDArray[np.int64], first: NDArray[np.int64]
) -> None:
    """Refuse scans whose patient is not that of the first scan of their visit."""
    strays = np.flatnonzero(owners != owners[first])
    if len(strays):
        names = np.asarray(patient, dtype=object)
        one, other = names[first[strays[0]]], names[strays[0]]
        raise QueryError(
            f"one visit has scans of patients {one} and {other}: give each visit its own number"
        )


def _earliest(days: Floats, code: NDArray[np.int64], n: int) -> Floats:
    """(n,) the first known day of each code; NaN where none is known."""
    found = np.full(n, np.nan)
    np.fmin.at(found, code, days)
    return found


def _mean_known(score: Floats, code: NDArray[np.int64], n: int) -> Floats:
    """(n,) mean of the known scores of each code; NaN where none is known."""
    known = np.isfinite(score)
    counts = np.bincount(code[known], minlength=n)
    sums = np.bincount(code[known], score[known], minlength=n)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _group(
    visit: NDArray[np.int64], view: NDArray[np.int64], n_visits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n_visits, m) groups of scans of one visit and view, -1 for none; (n,) each scan's group."""
    n_views = int(view.max(initial=0)) + 1
    keys, scan_group = np.unique(visit * n_views + view, return_inverse=True)
    groups = np.full(n_visits * n_views, -1, np.int64)
    groups[keys] = np.arange(len(keys))
    return groups.reshape(n_visits, n_views), scan_group.astype(np.int64)


def _averaging(group: NDArray[np.int64], n_groups: int) -> "csr_array":
    """(n_groups, n) sparse: the mean over the scans of each group."""
    from scipy.sparse import csr_array

    shares = 1.0 / np.bincount(group, minlength=n_groups)[group]
    return csr_array((shares, (group, np.arange(len(group)))), shape=(n_groups, len(group)))


def _pairs(visits: Visits, mode: Transition) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Earlier and later visit of each pair, both with a day, in the order of earlier, then later.

    Visits are in order of patient and day, those without a day last.
    """
    rows = np.flatnonzero(np.isfinite(visits.day))
    owners = visits.patient[rows]
    if mode == "consecutive":
        follows = np.flatnonzero(owners[1:] == owners[:-1])
        return rows[follows], rows[follows + 1]
    _, start, count = np.unique(owners, return_index=True, return_counts=True)
    if mode == "baseline":
        firsts = np.repeat(start, count)
        later = np.flatnonzero(np.arange(len(rows)) != firsts)
        return rows[firsts[later]], rows[later]
    ends = np.repeat(start + count, count)  # (v,) where each visit's patient ends
    n_later = ends - np.arange(len(rows)) - 1
    earlier = np.repeat(np.arange(len(rows)), n_later)
    offsets = np.arange(len(earlier)) - np.repeat(np.cumsum(n_later) - n_later, n_later)
    return rows[earlier], rows[earlier + 1 + offsets]


def _difference(
    visits: Visits,
    earlier: NDArray[np.int64],
    later: NDArray[np.int64],
    is_shared: NDArray[np.bool_],
) -> "csr_array":
    """(t, n) mean over shared views of later minus earlier."""
    from scipy.sparse import csr_array

    row, column = np.nonzero(is_shared)
    share = 1.0 / np.count_nonzero(is_shared, axis=1)[row]
    ends = [visits.groups[later[row], column], visits.groups[earlier[row], column]]
    signed = csr_array(
        (np.concatenate([share, -share]), (np.tile(row, 2), np.concatenate(ends))),
        shape=(len(earlier), visits.means.shape[0]),
    )
    return signed @ visits.means
