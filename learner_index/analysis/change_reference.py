"""What named patients' visits and changes look like: fitted once, then every answer rests on it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Integers, Names, Reals, patient_mean
from learner_index.analysis.noise import fit_noise_floor, noise_covariance, repeat_pairs
from learner_index.analysis.placebo import try_placebo
from learner_index.analysis.severity import fit_severity_axis
from learner_index.analysis.space import effective_rank, fit_whitening, inverse_root
from learner_index.analysis.transitions import Transitions, Visits
from learner_index.data.reference import ChangeReference, NoiseFloor, SeverityAxis
from learner_index.errors import NotEnoughDataError

_MOST_PAIRED = 1000  # patients whose transitions are compared for bandwidths
_MOST_REPEATS = 2000  # pairs of repeats kept
_LEAST_UNSEEN = 20  # patients with scores the axis is fitted on alone, unseen by the encoder
_OTHER_UNIT = "places on the severity axis are in standard deviations of visits"
_NO_AXIS = "no severity axis"
_LEAST_DAYS = 0.1  # least h_t: days that differ by a tenth are alike
_ROUNDING = 1e-12  # share of the largest embedding that visits differ by when they are equal


def fit_change_reference(
    embeddings: Reals,
    patient: Names,
    *,
    visit: Integers,
    view: Names | None,
    day: Reals,
    score: Reals,
    is_rescan: NDArray[np.bool_],
    is_seen: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> ChangeReference | None:
    """What is known of visits and changes of some patients' scans of one modality.

    Args:
        embeddings: (n, e).
        patient: (n,) patient of each scan; all of them are fitted on and weigh equally.
        visit: (n,) visit number, -1 unknown.
        view: (n,) view, or None.
        day: (n,) day, NaN unknown.
        score: (n,) health score, higher is healthier, NaN unknown.
        is_rescan: (n,) True for scans marked as independent repeats.
        is_seen: (n,) True for scans of patients the encoder was trained or tuned on. The axis is
            fitted without them where 20 others have scores. None: there are none.
        seed: of folds, bootstrap draws and the transitions compared for bandwidths.

    Returns:
        None for fewer than two patients, or where all visits look the same.

    Raises:
        QueryError: an embedding holds NaN, or a visit has scans of two patients.
    """
    visits = Visits.of(patient, visit, view, day, score)
    if len(np.unique(visits.patient)) < 2:
        return None
    view_means = visits.view_means(embeddings)
    pooled = visits.pool(embeddings, view_means=view_means)
    center = patient_mean(pooled, visits.patient)
    moved = pooled - center
    size = np.abs(embeddings).max(axis=0)
    moved[:, np.abs(moved).max(axis=0) <= _ROUNDING * size] = 0.0
    if not moved.any():
        return None
    owners = visits.patient[visits.scan_visit]
    noise = fit_noise_floor(embeddings, visits.scan_group, owners, is_rescan)
    whitening, is_noise = _whitening(moved, visits.patient, noise)
    seen = np.zeros(len(visits), np.bool_)
    seen[visits.scan_visit] = False if is_seen is None else is_seen
    axis, notes = _axis(moved, whitening, visits, seen, seed)
    if noise is not None and not is_noise:
        notes = (f"repeats of {noise.n_patients} patients cannot whiten: {_OTHER_UNIT}", *notes)
    transitions = Transitions.of(visits)
    start, days = _bandwidths(moved, transitions, seed)
    tried = None
    pairs = repeat_pairs(visits.scan_group, owners, is_rescan)
    if noise is not None and pairs is not None:
        views = visits.group_view[visits.scan_group[pairs.first]]
        starts = embeddings[pairs.first] - view_means[views]
        tried = try_placebo(starts, noise.differences, noise.owners, start, seed=seed)
    return ChangeReference(
        view_means=dict(zip(visits.views, view_means, strict=True)),
        center=center,
        whitening=whitening,
        is_noise_whitened=is_noise,
        start_bandwidth=start,
        day_bandwidth=days,
        effective_rank=_rank(transitions.deltas(embeddings), transitions.patient),
        n_visits=len(visits),
        n_transitions=len(transitions),
        n_patients=len(np.unique(visits.patient)),
        noise=_capped(noise, seed),
        axis=axis,
        placebo_share=None if tried is None else tried.share,
        n_placebo=0 if tried is None else tried.n_patients,
        notes=notes,
    )


def _whitening(moved: Floats, patient: Integers, noise: NoiseFloor | None) -> tuple[Floats, bool]:
    """W, and whether it comes from repeats; visits' own spread where these do not suffice."""
    if noise is not None:
        try:
            return inverse_root(noise_covariance(noise)), True
        except NotEnoughDataError:
            pass
    return fit_whitening(moved, patient).matrix, False


def _axis(
    moved: Floats, whitening: Floats, visits: Visits, seen: NDArray[np.bool_], seed: int
) -> tuple[SeverityAxis | None, tuple[str, ...]]:
    """The severity axis, of patients the encoder has not seen where they suffice; or why none."""
    scored = np.isfinite(visits.score)
    used = np.ones(len(visits), np.bool_)
    if len(np.unique(visits.patient[scored & ~seen])) >= _LEAST_UNSEEN:
        used = ~seen
    score, patient = visits.score[used], visits.patient[used]
    try:
        axis = fit_severity_axis(moved[used], whitening, score, patient, seed=seed)
    except NotEnoughDataError as error:
        said = str(error)
        return None, (said if said.startswith(_NO_AXIS) else f"{_NO_AXIS}: {said}",)
    return replace(axis, n_seen=len(np.unique(visits.patient[scored & used & seen]))), ()


def _bandwidths(moved: Floats, transitions: Transitions, seed: int) -> tuple[float, float]:
    """h_u and h_t: medians over pairs of patients, one random transition of each."""
    patients, first = np.unique(transitions.patient, return_index=True)
    if len(patients) < 2:
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    counts = np.diff(np.append(first, len(transitions)))
    chosen = first + rng.integers(0, counts)
    if len(chosen) > _MOST_PAIRED:
        chosen = np.sort(rng.choice(chosen, _MOST_PAIRED, replace=False))
    one, other = np.triu_indices(len(chosen), 1)
    starts = moved[transitions.earlier[chosen]]
    squares = np.sum(starts**2, axis=1)
    apart = squares[:, None] + squares - 2 * starts @ starts.T
    ratios = np.log(transitions.delta_day[chosen])
    start = float(np.median(np.sqrt(np.maximum(apart[one, other], 0.0))))
    return start, max(_LEAST_DAYS, float(np.median(np.abs(ratios[one] - ratios[other]))))


def _rank(deltas: Floats, patient: Integers) -> float:
    """Directions that deltas spread in; 0 where nothing changed."""
    try:
        return effective_rank(deltas, patient)
    except NotEnoughDataError:
        return 0.0


def _capped(noise: NoiseFloor | None, seed: int) -> NoiseFloor | None:
    """At most so many repeats, drawn evenly: the floor is known well enough by then."""
    if noise is None or len(noise.owners) <= _MOST_REPEATS:
        return noise
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(len(noise.owners), _MOST_REPEATS, replace=False))
    owners = np.unique(noise.owners[kept], return_inverse=True)[1].astype(np.int64)
    return NoiseFloor(noise.differences[kept], owners, noise.is_independent)
