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
from learner_index.errors import QueryError, SettingsError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MODES: tuple[Transition, ...] = get_args(Transition)


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """The visits of a cohort; v of them, ordered by patient and day.

    Attributes:
        patient: (v,) patient of each visit, numbered as by `patient_codes`.
        number: (v,) visit number of its scans; a scan of unknown visit is a visit of its own,
            with number -1 and no day.
        day: (v,) day, NaN where unknown.
        score: (v,) mean of its scans' known health scores, NaN where none is known.
        groups: (v, m) position of each view's scans among the rows of `means`, -1 where the visit
            has none of that view; m views.
        means: (g, n) sparse; times (n, e) embeddings: the mean of a visit's repeats in one view.
        view: (g,) view of each row of `means`, as a number.
        group: (n,) row of `means` that each scan is part of.
    """

    patient: NDArray[np.int64]
    number: NDArray[np.int64]
    day: Floats
    score: Floats
    groups: NDArray[np.int64]
    means: "csr_array"
    view: NDArray[np.int64]
    group: NDArray[np.int64]

    @classmethod
    def of(
        cls, patient: Names, visit: Integers, view: Names | None, day: Reals, score: Reals
    ) -> Self:
        """The visits of n scans.

        Args:
            patient: (n,) patient of each scan.
            visit: (n,) visit number of each scan; -1 is unknown.
            view: (n,) view, with the modality where there are several; None, NaN and "" are one.
            day: (n,) day, NaN where unknown; scans of one visit share it.
            score: (n,) health score, NaN where unknown.

        Raises:
            QueryError: a scan has no patient, or a visit has scans of two patients.
        """
        owners, numbers = patient_codes(patient), np.asarray(visit, np.int64)
        n = len(owners)
        own = np.where(numbers >= 0, numbers, numbers.max(initial=0) + 1 + np.arange(n))
        days = np.where(numbers >= 0, np.asarray(day, np.float64), np.nan)
        labels, first, code = np.unique(own, return_index=True, return_inverse=True)
        if (owners != owners[first][code]).any():
            raise QueryError("a visit has scans of two patients: give each visit its own number")
        order = np.lexsort((labels, days[first], owners[first]))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        code, first = place[code], first[order]
        views = np.zeros(n, np.int64) if view is None else view_codes(view)
        groups, means, of_view, group = _group(code, views, len(first))
        return cls(
            owners[first],
            numbers[first],
            days[first],
            _mean_known(np.asarray(score, np.float64), code, len(first)),
            groups,
            means,
            of_view,
            group,
        )

    def __len__(self) -> int:
        """Number of visits."""
        return len(self.patient)

    def pool(self, embeddings: Reals, fitted_on: NDArray[np.bool_] | None = None) -> Floats:
        """Visit embeddings: repeats, then views, then the visit, each a mean, within view means.

        Args:
            embeddings: (n, e) one a scan.
            fitted_on: (v,) visits whose patients the view means are fitted on, each patient
                weighing the same; None: nothing is subtracted.

        Returns:
            (v, e); a visit with few views is moved no more by which ones they are.
        """
        rows = np.asarray(self.means @ np.asarray(embeddings, np.float64))
        if fitted_on is not None:
            rows = rows - self._view_means(rows, fitted_on)[self.view]
        pooled = np.zeros((len(self), rows.shape[1]))
        for column in self.groups.T:
            pooled[column >= 0] += rows[column[column >= 0]]
        return np.asarray(pooled / np.count_nonzero(self.groups >= 0, axis=1)[:, None])

    def within_views(self, embeddings: Reals, fitted_on: NDArray[np.bool_]) -> Floats:
        """(n, e) embeddings of scans less the mean of their view; arguments as in `pool`."""
        rows = np.asarray(self.means @ np.asarray(embeddings, np.float64))
        means = self._view_means(rows, fitted_on)
        return np.asarray(np.asarray(embeddings, np.float64) - means[self.view[self.group]])

    def _view_means(self, rows: Floats, fitted_on: NDArray[np.bool_]) -> Floats:
        """(m, e) mean of each view over patients; of all views where none was fitted on."""
        owner = np.empty(len(rows), np.int64)
        visit, column = np.nonzero(self.groups >= 0)
        owner[self.groups[visit, column]] = visit
        used = fitted_on[owner]
        n_views = self.groups.shape[1]
        keys = self.patient[owner] * n_views + self.view
        frame = pd.DataFrame(rows[used]).groupby(keys[used]).mean()
        by_view = frame.groupby(frame.index.to_numpy() % n_views).mean()
        found = np.tile(frame.to_numpy().mean(axis=0), (n_views, 1))
        found[by_view.index.to_numpy()] = by_view.to_numpy()
        return found


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
                one, "baseline" each later visit with the patient's first. Two visits of one day
                are no transition.

        Raises:
            SettingsError: the mode is unknown.
        """
        if mode not in MODES:
            raise SettingsError(f"transitions {mode!r} are unknown: use {', '.join(MODES)}")
        earlier, later = _pairs(visits, mode)
        is_shared = (visits.groups[earlier] >= 0) & (visits.groups[later] >= 0)  # (t, m)
        kept = is_shared.any(axis=1) & (visits.day[later] > visits.day[earlier])
        earlier, later, is_shared = earlier[kept], later[kept], is_shared[kept]
        return cls(
            visits.patient[earlier],
            earlier,
            later,
            visits.day[later] - visits.day[earlier],
            visits.score[later] - visits.score[earlier],
            np.count_nonzero(is_shared, axis=1),
            _difference(visits, earlier, later, is_shared),
        )

    def __len__(self) -> int:
        """Number of transitions."""
        return len(self.patient)

    def only(self, kept: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of them, in the same order."""
        return type(self)(
            self.patient[kept],
            self.earlier[kept],
            self.later[kept],
            self.delta_day[kept],
            self.delta_score[kept],
            self.n_views[kept],
            self.difference[np.arange(len(self))[kept]],
        )

    def deltas(self, embeddings: Reals) -> Floats:
        """(t, e) later minus earlier embedding, over the views both visits have."""
        return np.asarray(self.difference @ np.asarray(embeddings, np.float64))


def _mean_known(score: Floats, code: NDArray[np.int64], n: int) -> Floats:
    """(n,) mean of the known scores of each code; NaN where none is known."""
    known = np.isfinite(score)
    counts = np.bincount(code[known], minlength=n)
    sums = np.bincount(code[known], score[known], minlength=n)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _group(
    visit: NDArray[np.int64], view: NDArray[np.int64], n_visits: int
) -> tuple[NDArray[np.int64], "csr_array", NDArray[np.int64], NDArray[np.int64]]:
    """Scans of one visit and view together: where they are, means, views, and whose they are."""
    from scipy.sparse import csr_array

    n_views = int(view.max(initial=0)) + 1
    keys, group = np.unique(visit * n_views + view, return_inverse=True)
    groups = np.full((n_visits, n_views), -1, np.int64)
    groups[keys // n_views, keys % n_views] = np.arange(len(keys))
    shares = 1.0 / np.bincount(group)[group] if len(group) else np.empty(0)
    shape = (len(keys), len(view))
    means = csr_array((shares, (group, np.arange(len(view)))), shape=shape)
    return groups, means, keys % n_views, group.astype(np.int64)


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
    share = 1.0 / np.count_nonzero(is_shared, axis=1)[row] if len(row) else np.empty(0)
    ends = [visits.groups[later[row], column], visits.groups[earlier[row], column]]
    signed = csr_array(
        (np.concatenate([share, -share]), (np.tile(row, 2), np.concatenate(ends))),
        shape=(len(earlier), visits.means.shape[0]),
    )
    return signed @ visits.means
