"""One model of the response: features, a head, a temperature; fitted on patients with a part."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.softmax import softmax
from learner_index.analysis.temperature import Temperature, fit_temperature
from learner_index.config.response import ClassWeight
from learner_index.data.heads import Head, HeadKind, Lesson
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response.examples import Examples
from learner_index.pipeline.response.features import Block, Encoding, fit_encoding, patient_weights
from learner_index.pipeline.response.material import Codes, Floats, Masks, Material
from learner_index.pipeline.response.roles import HeadRoles

_FLOOR = 1e-6  # least probability, so that no log loss is infinite
_DIGITS = 12  # of balanced probabilities: rounding must not rank what is alike
_TIE = 1e-4  # lifts that differ by this share are alike: solvers are no more exact
_CAP = 20_000  # examples that choose the strength
_MANY = 5_000  # examples above which one split of the patients chooses it, not four
_SPLITS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Examples whose outcome is known, with all that a model may be fitted on or tried with.

    Attributes:
        material: the cohort.
        examples: t of it.
        code: (t,) number of the class that came about.
        before: (t,) number of the class that stands for no change; -1 where none does.
        classes: (c,) their names.
        is_ordinal: they are in an order.
    """

    material: Material
    examples: Examples
    code: Codes
    before: Codes
    classes: tuple[str, ...]
    is_ordinal: bool

    @property
    def patient(self) -> Codes:
        """(t,) patient of each example."""
        return self.examples.patient

    def of(self, patients: Masks) -> Masks:
        """(t,) examples of some patients."""
        return np.asarray(patients[self.patient])

    def share(self, rows: Masks) -> Floats:
        """(c,) of each class among some examples, each patient weighing the same."""
        weight = patient_weights(self.patient[rows])
        found = np.bincount(self.code[rows], weight, len(self.classes))
        return np.asarray(found / weight.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A fitted model.

    Attributes:
        kind: of its head.
        head: on the encoding's features.
        encoding: what it is given.
        strength: chosen on patients among those fitted on.
        prior: (c,) added to the head's logits: what balanced class weights had taken away.
        temperature: what logits are divided by.
        share: (c,) mean probability it gives those fitted on, each patient weighing the same: near
            the share of each class, but for what penalty and temperature do to it. What an
            answer is compared with to tell which class is likelier than usual.
    """

    kind: HeadKind
    head: Head
    encoding: Encoding
    strength: float
    prior: Floats
    temperature: Temperature
    share: Floats

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """(t, c) before the temperature."""
        return np.asarray(self.head.logits(features) + self.prior)

    def probability_of(self, features: NDArray[np.floating]) -> Floats:
        """(t, c) of standardized features; above 0, rows sum to 1."""
        return above_floor(softmax(self.logits(features) / self.temperature.value))

    def probability(self, material: Material, examples: Examples) -> Floats:
        """(t, c) of each class; above 0, rows sum to 1."""
        return self.probability_of(self.encoding.features(material, examples))


def fit_model(
    pool: Pool,
    roles: HeadRoles,
    kind: HeadKind,
    blocks: Sequence[Block],
    *,
    clinical: Sequence[str] = (),
    class_weight: ClassWeight = "none",
    seed: int,
) -> Model:
    """A head of the strength that predicts left-out patients best, with its temperature.

    Args:
        pool: examples with known outcomes.
        roles: who fits, and who sets the temperature; the others are not looked at.
        kind: of head.
        blocks: features.
        clinical: columns of the block "clinical".
        class_weight: whether classes weigh the same while the head is fitted.
        seed: of inner splits and of the head.

    Raises:
        NotEnoughDataError: fewer than two classes to learn from, or no features.
    """
    rows = pool.of(roles.fit)
    if len(np.unique(pool.code[rows])) < 2:
        raise NotEnoughDataError(
            f"the {len(np.unique(pool.patient[rows]))} patients to learn from have one outcome: "
            "lower --folds, give another --threshold, or add patients who differ"
        )
    encoding = fit_encoding(pool.material, pool.examples, rows, blocks, clinical)
    features = encoding.features(pool.material, pool.examples.only(rows))
    share = pool.share(rows)
    if kind.is_antisymmetric:
        share = (share + share[::-1]) / 2
    lesson = Lesson(
        features,
        pool.code[rows],
        patient_weights(pool.patient[rows]),
        len(pool.classes),
        encoding.is_odd,
    )
    prior = np.zeros(len(pool.classes))
    if class_weight == "balanced":
        lesson, prior = _balanced(lesson, share)
    strength = _chosen_strength(lesson, pool.patient[rows], kind, seed)
    model = Model(
        kind, kind.fit(lesson, strength, seed), encoding, strength, prior, Temperature(), share
    )
    model = _tempered(model, pool, roles)
    weight = patient_weights(pool.patient[rows])
    usual = np.average(model.probability_of(features), axis=0, weights=weight)
    usual = np.where(share > 0, usual, 0.0)
    if kind.is_antisymmetric:
        usual = (usual + usual[::-1]) / 2
    return replace(model, share=usual)


def likeliest(probability: Floats) -> Codes:
    """(t,) number of the most probable class."""
    return np.asarray(probability.argmax(axis=1), np.int64)


def balanced(probability: Floats, share: Floats) -> Floats:
    """(t, c) probabilities, were all classes equally common among those fitted on."""
    lift = np.where(share > 0, probability / np.maximum(share, _FLOOR), 0.0)
    return np.asarray(np.round(lift / lift.sum(axis=1, keepdims=True), _DIGITS))


def lifted(probability: Floats, share: Floats) -> Codes:
    """(t,) number of the class likeliest beside what is said on average; ties: the commonest.

    Taking the most probable one would answer the commonest class nearly always.
    """
    lift = balanced(probability, share)
    is_best = lift >= lift.max(axis=1, keepdims=True) * (1 - _TIE)
    return np.asarray(np.where(is_best, share, -1.0).argmax(axis=1), np.int64)


def above_floor(probability: Floats) -> Floats:
    """Probabilities none of which is 0; rows sum to 1."""
    found = np.maximum(probability, _FLOOR)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _tempered(model: Model, pool: Pool, roles: HeadRoles) -> Model:
    """The model with the temperature that suits patients of their own."""
    rows = pool.of(roles.temper)
    if not rows.any():
        return model
    features = model.encoding.features(pool.material, pool.examples.only(rows))
    found = fit_temperature(model.logits(features), pool.code[rows], pool.patient[rows])
    return replace(model, temperature=found)


def _balanced(lesson: Lesson, share: Floats) -> tuple[Lesson, Floats]:
    """A lesson in which all classes weigh the same, and what that takes from their logits."""
    is_there = share > 0
    factor = np.where(is_there, 1.0 / np.where(is_there, share, 1.0), 0.0)
    weight = lesson.weight * factor[lesson.target]
    weight *= len(weight) / weight.sum()
    prior = np.where(is_there, np.log(np.where(is_there, share, 1.0)), 0.0)
    return replace(lesson, weight=weight), prior


def _chosen_strength(lesson: Lesson, patient: Codes, kind: HeadKind, seed: int) -> float:
    """The strength with the least log loss of patients left out of the fit.

    Up to 5,000 examples, patients are left out a quarter at a time; else one quarter is.
    """
    middle = kind.strengths[len(kind.strengths) // 2]
    rng = np.random.default_rng([seed, 1])
    names = rng.permutation(np.unique(patient))
    if len(patient) > _CAP:
        names = names[: max(_SPLITS, int(len(names) * _CAP / len(patient)))]
    folds = np.full(patient.max(initial=0) + 1, -1, np.int64)
    folds[names] = np.arange(len(names)) % _SPLITS
    own = folds[patient]
    n_tried = 1 if len(patient) > _MANY else _SPLITS
    losses = np.zeros(len(kind.strengths))
    n_used = 0
    for fold in range(min(n_tried, len(names))):
        train, tune = (own >= 0) & (own != fold), own == fold
        if len(np.unique(lesson.target[train])) < 2 or not tune.any():
            continue
        parts = _part(lesson, train), _part(lesson, tune)
        losses += _losses(*parts, kind, seed, is_whole=n_tried > 1)
        n_used += 1
    return kind.strengths[int(np.argmin(losses))] if n_used else middle


def _part(lesson: Lesson, rows: Masks) -> Lesson:
    """Some rows of a lesson, weights adding up to their number."""
    weight = lesson.weight[rows]
    return replace(
        lesson,
        features=lesson.features[rows],
        target=lesson.target[rows],
        weight=weight * (len(weight) / weight.sum()),
    )


def _losses(train: Lesson, tune: Lesson, kind: HeadKind, seed: int, *, is_whole: bool) -> Floats:
    """(s,) log loss of each strength; unless whole, beyond two that grew worse infinite."""
    found = np.full(len(kind.strengths), np.inf)
    for number, strength in enumerate(kind.strengths):
        head = kind.fit(train, strength, seed)
        chance = above_floor(softmax(head.logits(tune.features)))
        hit = chance[np.arange(len(tune.target)), tune.target]
        found[number] = np.average(-np.log(hit), weights=tune.weight)
        is_rising = number >= 2 and found[number] > found[number - 1] > found[: number - 1].min()
        if is_rising and not is_whole:
            break
    return found
