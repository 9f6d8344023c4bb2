"""Visits and transitions kept in a store's cache, and brought up to date when scans are added.

The cache is disposable: what is missing, torn or of another state of the store is made anew, and
a cache that cannot be written is done without.
"""

import hashlib
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import Transition
from learner_index.data.reference import ChangeReference
from learner_index.data.replace import replace_file
from learner_index.pipeline.progression.visits import (
    Codes,
    VisitArrays,
    merged,
    patient_numbers,
    visit_arrays,
)
from learner_index.store.paths import cache_folder, partial_name

_FOLDER, _VERSION = "changes", 1
_REFERENCE = Path("uns") / "reference" / "zarr.json"
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    TypeError,
    RuntimeError,  # an entry that says it is encrypted, or packed in another way
    BadZipFile,
    zlib.error,
    struct.error,
)


class VisitCache:
    """The visits of one state of a store.

    Args:
        path: the store.
        generation: of that state; an append leaves it as it is.
        fingerprint: of the reference whose means were subtracted.
    """

    def __init__(self, path: Path, generation: int, fingerprint: str) -> None:
        self._path, self._fingerprint, self._generation = path, fingerprint, generation

    def visits(
        self,
        embeddings: NDArray[np.float32],
        obs: pd.DataFrame,
        known: ChangeReference,
        *,
        modality: str,
        mode: Transition,
    ) -> VisitArrays:
        """The visits of all scans of one modality: as kept, brought up to date, or made.

        Args:
            embeddings: (n, e) of the modality's scans; rows of one generation keep their order.
            obs: (n,) their columns.
            known: the reference's means.
            modality: "" where none is given.
            mode: which visits are paired.
        """
        numbers, _ = patient_numbers(obs)
        file = self._file(modality, mode)
        kept = self._read(file, modality, mode, len(obs))
        if kept is not None and len(kept.scan_visit) == len(obs):
            return kept
        if kept is None:
            found = visit_arrays(embeddings, obs, numbers, known, mode)
        else:
            found = _updated(kept, embeddings, obs, numbers, known, mode)
        self._write(file, found, modality, mode)
        return found

    def _file(self, modality: str, mode: Transition) -> Path:
        """Where they lie; a modality may have any name."""
        name = hashlib.blake2b(modality.encode(), digest_size=6).hexdigest()
        return cache_folder(self._path) / _FOLDER / f"{mode}-{name}.npz"

    def _key(self, modality: str, mode: Transition) -> dict[str, Any] | None:
        """What must be the same, or grow by appends alone, for kept visits to be of use."""
        try:
            store, reference = self._path.stat(), (self._path / _REFERENCE).stat()
        except OSError:
            return None
        return {
            "version": _VERSION,
            "generation": self._generation,
            "reference": self._fingerprint,
            "store": [store.st_dev, store.st_ino],
            "fitted": [reference.st_ino, reference.st_mtime_ns],
            "modality": modality,
            "mode": mode,
        }

    def _read(self, file: Path, modality: str, mode: Transition, n_rows: int) -> VisitArrays | None:
        """What is kept, if it is of the first so many scans of this store."""
        try:
            with file.open("rb") as held, np.load(held, allow_pickle=False) as found:
                about = json.loads(str(found["about"]))
                sets = tuple(about.pop("view_sets"))
                if about != self._key(modality, mode) or len(found["scan_visit"]) > n_rows:
                    return None
                arrays = {name: found[name] for name in found.files if name != "about"}
                return VisitArrays(**arrays, view_sets=sets)
        except _UNREADABLE:
            return None

    def _write(self, file: Path, found: VisitArrays, modality: str, mode: Transition) -> None:
        """Keep them; whoever may not write there goes on without."""
        key = self._key(modality, mode)
        if key is None:
            return
        about = json.dumps({**key, "view_sets": list(found.view_sets)})
        arrays: dict[str, Any] = {
            name: getattr(found, name) for name in found.__dataclass_fields__ if name != "view_sets"
        }
        held = io.BytesIO()
        np.savez(held, about=np.array(about), **arrays)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(file, [held.getbuffer()], partial_name(file))
        except OSError:
            return


def _updated(
    kept: VisitArrays,
    embeddings: NDArray[np.float32],
    obs: pd.DataFrame,
    numbers: Codes,
    known: ChangeReference,
    mode: Transition,
) -> VisitArrays:
    """Kept visits with those of every patient who has a new scan made again."""
    n_kept = len(kept.scan_visit)
    rows = np.flatnonzero(np.isin(numbers, numbers[n_kept:]))
    some = obs.iloc[rows].reset_index(drop=True)
    new = visit_arrays(np.asarray(embeddings[rows]), some, numbers[rows], known, mode)
    return merged(kept, np.arange(n_kept), new, rows, len(obs))
