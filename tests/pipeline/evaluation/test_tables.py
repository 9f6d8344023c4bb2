"""What is shown of a figure, and of a difference."""

from types import SimpleNamespace

import numpy as np
import pytest

from learner_index.pipeline.evaluation.averages import Drawn
from learner_index.pipeline.evaluation.compare import Comparison
from learner_index.pipeline.evaluation.tables import figure_text, markdown, verdict


@pytest.mark.parametrize(
    ("measure", "low", "high", "shown"),
    [
        ("macro_f1", 0.1, 0.3, "+"),
        ("macro_f1", -0.3, -0.1, "−"),
        ("score_mae", 0.1, 0.3, "−"),
        ("score_mae", -0.3, -0.1, "+"),
        ("macro_f1", -0.1, 0.1, "·"),
        ("macro_f1", 0.0, 0.1, "·"),
        ("macro_f1", np.nan, np.nan, "·"),
        ("site", 0.1, 0.3, "·"),
    ],
)
def test_a_cell_says_who_is_better(measure, low, high, shown):
    """By the measure's direction; nothing where the interval holds 0, or none is better."""
    one = Comparison("a", "b", measure, (low + high) / 2, low, high, 9, 9)

    assert verdict(one) == shown


@pytest.mark.parametrize(
    ("name", "value", "ends", "shown"),
    [
        ("macro_f1", 0.5, (0.25, 0.75), "0.500 (0.250 to 0.750)"),
        ("ece", 0.5, (np.nan, np.nan), "0.500"),
        ("qwk", 0.0, (-1e-17, 1e-17), "0.000 (0.000 to 0.000)"),
        ("score_mae", 51.26, (49.0, 53.0), "51.3 (49.0 to 53.0)"),
        ("score_spearman", np.nan, (np.nan, np.nan), "-"),
        ("site", 0.5, (0.1, 0.2), "-"),
    ],
)
def test_a_figure_with_its_interval(name, value, ends, shown):
    """A dash for what is undefined or not measured; score units with fewer digits."""
    figures = {} if name == "site" else {name: Drawn(value, np.zeros(1), 1, 1)}
    outcome = SimpleNamespace(figures=figures, intervals={name: ends})

    assert figure_text(outcome, name) == shown


def test_markdown_tables_have_a_head():
    """Header, rule and rows."""
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
