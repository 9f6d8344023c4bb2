"""`build`: bring a store into step with its manifest, embedding only what is new or changed.

The order of work makes every moment safe to be killed in, and the outcome independent of it:
changed scans and corrected columns in one swap, new scans appended and committed as they come,
the manifest's order restored by one more swap if need be, the reference fitted once at the end.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config import BuildOptions
from learner_index.data.content import HashCache
from learner_index.data.limits import limits_of
from learner_index.data.manifest import Manifest, read_manifest, require_valid
from learner_index.data.records import Embedder, Problem
from learner_index.data.split import PatientSplit
from learner_index.errors import EncoderError, NotEnoughDataError, ScanError
from learner_index.pipeline.agree import require_agreement, require_same_cohort
from learner_index.pipeline.embed import Embedded, EmbeddingStream, Job
from learner_index.pipeline.manifest import rows_where, why_no_rows
from learner_index.pipeline.present import Present
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.pipeline.result import BuildResult
from learner_index.pipeline.roles import (
    NOBODY,
    SPLIT_KEY,
    kept_roles,
    n_seen,
    role_column,
    with_roles,
)
from learner_index.pipeline.settings import (
    manifest_options_of,
    preprocessing_of,
    settings_of,
    with_manifest,
)
from learner_index.pipeline.source import EncoderSource
from learner_index.pipeline.sync import (
    manifest_order,
    plain_list,
    rows_from_manifest,
    shared_between_patients,
    synced_rows,
    wanted_kinds,
    without_dropped,
)
from learner_index.store.paths import Step, cache_folder, no_step
from learner_index.store.writer import StoreWriter, open_writer

Progress = Callable[[int, int], None]
KEPT = "; the stored embedding is kept"
Ready = tuple[Embedded, NDArray[np.float32]]


def build(
    manifest_path: Path,
    store: Path,
    encoder: EncoderSource,
    *,
    manifest_changes: Mapping[str, Any] | None = None,
    options: BuildOptions | None = None,
    progress: Progress = lambda done, total: None,
    step: Step = no_step,
) -> BuildResult:
    """Make a store of a manifest's scans, or bring one into step with it.

    Args:
        manifest_path: the table that lists the scans.
        store: path ending in .zarr.
        encoder: gives the encoder when one is needed.
        manifest_changes: fields of `ManifestOptions` to read the manifest with; the others are as
            the store was built, or the defaults.
        options: what to take in and how to work.
        progress: called with scans done and scans to do.
        step: called with the name of each step of a write; tests kill the process there.

    Raises:
        ManifestError: the manifest has problems to mend first.
        SpaceMismatchError: the encoder is not the one the store was built with.
        NotEnoughDataError: nothing is left to build from.
        StoreError: the store is locked, damaged, or the file system refuses.
    """
    changes = manifest_changes or {}
    early = None
    if not (store.exists() or cache_folder(store).exists()):
        # A hopeless manifest leaves no lock and no folder behind.
        early = read_manifest(manifest_path, replace(manifest_options_of({}), **changes))
        require_valid(early)
    with open_writer(store, step=step) as writer:
        present = Present(writer)
        if early is None or present.exists:
            known = present.settings if present.exists else {}
            early = read_manifest(manifest_path, replace(manifest_options_of(known), **changes))
            require_valid(early)
        manifest = early
        hashes = HashCache.load(writer.cache / "hashes.json")
        result, chosen = BuildResult(store), options or BuildOptions()
        work = _Build(manifest, writer, present, encoder, chosen, hashes, result)
        result.notes += [problem for problem in manifest.problems if not problem.is_error]
        try:
            work.run(progress)
        finally:
            with suppress(OSError):  # a cache: what it would have saved is only time
                hashes.save()
        return work.result


@dataclass(slots=True)
class _Build:
    """One run: what it works with, and the result as it grows."""

    manifest: Manifest
    writer: StoreWriter
    present: Present
    source: EncoderSource
    options: BuildOptions
    hashes: HashCache
    result: BuildResult
    _embedder: Embedder | None = None
    _split: PatientSplit | None = None
    _ids: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """The manifest's scan ids as a plain list."""
        self._ids = plain_list(self.manifest.table["scan_id"])

    def run(self, progress: Progress) -> None:
        """Do what is to be done, in the order that is safe."""
        rows = self._chosen_rows()
        if self.present.exists:
            self._sync(rows, progress)
        self._append(rows, progress)
        if self.present.exists:
            self._restore_order()
            self._fit_reference()
            self._summarize()

    def _chosen_rows(self) -> NDArray[np.intp]:
        """Manifest rows this build looks at, in order."""
        rows = rows_where(self.manifest, self.options.where)[: self.options.limit]
        if len(rows) == 0:
            raise NotEnoughDataError(
                f"no scan of {self.manifest.path.name} is left to build from: "
                "loosen --where or --limit, or add rows"
                f"{why_no_rows(self.manifest, self.options.where)}"
            )
        return rows

    def _sync(self, rows: NDArray[np.intp], progress: Progress) -> None:
        """Changed scans, corrected columns and pruned rows: one swap if there are any."""
        settings, stored = self.present.settings, self.present.obs
        self.source.check(settings["encoder"])
        split = self._roles(settings)
        keep, has_unlisted = self._keep()
        if has_unlisted:
            require_agreement(settings, stored, self.manifest)
        stored_kinds = self.present.reader.kinds
        kinds = wanted_kinds(self.manifest.kinds, stored_kinds, has_unlisted=has_unlisted)
        kinds = without_dropped(kinds, self.manifest.options.drop_columns)
        is_all = len(keep) == len(stored)
        kept = stored if is_all else stored.iloc[keep].reset_index(drop=True)
        dropped = self.manifest.options.drop_columns
        synced, difference = synced_rows(kept, self.manifest.table, kinds, dropped)
        synced, self.result.difference = with_roles(synced, difference, split)
        replaced = self._embed_changed(synced, rows, progress)
        fresh = with_manifest(settings, self.manifest)
        is_same = self.result.difference.is_empty and settings_of(settings) == settings_of(fresh)
        if replaced or self.result.n_pruned or not is_same:
            self.writer.rewrite(synced, kinds, keep, replaced=replaced, settings=fresh)
            self.present.forget()

    def _keep(self) -> tuple[NDArray[np.intp], bool]:
        """Stored rows that stay, and whether some of them are not in the manifest."""
        stored = self.present.ids
        known = set(self._ids) if stored != self._ids else set()
        if not known or known.issuperset(stored):
            return np.arange(len(stored)), False
        listed = np.array([scan_id in known for scan_id in stored], dtype=bool)
        if self.options.prune:
            self.result.n_pruned = int((~listed).sum())
            return np.flatnonzero(listed), False
        self.result.unlisted = tuple(scan_id for scan_id in stored if scan_id not in known)
        return np.arange(len(stored)), True

    def _embed_changed(
        self, synced: pd.DataFrame, rows: NDArray[np.intp], progress: Progress
    ) -> dict[int, NDArray[np.float32]]:
        """Row -> new embedding of stored scans whose bytes changed; `synced` gets their hashes."""
        ids, hashes = plain_list(synced["scan_id"]), plain_list(synced["content_hash"])
        remembered = self.hashes.remembered(self._ids, self.manifest.paths.stamps)
        if ids == self._ids and hashes == remembered and len(rows) == len(ids):
            self.result.n_unchanged = len(ids)
            return {}
        place = {scan_id: row for row, scan_id in enumerate(ids)}
        changed = []
        for row in rows.tolist():
            at = place.get(self._ids[row])
            if at is None:
                continue
            found = remembered[row] or self._hash(self._job(row))
            if found == hashes[at]:
                self.result.n_unchanged += 1
            elif found:
                changed.append(self._job(row))
        n_same, may_replace = self.result.n_unchanged, self.options.replace
        require_same_cohort(len(changed), n_same, may_replace=may_replace)
        replaced: dict[int, NDArray[np.float32]] = {}
        for done, embedding in self._embed(changed, progress, or_else=KEPT):
            row = place[done.job.scan_id]
            replaced[row] = embedding
            hashes[row] = done.content_hash
            self.result.n_changed += 1
        if replaced:
            synced["content_hash"] = pd.array(hashes, dtype="string")
        return replaced

    def _hash(self, job: Job) -> str:
        """Content hash of a stored scan; "" when its file is gone, which is noted."""
        try:
            return self.hashes.hash(job.scan_id, job.path)
        except ScanError as error:
            self._skip(job, f"{error}{KEPT}")
            return ""

    def _append(self, rows: NDArray[np.intp], progress: Progress) -> None:
        """Embed scans the store does not have, committing them as they come."""
        known = set(self.present.ids) if self.present.exists else set()
        jobs = [self._job(row) for row in rows.tolist() if self._ids[row] not in known]
        if not jobs:
            return
        if not self.present.exists:
            self._embedder = self.source.for_new_store(self.manifest, self.writer.cache)
        waiting: list[Ready] = []
        last = time.monotonic()
        try:
            for done, embedding in self._embed(jobs, progress):
                waiting.append((done, embedding))
                n_bytes = len(waiting) * embedding.nbytes
                waited_s = time.monotonic() - last
                if n_bytes >= self.options.commit_bytes or waited_s >= self.options.commit_s:
                    self._commit(waiting)
                    last = time.monotonic()
        except KeyboardInterrupt:
            self._commit(waiting)
            raise
        self._commit(waiting)

    def _job(self, row: int) -> Job:
        """One row of the manifest as work to do."""
        return Job(row, self._ids[row], self.manifest.paths[row])

    def _embed(self, jobs: list[Job], progress: Progress, or_else: str = "") -> Iterator[Ready]:
        """The jobs that could be embedded; the others are noted as skipped."""
        if not jobs:
            return
        embedder = self._loaded()
        settings = preprocessing_of(embedder.card)
        stream = EmbeddingStream(
            embedder,
            settings,
            self.hashes.hash,
            workers=self.options.workers,
            known=self._stored_embedding(),
        )
        start = time.monotonic()
        for count, done in enumerate(stream.run(jobs), start=1):
            self.result.encode_s = time.monotonic() - start
            progress(count, len(jobs))
            for note in done.notes:
                self.result.notes.append(self._problem(done.job, note, is_error=False))
            if done.embedding is None:
                self._skip(done.job, done.reason + or_else)
                continue
            self.result.n_shared += done.is_shared
            self.result.n_embedded += not done.is_shared
            yield done, done.embedding

    def _stored_embedding(self) -> Callable[[str], NDArray[np.float32] | None]:
        """Gives the embedding stored for a content hash, if there is one."""
        if not self.present.exists:
            return lambda _: None
        reader, hashes = self.present.reader, plain_list(self.present.obs["content_hash"])
        rows = {content_hash: row for row, content_hash in enumerate(hashes)}

        def look_up(content_hash: str) -> NDArray[np.float32] | None:
            row = rows.get(content_hash)
            return None if row is None else reader.embeddings(slice(row, row + 1))[0]

        return look_up

    def _loaded(self) -> Embedder:
        """The store's encoder, loaded at its first use."""
        if self._embedder is None:
            card = self.present.settings["encoder"]
            self._embedder = self.source.for_store(card, self.writer.cache)
        return self._embedder

    def _roles(self, settings: Mapping[str, Any]) -> PatientSplit:
        """Whom the store's encoder has seen.

        Raises:
            EncoderError: a pretraining run made it, and which one is not known.
        """
        if self._split is None:
            try:
                self._split = kept_roles(settings, self.writer.cache)
            except EncoderError:
                self._loaded()  # puts a run back into the cache that is named again
                self._split = kept_roles(settings, self.writer.cache)
        return self._split

    def _create(self) -> None:
        """Make the empty store: columns, the encoder's card, how the manifest was read."""
        embedder = self._loaded()
        known: dict[str, Any] = {"encoder": dict(embedder.card)}
        split = self._roles(known)
        if split != NOBODY:
            known[SPLIT_KEY] = split.fingerprint
        settings = with_manifest(known, self.manifest)
        kinds = wanted_kinds(self.manifest.kinds, {}, has_unlisted=False)
        self.writer.create(embedder.width, kinds, settings)
        self.present.forget()

    def _commit(self, waiting: list[Ready]) -> None:
        """Append embedded scans and empty the list; the first ones make the store."""
        if not waiting:
            return
        if not self.present.exists:
            self._create()
        batch = waiting[:]
        waiting.clear()
        rows = np.array([done.job.row for done, _ in batch])
        obs = rows_from_manifest(self.manifest.table, rows, self.present.reader.kinds)
        hashes = [done.content_hash for done, _ in batch]
        obs["content_hash"] = pd.array(hashes, dtype="string")
        obs["encoder_role"] = role_column(obs["patient_id"], self._roles(self.present.settings))
        self.writer.append(np.stack([embedding for _, embedding in batch]), obs)
        self.present.forget()

    def _restore_order(self) -> None:
        """Put rows that were added between others into the manifest's order, by one swap."""
        order = manifest_order(self.present.ids, self._ids)
        if not np.array_equal(order, np.arange(len(order))):
            obs = self.present.obs.iloc[order].reset_index(drop=True)
            self.writer.rewrite(obs, self.present.reader.kinds, order)
            self.present.forget()

    def _fit_reference(self) -> None:
        """Fit the reference once; later builds leave it alone, `refit` renews it."""
        reader = self.present.reader
        if reader.n_rows and self.present.reference is None:
            reference = fit_whole_reference(reader.embeddings(), self.present.obs)
            self.writer.add_reference(reference)
            self.present.forget()

    def _summarize(self) -> None:
        """Figures of the store as it is now."""
        reader, reference = self.present.reader, self.present.reference
        self.result.n_rows = reader.n_rows
        patients = set(plain_list(self.present.obs["patient_id"]))
        fitted = set(reference.patients) if reference else set()
        self.result.n_patients = len(patients)
        self.result.generation = reader.generation
        self.result.n_reference_patients = len(fitted & patients)
        self.result.n_reference_gone = len(fitted - patients)
        self.result.n_seen = n_seen(self.present.obs)
        if self.result.n_embedded or self.result.n_shared:
            self.result.notes += shared_between_patients(self.present.obs)
            self.result.limits = limits_of(self.present.obs)
        self.result.is_trained = bool(self.present.settings["encoder"].get("is_trained", True))

    def _problem(self, job: Job, message: str, *, is_error: bool) -> Problem:
        """A message about one scan, with its place in the manifest."""
        where = f"{self.manifest.row_word} {self.manifest.lines[job.row]}"
        return Problem(where, job.scan_id, message, is_error)

    def _skip(self, job: Job, reason: str) -> None:
        """Note a scan that is left out, or left as it was."""
        self.result.skipped.append(self._problem(job, reason, is_error=True))
