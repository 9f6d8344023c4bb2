"""Every model on the same folds and draws: planted answers, chance, leaks, and fair comparisons."""

from collections import Counter
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.pipeline.evaluation import judge
from learner_index.pipeline.evaluation.models import Fixed, oracle
from tests.pipeline.evaluation.planted import (
    OPTIONS,
    fixed,
    guessing,
    judged,
    knowing,
    material_of,
    outcome,
    planted_rows,
    splits_of,
    value,
)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Forty patients with three visits, whose scores move by 10 or not at all."""
    return material_of(tmp_path_factory.mktemp("planted"), planted_rows())


@pytest.fixture(scope="module")
def found(material):
    """One model that knows the score and one that guesses, with the twin of the first."""
    return judged(material, knowing(material), knowing(material, "twin"), guessing(material))


@dataclass(frozen=True, slots=True)
class Memory:
    """An encoder that gives the patients it was trained on away, and draws all others at random."""

    material: object
    splits: tuple
    name: str = "memory"
    kind: str = "trained"
    says: str = "memorises"
    seeds: tuple[int, ...] = (0,)

    def embeddings(self, seed, fold):
        rows = np.random.default_rng([seed, fold]).normal(size=(self.material.n_scans, 2))
        known = ~self.material.is_of(self.splits[fold].unseen)[self.material.owners]
        rows[known, 0] = 10 * self.material.score[known]
        return rows.astype(np.float32)

    def seen(self, seed, fold):
        return frozenset((*self.splits[fold].train, *self.splits[fold].val))


@pytest.mark.parametrize(
    "measure",
    [
        *("macro_f1", "auroc", "order_accuracy", "inversion_consistency", "difference_macro_f1"),
        *("difference_auroc", "within_concordance"),
    ],
)
def test_an_embedding_that_is_the_score_gets_everything_right(found, measure):
    """Changes, their order and their turning round are all read without an error."""
    assert value(found, "knows", measure) == 1


def test_the_score_itself_is_read_and_orders_the_space(found):
    """Scores are predicted up to the ridge's shrinkage, and distances follow changes."""
    assert value(found, "knows", "score_mae") < 0.1
    assert value(found, "knows", "score_spearman") > 0.99
    assert outcome(found, "knows").intervals["within_raw"][0] > 0.5


@pytest.mark.parametrize(
    ("measure", "chance"),
    [
        *((name, 0.5) for name in ("auroc", "difference_auroc", "order_accuracy")),
        *((name, 0.5) for name in ("triplet_ordinality", "within_concordance", "site")),
        *((name, 0.0) for name in ("score_pearson", "score_spearman", "change_spearman")),
        *((f"{which}_{how}", 0.0) for which in ("within", "across") for how in ("raw", "centered")),
        ("qwk", 0.0),
    ],
)
def test_random_embeddings_are_at_chance(found, measure, chance):
    """What knows nothing has chance inside its interval."""
    low, high = outcome(found, "guesses").intervals[measure]

    assert low <= chance <= high


def test_what_knows_nothing_is_not_put_below_chance(found):
    """Shares of classes differ from fold to fold; ranked over folds they would lie below 1/2."""
    for name in ("majority", "no change"):
        assert value(found, name, "auroc") == pytest.approx(0.5)


def test_an_encoder_that_memorises_is_at_chance(tmp_path):
    """With random labels, knowing all of those it was trained on is worth nothing (DESIGN 5)."""
    rows = planted_rows(48, seed=5)
    labels = np.random.default_rng(2).permutation([row["health_score"] for row in rows])
    shuffled = [
        row | {"health_score": score} for row, score in zip(rows, labels.tolist(), strict=True)
    ]
    material = material_of(tmp_path, shuffled)
    splits = splits_of(material)

    found = judged(material, Memory(material, splits), knowing(material), splits=splits)

    intervals = outcome(found, "memory").intervals
    for measure, chance in (("auroc", 0.5), ("order_accuracy", 0.5), ("score_spearman", 0.0)):
        assert intervals[measure][0] <= chance <= intervals[measure][1]
        assert value(found, "knows", measure) > 0.99  # so would be one that knew all
    assert outcome(found, "memory").n_seen == 0


def test_everybody_is_predicted_once_by_who_has_not_seen_them(material, found):
    """Each transition has one prediction a seed, and its patient is unseen in that fold."""
    times = Counter(patient for split in found.splits for patient in split.unseen)

    assert set(times.values()) == {1}
    for split in found.splits:
        assert not set(split.unseen) & {*split.train, *split.val}
    for one in found.outcomes:
        assert all(len(seed.true) == len(material.changes) for seed in one.predicted)


def test_a_model_against_itself_differs_by_nothing(found):
    """The same draws, swaps and folds for all models: exactly 0, and p 1 in both tests."""
    twins = [one for one in found.comparisons if one.model == "twin"]

    assert {one.difference for one in twins} == {0.0}
    assert {end for one in twins for end in (one.low, one.high) if not np.isnan(end)} == {0.0}
    tested = next(one for one in twins if one.measure == "macro_f1")
    assert (tested.p_swap, tested.p_fold, tested.p_holm) == (1.0, 1.0, 1.0)


def test_a_model_that_knows_more_is_told_apart(found):
    """Beside one that guesses, the difference leaves 0 out and the test finds it."""
    one = next(
        one for one in found.comparisons if (one.model, one.measure) == ("guesses", "macro_f1")
    )

    assert one.high < 0
    assert one.p_swap == pytest.approx(1 / 100)
    assert one.p_holm == pytest.approx(2 / 100)  # two models were tested


def test_seeds_are_averaged(material):
    """Two trainings give the mean of both, in the figure and in every draw."""
    rows = [guessing(material, seed=seed).rows for seed in (1, 2)]

    class Two(Fixed):
        def embeddings(self, seed, fold):
            return rows[seed]

    two = Two("two", "trained", "", rows[0], seeds=(0, 1))
    found = judged(material, two, fixed(rows[0], "first"), fixed(rows[1], "second"))

    for name in ("macro_f1", "score_mae", "within_raw", "site"):
        each = [outcome(found, which).figures[name] for which in ("first", "second")]
        both = outcome(found, "two").figures[name]
        assert both.value == pytest.approx(np.mean([one.value for one in each]))
        np.testing.assert_allclose(both.draws, np.mean([one.draws for one in each], axis=0))


def test_the_truth_is_a_ceiling(tmp_path):
    """Scores with noise: the oracle beats what guesses, and nobody is accused."""
    rows = planted_rows(30, seed=3)
    rng = np.random.default_rng(0)
    truth = pd.DataFrame({"s": [-float(row["health_score"]) for row in rows]})
    noisy = [row | {"health_score": row["health_score"] + 4 * rng.normal()} for row in rows]
    material = material_of(tmp_path, noisy, truth=truth)

    found = judged(material, guessing(material), oracle(truth))

    assert value(found, "oracle", "macro_f1") > value(found, "guesses", "macro_f1")
    assert not [note for note in found.notes if "LEAK" in note]
    tested = [one.model for one in found.comparisons if one.p_swap is not None]
    assert "oracle" not in tested


def test_a_planted_leak_raises_the_alarm(tmp_path):
    """A model that holds the noisy labels themselves beats the truth, which only a leak can."""
    rows = planted_rows(30, seed=3)
    rng = np.random.default_rng(0)
    truth = pd.DataFrame({"s": [-float(row["health_score"]) for row in rows]})
    noisy = [row | {"health_score": row["health_score"] + 12 * rng.normal()} for row in rows]
    material = material_of(tmp_path, noisy, truth=truth)

    found = judged(material, knowing(material, "leaky"), oracle(truth))

    assert [note for note in found.notes if note.startswith("LEAK ALARM: leaky beats the oracle")]


def test_a_collapsed_space_is_measured_as_far_as_it_goes(material):
    """One embedding for all scans: read-outs at chance, no space, and a note that says so."""
    flat = fixed(np.full((material.n_scans, 3), 0.7), "flat")

    found = judged(material, flat, guessing(material))

    assert "effective_rank" not in outcome(found, "flat").figures
    assert value(found, "flat", "auroc") == pytest.approx(0.5)
    assert np.isnan(value(found, "flat", "score_spearman"))
    assert [note for note in found.notes if note.startswith("flat gives all scans of a fold")]


def test_a_space_collapsed_in_one_fold_is_not_compared(material):
    """Its measures are of fewer patients, so a difference would be between other patients."""

    class Once(Fixed):
        def embeddings(self, seed, fold):
            return np.ones_like(self.rows) if fold == 0 else self.rows

    once = Once("once", "trained", "", guessing(material).rows)

    found = judged(material, once, guessing(material))

    one, other = (outcome(found, name).figures["within_raw"] for name in ("once", "guesses"))
    assert one.n_patients < other.n_patients == 40
    compared = {one.measure for one in found.comparisons if one.model == "guesses"}
    assert "macro_f1" in compared
    assert "within_raw" not in compared


def test_what_goes_wrong_names_model_and_fold(material):
    """A model that cannot be fitted is named, with the fold."""
    refusal = NotEnoughDataError("there is nothing")
    with (
        mock.patch.object(judge, "run_fold", side_effect=refusal),
        pytest.raises(NotEnoughDataError, match=r"^guesses, fold 1 of 4: there is nothing$"),
    ):
        judged(material, guessing(material))


def test_an_unknown_model_to_compare_with_is_refused(material):
    """The message offers what is near and lists what there is."""
    with pytest.raises(
        SettingsError, match=r"--against gueses: no such model \(did you mean 'guesses'\?\)"
    ):
        judged(material, guessing(material), options=replace(OPTIONS, against="gueses"))
