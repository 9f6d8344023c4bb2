"""Intensity rules as text, and the limits they set."""

import numpy as np
import pytest

from learner_index.data.intensity import Intensity, parse_intensity
from learner_index.errors import EncoderError


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("auto", Intensity("auto")),
        ("range", Intensity("range")),
        ("percentile:1,99", Intensity("percentile", 1.0, 99.0)),
        ("window:-1000,400", Intensity("window", -1000.0, 400.0)),
    ],
)
def test_reads_the_four_rules(text, rule):
    """Each rule has one spelling."""
    assert parse_intensity(text) == rule


def test_percentiles_of_a_large_volume_are_close_to_the_exact_ones():
    """Thinning to a million values moves the limits by less than a hundredth of the range."""
    values = np.random.default_rng(0).normal(size=(30, 256, 512)).astype(np.float32)

    limits = parse_intensity("auto").limits(values)

    assert limits == pytest.approx(np.percentile(values, [0.5, 99.5]), abs=0.05)


@pytest.mark.parametrize(
    "text",
    ["", "Auto", "window", "window:1", "window:5,5", "window:nan,1", "window:0,inf", "gamma:1,2",
     "percentile:-1,50", "percentile:50,101", "percentile:60,40", "window:1,2,3"],
)  # fmt: skip
def test_refuses_rules_it_does_not_know(text):
    """Misspelt rules and numbers that do not ascend are refused with the four that exist."""
    with pytest.raises(EncoderError, match="give auto, range, percentile:LO,HI"):
        parse_intensity(text)
