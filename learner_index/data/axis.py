"""The record that answers what a store's severity axis is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from learner_index.data.show import Shown
from learner_index.data.show_change import axis_card

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AxisReport(Shown):
    """The severity axis of a store's reference, in figures, with every scan's place on it.

    Attributes:
        figures: of the axis: r2, angles, slopes, n; see `SeverityAxis`.
        scans: one row a scan: scan_id, patient_id, day, view, health_score, position, low, high.
        reference: fingerprint.
        modality: "" where none is given.
        notes: what a reader should know.
        is_simulated: whether the store's scans were computed.
    """

    figures: Mapping[str, Any]
    scans: "pd.DataFrame"
    reference: str
    modality: str
    notes: tuple[str, ...] = field(default_factory=tuple)
    is_simulated: bool = False

    _card = axis_card

    def to_frame(self) -> "pd.DataFrame":
        """One row a scan, with its position and 95 % interval."""
        return self.scans.copy()
