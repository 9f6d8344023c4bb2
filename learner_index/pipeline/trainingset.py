"""A cohort as pretraining sees it: labels, patients, visits, decoded scans."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Preprocessing, PretrainOptions
from learner_index.data.coarse import coarse, fit_edges
from learner_index.data.content import HashCache
from learner_index.data.decoded import DecodedCache, make_private
from learner_index.data.labels import Labels, read_labels
from learner_index.data.manifest import Manifest
from learner_index.data.records import Problem
from learner_index.data.reliability import Reliability, false_change_share
from learner_index.data.split import (
    PatientSplit,
    check_no_shared_content,
    draw_folds,
    draw_split,
    split_from_column,
)
from learner_index.data.visits import STRATA, strata, visit_codes
from learner_index.errors import LearnerIndexError, NotEnoughDataError, RunError
from learner_index.pipeline.embed import reason_of

FEWEST = 2  # patients who train
GIGABYTE = 1 << 30
Progress = Callable[[int, int], None]


@dataclass(slots=True, eq=False)
class TrainingSet:
    """Scans, labels and patients of a manifest, row-aligned with it.

    Attributes:
        manifest: where they come from.
        labels: health scores and what may be trained on.
        cache: decoded scans.
        patients: (n,) patient of each scan.
        patient: (n,) the same as numbers.
        visit: (n,) visit of each scan, -1 where nothing says.
        hashes: (n,) content hashes; "" where the scan cannot be read.
        broken: scans that cannot be used and why, by row; more are known once all are decoded.
        decoded_bytes: size of each scan that was decoded, by row.
    """

    manifest: Manifest
    labels: Labels
    cache: DecodedCache
    patients: list[str]
    patient: NDArray[np.int64]
    visit: NDArray[np.int64]
    hashes: list[str] = field(default_factory=list)
    broken: dict[int, Problem] = field(default_factory=dict)
    decoded_bytes: dict[int, int] = field(default_factory=dict)

    @property
    def scan_ids(self) -> list[str]:
        """(n,) names of the scans."""
        return [str(scan_id) for scan_id in self.manifest.table["scan_id"].array]

    @property
    def views(self) -> list[str]:
        """(n,) view and modality, within which scans are compared."""
        return [str(stratum) for stratum in strata(self.manifest.table)]

    @property
    def skipped(self) -> list[Problem]:
        """Scans that cannot be used, in the manifest's order."""
        return [self.broken[row] for row in sorted(self.broken)]

    @property
    def is_usable(self) -> NDArray[np.bool_]:
        """(n,) whether a scan can be read."""
        usable = np.ones(self.manifest.n_scans, dtype=bool)
        usable[list(self.broken)] = False
        return usable

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name exactly these scans, patients, scores and targets."""
        digest = blake2b(digest_size=8)
        parts = [texts for texts in map(self.manifest.texts, STRATA) if texts]
        views = ["\0".join(text or "" for text in row) for row in zip(*parts, strict=True)]
        views = views or [""] * self.manifest.n_scans
        columns = (self.scan_ids, self.patients, views, self.visit, self.hashes)
        for row in zip(*columns, strict=True):
            digest.update("\0".join(map(str, row)).encode() + b"\n")
        for numbers in (self.labels.score, self.labels.target):
            digest.update(np.nan_to_num(numbers, nan=-1e300).tobytes())
        return digest.hexdigest()

    def usable_fingerprint(self, rows: Sequence[int]) -> str:
        """16 hexadecimal digits that name those of some scans that can be used."""
        digest = blake2b(digest_size=8)
        names = self.scan_ids
        for row in sorted(rows):
            if row not in self.broken:
                digest.update(names[row].encode() + b"\0")
        return digest.hexdigest()

    def decode(
        self,
        rows: Sequence[int],
        settings: Preprocessing,
        *,
        jitter: bool,
        workers: int,
        progress: Progress,
    ) -> None:
        """Read some scans once each, so that broken ones are known before they are needed.

        Raises:
            RunError: memory ran out, which says nothing against the scan.
        """
        todo = [row for row in rows if row not in self.broken]
        read = partial(self._try, settings=settings, jitter=jitter)
        with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
            for done, (row, reason) in enumerate(zip(todo, pool.map(read, todo), strict=True), 1):
                progress(done, len(todo))
                if reason:
                    self.leave_out(row, reason)

    def require_some(self, rows: Sequence[int]) -> None:
        """Refuse to go on when none of some scans can be used.

        Raises:
            NotEnoughDataError: tells the first reason.
        """
        if rows and all(row in self.broken for row in rows):
            raise NotEnoughDataError(
                f"none of the {len(rows)} scans of {self.manifest.path.name} can be used, "
                f"first {self.broken[min(rows)]}"
            )

    def leave_out(self, row: int, reason: str) -> None:
        """Remember that a scan cannot be used."""
        where = f"{self.manifest.row_word} {self.manifest.lines[row]}"
        self.broken[row] = Problem(where, self.scan_ids[row], reason)

    def _try(self, row: int, *, settings: Preprocessing, jitter: bool) -> str:
        """Why a scan cannot be used; "" when it can."""
        try:
            self.decoded_bytes[row] = self.frames(row, settings, jitter=jitter).nbytes
        except (LearnerIndexError, OSError, MemoryError) as error:
            if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
                raise RunError(
                    f"memory ran out at scan {self.scan_ids[row]}, and left out it would make "
                    "another run: lower --workers or free memory; should the scan itself be too "
                    "large, take it out of the manifest"
                ) from error
            return reason_of(error)
        return ""

    def frames(self, row: int, settings: Preprocessing, *, jitter: bool) -> NDArray[np.float16]:
        """(m, h, w) decoded frames of a scan."""
        path = self.manifest.paths[row]
        return self.cache.frames(self.hashes[row], path, settings, jitter=jitter)

    @property
    def _order(self) -> NDArray[np.float64]:
        """(n,) what patients are spread evenly over: health scores, or classes without any."""
        score = self.labels.score
        return score if np.isfinite(score).any() else self.labels.target

    def splits(self, options: PretrainOptions) -> tuple[PatientSplit, ...]:
        """One split, or one a fold.

        Raises:
            SplitError: a patient, or one scan's bytes, would be in two roles.
            NotEnoughDataError: too few patients.
        """
        words = self.manifest.texts("split")
        wanted = options.split
        if wanted.folds is not None:
            splits = draw_folds(self.patients, self._order, wanted)
        elif wanted.use_column and words:
            splits = (split_from_column(self.patients, words),)
        else:
            splits = (draw_split(self.patients, self._order, wanted),)
        for split in splits:
            check_no_shared_content(split, self.patients, self.hashes, self.scan_ids)
        return splits

    def targets(
        self, split: PatientSplit, options: PretrainOptions
    ) -> tuple[NDArray[np.float64], tuple[float, ...], tuple[str, ...]]:
        """(n,) what is trained on, the edges of classes fitted on training patients, and notes.

        Raises:
            NotEnoughDataError: the training patients differ too little to learn from.
        """
        target, bins = self.labels.target, options.score.bins
        rows = split.rows(self.patients, "train")
        rows = rows[self.is_usable[rows] & np.isfinite(target[rows])]
        mine = [self.patients[row] for row in rows.tolist()]
        if len(set(mine)) < FEWEST:
            raise NotEnoughDataError(
                f"{len(set(mine))} of {len(split.train)} patients who train have a scan that can "
                f"be used and has a health score, {FEWEST} are needed: add scores or patients, or "
                "lower --val-share"
            )
        if np.ptp(target[rows]) == 0:
            raise NotEnoughDataError(
                f"the {len(split.train)} patients who train all have the health score or class "
                f"{target[rows[0]]:g}, so there is nothing to learn: add patients who differ, or "
                "give other patients the role train"
            )
        if bins is None:
            return target, options.score.edges, ()
        found = fit_edges(target[rows], mine, bins)
        return coarse(target, found.edges), found.edges, found.notes

    def reliability(self) -> Reliability | None:
        """How often θ would call repeats changed; None without a θ or marked repeats."""
        threshold, table = self.labels.threshold, self.manifest.table
        if threshold is None or "rescan" not in table:
            return None
        is_repeat = table["rescan"].fillna(False).to_numpy(dtype=bool)
        scores = self.labels.score
        return false_change_share(scores, self.patients, self.visit, is_repeat, threshold)


def read_training_set(
    manifest: Manifest, options: PretrainOptions, cache_folder: Path
) -> TrainingSet:
    """Labels and hashes of a manifest's scans; nothing is decoded yet.

    Args:
        manifest: without errors.
        options: what the score is and how much may be cached.
        cache_folder: where decoded scans and hashes wait.

    Raises:
        ManifestError, NotEnoughDataError, SettingsError: scores cannot be used, see `read_labels`.
    """
    labels = read_labels(manifest, options.score)
    patients = [str(patient) for patient in manifest.table["patient_id"].array]
    names = sorted(set(patients))
    if len(names) < 2:
        raise NotEnoughDataError(
            f"manifest {manifest.path.name} has 1 patient: pretraining compares patients; add some"
        )
    number = {name: code for code, name in enumerate(names)}
    cache = DecodedCache(cache_folder, int(options.cache.max_gb * GIGABYTE))
    found = TrainingSet(
        manifest,
        labels,
        cache,
        patients,
        np.array([number[patient] for patient in patients], dtype=np.int64),
        visit_codes(manifest.table),
    )
    _hash_all(found, cache_folder)
    return found


def _hash_all(cohort: TrainingSet, folder: Path) -> None:
    """Content hashes of all scans; those that cannot be read are skipped."""
    hashes = HashCache.load(folder / "hashes.json")
    manifest = cohort.manifest
    for row, scan_id in enumerate(cohort.scan_ids):
        try:
            cohort.hashes.append(hashes.hash(scan_id, manifest.paths[row]))
        except (LearnerIndexError, OSError) as error:
            cohort.hashes.append("")
            cohort.leave_out(row, reason_of(error))
    with suppress(OSError):  # a cache: what it would have saved is only time
        make_private(folder)
        hashes.save()
