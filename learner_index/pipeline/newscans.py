"""Scans outside a store, embedded on the fly and described as the store would describe them.

The store answers for how the manifest is read and for the encoder; nothing of it is changed.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import ManifestOptions
from learner_index.data.content import HashCache
from learner_index.data.manifest import Manifest, read_manifest, require_valid
from learner_index.data.problems import listed
from learner_index.data.records import Problem
from learner_index.data.split import PatientSplit
from learner_index.data.table import read_table
from learner_index.errors import EncoderError, LearnerIndexError, NotEnoughDataError
from learner_index.pipeline.embed import EmbeddingStream, Job, reason_of
from learner_index.pipeline.roles import SPLIT_KEY, kept_roles, role_column, run_encoder
from learner_index.pipeline.settings import manifest_options_of, preprocessing_of
from learner_index.pipeline.source import ChosenEncoder, EncoderSource
from learner_index.pipeline.sync import plain_list, rows_from_manifest, wanted_kinds
from learner_index.store.paths import cache_folder, check_store_path
from learner_index.store.reader import StoreReader

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class NewScans:
    """Scans outside a store, embedded with its encoder.

    Attributes:
        embeddings: (n, e) in the store's space.
        obs: (n,) the columns a store of this manifest would have, each of the kind the store has
            it in; health_score is turned: higher is healthier. `encoder_role` says whether the
            encoder has seen the patient.
        skipped: place, scan_id and reason of scans that could not be used.
        notes: what a person should know.
    """

    embeddings: NDArray[np.float32]
    obs: pd.DataFrame
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def embed_manifest(
    store: Path,
    manifest: Path,
    *,
    changes: Mapping[str, Any] | None = None,
    encoder: EncoderSource | None = None,
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> NewScans:
    """Embed a manifest's scans with a store's encoder, without storing them.

    Scans whose bytes the store knows take the stored embedding; where it knows all, no encoder is
    loaded.

    Args:
        store: path ending in .zarr.
        manifest: the table that lists the scans.
        changes: fields of `ManifestOptions` to read the manifest with; the others are as the
            store was built. Columns the store scores by, keeps or drops may be absent.
        encoder: gives the encoder when one is needed; None: the one in the store's cache.
        workers: threads that read and decode.
        progress: called with scans computed and scans to compute.

    Returns:
        The scans that could be used, in the manifest's order.

    Raises:
        ManifestError: the manifest has problems to mend first.
        NotEnoughDataError: none of its scans can be used.
        SpaceMismatchError: another encoder was asked for than the store's.
        EncoderError: the encoder, or whom it has seen, is no longer known.
        StoreError: there is no such store, or it is damaged.
    """
    reader = StoreReader(check_store_path(store))
    settings = reader.settings()
    options, notes = _options(manifest, settings, changes or {})
    found = read_manifest(manifest, options)
    require_valid(found)
    source = encoder or ChosenEncoder()
    source.check(settings["encoder"])
    notes += [str(problem) for problem in found.problems] + _rule_notes(found, settings)
    roles = _roles(settings, cache_folder(store), source)
    work = _Work(found, reader, settings["encoder"], cache_folder(store), notes)
    work.hash_all(workers)
    work.take_stored()
    work.compute(source, workers, progress)
    return work.result(roles)


@dataclass(slots=True)
class _Work:
    """One call: the manifest beside the store, and what has become of each scan so far."""

    manifest: Manifest
    reader: StoreReader
    card: Mapping[str, Any]
    cache: Path
    notes: list[str]
    hashes: list[str] = field(init=False, default_factory=list)
    embeddings: dict[int, NDArray[np.float32]] = field(init=False, default_factory=dict)
    reasons: dict[int, str] = field(init=False, default_factory=dict)
    _ids: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """The manifest's scan ids as a plain list."""
        self._ids = plain_list(self.manifest.table["scan_id"])

    def hash_all(self, workers: int) -> None:
        """Content hash of every scan, "" where it cannot be read; the cache is only read."""
        known = HashCache.load(self.cache / "hashes.json")

        def hash_one(row: int) -> str:
            try:
                return known.hash(self._ids[row], self.manifest.paths[row])
            except (LearnerIndexError, OSError) as error:
                self.reasons[row] = reason_of(error)
                return ""

        with ThreadPoolExecutor(max(1, workers), thread_name_prefix="hash-scan") as pool:
            self.hashes = list(pool.map(hash_one, range(len(self._ids))))

    def take_stored(self) -> None:
        """Take the embeddings of scans whose bytes the store has."""
        stored = self.reader.obs(["content_hash", "patient_id", "encoder_role"])
        place = {content: row for row, content in enumerate(plain_list(stored["content_hash"]))}
        known = [row for row, content in enumerate(self.hashes) if content in place]
        where = np.array([place[self.hashes[row]] for row in known], dtype=np.intp)
        self.embeddings = dict(zip(known, self.reader.embeddings(where), strict=True))
        self._note_other_owners(known, stored[stored["content_hash"].isin(self.hashes)])

    def _note_other_owners(self, known: list[int], stored: pd.DataFrame) -> None:
        """Note scans that the store has of other patients only: a patient has one name too many."""
        owners: dict[str, dict[str, str]] = {}
        for content, patient, role in stored.itertuples(index=False):
            owners.setdefault(content, {})[patient] = role
        patients = plain_list(self.manifest.table["patient_id"])
        for row in known:
            found = owners[self.hashes[row]]
            if patients[row] not in found:
                other, role = next(iter(found.items()))
                message = f"the store has the same bytes of patient {other!r} ({role})"
                self._note(row, f"{message}: one of the two is mislabeled")

    def compute(self, source: EncoderSource, workers: int, progress: Progress) -> None:
        """Embed what the store does not know."""
        jobs = [
            Job(row, self._ids[row], self.manifest.paths[row])
            for row, content in enumerate(self.hashes)
            if content and row not in self.embeddings
        ]
        if not jobs:
            return
        embedder = source.for_store(self.card, self.cache)
        hashes = dict(zip(self._ids, self.hashes, strict=True))
        settings = preprocessing_of(embedder.card)
        stream = EmbeddingStream(
            embedder, settings, lambda scan_id, _: hashes[scan_id], workers=workers
        )
        for count, done in enumerate(stream.run(jobs), start=1):
            progress(count, len(jobs))
            for note in done.notes:
                self._note(done.job.row, note)
            if done.embedding is None:
                self.reasons[done.job.row] = done.reason
            else:
                self.embeddings[done.job.row] = done.embedding

    def result(self, roles: PatientSplit) -> NewScans:
        """The scans that could be used.

        Raises:
            NotEnoughDataError: there are none.
        """
        skipped = tuple(self._problem(row, self.reasons[row]) for row in sorted(self.reasons))
        rows = np.array(sorted(self.embeddings), dtype=np.intp)
        if len(rows) == 0:
            raise NotEnoughDataError(
                f"none of the {len(skipped)} scans of {self.manifest.path.name} can be used, "
                f"first {skipped[0]}"
            )
        obs = self._obs(rows)
        hashes = [self.hashes[row] for row in rows.tolist()]
        obs["content_hash"] = pd.array(hashes, dtype="string")
        obs["encoder_role"] = role_column(obs["patient_id"], roles)
        embeddings = np.stack([self.embeddings[row] for row in rows.tolist()])
        return NewScans(embeddings, obs, skipped, tuple(dict.fromkeys(self.notes)))

    def _obs(self, rows: NDArray[np.intp]) -> pd.DataFrame:
        """Columns of some scans, of the store's kinds; a note where a value is none of its kind."""
        table, stored = self.manifest.table, self.reader.kinds
        wanted = wanted_kinds(self.manifest.kinds, {}, has_unlisted=False)
        kinds = {name: stored.get(name, kind) for name, kind in wanted.items()}
        obs = rows_from_manifest(table, rows, kinds)
        for name in table.columns.intersection(obs.columns):
            n_lost = int(table[name].iloc[rows].notna().sum() - obs[name].notna().sum())
            if n_lost:
                self.notes.append(
                    f"column {name!r} holds {kinds[name]}s in the store: {n_lost} of {len(rows)} "
                    "values here are none and were left empty"
                )
        return obs

    def _note(self, row: int, message: str) -> None:
        """Note something about one scan."""
        self.notes.append(self._problem(row, message))

    def _problem(self, row: int, message: str) -> str:
        """A message about one scan, with its place in the manifest."""
        where = f"{self.manifest.row_word} {self.manifest.lines[row]}"
        return str(Problem(where, self._ids[row], message))


def _options(
    manifest: Path, settings: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[ManifestOptions, list[str]]:
    """How to read the manifest: as asked for, else as the store's was, for the columns there are.

    Returns:
        The options, and notes. New patients may come without the column the store scores by.
    """
    known = manifest_options_of(settings)
    names = set(read_table(manifest).names)
    kept = {
        option: tuple(name for name in getattr(known, option) if name in names)
        for option in ("keep_columns", "drop_columns")
    }
    notes: list[str] = []
    score = known.score_column
    left = names - set(changes.get("drop_columns", kept["drop_columns"]))
    if "score_column" not in changes and not left & {score, "health_score"}:
        known = replace(known, score_column="health_score")
        if settings.get("score"):
            notes.append(f"no column {score!r}, so these scans have no health score")
    return replace(known, **{**kept, **changes}), notes


def _rule_notes(manifest: Manifest, settings: Mapping[str, Any]) -> list[str]:
    """In what days and scores are not those of the store."""
    notes = []
    if manifest.has_dates:
        notes.append("days count from this manifest's earliest date, not from the store's")
    if manifest.clock != settings["clock"]:
        notes.append(
            f"days are on the {manifest.clock} clock, the store's on the {settings['clock']} clock"
        )
    known, score = settings.get("score"), manifest.score
    if not known or score is None:
        return notes
    fresh = {"column": score.column, "direction": score.direction, "per": score.per}
    differ = [name for name, value in fresh.items() if known.get(name) != value]
    if differ:
        notes.append(f"health scores are read with another {listed(differ)} than the store's")
    return notes


def _roles(settings: Mapping[str, Any], cache: Path, source: EncoderSource) -> PatientSplit:
    """Whom the store's encoder has seen: from its cache, else from the run that was named again.

    Raises:
        EncoderError: a pretraining run made it, and which one is not known.
    """
    try:
        return kept_roles(settings, cache)
    except EncoderError:
        run = run_encoder(source.options.spec) if isinstance(source, ChosenEncoder) else None
        if run is None or settings.get(SPLIT_KEY) not in (None, run.split.fingerprint):
            raise
        return run.split
