"""Light read-outs of embeddings: health changes from differences, health scores from visits.

How strongly each is regularized is chosen on patients of its own (the inner part of a nested
cross-validation); who these are, and who is left unseen, is decided by the caller.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.change import IMPROVED, STABLE, WORSENED
from learner_index.analysis.distance import Floats, Integers, Reals
from learner_index.errors import NotEnoughDataError, QueryError, SplitError

CLASSES = np.array([WORSENED, STABLE, IMPROVED], np.int8)  # in the order of probabilities
STRENGTHS = tuple(10.0**power for power in range(-4, 3))  # of logistic regression: 1 / penalty
PENALTIES = tuple(10.0**power for power in range(-1, 6))  # of ridge regression
_FLOOR = 1e-6  # least probability, so that no log loss is infinite
_TIE = 1e-4  # classes whose lift differs by this share are alike: the solver is no more exact
_TOLERANCE = 1e-6
_ITERATIONS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Transitions or visits of some patients, to fit or to tune on.

    Attributes:
        features: (m, e) differences of transitions, or embeddings of visits.
        target: (m,) health change, or health score.
        patient: (m,) number of the patient; each weighs the same, however many rows.
    """

    features: Reals
    target: NDArray[np.generic]
    patient: Integers

    @property
    def weights(self) -> Floats:
        """(m,) equal for a patient's rows, adding up to m / p for each of p patients."""
        _, code, count = np.unique(self.patient, return_inverse=True, return_counts=True)
        shares = 1.0 / count[code]
        return np.asarray(shares * (len(shares) / max(len(count), 1)))

    def __add__(self, other: "Part") -> "Part":
        """The rows of both."""
        return Part(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.target, other.target]),
            np.concatenate([self.patient, other.patient]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ChangeHead:
    """Multinomial logistic regression of the health change on the difference of two embeddings.

    Its intercepts know how common each change is, so swapping visits does not exactly swap the
    probabilities of worsened and improved; how far it does is for the caller to measure.

    Attributes:
        scale: (e,) what features are divided by; nothing is subtracted, so that no difference
            stays none.
        coefficient: (3, e) of the scaled features; rows are worsened, stable, improved.
        intercept: (3,) of the classes.
        share: (3,) of each class in what it was fitted on, each patient weighing the same.
        strength: the one chosen; larger is less regularized.
    """

    scale: Floats
    coefficient: Floats
    intercept: Floats
    share: Floats
    strength: float

    def probabilities(self, features: Reals) -> Floats:
        """(t, 3) of worsened, stable, improved for (t, e) differences; above 0, rows sum to 1."""
        logits = features / self.scale @ self.coefficient.T + self.intercept
        logits -= logits.max(axis=1, keepdims=True)
        found = np.exp(logits)
        found = np.maximum(found / found.sum(axis=1, keepdims=True), _FLOOR)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def labels(self, probability: Floats) -> NDArray[np.int8]:
        """(t,) health change that is likeliest beside its share in training: the greatest lift.

        Taking the most probable one instead would answer "stable" nearly always where most are.
        Where lifts tie, as they do when features tell nothing, the commonest of these.

        Args:
            probability: (t, 3) as of `probabilities`.
        """
        lift = np.where(self.share > 0, probability / np.maximum(self.share, _FLOOR), 0.0)
        is_best = lift >= lift.max(axis=1, keepdims=True) * (1 - _TIE)
        return np.asarray(CLASSES[np.where(is_best, self.share, -1.0).argmax(axis=1)])


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHead:
    """Ridge regression of the health score on the embedding of a visit.

    Attributes:
        center, scale: (e,) subtracted from the features, then divided by.
        coefficient: (e,) score units per scaled feature.
        intercept: health score at the center.
        penalty: the one chosen; larger is more regularized.
    """

    center: Floats
    scale: Floats
    coefficient: Floats
    intercept: float
    penalty: float

    def scores(self, features: Reals) -> Floats:
        """(m,) predicted health scores, in score units, of (m, e) embeddings."""
        weight = self.coefficient / self.scale
        return np.asarray(features @ weight + (self.intercept - self.center @ weight))


def fit_change_head(train: Part, tune: Part) -> ChangeHead:
    """The head of the strength that predicts the tuning patients best, refitted on all of them.

    Args:
        train: differences and health changes of patients the head is fitted on.
        tune: of patients who choose the strength, by log loss. Where there are none, or train
            knows one health change only, the middle strength is taken.

    Raises:
        NotEnoughDataError: there are no transitions to fit on, or all have one health change.
        SplitError: a patient is in both parts.
        QueryError: a difference holds NaN or infinity.
    """
    _check(train, tune)
    together = train + tune
    found = np.unique(together.target)
    if not len(found):
        raise NotEnoughDataError(
            "no transitions to learn from: add patients with two scored visits"
        )
    if len(found) < 2:
        names = {IMPROVED: "improved", STABLE: "stable", WORSENED: "worsened"}
        raise NotEnoughDataError(
            f"all {len(together.target)} transitions to learn from are {names[int(found[0])]}: "
            "lower --threshold, or add patients who changed"
        )
    strength = STRENGTHS[len(STRENGTHS) // 2]
    if len(tune.target) and len(np.unique(train.target)) > 1:
        losses = [_log_loss(_fit_logistic(train, choice), tune) for choice in STRENGTHS]
        strength = STRENGTHS[int(np.argmin(losses))]
    return _fit_logistic(together, strength)


def fit_score_head(train: Part, tune: Part) -> ScoreHead:
    """The head of the penalty that predicts the tuning patients best, refitted on all of them.

    Args:
        train: embeddings and health scores of patients the head is fitted on.
        tune: of patients who choose the penalty, by squared error. Where there are none, or train
            is a single row, the middle penalty is taken.

    Raises:
        NotEnoughDataError: there are fewer than two rows to fit on.
        SplitError: a patient is in both parts.
        QueryError: an embedding holds NaN or infinity.
    """
    _check(train, tune)
    together = train + tune
    if len(together.target) < 2:
        raise NotEnoughDataError(
            f"{len(together.target)} health scores to learn from: add scored visits until there "
            "are two"
        )
    penalty = PENALTIES[len(PENALTIES) // 2]
    if len(tune.target) and len(train.target) > 1:
        losses = [_squared_error(_fit_ridge(train, choice), tune) for choice in PENALTIES]
        penalty = PENALTIES[int(np.argmin(losses))]
    return _fit_ridge(together, penalty)


def change_probabilities(delta: Reals, spread: Reals, threshold: float) -> Floats:
    """Probability of worsened, stable and improved for a change known with a normal error.

    Args:
        delta: (t,) predicted change of health score; positive is improvement.
        spread: (t,) standard deviation of its error, above 0, in the same units.
        threshold: θ, in the same units.

    Returns:
        (t, 3) rows sum to 1.
    """
    from scipy.special import ndtr

    worse = ndtr((-threshold - np.asarray(delta)) / spread)
    better = ndtr((np.asarray(delta) - threshold) / spread)
    return np.column_stack([worse, np.maximum(1 - worse - better, 0.0), better])


def _check(train: Part, tune: Part) -> None:
    """Refuse parts that share a patient, and features that are no numbers."""
    shared = np.intersect1d(train.patient, tune.patient)
    if len(shared):
        raise SplitError(
            f"{len(shared)} patients both fit a head and choose how it is regularized: "
            "put each into one part"
        )
    if not all(np.isfinite(part.features).all() for part in (train, tune)):
        raise QueryError("an embedding holds NaN or infinity: look for a diverged encoder")


def _fit_logistic(part: Part, strength: float) -> ChangeHead:
    """Multinomial logistic regression; a class without rows has a logit of minus infinity."""
    from sklearn.linear_model import LogisticRegression

    weights = part.weights
    features = np.asarray(part.features, np.float64)
    scale = _spread(features, np.zeros(features.shape[1]), weights)
    model = LogisticRegression(C=strength, solver="newton-cg", tol=_TOLERANCE, max_iter=_ITERATIONS)
    model.fit(features / scale, part.target, sample_weight=weights)
    rows = np.searchsorted(CLASSES, model.classes_)
    coefficient, intercept = np.zeros((3, features.shape[1])), np.full(3, -np.inf)
    if len(rows) == 2:  # one logit, of the second class against the first
        coefficient[rows[1]], intercept[rows] = model.coef_[0], (0.0, model.intercept_[0])
    else:
        coefficient[rows], intercept[rows] = model.coef_, model.intercept_
    share = np.array([weights[part.target == name].sum() for name in CLASSES]) / weights.sum()
    return ChangeHead(scale, coefficient, intercept, share, strength)


def _fit_ridge(part: Part, penalty: float) -> ScoreHead:
    """Ridge regression on standardized features."""
    from sklearn.linear_model import Ridge

    weights, features = part.weights, np.asarray(part.features, np.float64)
    center = np.average(features, axis=0, weights=weights)
    scale = _spread(features, center, weights)
    model = Ridge(alpha=penalty)
    model.fit((features - center) / scale, part.target, sample_weight=weights)
    return ScoreHead(center, scale, np.asarray(model.coef_), float(model.intercept_), penalty)


def _spread(features: Floats, center: Floats, weights: Floats) -> Floats:
    """(e,) root mean square of each feature about a center; 1 where it does not vary."""
    spread = np.sqrt(np.average((features - center) ** 2, axis=0, weights=weights))
    return np.where(spread > 1e-12 * np.abs(features).max(axis=0), spread, 1.0)


def _log_loss(head: ChangeHead, part: Part) -> float:
    """Mean over patients of minus the log probability of what came about."""
    chances = head.probabilities(part.features)[
        np.arange(len(part.target)), np.searchsorted(CLASSES, part.target)
    ]
    return float(np.average(-np.log(chances), weights=part.weights))


def _squared_error(head: ScoreHead, part: Part) -> float:
    """Mean over patients of the squared error of predicted scores."""
    errors = head.scores(part.features) - part.target.astype(np.float64)
    return float(np.average(errors**2, weights=part.weights))
