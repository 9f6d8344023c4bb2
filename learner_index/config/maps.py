"""How a cohort is drawn as a map."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MapMethod = Literal["auto", "pca", "umap"]


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How a map is fitted, and what is drawn on it.

    A kept map is never fitted again: `method`, `seed` and `most_fitted` then say what it must be,
    if they say anything.

    Attributes:
        method: "pca" (a projection), "umap" (keeps neighbours together), or "auto": PCA below 200
            scans, UMAP from there on.
        seed: of the sample and of UMAP's layout; None: 0, or the kept map's.
        most_fitted: scans the map is fitted on at most, the patients as equally as can be; the
            others are placed on it. None: 5000, or the kept map's.
        where: conditions on the scans drawn, each "column op value"; the map is fitted on all.
        modality: the one meant, where the store has several.
        refit: fit a map anew, though one is kept.
    """

    method: MapMethod = "auto"
    seed: int | None = None
    most_fitted: int | None = None
    where: tuple[str, ...] = ()
    modality: str | None = None
    refit: bool = False


@dataclass(frozen=True, slots=True)
class MapLook:
    """How a map is shown.

    Attributes:
        color: the column that colors scans; None: the health score, else the view.
        patients: whose paths are drawn; a picture has room for 8.
        unit: of the column, such as "S/F ratio"; left out when None.
        formats: of the picture: png, svg, pdf.
        thumbnails: manifest of scans whose small pictures the page shows; None: no pictures.
    """

    color: str | None = None
    patients: tuple[str, ...] = ()
    unit: str | None = None
    formats: tuple[str, ...] = ("png",)
    thumbnails: Path | None = None
