"""A cohort as a map: each scan a point, the changes of chosen patients as arrows."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.maps.neighborly import AROUND
from learner_index.analysis.plots.map_colors import (
    MARKERS,
    MISSING,
    SCALE,
    Coloring,
    choose_column,
    color_by,
    column_words,
)
from learner_index.analysis.plots.page import (
    COLUMN_MM,
    LABEL_PT,
    NO_BREAK,
    SEEN,
    SMALL_PT,
    frame_lightly,
    new_page,
    plural,
    tells_seen,
)
from learner_index.data.maps import CohortMap, kept_words
from learner_index.data.suggest import close_names
from learner_index.errors import NotEnoughDataError, QueryError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from learner_index.analysis.plots.drawing import Drawing

_LEAST_MM, _MOST_MM, _WIDE_MM = 42.0, 78.0, 68.0  # heights of the map; its width
_MOST_PATIENTS = 8  # whose paths a picture of one column has room for
_MANY = 1000  # above so many, points are a picture in vector files, too
_INK = "#000000"
_BESIDE = ((-5, 4), (5, -5), (5, 5), (-5, -5), (0, 8), (0, -9), (9, 0), (-9, 0))
"""Where the letters of patients stand beside their first visit, in points."""


@dataclass(frozen=True, slots=True, eq=False)
class PatientPath:
    """A patient's way over a map.

    Attributes:
        visits: (v, 2) places to join, NaN between those that are not joined.
        starts: (t, 2) where changes start.
        arrows: (t, 2) the changes.
    """

    visits: NDArray[np.float64]
    starts: NDArray[np.float64]
    arrows: NDArray[np.float64]


def lay_out_cohort_map(
    found: CohortMap,
    *,
    color: str | None = None,
    patients: Sequence[str] = (),
    unit: str | None = None,
    title: str | None = None,
) -> "Drawing":
    """Scans on their map, colored by a column; chosen patients' paths on top.

    A dotted line leads from visit to visit of a chosen patient; each arrow is the change that
    follows the visit, computed in the embedding space (see `path_words`).

    Args:
        found: what `Cohort.map` gives.
        color: a column; None: the health score, else the view.
        patients: up to 8 patients whose paths are drawn.
        unit: of the column, such as "S/F ratio"; left out when None.
        title: stands above; None: what is drawn.

    Raises:
        NotEnoughDataError: no scan is drawn.
        QueryError: no such column or patient, or too many patients.
    """
    refuse_empty(found)
    coloring = color_by(found.scans, choose_column(found.scans, color))
    check_patients(found, patients)
    words = column_words(coloring.column, unit)
    figure = new_page(
        COLUMN_MM,
        _height_mm(found.scans),
        title=title or default_title(found, words),
        caption=describe(found, patients),
        legend=_key(coloring),
        is_simulated=found.is_simulated,
        is_seen=tells_seen(found.notes),
    )
    axis: Axes = figure.subplots()
    points = _draw_scans(axis, found.scans, coloring, is_faded=bool(patients))
    if points is not None:
        bar = figure.colorbar(points, ax=axis, shrink=0.7, pad=0.02, aspect=28)
        bar.set_label(words, fontsize=SMALL_PT, parse_math=False)
        bar.ax.tick_params(labelsize=SMALL_PT, length=2, pad=1.5)
        bar.outline.set_visible(False)
    for letter, patient in zip(ascii_uppercase, patients, strict=False):
        _draw_path(axis, found, patient, letter)
    _dress(axis, found)
    return figure


def describe(found: CohortMap, patients: Sequence[str] = ()) -> str:
    """What the map rests on, how far to trust it, and what its marks mean."""
    counts = f"n = {plural(len(found), 'scan')} of {plural(found.n_patients, 'patient')}"
    fitted = f"fitted on {found.n_fitted:,} scans of {found.n_fitted_patients:,} patients"
    if found.n_placed == 0:
        fitted = "all fitted on" if len(found) == found.n_fitted else fitted
    else:
        fitted += f", {found.n_placed:,} of those drawn placed on it"
    parts = [f"{counts.replace(' ', NO_BREAK)}; {fitted}.", f"{kept_words(found.quality)}."]
    if found.method == "umap":
        parts.append("Distances between groups mean little.")
    if patients:
        named = [
            f"{one}{NO_BREAK}{name}" for one, name in zip(ascii_uppercase, patients, strict=False)
        ]
        parts.append(f"Paths: {', '.join(named)}.")
        parts.append(path_words(found.method))
    return " ".join(parts)


def path_words(method: str) -> str:
    """What dots and arrows of a path are, on a map of a method."""
    how = {
        "pca": "computed in the embedding space and projected",
        "umap": f"from the directions to {AROUND} neighbors, computed in the embedding space",
    }
    return f"Dotted: from visit to visit. Arrows: each change, {how[method]}."


def check_patients(found: CohortMap, patients: Sequence[str], most: int = _MOST_PATIENTS) -> None:
    """Refuse patients that are not drawn, and more than there is room for.

    Raises:
        QueryError: one of them.
    """
    if len(patients) > most:
        raise QueryError(f"{len(patients)} patients' paths are too many: choose up to {most}")
    known = set(found.scans["patient_id"].tolist())
    for name in patients:
        if name not in known:
            raise QueryError(
                f"no patient {name!r} among {len(known)} drawn"
                f"{close_names(name, sorted(known))}: ids are the manifest's"
            )


def refuse_empty(found: CohortMap) -> None:
    """Refuse a map of nothing.

    Raises:
        NotEnoughDataError: no scan is drawn.
    """
    if not len(found):
        raise NotEnoughDataError("no scans to draw: build some into the store")


def default_title(found: CohortMap, words: str) -> str:
    """What is drawn, and whether the encoder knows some of those shown."""
    kind = {"pca": "Principal components", "umap": "UMAP"}[found.method]
    seen = f" ({SEEN})" if tells_seen(found.notes) else ""
    return f"{kind} of embeddings by {words.split(' (')[0]}{seen}"


def path_of(found: CohortMap, patient: str) -> PatientPath:
    """A patient's visits and changes; of one without changes, their scans."""
    steps = found.arrows[(found.arrows["patient_id"] == patient).to_numpy(bool)]
    starts = steps[["x", "y"]].to_numpy(np.float64)
    arrows = steps[["dx", "dy"]].to_numpy(np.float64)
    if len(steps):
        gap = np.full((len(steps), 2), np.nan)
        ends = steps[["end_x", "end_y"]].to_numpy(np.float64)
        return PatientPath(np.stack([starts, ends, gap], axis=1).reshape(-1, 2), starts, arrows)
    own = found.scans[(found.scans["patient_id"] == patient).to_numpy(bool)]
    places = own[["x", "y"]].to_numpy(np.float64)
    return PatientPath(
        np.insert(places, np.arange(1, len(places) + 1), np.nan, axis=0), starts, arrows
    )


def _height_mm(scans: "pd.DataFrame") -> float:
    """Of a map that fills its width in one scale for both axes."""
    wide, high = np.ptp(scans["x"].to_numpy()), np.ptp(scans["y"].to_numpy())
    return float(np.clip(_WIDE_MM * high / wide, _LEAST_MM, _MOST_MM)) if wide > 0 else _LEAST_MM


def _key(coloring: Coloring) -> list["Artist"]:
    """Groups and the missing, with their numbers of scans."""
    from matplotlib.lines import Line2D

    def entry(name: str, n: int, **style: Any) -> "Artist":
        label = f"{name} ({n:,})".replace("$", r"\$")
        return Line2D([], [], ls="", ms=3.5, mew=0.6, label=label, **style)

    found = []
    for number, (name, color) in enumerate(zip(coloring.groups, coloring.colors, strict=True)):
        n = int((coloring.codes == number).sum())
        short = name if len(name) <= 22 else f"{name[:21]}…"
        found.append(entry(short, n, marker=_marker(number), color=color))
    n_missing = int(coloring.is_missing.sum())
    if n_missing:
        found.append(entry("not known", n_missing, marker="o", mfc="none", mec=MISSING))
    return found


def _marker(number: int) -> str:
    return MARKERS[number] if number < len(MARKERS) else "."


def _draw_scans(
    axis: "Axes", scans: "pd.DataFrame", coloring: Coloring, *, is_faded: bool
) -> "Any | None":
    """The points, the missing first and below; what a color bar belongs to, for numbers."""
    size = float(np.clip(2200 / max(len(scans), 1), 0.4, 9))
    x, y = scans["x"].to_numpy(), scans["y"].to_numpy()
    style: dict[str, Any] = {
        "s": size,
        "alpha": 0.35 if is_faded else 0.8,
        "rasterized": len(scans) > _MANY,
    }
    gone = coloring.is_missing
    axis.scatter(
        x[gone], y[gone], facecolors="none", edgecolors=MISSING, linewidths=0.5, zorder=1,
        **{**style, "alpha": 1.0},
    )  # fmt: skip
    if coloring.numbers is not None:
        shown = ~gone
        return axis.scatter(
            x[shown], y[shown], c=coloring.numbers[shown], cmap=SCALE, linewidths=0, zorder=2,
            **style,
        )  # fmt: skip
    for number, color in enumerate(coloring.colors):
        own = coloring.codes == number
        axis.scatter(
            x[own], y[own], color=color, marker=_marker(number), linewidths=0, zorder=2, **style
        )
    return None


def _draw_path(axis: "Axes", found: CohortMap, patient: str, letter: str) -> None:
    """A patient's visits and changes, with the letter at the first."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.2, foreground="#ffffff")]
    path = path_of(found, patient)
    axis.plot(*path.visits.T, ls=":", lw=0.7, color=_INK, zorder=4)
    axis.plot(*path.visits.T, ls="", marker="o", ms=2.2, color=_INK, zorder=7)
    for start, arrow in zip(path.starts, path.arrows, strict=True):
        axis.annotate(
            "", tuple(start + arrow), tuple(start), zorder=6,
            arrowprops={
                "arrowstyle": "-|>,head_width=0.14,head_length=0.28", "lw": 0.9, "color": _INK,
                "shrinkA": 0, "shrinkB": 0, "path_effects": halo,
            },
        )  # fmt: skip
        axis.update_datalim([tuple(start + arrow)])
    axis.annotate(
        letter, tuple(path.visits[0]), xytext=_BESIDE[ascii_uppercase.index(letter) % len(_BESIDE)],
        textcoords="offset points", fontsize=SMALL_PT, fontweight="bold", ha="center",
        va="center", path_effects=halo, zorder=8,
    )  # fmt: skip


def _dress(axis: "Axes", found: CohortMap) -> None:
    """Axes of one scale, with their names; a UMAP's numbers mean nothing and are left out."""
    frame_lightly(axis)
    axis.set_aspect("equal", adjustable="datalim")
    axis.autoscale_view()
    axis.set_xlabel(found.axes[0], fontsize=LABEL_PT)
    axis.set_ylabel(found.axes[1], fontsize=LABEL_PT)
    if found.method == "umap":
        axis.set_xticks([])
        axis.set_yticks([])
