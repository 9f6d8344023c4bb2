"""How changes look in every figure of them, static or not: a color and a shape a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

GREEN, PURPLE, ORANGE = "#009e73", "#cc79a7", "#e69f00"  # Okabe-Ito
BLACK, PALE, RULE = "#000000", "#d9d9d9", "#dddddd"


@dataclass(frozen=True, slots=True)
class Look:
    """How one kind of thing is drawn.

    Attributes:
        color: as #rrggbb.
        marker: its shape in matplotlib.
        symbol: the same shape in plotly.
    """

    color: str
    marker: str
    symbol: str


VERDICTS = {
    "improving": Look(GREEN, "v", "triangle-down"),  # down the severity axis
    "steady": Look("#0072b2", "s", "square"),
    "worsening": Look("#d55e00", "^", "triangle-up"),
    "uncertain": Look(ORANGE, "D", "diamond"),
}
UNTOLD = Look("#777777", "X", "x")
"""Where no verdict can be given: no axis, or no noise floor."""
PARTS = {
    "direction": ("#0072b2", "direction"),
    "start": (ORANGE, "start"),
    "days": (PURPLE, "days"),
}
"""The parts of a progression's similarity S: color and name of each."""


def look_of(verdict: str) -> Look:
    """How a verdict looks."""
    return VERDICTS.get(verdict, UNTOLD)


def verdict_key(verdicts: Iterable[str], **style: Any) -> list["Line2D"]:
    """Legend entries of the verdicts that occur, in a fixed order."""
    from matplotlib.lines import Line2D

    found = set(verdicts)
    shown = [(name, look) for name, look in VERDICTS.items() if name in found]
    shown += [(name, UNTOLD) for name in sorted(found - set(VERDICTS))]
    return [
        Line2D([], [], color=look.color, marker=look.marker, ms=3.5, lw=1.3, label=name, **style)
        for name, look in shown
    ]
