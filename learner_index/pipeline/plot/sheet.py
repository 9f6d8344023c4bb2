"""Contact sheets of a similarity search: the only figure that opens scans, and only when asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.contact_sheet import Panel, lay_out_contact_sheet
from learner_index.analysis.plots.page import SEEN, plural, short_id, span
from learner_index.config import Plane
from learner_index.data.manifest import Manifest, read_manifest, require_valid
from learner_index.data.preprocess import plane_spacing
from learner_index.data.readers import read_scan
from learner_index.data.records import Hit, Hits, Scan
from learner_index.errors import ManifestError, NotEnoughDataError, ScanError

if TYPE_CHECKING:
    from learner_index.analysis.plots.drawing import Drawing

_ACROSS: tuple[Plane, ...] = ("axial", "coronal", "sagittal")  # a volume's axes are their normals
_BURNED = "burned-in annotation"  # begins a note of the DICOM reader
_TOLD = {
    "clip": "Of clips, the middle frame.",
    "volume": "Of volumes, the middle slice.",
    _BURNED: "BURNED-IN ANNOTATION: pixels may show a name or a date.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Where scans lie and what a manifest says of them, so that they can be shown.

    Attributes:
        name: of the manifest, without its folder.
        files: scan_id -> absolute path.
        rows: scan_id -> patient_id, day and health_score, as far as known.
        seen: fills with what the scans shown are, and what they may give away.
    """

    name: str
    files: Mapping[str, Path]
    rows: Mapping[str, Mapping[str, Any]]
    seen: set[str]

    @classmethod
    def of(cls, manifest: str | Path | Manifest) -> "Pictures":
        """The scans of a manifest.

        Raises:
            ManifestError: it cannot be read, or has errors.
        """
        known = manifest if isinstance(manifest, Manifest) else read_manifest(Path(manifest))
        require_valid(known)
        names = [name for name in ("patient_id", "day", "health_score") if name in known.table]
        scans = known.table["scan_id"].tolist()
        rows: list[Mapping[str, Any]] = [
            dict(zip(names, row, strict=True))
            for row in known.table[names].itertuples(index=False, name=None)
        ]
        files = {scan: Path(path) for scan, path in zip(scans, known.paths, strict=True)}
        return cls(known.path.name, files, dict(zip(scans, rows, strict=True)), set())

    def panel(self, scan_id: str, caption: str, *, is_query: bool = False) -> Panel:
        """A scan's middle frame or slice; a grey panel that says why there is none."""
        if scan_id not in self.files:
            return Panel(None, caption, is_query, missing="not in the\nmanifest")
        try:
            pixels, aspect = self._middle(self.files[scan_id])
        except ScanError:
            is_there = self.files[scan_id].exists()
            why = "file cannot\nbe read" if is_there else "file is\nmissing"
            return Panel(None, caption, is_query, missing=why)
        return Panel(pixels, caption, is_query, aspect)

    def _middle(self, path: Path) -> tuple[NDArray[Any], float]:
        """`middle_picture` of a file, noting what it is."""
        scan = read_scan(path, pick=lambda n: np.array([n // 2]))
        if any(_BURNED in note for note in scan.notes):
            self.seen.add(_BURNED)
        self.seen.add(scan.kind)
        return middle_picture(scan)


def middle_picture(scan: Scan) -> tuple[NDArray[Any], float]:
    """(h, w) the middle frame of a clip or slice of a volume, and a pixel's height in widths.

    A volume is cut as it was acquired: across its thin side where it is a slab, else axially.
    """
    plane: Plane = "axial"
    if scan.kind == "volume":
        least, next_least = sorted(scan.pixels.shape)[:2]
        if 2 * least <= next_least:
            plane = _ACROSS[int(np.argmin(scan.pixels.shape))]
    row_mm, column_mm = plane_spacing(scan, plane) or (1.0, 1.0)
    slices = np.moveaxis(scan.pixels, _ACROSS.index(plane), 0)
    middle: NDArray[Any] = slices[len(slices) // 2]
    return middle if plane == "axial" else middle[::-1], row_mm / column_mm  # superior is up


def contact_sheet(
    hits: Hits,
    manifest: str | Path | Manifest,
    *,
    k: int | None = None,
    unit: str | None = None,
    title: str | None = None,
) -> "Drawing":
    """The scans asked about and those found, as pictures with days, similarity and health scores.

    This opens the scans' files: a picture can show what the pseudonym hides, so look at it before
    it leaves the house. Of a clip the middle frame is shown, of a volume the middle slice.

    Args:
        hits: what `Cohort.similar` found.
        manifest: the manifest the store was built from, or its file.
        k: hits shown at most; None: all.
        unit: of the health score, such as "S/F"; "score" when None.
        title: stands above; None: who was asked about.

    Raises:
        NotEnoughDataError: there is no hit.
        ManifestError: the manifest cannot be read, or lists none of the scans.
    """
    shown = list(hits.hits[:k])
    if not shown:
        raise NotEnoughDataError("no hit to show: loosen --where and --match, or ask for more")
    pictures = Pictures.of(manifest)
    if not any(hit.scan_id in pictures.files for hit in shown):
        raise ManifestError(
            f"{pictures.name} lists none of the {plural(len(shown), 'scan')} found: name the "
            "manifest that the store was built from"
        )
    rows = sheet_rows(shown, pictures, unit=unit)
    return lay_out_contact_sheet(
        rows,
        title=title or _title(hits),
        caption=describe([hits], len(shown), pictures),
        is_simulated=hits.is_simulated,
    )


def sheet_rows(
    hits: Sequence[Hit], pictures: Pictures, *, unit: str | None = None
) -> list[list[Panel]]:
    """A row for each of the query's scans: it, then the hits that are like it, best first."""
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.query_scan_id, []).append(hit)
    return [
        [_query_panel(scan_id, pictures, unit), *(_hit_panel(hit, pictures, unit) for hit in group)]
        for scan_id, group in groups.items()
    ]


def describe(answers: Sequence[Hits], n_shown: int, pictures: Pictures) -> str:
    """What the sheet of one answer, or several, rests on; call it after the pictures were read."""
    metric = answers[0].query.get("metric")
    how = f" ({metric})" if metric else ""
    n_scans = span([hits.n_eligible for hits in answers])
    n_patients = span([hits.n_eligible_patients for hits in answers])
    counts = f"n = {plural(n_shown, 'hit')} among {n_scans} scans of {n_patients} patients."
    parts = [counts, f"sim: similarity{how}, larger is closer."]
    if any(hit.health_score is not None for hits in answers for hit in hits):
        parts.append("Health scores: higher is healthier.")
    parts += [words for kind, words in _TOLD.items() if kind in pictures.seen]
    return " ".join(parts)


def _title(hits: Hits) -> str:
    """Who was asked about, and whether the encoder knows those shown."""
    who = hits.query.get("patient_id") or hits.query.get("scan_id")
    what = {"file": "a file", "vector": "a vector"}.get(
        str(hits.query.get("kind")), short_id(str(who), 40)
    )
    seen = f" ({SEEN})" if any(SEEN in note for note in hits.notes) else ""
    return f"Scans most like {what}{seen}"


def _query_panel(scan_id: str, pictures: Pictures, unit: str | None) -> Panel:
    """What was asked about."""
    if not scan_id:
        return Panel(None, "query", is_query=True, missing="not a\nstored scan")
    row = pictures.rows.get(scan_id, {})
    patient_id = str(row.get("patient_id", scan_id))
    lines = [f"query {short_id(patient_id)}", _day(row.get("day")), _score(row, unit)]
    return pictures.panel(scan_id, "\n".join(lines), is_query=True)


def _hit_panel(hit: Hit, pictures: Pictures, unit: str | None) -> Panel:
    """What was found."""
    score = _score({"health_score": hit.health_score}, unit)
    lines = [
        f"{hit.rank}. {short_id(hit.patient_id)}",
        f"{_day(hit.day)}, sim {hit.similarity:.2f}",
        score,
    ]
    return pictures.panel(hit.scan_id, "\n".join(lines))


def _day(day: float | None) -> str:
    """A day in words."""
    return "day unknown" if day is None or np.isnan(day) else f"day {day:g}"


def _score(row: Mapping[str, Any], unit: str | None) -> str:
    """A health score in words."""
    score = row.get("health_score")
    if score is None or np.isnan(score):
        return "no score"
    return f"{short_id(unit or 'score', 16)} {score:.4g}"
