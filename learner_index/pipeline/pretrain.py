"""`pretrain`: from a manifest with coarse health scores to an encoder and a record of its making.

A run's folder holds `run.json`, the curves, checkpoints while it goes on, and the encoder once it
is done. Patients have one role each; everything that is fitted is fitted on those who train.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.analysis.curves import write_curves
from learner_index.analysis.plots.curves import draw_curves
from learner_index.config import PretrainOptions
from learner_index.data.manifest import read_manifest, require_valid
from learner_index.data.simulate.write import is_simulated
from learner_index.data.split import ROLES, PatientSplit, Role
from learner_index.errors import DivergedError, EncoderError, RunWriteError
from learner_index.learn.batches import check_batches
from learner_index.learn.device import pick_device, pick_precision
from learner_index.learn.fit import DEFAULT_SPEC, Lesson, Trained, check_training, fit_encoder
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.processes import Processes, joined
from learner_index.learn.trainer import Examples, Watched
from learner_index.learn.weights import build_backbone, parse_spec
from learner_index.pipeline.configfile import options_from
from learner_index.pipeline.runfolder import (
    held,
    is_finished,
    known_run,
    require_same,
    sweep,
    version_notes,
)
from learner_index.pipeline.runs import RUN_NAME, read_run, versions, write_run
from learner_index.pipeline.settings import manifest_options_of, with_manifest
from learner_index.pipeline.source import declare_preprocessing
from learner_index.pipeline.trainingset import TrainingSet, read_training_set
from learner_index.pipeline.validation import measure_run, validation_of

CACHE = "decoded.cache"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PretrainResult:
    """What a run, or all folds of one, came to.

    Attributes:
        folder: the run.
        run: what its `run.json` says.
        folds: one result a fold; empty for a single run.
        skipped: scans that could not be used.
        notes: what a person should know.
        is_first: False in all processes of torchrun but the one that writes and prints.
    """

    folder: Path
    run: Mapping[str, Any]
    folds: "tuple[PretrainResult, ...]" = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_first: bool = True


@dataclass(frozen=True, slots=True)
class Talk:
    """Where a run tells how it gets on.

    Attributes:
        say: a line before each stage.
        progress: scans decoded and scans to decode.
        watch: after every training step.
    """

    say: Callable[[str], None] = lambda line: None
    progress: Progress = lambda done, total: None
    watch: Callable[[Watched], None] = lambda event: None


def pretrain(
    manifest_path: Path,
    folder: Path,
    options: PretrainOptions | None = None,
    *,
    manifest_changes: Mapping[str, Any] | None = None,
    resume: bool = False,
    workers: int = 2,
    talk: Talk | None = None,
) -> PretrainResult:
    """Train an encoder on coarse health scores between patients.

    Started by torchrun, all processes train together and the first one writes.

    Args:
        manifest_path: the table that lists scans, patients and health scores.
        folder: the run's; made.
        options: None: the defaults, or those of the run that goes on.
        manifest_changes: fields of `ManifestOptions` to read the manifest with.
        resume: go on with the run in the folder, from its last checkpoint; where there is none
            yet, start one.
        workers: threads that decode.
        talk: where to tell how it goes.

    Raises:
        ManifestError, NotEnoughDataError, SplitError, SettingsError: what was given does not do.
        EncoderError: the backbone cannot be built, or there is no such device.
        RunFormatError: there is a run already, or one that cannot go on with these settings.
        RunError: another process trains in the folder.
        DivergedError: the loss is no longer finite; the last good checkpoint is kept.
        RunWriteError: the file system refused; the last checkpoint is intact.

    Example:
        >>> import learner_index as li
        >>> li.pretrain(Path("cohort.csv"), Path("runs/first"))  # doctest: +SKIP
    """
    talk = talk or Talk()
    known = known_run(folder, resume=resume)
    chosen = (
        options_from(known.get("options", {}), str(folder / RUN_NAME))
        if options is None
        else options_from(asdict(options), "the settings")
    )
    _check(chosen)
    changes = manifest_changes or {}
    manifest = read_manifest(manifest_path, replace(manifest_options_of(known), **changes))
    require_valid(manifest)
    cache_folder = Path(chosen.cache.folder or folder.absolute().parent / CACHE)
    cohort = read_training_set(manifest, chosen, cache_folder)
    splits = cohort.splits(chosen)
    with joined() as processes:
        work = _Work(cohort, chosen, workers, talk if processes.is_first else Talk(), processes)
        if not processes.is_first:
            return work.run_all(folder, splits, known)
        with held(folder):
            return work.run_all(folder, splits, known)


def _check(options: PretrainOptions) -> None:
    """Refuse what no training could use, before the cohort is read.

    Raises:
        SettingsError, EncoderError: names the setting.
    """
    check_training(options)
    check_batches(options.batches)
    JointLoss.of(options.objective, LabelScale(1.0, 1.0))
    wanted = options.encoder
    device = pick_device(wanted.device)
    if wanted.precision != "bf16":  # which a CPU may train in, although it does not embed in it
        pick_precision(wanted.precision, device)
    size = 224 if wanted.size is None else wanted.size
    build_backbone(parse_spec(wanted.spec or DEFAULT_SPEC), size=size, seed=options.training.seed)


@dataclass(slots=True)
class _Work:
    """One call: the cohort, what was asked for, and who takes part."""

    cohort: TrainingSet
    options: PretrainOptions
    workers: int
    talk: Talk
    processes: Processes

    def run_all(
        self, folder: Path, splits: tuple[PatientSplit, ...], known: Mapping[str, Any]
    ) -> PretrainResult:
        """One run, or one a fold."""
        if self.options.split.folds is not None:
            return self.run_folds(folder, splits, known)
        return self.run(folder, splits[0], known)

    def run_folds(
        self, folder: Path, splits: tuple[PatientSplit, ...], known: Mapping[str, Any]
    ) -> PretrainResult:
        """One run a fold; each patient is unseen by one of them."""
        names = [f"fold-{number}" for number in range(1, len(splits) + 1)]
        record = {**self._record(), "kind": "folds", "folds": names, "state": "running"}
        require_same(known, record)
        if known.get("state") != "done":
            self._write(folder, record)
        results = []
        for name, split in zip(names, splits, strict=True):
            self.talk.say(f"{name} of {len(names)}: {len(split.unseen)} patients unseen")
            fold = folder / name
            try:
                results.append(self.run(fold, split, known_run(fold, resume=True)))
            except DivergedError as problem:
                self._write(folder, record | {"state": "diverged"})
                raise DivergedError(f"{name}: {problem}") from problem
        if self.processes.is_first:
            sweep(folder, is_done=False)
            record |= {"state": "done", "figures": _figures_of(results)}
            record["skipped"] = list(map(str, self.cohort.skipped))
            if known.get("figures") != record["figures"]:
                self._write(folder, record)
        return self._result(
            folder, record, (note for result in results for note in result.notes), tuple(results)
        )

    def run(self, folder: Path, split: PatientSplit, known: Mapping[str, Any]) -> PretrainResult:
        """One encoder."""
        record = self._record() | {
            "kind": "run",
            "state": "running",
            "patients": split.to_dict(),
            "split": split.fingerprint,
        }
        require_same(known, record)
        is_done = is_finished(folder, known)
        if self.processes.is_first:
            sweep(folder, is_done=is_done)
        if is_done:
            return self._result(folder, known, ["the run was finished before: nothing was done"])
        lesson, notes = self._lesson(folder, split, record)
        self._write(folder, record)
        started_s = time.monotonic()
        try:
            trained = fit_encoder(lesson)
        except DivergedError:
            self._write(folder, record | {"state": "diverged"})
            raise
        if self.processes.is_first:
            record |= {"state": "done", "elapsed_s": round(time.monotonic() - started_s, 1)}
            self._finish(folder, split, record, lesson, trained)
        return self._result(folder, record, [*version_notes(known), *self._notes(), *notes])

    def _result(
        self,
        folder: Path,
        record: Mapping[str, Any],
        notes: Iterable[str],
        folds: tuple[PretrainResult, ...] = (),
    ) -> PretrainResult:
        """What is handed back: `run.json` as it can be read again, in the process that wrote it."""
        is_first = self.processes.is_first
        run = read_run(folder) if is_first else record
        skipped = tuple(map(str, self.cohort.skipped))
        return PretrainResult(folder, run, folds, skipped, tuple(dict.fromkeys(notes)), is_first)

    def _notes(self) -> list[str]:
        """What a person should know of the cohort."""
        found = [note.message for note in self.cohort.labels.notes]
        if self.cohort.manifest.texts("split") and self.options.split.use_column:
            is_used = self.options.split.folds is None
            found.append(
                "patients' roles are those of column split; shares are not used"
                if is_used
                else "column split is not used: folds are drawn"
            )
        return [*found, *self.cohort.cache.notes]

    def _record(self) -> dict[str, Any]:
        """What `run.json` says of every run of this call."""
        labels = self.cohort.labels
        reliability = self.cohort.reliability()
        return {
            **with_manifest({}, self.cohort.manifest),
            "cohort": self.cohort.manifest.path.name,
            "is_simulated": is_simulated(self.cohort.manifest.folder),
            "data": self.cohort.fingerprint,
            "options": asdict(self.options),
            "versions": versions(),
            "health_score": {
                "kind": labels.kind.name,
                "unit": labels.kind.unit,
                "threshold": labels.threshold,
                "threshold_source": labels.kind.threshold_source,
                "published_reliability": labels.kind.reliability,
                "reliability": asdict(reliability) if reliability else None,
                "n_at_ceiling": int(labels.is_ceiling.sum()),
            },
        }

    def _lesson(
        self, folder: Path, split: PatientSplit, record: dict[str, Any]
    ) -> tuple[Lesson, tuple[str, ...]]:
        """Everything the training needs, fitted on the patients who train."""
        cohort, options = self.cohort, self.options
        rows = {role: split.rows(cohort.patients, role) for role in ("train", "val")}
        paths = [cohort.manifest.paths[row] for row in rows["train"].tolist()]
        preprocessing = declare_preprocessing(options.encoder, paths)
        jitter = options.augment.time_jitter
        self.talk.say(f"reading {cohort.manifest.n_scans} scans")
        cohort.decode(
            preprocessing, jitter=jitter, workers=self.workers, progress=self.talk.progress
        )
        usable = cohort.is_usable
        target, edges, notes = cohort.targets(split, options)
        train = rows["train"][usable[rows["train"]] & np.isfinite(target[rows["train"]])]
        scale = float(target[train].mean()), float(target[train].std())
        visible = np.full(len(target), np.nan)
        visible[train] = (target[train] - scale[0]) / scale[1]
        visit = np.where(cohort.visit >= 0, cohort.visit, len(target) + np.arange(len(target)))
        validation = validation_of(cohort, rows["val"][usable[rows["val"]]], target, scale)
        if split.val and validation is None:
            notes += ("patients who validate have too few scores: the last epoch is kept",)
        record["target"] = {"center": scale[0], "spread": scale[1], "edges": list(edges)}
        record["preprocessing"] = asdict(preprocessing)
        record["criterion"] = validation.criterion if validation else None
        record["n_scans"] = {role: self._n_scans(split, role) for role in ROLES}
        record["skipped"] = list(map(str, cohort.skipped))
        lesson = Lesson(
            folder=folder,
            options=options,
            preprocessing=preprocessing,
            examples=Examples(cohort.scan_ids, visible, cohort.patient, visit),
            loss=JointLoss.of(options.objective, LabelScale.fit(visible)),
            read=lambda row: cohort.frames(row, preprocessing, jitter=jitter),
            target_scale=scale,
            validation=validation,
            trained_on=_trained_on(cohort, split, options),
            workers=self.workers,
            processes=self.processes,
            watch=self.talk.watch,
            noted=lambda history: write_curves(history, folder / "curves.csv"),
        )
        return lesson, notes

    def _finish(
        self,
        folder: Path,
        split: PatientSplit,
        record: dict[str, Any],
        lesson: Lesson,
        trained: Trained,
    ) -> None:
        """Write the encoder, the curves and the figures; checkpoints are no longer needed."""
        try:
            trained.encoder.save(folder)
        except EncoderError as problem:
            raise RunWriteError(f"{problem}: make room, then go on with --resume") from problem
        write_curves(trained.history, folder / "curves.csv")
        draw_curves(
            trained.history,
            folder / "curves.png",
            title=f"{self.options.objective.name} on {_name(self.cohort)}",
            best_epoch=trained.best_epoch if lesson.validation else None,
        )
        self.talk.say("measuring patients the encoder has not seen")
        record |= {
            "space": trained.encoder.space,
            "best_epoch": trained.best_epoch,
            "n_epochs": len(trained.history),
            "history": trained.history,
            "figures": measure_run(self.cohort, split, trained.predict),
        }
        self._write(folder, record)
        trained.clear()
        sweep(folder, is_done=True)

    def _write(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Write `run.json`, from the first process only."""
        if self.processes.is_first:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise RunWriteError(f"cannot make {str(folder)!r}: {problem.strerror}") from problem
            write_run(folder, record)

    def _n_scans(self, split: PatientSplit, role: Role) -> int:
        """Scans of a role that can be used."""
        rows = split.rows(self.cohort.patients, role)
        return int(self.cohort.is_usable[rows].sum())


def _figures_of(results: Sequence[PretrainResult]) -> dict[str, Any]:
    """Agreement on unseen patients in each fold, and its mean over the folds that have one."""
    unseen = {result.folder.name: result.run["figures"]["unseen"] for result in results}
    rhos = [found["rho"] for found in unseen.values() if found and found["rho"] is not None]
    mean = float(np.mean(rhos)) if rhos else None
    return {"unseen_mean_rho": mean, "n_folds": len(rhos), "unseen": unseen}


def _name(cohort: TrainingSet) -> str:
    """The cohort's folder and manifest, and that it is simulated if it is."""
    manifest = cohort.manifest.path.absolute()
    label = "SIMULATED " if is_simulated(cohort.manifest.folder) else ""
    return f"{label}{manifest.parent.name}/{manifest.name}"


def _trained_on(cohort: TrainingSet, split: PatientSplit, options: PretrainOptions) -> str:
    """One line for the encoder's card."""
    return (
        f"{_name(cohort)}: {len(split.train)} patients, "
        f"{options.objective.name}, score {cohort.labels.kind.name}"
    )
