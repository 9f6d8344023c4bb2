"""A store's visits and transitions as arrays: pooled once, then brought up to date.

Everything a patient has stands together, and one patient's visits do not depend on another's.
That is what lets `merged` replace the patients who came back and keep all others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.transitions import Transitions, Visits
from learner_index.config import Transition
from learner_index.data.reference import ChangeReference
from learner_index.data.visits import visit_codes
from learner_index.pipeline.progression.reference import column_or

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class VisitArrays:
    """v visits, by patient and day, and t transitions between them, of n scans.

    Attributes:
        scan_visit: (n,) visit of each scan, as a position.
        patient: (v,) patient, numbered by first appearance among the scans.
        day: (v,) NaN where unknown.
        score: (v,) health score, NaN where unknown.
        embeddings: (v, e) float32, less view means and the reference's center.
        scale: (v,) noise of a visit embedding, in that of one scan.
        earlier, later: (t,) positions of visits.
        deltas: (t, e) float32 later minus earlier embedding, over shared views.
        delta_scale: (t,) noise of a delta, in that of two single scans' difference.
        n_views: (t,) views shared.
        shared: (t,) which views these are, as a position in `view_sets`.
        view_sets: names of shared views, joined by " + ".
    """

    scan_visit: Codes
    patient: Codes
    day: Floats
    score: Floats
    embeddings: NDArray[np.float32]
    scale: Floats
    earlier: Codes
    later: Codes
    deltas: NDArray[np.float32]
    delta_scale: Floats
    n_views: Codes
    shared: Codes
    view_sets: tuple[str, ...]

    @property
    def delta_day(self) -> Floats:
        """(t,) days between the visits."""
        return self.day[self.later] - self.day[self.earlier]

    @property
    def delta_score(self) -> Floats:
        """(t,) later health score minus earlier, NaN where one is unknown."""
        return self.score[self.later] - self.score[self.earlier]


def patient_numbers(obs: pd.DataFrame) -> tuple[Codes, tuple[str, ...]]:
    """(n,) patient of each scan by first appearance, and the patients' names."""
    codes, names = pd.factorize(obs["patient_id"].to_numpy(object))
    return codes.astype(np.int64), tuple(map(str, names))


def views_of(obs: pd.DataFrame) -> list[str]:
    """(n,) view of each scan, "" where missing."""
    if "view" not in obs:
        return [""] * len(obs)
    return list(obs["view"].astype(object).where(obs["view"].notna(), "").astype(str))


def visit_arrays(
    embeddings: NDArray[np.float32],
    obs: pd.DataFrame,
    numbers: Codes,
    known: ChangeReference,
    mode: Transition,
) -> VisitArrays:
    """The visits and transitions of some patients' scans, all of one modality.

    Args:
        embeddings: (n, e).
        obs: (n,) their columns.
        numbers: (n,) patient of each scan.
        known: the reference's view means and center.
        mode: which visits are paired.
    """
    names, own = np.unique(numbers, return_inverse=True)
    visits = Visits.of(
        own,
        visit_codes(obs),
        views_of(obs),
        np.asarray(column_or(obs, "day", np.nan), np.float64),
        np.asarray(column_or(obs, "health_score", np.nan), np.float64),
    )
    pooled = visits.pool(embeddings, view_means=known.means_of(visits.views))
    transitions = Transitions.of(visits, mode)
    shared, view_sets = _view_sets(visits, transitions)
    return VisitArrays(
        scan_visit=visits.scan_visit,
        patient=names[visits.patient] if len(names) else visits.patient,
        day=visits.day,
        score=visits.score,
        embeddings=(pooled - known.center).astype(np.float32),
        scale=visits.noise_scales(),
        earlier=transitions.earlier,
        later=transitions.later,
        deltas=transitions.deltas(embeddings).astype(np.float32),
        delta_scale=transitions.noise_scales(),
        n_views=transitions.n_views,
        shared=shared,
        view_sets=view_sets,
    )


def merged(
    old: VisitArrays, old_rows: Codes, new: VisitArrays, new_rows: Codes, n_rows: int
) -> VisitArrays:
    """Visits of patients who stayed as they were, beside all visits of those who came back.

    Args:
        old: what was known of an earlier state.
        old_rows: rows, of n_rows now, that `old` was made of.
        new: everything the patients have who own a row that was not there.
        new_rows: their rows.
        n_rows: scans now.
    """
    kept = ~np.isin(old.patient, new.patient)
    keeps = kept[old.earlier]
    places = np.cumsum(kept) - 1
    n_kept, first = int(kept.sum()), len(old.view_sets)
    order = np.argsort(np.concatenate([old.patient[kept], new.patient]), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    scan_visit = np.empty(n_rows, np.int64)
    stays = kept[old.scan_visit]
    scan_visit[old_rows[stays]] = place[places[old.scan_visit[stays]]]
    scan_visit[new_rows] = place[n_kept + new.scan_visit]
    earlier = place[np.concatenate([places[old.earlier[keeps]], n_kept + new.earlier])]
    later = place[np.concatenate([places[old.later[keeps]], n_kept + new.later])]
    at = np.lexsort((later, earlier))
    shared, sets = _renamed(
        np.concatenate([old.shared[keeps], first + new.shared])[at], old.view_sets + new.view_sets
    )

    def of_visits(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(old, name)[kept], getattr(new, name)])[order]

    def of_transitions(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(old, name)[keeps], getattr(new, name)])[at]

    return VisitArrays(
        scan_visit=scan_visit,
        **{name: of_visits(name) for name in ("patient", "day", "score", "embeddings", "scale")},
        earlier=earlier[at],
        later=later[at],
        **{name: of_transitions(name) for name in ("deltas", "delta_scale", "n_views")},
        shared=shared,
        view_sets=sets,
    )


def _view_sets(visits: Visits, transitions: Transitions) -> tuple[Codes, tuple[str, ...]]:
    """(t,) which views both visits share, as a position among the names of such sets."""
    has = visits.groups >= 0
    shared = has[transitions.earlier] & has[transitions.later]
    packed = np.packbits(shared, axis=1)
    _, first, codes = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    names = [
        " + ".join(sorted(visits.views[column] for column in np.flatnonzero(shared[row])))
        for row in first
    ]
    return _renamed(codes.ravel().astype(np.int64), tuple(names))


def _renamed(codes: Codes, names: tuple[str, ...]) -> tuple[Codes, tuple[str, ...]]:
    """The same with each used name once, in alphabetical order."""
    used = sorted({names[code] for code in np.unique(codes)})
    place = {name: number for number, name in enumerate(used)}
    table = np.array([place.get(name, -1) for name in names], np.int64)
    return (table[codes] if len(codes) else codes), tuple(used)
