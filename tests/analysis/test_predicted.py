"""Predicted health changes as a record: what is let in, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.predicted import Predicted, likeliest
from learner_index.errors import NotEnoughDataError, QueryError

RIGHT = {
    "true": np.array([-1, 0, 1]),
    "probability": np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0, 0, 1]]),
    "label": np.array([-1, 0, 1], np.int8),
    "patient": np.array([1, 0, 1]),
}


def test_columns_that_belong_together_are_let_in():
    """Two patients of three transitions; float32 probabilities may round."""
    thirds = np.full((3, 3), 1 / 3, np.float32)

    assert Predicted(**RIGHT).n_patients == 2
    assert Predicted(**RIGHT | {"probability": thirds}).n_patients == 2


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("probability", np.ones((3, 2)) / 2, r"probability has shape \(3, 2\) where 3"),
        ("label", np.zeros(4, np.int8), r"label has shape \(4,\) where 3 transitions"),
        ("patient", np.zeros((3, 1), int), r"patient has shape \(3, 1\)"),
        ("true", np.array([-1, 0, 2]), "true of row 2 is 2: use -1 worsened"),
        ("label", np.array([-1, 3, 4]), "label of row 1 is 3"),
        ("probability", np.full((3, 3), 0.3), r"row 0 are \[0.3, 0.3, 0.3\]"),
        ("probability", np.array([[1, 0, 0], [np.nan, 0, 1], [1, 0, 0]]), "row 1 are .*nan"),
        ("probability", np.array([[1, 0, 0], [1, 0, 0], [np.inf, 0, -np.inf]]), "row 2 are .*inf"),
        ("probability", np.array([[1, 0, 0], [1.5, -0.5, 0], [1, 0, 0]]), r"row 1 are \[1.5"),
        ("patient", np.array([0, 2, 3]), "patient 1 of 4 has no transition"),
        ("patient", np.array([0, 1, -1]), "numbered 0, 1, 2"),
        ("patient", np.array([0.0, 1, 1]), "numbered 0, 1, 2"),
    ],
)
def test_refuses_columns_that_do_not_fit(column, value, match):
    """The first wrong row is named."""
    with pytest.raises(QueryError, match=match):
        Predicted(**RIGHT | {column: value})


def test_refuses_no_transitions():
    """There is nothing to be right about."""
    none = np.zeros(0, int)

    with pytest.raises(NotEnoughDataError, match="no transitions to measure"):
        Predicted(none, np.zeros((0, 3)), none, none)


def test_the_likeliest_class_is_predicted():
    """Columns are worsened, stable and improved; where two share the top, it is stable."""
    ties = np.array([[0.4, 0.2, 0.4], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])

    assert likeliest(np.eye(3)).tolist() == [-1, 0, 1]
    assert likeliest(ties).tolist() == [0, 0, 0, 0]
    assert likeliest(ties).dtype == np.int8


@given(st.integers(0, 2**32 - 1))
def test_the_likeliest_class_turns_with_its_columns(seed):
    """Worsened and improved are treated alike, also in ties."""
    probability = np.random.default_rng(seed).multinomial(6, np.ones(3) / 3, 20) / 6

    assert (likeliest(probability[:, ::-1]) == -likeliest(probability)).all()


FIVE = {
    "true": np.array([0, 4]),
    "probability": np.full((2, 5), 0.2),
    "label": np.array([3, 4]),
    "patient": np.array([0, 1]),
    "classes": (0, 1, 2, 3, 4),
}


def test_any_number_of_classes_is_let_in():
    """Five of them, of which two came about."""
    assert Predicted(**FIVE).n_patients == 2


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("true", np.array([0, 5]), "true of row 1 is 5: use one of 0, 1, 2, 3, 4"),
        ("label", np.array([-1, 0]), "label of row 0 is -1: use one of 0, 1, 2, 3, 4"),
        ("probability", np.full((2, 3), 1 / 3), r"probability has shape \(2, 3\) .* \(2, 5\)"),
        ("classes", (0, 1, 2, 3), r"probability has shape \(2, 5\) .* \(2, 4\)"),
        ("classes", (0,), r"classes \(0,\) do not rise, or are fewer than two"),
        ("classes", (0, 1, 1, 2, 3), r"classes \(0, 1, 1, 2, 3\) do not rise"),
        ("classes", (4, 3, 2, 1, 0), "do not rise"),
    ],
)
def test_refuses_what_does_not_fit_the_classes(column, value, match):
    """Codes, columns and the classes themselves."""
    with pytest.raises(QueryError, match=match):
        Predicted(**FIVE | {column: value})
