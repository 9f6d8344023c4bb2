"""The records that cross layers: scans, problems, encoders and answers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from learner_index.data.show import Card, Shown, plural

if TYPE_CHECKING:
    import pandas as pd

ScanKind = Literal["image", "clip", "volume"]


@dataclass(frozen=True, slots=True)
class Scan:
    """One acquisition as grey pixels.

    Attributes:
        pixels: (f, h, w) uint8, or float32 in the scan's own units. A volume is in RAS order:
            f runs towards superior, rows from anterior (top) to posterior, columns from the
            patient's left to right in array order x ascending (towards R+).
        spacing_mm: (row, column) in millimetres for images and clips, (slice, row, column) for
            volumes; None when the file does not say.
        kind: "image" (one frame), "clip" (frames in time) or "volume" (slices in space).
        notes: what the reader noticed and a person should know, such as burned-in annotation.
        tags: header values that were asked for by name, as text.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    spacing_mm: tuple[float, ...] | None
    kind: ScanKind
    notes: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a manifest or a scan.

    Attributes:
        where: "line 7", "lines 7 and 9" or "" when the whole table is meant.
        scan_id: the scan concerned, "" when none is.
        message: what was found and the next step, on one line.
        is_error: False for what is only worth knowing.
    """

    where: str
    scan_id: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        """One line for a terminal."""
        place = " ".join(part for part in (self.where, self.scan_id) if part)
        return f"{place}: {self.message}" if place else self.message


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """Where health scores come from and how they were turned (higher is always healthier)."""

    column: str
    direction: Literal["higher", "lower"]
    per: Literal["scan", "visit"]


class Embedder(Protocol):
    """What turns preprocessed frames into embeddings; torch encoders and tests' toys alike."""

    @property
    def card(self) -> Mapping[str, Any]:
        """JSON-ready description; `card["space"]` is the fingerprint of the space."""

    @property
    def width(self) -> int:
        """Number of values e in an embedding."""

    @property
    def batch_size(self) -> int:
        """Most scans a call takes; on a GPU also the one padded shape that is computed."""

    def embed(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """(b, f, h, w) frames in 0..1, b at most batch_size -> (b, e) embeddings."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One patient, visit or scan that looks like the query.

    Attributes:
        rank: 1 is the most alike.
        patient_id: the patient found.
        day: day of the best scan; None when unknown.
        scan_id: the best scan, the one that earned the rank.
        similarity: larger is closer; cosine in -1..1, or minus the Euclidean distance.
        distance: smaller is closer; 1 minus the cosine, or the Euclidean distance.
        query_scan_id: the query's scan it was compared with; "" for files and vectors.
        health_score: higher is healthier; None when unknown.
        columns: the row's other columns; None where missing.
        content_hash: of the scan's bytes, by which its picture is known; in no table or JSON.
    """

    rank: int
    patient_id: str
    day: float | None
    scan_id: str
    similarity: float
    distance: float
    query_scan_id: str
    health_score: float | None
    columns: Mapping[str, Any]
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class QueryScan:
    """A stored scan that was asked about, as the store has it.

    Attributes:
        scan_id: the scan.
        patient_id: whose.
        day: None when unknown.
        health_score: higher is healthier; None when unknown or not to be told.
        content_hash: of the scan's bytes, by which its picture is known; in no JSON.
    """

    scan_id: str
    patient_id: str
    day: float | None
    health_score: float | None
    content_hash: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Hits(Shown, Sequence[Hit]):
    """The answer to a similarity search, best first.

    Attributes:
        query: what was asked, JSON-ready.
        hits: the hits; fewer than k only when fewer are eligible.
        exact: True when no eligible scan could have been overlooked.
        backend: what computed the products: "numpy", "faiss-cpu" or "faiss-gpu".
        reference: fingerprint of the reference the similarity rests on; "" when it rests on none.
        n_eligible: scans that passed every filter.
        n_eligible_patients: patients they belong to.
        n_scanned: scans whose similarity was computed.
        elapsed_ms: time the search took; the one field that differs between equal answers.
        notes: what a reader of the answer should know.
        is_simulated: whether the store's scans were computed; figures then say SIMULATED.
        query_scans: the query's scans that hits are like; none for a file or a vector.
    """

    query: Mapping[str, Any]
    hits: tuple[Hit, ...]
    exact: bool
    backend: str
    reference: str
    n_eligible: int
    n_eligible_patients: int
    n_scanned: int
    elapsed_ms: float
    notes: tuple[str, ...] = ()
    is_simulated: bool = False
    query_scans: tuple[QueryScan, ...] = ()

    def __len__(self) -> int:
        """Number of hits."""
        return len(self.hits)

    def __getitem__(self, index: Any) -> Any:
        """The hit (or tuple of hits) at a position, best first."""
        return self.hits[index]

    def __iter__(self) -> Iterator[Hit]:
        """Hits, best first."""
        return iter(self.hits)

    def to_dict(self) -> dict[str, Any]:
        """The whole answer as JSON-ready values; a hit's columns stand beside its own fields."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **fields,
            "query": dict(self.query),
            "hits": [_flat(hit) for hit in self.hits],
            "query_scans": [_told(scan) for scan in self.query_scans],
        }

    def to_json(self) -> str:
        """The whole answer as a JSON text, missing values as null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def to_frame(self) -> "pd.DataFrame":
        """One row a hit, with its columns."""
        import pandas as pd

        own = [name for name in Hit.__dataclass_fields__ if name not in _UNTOLD]
        return pd.DataFrame([_flat(hit) for hit in self.hits], columns=None if self.hits else own)

    def _card(self) -> Card:
        """The hits, and what they rest on."""
        asked = self.query.get("scan_id") or self.query.get("patient_id")
        asked = asked or f"a {self.query['kind']}"
        names = ("rank", "patient_id", "similarity", "health_score", "day", "scan_id")
        caption = (
            f"{plural(self.n_eligible, 'eligible scan')} of "
            f"{plural(self.n_eligible_patients, 'patient')}; "
            f"{'exact' if self.exact else 'approximate'}; similarity: larger is closer"
        )
        return Card(
            f"{plural(len(self), 'hit')} like {asked}",
            names,
            [tuple(getattr(hit, name) for name in names) for hit in self.hits],
            caption,
            self.notes,
            self.is_simulated,
        )


_UNTOLD = ("columns", "content_hash")


def _told(record: Hit | QueryScan) -> dict[str, Any]:
    """A record's own fields that stand in tables and JSON."""
    names = type(record).__dataclass_fields__
    return {name: getattr(record, name) for name in names if name not in _UNTOLD}


def _flat(hit: Hit) -> dict[str, Any]:
    """A hit as one flat mapping; its own fields win over columns of the same name."""
    own = _told(hit)
    return own | {name: value for name, value in hit.columns.items() if name not in own}
