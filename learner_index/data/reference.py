"""The reference: statistics of named patients, fitted once, that answers rest on and name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SeverityAxis:
    """Unit vector g along which embeddings move as health falls, and how sure it is.

    A position is g·W(u - center), in standard deviations of a repeat scan where there are
    repeats, else of the reference's visits; it rises as health falls.

    Attributes:
        direction: (e,) g, of length 1 in the whitened space; no unit.
        draws: (b, e) float32 the axis of each patient-bootstrap draw, of length 1 and signed alike.
        pattern: (e,) mean change of the embedding, not whitened, as the position rises by 1.
        r2: share of the variance of health scores of patients left out of the fit that it
            explains, patients weighted equally; below 0 it is worse than their mean.
        angle_deg: median angle between g and the draws.
        angle_high_deg: angle that 95 % of the draws stay below.
        mean_difference_deg: angle between g and the mean difference of the sicker and the
            healthier half of the visits: a check that needs no regression.
        slope_between: score units per unit of position, over patients' means; below 0 is right.
        slope_within: the same within patients, over visits less their patient's means.
        slope_within_low, slope_within_high: 95 % patient-bootstrap interval of the latter.
        penalty: strength of the ridge beside the mean eigenvalue, chosen by cross-validation over
            patients.
        n_visits, n_patients: with a health score.
        n_followed: patients with two scored visits or more, on whom `slope_within` rests.
        n_seen: patients among them that the encoder was trained or tuned on: they flatter r2.
    """

    direction: Floats
    draws: NDArray[np.float32]
    pattern: Floats
    r2: float
    angle_deg: float
    angle_high_deg: float
    mean_difference_deg: float
    slope_between: float
    slope_within: float
    slope_within_low: float
    slope_within_high: float
    penalty: float
    n_visits: int
    n_patients: int
    n_followed: int
    n_seen: int = 0

    @property
    def is_informative(self) -> bool:
        """Whether it tells more of patients left out than their mean score: r2 above 0."""
        return self.r2 > 0


@dataclass(frozen=True, slots=True, eq=False)
class NoiseFloor:
    """How far apart two scans lie that should be alike: one patient, visit, view and modality.

    Attributes:
        differences: (r, e) float32 second embedding minus first, of pairs that share no scan.
        owners: (r,) number of each pair's patient among those with repeats.
        is_independent: True when every pair has a scan marked `rescan`. Else the pairs are of one
            session, and the floor is a lower bound.
    """

    differences: NDArray[np.float32]
    owners: NDArray[np.int64]
    is_independent: bool

    @property
    def n_patients(self) -> int:
        """Patients with repeats."""
        return len(np.unique(self.owners))


@dataclass(frozen=True, slots=True, eq=False)
class ChangeReference:
    """What is known of visits and changes of one modality, from the reference's patients.

    Attributes:
        view_means: per view of the modality (e,), each patient weighted equally.
        center: (e,) mean visit embedding, patients weighted equally, after view means.
        whitening: (e, e) symmetric W that the severity axis lives behind.
        is_noise_whitened: W is from repeat scans; else from the total covariance of visits.
        start_bandwidth: h_u, median distance of two patients' start embeddings; 0 where fewer
            than two patients have a transition.
        day_bandwidth: h_t, median |log ratio| of two patients' days between visits; likewise.
        effective_rank: directions that deltas of transitions spread in; likewise.
        n_visits, n_patients: of the reference in this modality.
        n_transitions: pairs of their consecutive visits, both with a day.
        noise: None without repeats.
        axis: None where it cannot be fitted; `notes` say why.
        placebo_share: share of patients for whose repeat scans, where nothing changed, the test of
            a set of hits that start alike finds p at most 0.05; 0.05 is right. None: fewer than 20
            patients have repeats.
        n_placebo: patients it rests on.
        notes: what a person should know.
    """

    view_means: Mapping[str, Floats]
    center: Floats
    whitening: Floats
    is_noise_whitened: bool
    start_bandwidth: float
    day_bandwidth: float
    effective_rank: float
    n_visits: int
    n_transitions: int
    n_patients: int
    noise: NoiseFloor | None
    axis: SeverityAxis | None
    placebo_share: float | None = None
    n_placebo: int = 0
    notes: tuple[str, ...] = ()

    def means_of(self, views: Sequence[str]) -> Floats:
        """(m, e) mean of each view named; the mean over views for one that was not seen."""
        other = np.mean([*self.view_means.values()], axis=0)
        names, codes = np.unique(np.asarray(views, dtype=object).astype(str), return_inverse=True)
        known = np.array([self.view_means.get(name, other) for name in names.tolist()])
        return known[codes] if len(names) else np.empty((0, len(self.center)))


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Statistics fitted once on named patients; searches and axes rest on it.

    Attributes:
        mean: (e,) float64, each patient weighted equally.
        view_means: per view (e,) float64, each patient weighted equally; "" for scans without view.
        patients: the patients it was fitted on, sorted.
        n_scans: number of scans of these patients.
        fingerprint: hash of all of it.
        changes: per modality ("" where none is given) what is known of changes. Empty in stores
            of earlier versions.
    """

    mean: Floats
    view_means: Mapping[str, Floats]
    patients: tuple[str, ...]
    n_scans: int
    fingerprint: str
    changes: Mapping[str, ChangeReference] = field(default_factory=dict)
