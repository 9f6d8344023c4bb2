"""Intensity rules: which of a scan's values become black and which white."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import EncoderError

_ROBUST = (0.5, 99.5)  # percentiles of "auto"
_ENOUGH = 1_000_000  # values a percentile is taken over


@dataclass(frozen=True, slots=True)
class Intensity:
    """A parsed intensity rule.

    Attributes:
        rule: "range" takes the type's range of 8-bit scans and the values' range of others;
            "auto" the same for 8-bit scans and percentiles 0.5 to 99.5 of others.
        low: percentile, or value in the scan's units, that becomes 0.
        high: percentile or value that becomes 1.
    """

    rule: Literal["auto", "range", "percentile", "window"]
    low: float = _ROBUST[0]
    high: float = _ROBUST[1]

    def limits(self, values: NDArray[Any]) -> tuple[float, float]:
        """The values that become 0 and 1.

        Percentiles rest on at most about a million values, taken at even steps; when they fall
        together, as on a nearly empty picture, the whole range is used.
        """
        if self.rule == "window":
            return self.low, self.high
        if values.dtype == np.uint8 and self.rule != "percentile":
            return 0.0, 255.0
        if self.rule != "range":
            step = math.ceil(values.size / _ENOUGH) | 1  # odd: no stripes with even widths
            found = np.percentile(values.reshape(-1)[::step], [self.low, self.high])
            if found[1] > found[0]:
                return float(found[0]), float(found[1])
        return float(values.min()), float(values.max())


def parse_intensity(text: str) -> Intensity:
    """The rule that a setting such as "window:-1000,400" stands for.

    Raises:
        EncoderError: the text is none of auto, range, percentile:LO,HI or window:LO,HI, or its
            numbers do not ascend.
    """
    if text == "auto":
        return Intensity("auto")
    if text == "range":
        return Intensity("range")
    name, _, numbers = text.partition(":")
    try:
        low, high = (float(number) for number in numbers.split(","))
    except ValueError:
        low = high = math.nan
    if name == "percentile" and 0 <= low < high <= 100:
        return Intensity("percentile", low, high)
    if name == "window" and -math.inf < low < high < math.inf:
        return Intensity("window", low, high)
    raise EncoderError(
        f"intensity {text!r} is not understood; give auto, range, percentile:LO,HI with "
        "0 <= LO < HI <= 100, or window:LO,HI with LO < HI"
    )
