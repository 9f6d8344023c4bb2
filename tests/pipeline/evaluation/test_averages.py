"""Folds weigh by their patients, what is undefined is left out, and seeds are averaged."""

import numpy as np
import pytest

from learner_index.pipeline.evaluation.averages import Drawn, averaged, mean_of_seeds


def drawn(value, draws, n_patients=1, chance=None):
    return Drawn(value, np.array(draws, float), n_patients, 10 * n_patients, chance)


def test_folds_weigh_by_their_patients():
    """A fold of three patients counts three times one of one."""
    found = averaged([drawn(1.0, [1, 0], 3, 0.5), drawn(0.0, [0, 0], 1, 0.1)])

    assert found.value == 0.75
    assert found.draws.tolist() == [0.75, 0.0]
    assert (found.n_patients, found.n_pairs, found.chance) == (4, 40, pytest.approx(0.4))


def test_an_undefined_fold_is_left_out_and_not_counted():
    """Neither its patients nor its chance enter; no warning is given."""
    found = averaged([drawn(np.nan, [np.nan, 1], 5, np.nan), drawn(0.25, [0.5, 0], 2, 0.5)])

    assert found.value == 0.25
    assert found.draws.tolist() == [0.5, 0.0]
    assert (found.n_patients, found.chance) == (2, 0.5)


def test_a_draw_that_leaves_a_fold_undefined_rests_on_the_others():
    """And is undefined where all are."""
    found = averaged([drawn(0.0, [np.nan, np.nan], 3), drawn(1.0, [1, np.nan], 1)])

    np.testing.assert_array_equal(found.draws, [1.0, np.nan])


def test_nothing_defined_is_undefined():
    """NaN of nobody, rather than a warning or a zero."""
    found = averaged([drawn(np.nan, [np.nan], 5, np.nan)])

    assert np.isnan(found.value)
    assert (found.n_patients, found.n_pairs, found.chance) == (0, 0, None)


def test_seeds_are_averaged_draw_by_draw():
    """A draw that one training leaves undefined stays so."""
    found = mean_of_seeds([{"a": drawn(1.0, [1, np.nan])}, {"a": drawn(0.0, [0, 1])}])["a"]

    assert found.value == 0.5
    np.testing.assert_array_equal(found.draws, [0.5, np.nan])


def test_a_measure_one_training_lacks_is_left_out():
    """Otherwise the trainings that went well would stand for all."""
    one, other = {"a": drawn(1.0, [1]), "b": drawn(1.0, [1])}, {"a": drawn(0.0, [0])}

    assert list(mean_of_seeds([one, other])) == list(mean_of_seeds([other, one])) == ["a"]


def test_the_fewest_patients_are_reported():
    """Of trainings that rest on different ones."""
    found = mean_of_seeds([{"a": drawn(1.0, [1], 5)}, {"a": drawn(0.0, [0], 3)}])["a"]

    assert found.n_patients == 3
