"""What a similarity search was asked, as a query: a patient, a scan, a file or a vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learner_index.config import EncoderOptions
from learner_index.errors import QueryError, ScanError
from learner_index.pipeline.settings import preprocessing_of
from learner_index.search.query import (
    Query,
    patient_query,
    scan_query,
    vector_query,
    visit_query,
)
from learner_index.search.table import SearchTable
from learner_index.store.paths import cache_folder


@dataclass(frozen=True, slots=True, eq=False)
class SimilarAsk:
    """Who or what the hits shall look like; see `Cohort.similar` for the fields."""

    patient: str | None = None
    scan: str | None = None
    file: Path | None = None
    vector: ArrayLike | None = None
    day: float | None = None
    visit: str | None = None
    view: str | None = None
    modality: str | None = None

    def query(
        self,
        table: SearchTable,
        store: Path,
        card: Mapping[str, Any],
        encoder: EncoderOptions | None = None,
    ) -> Query:
        """The query on a store's rows.

        Args:
            table: the rows.
            store: the store's folder, whose cache may hold the encoder.
            card: of the store's encoder.
            encoder: names the weights again when the cache has lost them.

        Raises:
            QueryError: nothing or too much is asked, or it cannot be answered.
        """
        _check(
            {
                "patient": self.patient,
                "scan": self.scan,
                "file": self.file,
                "vector": self.vector,
            },
            {"day": self.day, "visit": self.visit, "view": self.view, "modality": self.modality},
        )
        if self.file is not None:
            return self._file_query(table, store, card, encoder)
        if self.vector is not None:
            return vector_query(
                table,
                self.vector,
                patient_id=self.patient,
                view=self.view,
                modality=self.modality,
            )
        if self.scan is not None:
            return scan_query(table, self.scan)
        if self.day is None and self.visit is None:
            return patient_query(table, str(self.patient))
        return visit_query(table, str(self.patient), day=self.day, visit=self.visit)

    def _file_query(
        self,
        table: SearchTable,
        store: Path,
        card: Mapping[str, Any],
        options: EncoderOptions | None,
    ) -> Query:
        """A scan outside the store, embedded on the fly."""
        from learner_index.data.content import content_hash
        from learner_index.pipeline.embed import read_frames
        from learner_index.pipeline.source import ChosenEncoder

        file = self.file
        if file is None or not file.exists():
            raise QueryError(f"no file {file}: check its path")
        try:
            frames, _ = read_frames(file, preprocessing_of(card))
        except ScanError as error:
            raise QueryError(f"{file.name}: {error}") from error
        embedder = ChosenEncoder(options).for_store(card, cache_folder(store))
        return vector_query(
            table,
            embedder.embed(frames[None]),
            kind="file",
            patient_id=self.patient,
            view=self.view,
            modality=self.modality,
            content_hash=content_hash(file),
        )


def read_vector(file: Path) -> NDArray[np.float32]:
    """Embeddings from a .npy file, for a query by vector.

    Returns:
        (e,) or (q, e) float32.

    Raises:
        QueryError: it is no such file.
    """
    if not file.is_file():
        raise QueryError(f"no file {file}: check its path")
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise QueryError(
            f"{file.name} is no .npy file of embeddings: save an (e,) or (q, e) array with np.save"
        ) from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise QueryError(f"{file.name} holds no numbers: save an (e,) or (q, e) array with np.save")
    return np.asarray(found, dtype=np.float32)


def _check(kinds: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """One query, and no detail that would be passed over in silence.

    Raises:
        QueryError: none or several are named, or a detail that does not belong to it.
    """
    asked = [name for name, value in kinds.items() if value is not None]
    kind = next((name for name in asked if name != "patient"), "patient")
    if asked not in (["patient"], [kind], ["patient", kind]):
        raise QueryError("name one query: patient, scan, file or vector")
    fitting = {"patient": ("day", "visit"), "scan": ()}.get(kind, ("view", "modality"))
    for name, value in details.items():
        if value is not None and name not in fitting:
            hint = f"; to choose among the hits: where '{name} == {value}'"
            raise QueryError(f"{name} does not belong to a query by {kind}: leave it out{hint}")
    if kind == "scan" and "patient" in asked:
        raise QueryError("a stored scan has its patient already: name the scan or the patient")
