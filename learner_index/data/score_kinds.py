"""What is known of each kind of health score: its unit, range, ceiling, and the change that counts.

Scores here are raw, as a ward charts them; `data.scores` turns them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from learner_index.data.suggest import close_names
from learner_index.errors import SettingsError

SF94_LIMIT = 94.0
"""Highest SpO2, in percent, at which S/F94 is defined."""

_ROOM_AIR = 0.21  # FiO2 cannot be dialled lower


@dataclass(frozen=True, slots=True)
class ScoreKind:
    """A clinical measure that can serve as health score.

    Attributes:
        name: what settings call it.
        title: what people call it.
        unit: unit of the raw value, "" for a ratio.
        valid_range: lowest and highest raw value that can be right.
        range_reason: where that range comes from, "" where there is none.
        ceiling: raw value at and above which a change for the better cannot show; None: nowhere.
        ceiling_reason: why, or why there is none; "" where nothing is known.
        direction: "higher" raw values are healthier.
        change_threshold: θ, the change that counts as one, in raw units; None: not known.
        threshold_source: where θ comes from.
        reliability: how far two readings of an unchanged patient lie apart, with its source.
    """

    name: str
    title: str
    unit: str
    valid_range: tuple[float, float]
    range_reason: str
    ceiling: float | None
    ceiling_reason: str
    direction: Literal["higher"]
    change_threshold: float | None
    threshold_source: str
    reliability: str


_SF_THRESHOLD = (
    "a choice of this package: S/F 315 and 235 stand for P/F 300 and 200 (Rice et al. 2007), "
    "80 apart; a change of 50 is well inside one such step"
)

_SF = ScoreKind(
    name="sf",
    title="S/F ratio",
    unit="",
    valid_range=(20.0, 477.0),
    range_reason="SpO2 in percent by FiO2 as a share; 100 % on room air is 476",
    ceiling=SF94_LIMIT / _ROOM_AIR,
    ceiling_reason="room air and SpO2 of 94 % or more: better lungs hardly raise it",
    direction="higher",
    change_threshold=50.0,
    threshold_source=_SF_THRESHOLD,
    reliability=(
        "simulated (this package's model of S/F, first visits): two readings of an unchanged "
        "patient differ with an SD of 48, and by 50 or more in 30 % of pairs"
    ),
)

_SF94 = ScoreKind(
    name="sf94",
    title="S/F94 ratio",
    unit="",
    valid_range=(20.0, 448.0),
    range_reason="SpO2 in percent, at most 94, by FiO2 as a share; 94 % on room air is 448",
    ceiling=None,
    ceiling_reason="none: scans with SpO2 above 94 % are left out instead",
    direction="higher",
    change_threshold=50.0,
    threshold_source=_SF_THRESHOLD,
    reliability=(
        "simulated (this package's model of S/F, first visits, both SpO2 at most 94 %): two "
        "readings of an unchanged patient differ with an SD of 33, and by 50 or more in 17 % of "
        "pairs"
    ),
)

_MMSE = ScoreKind(
    name="mmse",
    title="MMSE",
    unit="points",
    valid_range=(0.0, 30.0),
    range_reason="the test has 30 points",
    ceiling=30.0,
    ceiling_reason="all points reached: nobody can show more",
    direction="higher",
    change_threshold=3.0,
    threshold_source=(
        "Clark et al. 1999 (CERAD) set a meaningful change at more than 3 points; here 3 count"
    ),
    reliability=(
        "published (Clark et al. 1999, CERAD): measurement error with an SD of 2.8 points, "
        "beside a mean decline of 3.4 points a year"
    ),
)

_GENERIC = ScoreKind(
    name="generic",
    title="health score",
    unit="",
    valid_range=(-math.inf, math.inf),
    range_reason="",
    ceiling=None,
    ceiling_reason="",
    direction="higher",
    change_threshold=None,
    threshold_source="not known: give the change that counts, in score units",
    reliability="not known: mark independent repeats as `rescan` to measure it",
)

SCORE_KINDS: Mapping[str, ScoreKind] = MappingProxyType(
    {kind.name: kind for kind in (_GENERIC, _SF, _SF94, _MMSE)}
)
"""Every kind of health score, by name."""


def score_kind(name: str) -> ScoreKind:
    """The kind of health score that a setting names.

    Raises:
        SettingsError: there is no such kind.
    """
    kind = SCORE_KINDS.get(name)
    if kind is None:
        raise SettingsError(
            f"--score-kind {name}: no such kind{close_names(name, SCORE_KINDS)}; "
            f"there are {', '.join(SCORE_KINDS)}"
        )
    return kind
