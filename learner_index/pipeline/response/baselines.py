"""What a head has to beat: each baseline is fitted on the same patients and tried on the same.

A baseline that cannot be had in a cohort is None, and its reason is told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.head import Part, fit_score_head
from learner_index.analysis.softmax import softmax
from learner_index.config.response import ResponseOptions
from learner_index.data.heads import Lesson
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response.features import Block, patient_weights
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.material import Floats, Masks
from learner_index.pipeline.response.models import Model, Pool, above_floor, fit_model
from learner_index.pipeline.response.roles import HeadRoles
from learner_index.pipeline.response.targets import UNKNOWN

_NEIGHBOURS = (5, 50)  # least and most transitions that vote
_REMEMBERED = 1_000  # transitions that may be neighbours
_SCORED = 5_000  # visits that a read-out of the health score is fitted on
_BLOCK = 4_096  # examples compared at a time


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one model said of some examples.

    Attributes:
        probability: (k, c) of each class.
        share: (c,) what it says on average of the patients it was fitted on; where it has no head,
            the share of each class among them.
        is_certain: it names a class instead of giving probabilities.
    """

    probability: Floats
    share: Floats
    is_certain: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a baseline is fitted with and tried on.

    Attributes:
        pool: examples with known outcomes.
        roles: the patients that may be learned from, by their part.
        tried: (t,) examples of patients left out.
        options: of the fit.
        model: the head's own model, fitted on the same patients.
    """

    pool: Pool
    roles: HeadRoles
    tried: Masks
    options: ResponseOptions
    model: Model


def majority(trial: Trial) -> Answer:
    """Every class as often as it came about in training."""
    share = trial.pool.share(trial.pool.of(trial.roles.fit))
    rows = np.tile(above_floor(share[None]), (int(trial.tried.sum()), 1))
    return Answer(rows, share)


def no_change(trial: Trial) -> Answer | None:
    """Health stays as it is; or, of a column known at both visits, its value stays."""
    pool, share = trial.pool, trial.pool.share(trial.pool.of(trial.roles.fit))
    codes = pool.before[trial.tried]
    if (pool.before == UNKNOWN).all():
        return None
    probability = np.eye(len(pool.classes))[codes]
    probability[codes == UNKNOWN] = share
    return Answer(above_floor(probability), share, is_certain=True)


def score_alone(trial: Trial) -> Answer | None:
    """The health score at the start: how far regression to the mean goes."""
    if not trial.pool.material.is_scored:
        return None
    return _by_head(trial, ["score"])


def clinical_alone(trial: Trial) -> Answer | None:
    """The clinical columns, without any scan."""
    return _by_head(trial, ["clinical"]) if trial.options.clinical else None


def clinical_and_embedding(trial: Trial) -> Answer | None:
    """The clinical columns beside all that the head is given."""
    if not trial.options.clinical or trial.options.with_clinical:
        return None
    return _by_head(trial, [*embedding_blocks(trial.options), "clinical"], is_like_head=True)


def embedding_alone(trial: Trial) -> Answer | None:
    """The head without the clinical columns, where it is given them."""
    if not trial.options.with_clinical:
        return None
    return _by_head(trial, embedding_blocks(trial.options), is_like_head=True)


def single_scans(trial: Trial) -> Answer | None:
    """Health scores predicted from single scans: their difference, or the one at the start.

    Two read-outs are fitted on halves of the patients; each predicts the other half, so that what
    the logistic regression learns from is predicted for patients left out.
    """
    pool, roles = trial.pool, trial.roles
    visits = pool.material.visits
    rng = np.random.default_rng([trial.options.seed, 2])
    names = rng.permutation(np.flatnonzero(roles.fit))
    halves = [names[::2], names[1::2]]
    encoding = trial.model.encoding
    means = encoding.means_of(visits.views)
    states = pool.material.states(np.arange(len(visits)), means)
    is_scored = np.isfinite(visits.score)
    predicted = []
    for half in halves:
        rows = np.flatnonzero(is_scored & np.isin(visits.patient, half))
        if len(np.unique(visits.patient[rows])) < 2:
            return None
        rows = rng.permutation(rows)[:_SCORED]
        tune = np.isin(visits.patient[rows], rng.permutation(half)[: len(half) // 4])
        parts = [
            Part(states[some], visits.score[some], visits.patient[some])
            for some in (rows[~tune], rows[tune])
        ]
        predicted.append(fit_score_head(*parts).scores(states))
    own = np.mean(predicted, axis=0)
    for half, other in zip(halves, predicted[::-1], strict=True):
        mine = np.isin(visits.patient, half)
        own[mine] = other[mine]
    return _by_number(trial, _single_feature(trial, own))


def nearest_vote(trial: Trial) -> Answer:
    """What became of the most similar examples of the patients learned from.

    The square root of their number, 5 to 50, vote with one vote each, beside one vote that is
    cast as all of them are on average.
    """
    pool, share = trial.pool, trial.pool.share(trial.pool.of(trial.roles.fit))
    known = np.flatnonzero(pool.of(trial.roles.fit))
    if len(known) > _REMEMBERED:
        weight = patient_weights(pool.patient[known])
        rng = np.random.default_rng([trial.options.seed, 3])
        known = rng.choice(known, _REMEMBERED, replace=False, p=weight / weight.sum())
    encoding = trial.model.encoding
    memory = encoding.features(pool.material, pool.examples.only(known))
    asked = encoding.features(pool.material, pool.examples.only(trial.tried))
    k = int(np.clip(np.sqrt(len(known)), *_NEIGHBOURS))
    rows = nearest_rows(memory, asked, min(k, len(known)))
    hits = np.eye(len(pool.classes))[pool.code[known]][rows].sum(axis=1)
    return Answer(above_floor((hits + share) / (rows.shape[1] + 1)), share)


def nearest_rows(
    memory: NDArray[np.floating], asked: NDArray[np.floating], k: int
) -> NDArray[np.int64]:
    """(q, k) rows of memory nearest to each row asked about, nearest first, ties by row."""
    lengths = np.square(memory).sum(axis=1)
    found = np.empty((len(asked), k), np.int64)
    for start in range(0, len(asked), _BLOCK):
        part = asked[start : start + _BLOCK]
        distance = lengths - 2 * (part @ memory.T)
        some = np.argpartition(distance, k - 1, axis=1)[:, :k]
        own = np.take_along_axis(distance, some, axis=1)
        is_tied = (distance <= own.max(axis=1, keepdims=True)).sum(axis=1) > k
        some[is_tied] = np.argsort(distance[is_tied], axis=1, kind="stable")[:, :k]
        own[is_tied] = np.take_along_axis(distance[is_tied], some[is_tied], axis=1)
        order = np.lexsort((some, own), axis=1)
        found[start : start + _BLOCK] = np.take_along_axis(some, order, axis=1)
    return found


def embedding_blocks(options: ResponseOptions) -> list[Block]:
    """What a head is given of the embeddings, with days and treatment."""
    if options.task == "predict":
        return ["start", "past", "treatment"]
    symmetric = head_kind(options.head, options.task).is_antisymmetric
    return ["delta", "middle" if symmetric else "start", "days", "treatment"]


def _by_head(trial: Trial, blocks: list[Block], *, is_like_head: bool = False) -> Answer | None:
    """A multinomial head, or one like the head, on other features; None if they say nothing."""
    options = trial.options
    kind = head_kind(options.head if is_like_head else "multinomial", options.task)
    try:
        model = fit_model(
            trial.pool,
            trial.roles,
            kind,
            blocks,
            clinical=trial.options.clinical,
            class_weight=options.class_weight if is_like_head else "none",
            seed=trial.options.seed,
        )
    except NotEnoughDataError:
        return None
    examples = trial.pool.examples.only(trial.tried)
    return Answer(model.probability(trial.pool.material, examples), model.share)


def _single_feature(trial: Trial, predicted: Floats) -> Floats:
    """(t,) predicted difference of health score, or predicted score at the start."""
    examples = trial.pool.examples
    if trial.options.task == "detect":
        return np.asarray(predicted[examples.later] - predicted[examples.earlier])
    return np.asarray(predicted[examples.earlier])


def _by_number(trial: Trial, number: Floats) -> Answer:
    """Multinomial logistic regression on one number."""
    pool, rows = trial.pool, trial.pool.of(trial.roles.fit)
    center, spread = number[rows].mean(), number[rows].std() or 1.0
    feature = ((number - center) / spread)[:, None]
    weight = patient_weights(pool.patient[rows])
    lesson = Lesson(feature[rows], pool.code[rows], weight, len(pool.classes), np.zeros(1, bool))
    kind = head_kind("multinomial", trial.options.task)
    head = kind.fit(lesson, kind.strengths[-1], trial.options.seed)
    chance = above_floor(softmax(head.logits(feature[trial.tried])))
    return Answer(chance, pool.share(rows))


BASELINES: Mapping[str, Callable[[Trial], Answer | None]] = {
    "majority": majority,
    "no change": no_change,
    "score alone": score_alone,
    "single scans": single_scans,
    "nearest vote": nearest_vote,
    "clinical": clinical_alone,
    "clinical + embedding": clinical_and_embedding,
    "embedding": embedding_alone,
}
"""Every baseline by name, in the order of tables."""
