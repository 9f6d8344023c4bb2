"""Contact sheets of a similarity search: the only figure that opens scans, and only when asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from learner_index.analysis.plots.contact_sheet import Panel, lay_out_contact_sheet
from learner_index.analysis.plots.page import SEEN, plural, short_id, span, tells_seen
from learner_index.data.manifest import Manifest
from learner_index.data.records import Hit, Hits, QueryScan
from learner_index.data.thumbnails import middle_picture, picture_files, read_stored
from learner_index.errors import ManifestError, NotEnoughDataError

if TYPE_CHECKING:
    from learner_index.analysis.plots.drawing import Drawing

_BURNED = "burned-in annotation"  # begins a note of the DICOM reader
_LETTERS = 11  # of a line in a grey panel
_TOLD = {
    "clip": "Of clips, the middle frame.",
    "volume": "Of volumes, the middle slice.",
    _BURNED: "BURNED-IN ANNOTATION: pixels may show a name or a date.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Where scans lie, so that they can be shown.

    Attributes:
        name: of the manifest, without its folder.
        files: scan_id -> absolute path.
        seen: fills with what the scans shown are, and what they may give away.
    """

    name: str
    files: Mapping[str, Path]
    seen: set[str]

    @classmethod
    def of(cls, manifest: str | Path | Manifest) -> "Pictures":
        """The scans of a manifest; nothing but their ids and paths is taken from it.

        Raises:
            ManifestError: it cannot be read.
        """
        if isinstance(manifest, Manifest):
            names = manifest.table["scan_id"].tolist()
            files = {name: Path(path) for name, path in zip(names, manifest.paths, strict=True)}
            return cls(manifest.path.name, files, set())
        return cls(Path(manifest).name, picture_files(Path(manifest)), set())

    def panel(self, scan: Hit | QueryScan, caption: str, *, is_query: bool = False) -> Panel:
        """A scan's middle frame or slice; a grey panel that says why there is none."""
        if scan.scan_id not in self.files:
            return _grey("not in the manifest", caption, is_query=is_query)
        found = read_stored(self.files[scan.scan_id], scan.content_hash)
        if isinstance(found, str):
            return _grey(found, caption, is_query=is_query)
        if any(_BURNED in note for note in found.notes):
            self.seen.add(_BURNED)
        self.seen.add(found.kind)
        pixels, aspect = middle_picture(found)
        return Panel(pixels, caption, is_query, aspect)


def _grey(why: str, caption: str, *, is_query: bool) -> Panel:
    """A panel without a picture."""
    return Panel(None, caption, is_query, missing=fill(why, _LETTERS))


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
        manifest: the manifest the store was built from, or its file. It tells where the scans
            lie and nothing else; a file that is not the stored scan is not shown.
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
    rows = sheet_rows(shown, hits.query_scans, pictures, unit=unit)
    return lay_out_contact_sheet(
        rows,
        title=title or _title(hits),
        caption=describe([hits], len(shown), pictures),
        is_simulated=hits.is_simulated,
        is_seen=tells_seen(hits.notes),
    )


def sheet_rows(
    hits: Sequence[Hit],
    query_scans: Sequence[QueryScan],
    pictures: Pictures,
    *,
    unit: str | None = None,
) -> list[list[Panel]]:
    """A row for each of the query's scans: it, then the hits that are like it, best first."""
    asked = {scan.scan_id: scan for scan in query_scans}
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(hit.query_scan_id, []).append(hit)
    return [
        [
            _query_panel(asked.get(scan_id), pictures, unit),
            *(_hit_panel(hit, pictures, unit) for hit in group),
        ]
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
    seen = f" ({SEEN})" if tells_seen(hits.notes) else ""
    return f"Scans most like {what}{seen}"


def _query_panel(scan: QueryScan | None, pictures: Pictures, unit: str | None) -> Panel:
    """What was asked about."""
    if scan is None:
        return _grey("not a stored scan", "query", is_query=True)
    lines = [f"query {short_id(scan.patient_id)}", _day(scan.day), _score(scan, unit)]
    return pictures.panel(scan, "\n".join(lines), is_query=True)


def _hit_panel(hit: Hit, pictures: Pictures, unit: str | None) -> Panel:
    """What was found."""
    lines = [
        f"{hit.rank}. {short_id(hit.patient_id)}",
        f"{_day(hit.day)}, sim {hit.similarity:.2f}",
        _score(hit, unit),
    ]
    return pictures.panel(hit, "\n".join(lines))


def _day(day: float | None) -> str:
    """A day in words."""
    return "day unknown" if day is None else f"day {day:g}"


def _score(scan: Hit | QueryScan, unit: str | None) -> str:
    """A health score in words."""
    if scan.health_score is None:
        return "no score"
    return f"{short_id(unit or 'score', 16)} {scan.health_score:.4g}"
