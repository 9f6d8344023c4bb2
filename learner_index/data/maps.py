"""The record of a cohort as a map: scans with their places, and changes as arrows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from learner_index.data.show import Card, Shown, plural

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CohortMap(Shown):
    """A cohort on a plane: where scans lie, and where their patients went.

    Attributes:
        scans: one row a scan drawn: its columns, `x` and `y` on the map, and `is_fitted`: whether
            the map was fitted on it or it was placed afterwards. Columns of the store with these
            names are called `manifest_x`, `manifest_y` and `manifest_is_fitted`.
        arrows: one row a change between consecutive visits: patient_id, from_day, to_day, the
            places of both visits (x, y, end_x, end_y), the arrow (dx, dy) computed in the
            embedding space, `share` (0 to 1), delta_score. On a PCA `share` is how much of the
            change's length lies in the plane. On a UMAP it is how far neighbors agree where the
            change points; noise has a share well above 0, too: compare `quality`.
        method: "pca" or "umap".
        seed: of the sample and the layout.
        axes: what the two axes are, with their unit.
        space: fingerprint of the encoder with its preprocessing.
        modality: "" where none is given.
        n_fitted, n_fitted_patients: scans and patients the map was fitted on.
        quality: how much of the embedding space it keeps, as `MapQuality.figures` gives it for
            scans fitted on; `n_kept_placed` is the same of scans placed, None where not known.
            Of a UMAP's arrows `median_share`, and `median_share_by_chance` where each start has
            another patient's change; None on a PCA, and where there are too few.
        is_simulated: whether the store's scans were computed; figures then say SIMULATED.
        is_kept: whether the map was there before, and only the places are new.
        notes: what a reader should know, the worst first.
    """

    scans: "pd.DataFrame"
    arrows: "pd.DataFrame"
    method: str
    seed: int
    axes: tuple[str, str]
    space: str
    modality: str
    n_fitted: int
    n_fitted_patients: int
    quality: Mapping[str, Any]
    is_simulated: bool
    is_kept: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Scans drawn."""
        return len(self.scans)

    @property
    def n_patients(self) -> int:
        """Patients drawn."""
        return int(self.scans["patient_id"].nunique())

    @property
    def n_placed(self) -> int:
        """Scans drawn that the map was not fitted on."""
        return int((~self.scans["is_fitted"]).sum())

    def to_frame(self) -> "pd.DataFrame":
        """One row a scan, with its place."""
        return self.scans.copy()

    def to_dict(self) -> dict[str, Any]:
        """The whole answer as JSON-ready values, missing ones as null."""
        plain = ("method", "seed", "space", "modality", "n_fitted", "n_fitted_patients")
        return {
            **{name: getattr(self, name) for name in plain},
            "axes": list(self.axes),
            "n_scans": len(self),
            "n_patients": self.n_patients,
            "quality": dict(self.quality),
            "is_simulated": self.is_simulated,
            "is_kept": self.is_kept,
            "notes": list(self.notes),
            "scans": _rows(self.scans),
            "arrows": _rows(self.arrows),
        }

    def to_json(self) -> str:
        """The same as a JSON text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def _card(self) -> Card:
        """What kind of map it is, of whom, and how far it can be trusted."""
        rows: list[tuple[str, object]] = [
            ("axes", " and ".join(self.axes)),
            ("fitted on", f"{self.n_fitted} scans of {self.n_fitted_patients} patients"),
            ("placed on it", plural(self.n_placed, "scan")),
            ("arrows", plural(len(self.arrows), "change")),
            ("neighbours", kept_words(self.quality)),
        ]
        title = (
            f"{self.method.upper()} map of {plural(len(self), 'scan')} of "
            f"{plural(self.n_patients, 'patient')}"
        )
        return Card(title, (), rows, notes=self.notes, is_simulated=self.is_simulated)


def kept_words(quality: Mapping[str, Any]) -> str:
    """How many neighbours a map keeps, in words."""
    if not quality.get("n_nearest"):
        return "too few scans to say how many neighbours it keeps"
    chance = quality["n_kept_by_chance"]
    placed = quality.get("n_kept_placed")
    also = "" if placed is None else f", {placed:.1f} of a placed one's nearest fitted"
    return (
        f"{quality['n_kept']:.1f} of a fitted scan's {quality['n_nearest']} nearest are kept "
        f"(by chance {chance:.{1 if chance >= 0.1 else 2}f}){also}"
    )


def _rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows as JSON-ready mappings."""
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]
