"""Sets of classes that hold the outcome of a share of patients that is chosen beforehand.

The guarantee is about patients, so each calibration patient lends one random row: rows of one
patient are alike, and many rows of few patients are few patients. Which patients calibrate, and
the probabilities, are the caller's: they must come from a head that has not seen these patients.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Names, patient_codes
from learner_index.analysis.predicted import check_probability
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

_FINEST = 1_000_000  # denominator of alpha: 0.1 means 1/10, whatever its float is

Floats = NDArray[np.float64]
Reals = NDArray[np.floating]
Integers = NDArray[np.integer]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How unlikely a class may be and still be in the set, learned from patients of their own.

    Of new patients who are like these, the set of a random row holds the outcome for 1 - alpha at
    least, averaged over cohorts of calibration patients; `expected_coverage` says how many where
    no two scores are equal. Equal scores, and sets that would be empty, only add to it.

    Attributes:
        alpha: share of patients whose outcome may be missed.
        quantile: largest `nonconformity` of a class in the set, 0 to 1.
        n_patients: calibration patients, one row each.
        is_ordinal: the classes have an order, and sets are without gaps.
    """

    alpha: float
    quantile: float
    n_patients: int
    is_ordinal: bool

    @property
    def expected_coverage(self) -> float:
        """Share of new patients whose outcome is in the set, averaged over calibration cohorts."""
        return _rank(self.n_patients, self.alpha) / (self.n_patients + 1)

    def coverage_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Where the coverage of this one run lies, given that it has these calibration patients.

        Coverage is 1 - alpha on average, but each cohort of calibration patients has its own. It
        is for scores without ties; where scores tie, coverage is at least as high.

        Args:
            level: share of calibration cohorts whose coverage lies inside, between 0 and 1.

        Returns:
            Low and high end, shares of new patients; as much is left out on either side.

        Raises:
            SettingsError: the level is no share.

        Source:
            Vovk 2012, "Conditional validity of inductive conformal predictors", PMLR 25, 475-490:
            Beta(k, n + 1 - k) for the k-th smallest of n scores.
        """
        from scipy.stats import beta

        if not 0 < level < 1:
            raise SettingsError(f"level {level} is no share: give one above 0 and below 1")
        rank = _rank(self.n_patients, self.alpha)
        ends = [(1 - level) / 2, (1 + level) / 2]
        low, high = beta.ppf(ends, rank, self.n_patients + 1 - rank)
        return float(low), float(high)

    def sets(self, probability: Reals) -> Masks:
        """(t, c) True where a class is in the row's set; no set is empty.

        A set that would be empty gets the likeliest class, or all that are equally likely (if
        ordinal, with those between them). That can only raise the coverage.

        Args:
            probability: (t, c) of each class, by the head and temperature calibrated with.

        Raises:
            QueryError: a row of probabilities does not sum to 1.
        """
        found = nonconformity(probability, is_ordinal=self.is_ordinal)
        least = found.min(axis=1, keepdims=True)
        return np.asarray(found <= np.maximum(self.quantile, least))


def calibrate(
    probability: Reals,
    target: Integers,
    patient: Names,
    alpha: float,
    *,
    is_ordinal: bool,
    seed: int,
) -> Calibrated:
    """The limit on how unlikely a class may be, from one random row of each patient.

    As many patients are used as `calibration_size` says; those left over are drawn by the seed.

    Args:
        probability: (t, c) of each class; of patients whom neither head nor temperature has seen.
        target: (t,) number of the class that came about, 0 to c - 1.
        patient: (t,) patient of each row.
        alpha: share of patients whose outcome may be missed.
        is_ordinal: the classes have an order.
        seed: of the rows and patients drawn.

    Raises:
        NotEnoughDataError: too few patients for this alpha.
        QueryError: lengths differ, a row of probabilities does not sum to 1, or a target is no
            class.
        SettingsError: alpha is no share.

    Source:
        Split conformal sets: Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random
        world". One row a patient: Dunn, Wasserman & Ramdas 2023, JASA 118, 2491-2502.
    """
    scores = nonconformity(probability, is_ordinal=is_ordinal)
    check_rows(scores, target, patient)
    rng = np.random.default_rng(seed)
    rows = one_per_patient(patient, rng)
    size = calibration_size(len(rows), alpha)
    used = rng.permutation(rows)[:size]
    own = np.sort(scores[used, np.asarray(target)[used]])
    return Calibrated(alpha, float(own[_rank(size, alpha) - 1]), size, is_ordinal)


def nonconformity(probability: Reals, *, is_ordinal: bool) -> Floats:
    """How unlikely each class is; a set takes all classes up to a limit.

    - Nominal: 1 - p, which gives the smallest sets on average.
    - Ordinal: 1 minus the smallest p on the way from the likeliest class to this one, both
      included. Sets are then without gaps and grow from the likeliest class. Where several are
      likeliest the way starts from all of them: it is the shortest run of classes that holds them
      all and this one, so that turning the order round turns the sets round.

    Args:
        probability: (t, c) of each class; if ordinal, columns in the order of the classes.
        is_ordinal: the classes have an order.

    Returns:
        (t, c) 0 to 1, larger is less likely.

    Raises:
        QueryError: a row of probabilities does not sum to 1.

    Source:
        Nominal: Sadinle, Lei & Wasserman 2019, JASA 114, 223-234.
    """
    shares = np.asarray(probability, np.float64)
    check_probability(shares)
    if not is_ordinal:
        return np.asarray(1.0 - shares)
    is_top = shares == shares.max(axis=1, keepdims=True)
    places = np.arange(shares.shape[1])
    first = is_top.argmax(axis=1)[:, None]  # (t, 1)
    last = places[-1] - is_top[:, ::-1].argmax(axis=1)[:, None]
    found = np.empty_like(shares)
    for place in places:
        is_on_way = (places >= np.minimum(first, place)) & (places <= np.maximum(last, place))
        found[:, place] = 1.0 - np.where(is_on_way, shares, np.inf).min(axis=1)
    return found


def one_per_patient(patient: Names, seed: int | np.random.Generator) -> NDArray[np.int64]:
    """(p,) one row of each patient, each of a patient's rows being as likely as the others.

    Args:
        patient: (t,) patient of each row.
        seed: of the draw, or the generator to draw from.

    Returns:
        Row numbers, in order of the patients' names.

    Raises:
        QueryError: a row has no patient.
    """
    codes = patient_codes(patient)
    mixed = np.random.default_rng(seed).permutation(len(codes))
    return np.asarray(mixed[np.unique(codes[mixed], return_index=True)[1]], np.int64)


def least_patients(alpha: float) -> int:
    """Calibration patients without whom no set can promise to miss only this share of patients.

    Raises:
        SettingsError: alpha is no share.
    """
    share = _share(alpha)
    return -(-share.denominator // share.numerator) - 1


def calibration_size(n_available: int, alpha: float) -> int:
    """How many calibration patients to use, so that coverage is 1 - alpha and not above.

    Coverage goes in steps of 1 / (n + 1). The largest n is taken with (n + 1) alpha a whole
    number; all patients where none is that large, as for alpha 0.07 with fewer than 99: coverage
    is then higher than asked for, by less than 1 / (n + 1).

    Args:
        n_available: patients that may calibrate.
        alpha: share of patients whose outcome may be missed.

    Raises:
        NotEnoughDataError: fewer patients than `least_patients`.
        SettingsError: alpha is no share.
    """
    needed = least_patients(alpha)
    if n_available < needed:
        raise NotEnoughDataError(
            f"{n_available} calibration patients are too few for alpha {alpha:g}, which needs "
            f"{needed}: add patients or ask for a larger alpha"
        )
    step = _share(alpha).denominator
    return (n_available + 1) // step * step - 1 if n_available + 1 >= step else n_available


def coverage(sets: Masks, target: Integers, patient: Names, weights: Floats) -> Floats:
    """Share of outcomes that are in their sets: mean over patients of each patient's share.

    Args:
        sets: (t, c) True where a class is in the row's set.
        target: (t,) number of the class that came about.
        patient: (t,) patient of each row.
        weights: (draws, p) how often each patient counts, in order of names; see
            `resample.draw_weights`. All 1 for the cohort itself.

    Returns:
        (draws,) 0 to 1; NaN for a draw without weight.

    Raises:
        QueryError: lengths differ, a target is no class, or the weights are not one for each
            patient, or negative, or not finite.
    """
    check_rows(sets, target, patient)
    is_held = np.take_along_axis(sets, np.asarray(target)[:, None], axis=1)
    return _shares(is_held, np.ones_like(is_held), patient, weights)[:, 0]


def coverage_by_class(sets: Masks, target: Integers, patient: Names, weights: Floats) -> Floats:
    """`coverage` of the rows of each class: no class is promised what all together are.

    The arguments are those of `coverage`. A row weighs its patient's weight divided by the
    patient's rows of all classes.

    Returns:
        (draws, c) 0 to 1; NaN where a draw lacks the class.

    Raises:
        QueryError: as for `coverage`.
    """
    check_rows(sets, target, patient)
    came_about = np.asarray(target)[:, None] == np.arange(sets.shape[1])
    return _shares(sets & came_about, came_about, patient, weights)


def set_size(sets: Masks, patient: Names, weights: Floats) -> Floats:
    """(draws,) mean number of classes in a set, patients weighted as for `coverage`.

    Raises:
        QueryError: as for `coverage`.
    """
    sizes = np.asarray(sets).sum(axis=1, keepdims=True)
    return _shares(sizes, np.ones_like(sizes), patient, weights)[:, 0]


def check_rows(columns: NDArray[np.generic], target: Integers, patient: Names) -> None:
    """Refuses columns of different lengths, and targets that are no class.

    Raises:
        QueryError: a column has not one value a row, or a target is none of 0 to c - 1.
    """
    t, c = columns.shape
    if len(target) != t or len(patient) != t:
        raise QueryError(f"{t} rows, {len(target)} targets, {len(patient)} patients: give as many")
    codes = np.asarray(target)
    is_wrong = ~np.isin(codes, np.arange(c)) | (codes.dtype.kind not in "iu")
    if is_wrong.any():
        raise QueryError(f"target {codes[is_wrong][0]} is no class: number them 0 to {c - 1}")


def _shares(
    parts: NDArray[np.generic], wholes: NDArray[np.generic], patient: Names, weights: Floats
) -> Floats:
    """(draws, k) weighted sum of (t, k) parts by that of wholes; patients' rows share a weight."""
    codes = patient_codes(patient)
    counts = np.bincount(codes)
    drawn = np.asarray(weights, np.float64)
    if drawn.ndim != 2 or drawn.shape[1] != len(counts):
        raise QueryError(
            f"weights {drawn.shape} for {len(counts)} patients: give (draws, patients)"
        )
    if not (np.isfinite(drawn) & (drawn >= 0)).all():
        raise QueryError("a weight is negative or not finite: see resample.draw_weights")
    columns = np.hstack([parts, wholes]).astype(np.float64) / counts[codes][:, None]
    own = np.zeros((len(counts), columns.shape[1]))
    np.add.at(own, codes, columns)
    above, below = np.hsplit(drawn @ own, 2)
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _share(alpha: float) -> Fraction:
    """Alpha as the fraction that was meant: exact where floats are not."""
    share = Fraction(alpha).limit_denominator(_FINEST) if 0 < alpha < 1 else Fraction(0)
    if not 0 < share < 1:
        raise SettingsError(f"{alpha} is no share of patients: give one above 0 and below 1")
    return share


def _rank(n_patients: int, alpha: float) -> int:
    """k: the limit is the k-th smallest of n scores, ceil((n + 1)(1 - alpha))."""
    return n_patients + 1 - int((n_patients + 1) * _share(alpha))
