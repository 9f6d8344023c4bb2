"""`pretrain`: from a manifest with coarse health scores to an encoder and a record of its making.

A run's folder holds `run.json`, the curves, checkpoints while it goes on, and the encoder once it
is done. Patients have one role each; everything that is fitted is fitted on those who train.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.analysis.curves import write_curves
from learner_index.analysis.plots.curves import draw_curves
from learner_index.config import PretrainOptions
from learner_index.data.manifest import read_manifest, require_valid
from learner_index.data.split import PatientSplit
from learner_index.errors import DivergedError, RunFormatError, RunWriteError
from learner_index.learn.fit import Lesson, Trained, fit_encoder
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.processes import Processes, joined
from learner_index.learn.trainer import Examples, Watched
from learner_index.pipeline.configfile import options_from
from learner_index.pipeline.runs import is_run, read_run, split_of, versions, write_run
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
        resume: go on with the run in the folder, from its last checkpoint.
        workers: threads that decode.
        talk: where to tell how it goes.

    Raises:
        ManifestError, NotEnoughDataError, SplitError, SettingsError: what was given does not do.
        RunFormatError: there is a run already, or none that could go on with these settings.
        DivergedError: the loss is no longer finite; the last good checkpoint is kept.
        RunWriteError: the file system refused; the last checkpoint is intact.

    Example:
        >>> import learner_index as li
        >>> li.pretrain(Path("cohort.csv"), Path("runs/first"))  # doctest: +SKIP
    """
    talk = talk or Talk()
    known = _known_run(folder, resume=resume)
    changes = manifest_changes or {}
    manifest = read_manifest(manifest_path, replace(manifest_options_of(known), **changes))
    require_valid(manifest)
    chosen = options or options_from(known.get("options", {}), folder.name)
    cache_folder = Path(chosen.cache.folder or folder.absolute().parent / CACHE)
    cohort = read_training_set(manifest, chosen, cache_folder)
    splits = cohort.splits(chosen)
    with joined() as processes:
        work = _Work(cohort, chosen, workers, talk if processes.is_first else Talk(), processes)
        if len(splits) == 1 and chosen.split.folds is None:
            return work.run(folder, splits[0], known)
        return work.run_folds(folder, splits, known)


def _known_run(folder: Path, *, resume: bool) -> dict[str, Any]:
    """What is known of a run that goes on; nothing of a new one.

    Raises:
        RunFormatError: a new run would overwrite something.
    """
    if resume and is_run(folder):
        return read_run(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        is_ours = is_run(folder)
        hint = "--resume goes on with it, " if is_ours else ""
        what = "holds a run already" if is_ours else "is there already and is no run"
        raise RunFormatError(f"{str(folder)!r} {what}: {hint}-o NAME starts another")
    return {}


@dataclass(slots=True)
class _Work:
    """One call: the cohort, what was asked for, and who takes part."""

    cohort: TrainingSet
    options: PretrainOptions
    workers: int
    talk: Talk
    processes: Processes

    def run_folds(
        self, folder: Path, splits: tuple[PatientSplit, ...], known: Mapping[str, Any]
    ) -> PretrainResult:
        """One run a fold; each patient is unseen by one of them."""
        names = [f"fold-{number}" for number in range(1, len(splits) + 1)]
        record = {**self._record(), "kind": "folds", "folds": names, "state": "running"}
        _require_same(known, record)
        self._write(folder, record)
        results = []
        for name, split in zip(names, splits, strict=True):
            self.talk.say(f"{name} of {len(names)}: {len(split.unseen)} patients unseen")
            fold = folder / name
            mine = read_run(fold) if is_run(fold) else {}
            results.append(self.run(fold, split, mine))
        if self.processes.is_first:
            figures = [result.run["figures"]["unseen"] for result in results]
            rhos = [entry["rho"] for entry in figures if entry and entry["rho"] is not None]
            mean = float(np.mean(rhos)) if rhos else None
            record |= {"state": "done", "figures": {"unseen_mean_rho": mean}}
            self._write(folder, record)
        notes = tuple(dict.fromkeys(note for result in results for note in result.notes))
        is_first = self.processes.is_first
        return PretrainResult(folder, record, tuple(results), self._skipped(), notes, is_first)

    def run(self, folder: Path, split: PatientSplit, known: Mapping[str, Any]) -> PretrainResult:
        """One encoder."""
        record = self._record() | {
            "kind": "run",
            "state": "running",
            "patients": split.to_dict(),
            "split": split.fingerprint,
        }
        _require_same(known, record)
        if known.get("state") == "done":
            return PretrainResult(folder, known, notes=("it was finished before",))
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
        return PretrainResult(
            folder,
            record,
            skipped=self._skipped(),
            notes=(*notes, *self.cohort.cache.notes),
            is_first=self.processes.is_first,
        )

    def _record(self) -> dict[str, Any]:
        """What `run.json` says of every run of this call."""
        labels = self.cohort.labels
        reliability = self.cohort.reliability()
        return {
            **with_manifest({}, self.cohort.manifest),
            "cohort": self.cohort.manifest.path.name,
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
        train = rows["train"][usable[rows["train"]]]
        known = target[train][np.isfinite(target[train])]
        center, spread = float(known.mean()), float(known.std()) or 1.0
        scores = (target - center) / spread
        labels = LabelScale.fit(scores[train])
        visible = np.full(len(scores), np.nan)
        visible[train] = scores[train]
        visit = np.where(cohort.visit >= 0, cohort.visit, len(scores) + np.arange(len(scores)))
        record["target"] = {"center": center, "spread": spread, "edges": list(edges)}
        record["preprocessing"] = asdict(preprocessing)
        lesson = Lesson(
            folder=folder,
            options=options,
            preprocessing=preprocessing,
            examples=Examples(cohort.scan_ids, visible, cohort.patient, visit),
            loss=JointLoss.of(options.objective, labels),
            read=lambda row: cohort.frames(row, preprocessing, jitter=jitter),
            target_scale=(center, spread),
            validation=validation_of(cohort, rows["val"][usable[rows["val"]]], (center, spread)),
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
        trained.encoder.save(folder)
        write_curves(trained.history, folder / "curves.csv")
        name = self.options.objective.name
        draw_curves(
            trained.history,
            folder / "curves.png",
            title=f"{name} on {self.cohort.manifest.path.parent.name}",
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

    def _write(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Write `run.json`, from the first process only."""
        if self.processes.is_first:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise RunWriteError(f"cannot make {str(folder)!r}: {problem.strerror}") from problem
            write_run(folder, record)

    def _skipped(self) -> tuple[str, ...]:
        """Scans left out, one line each."""
        return tuple(str(problem) for problem in self.cohort.skipped)


def _require_same(known: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Lets a run go on only with the settings, patients and scans it was started with.

    Raises:
        RunFormatError: names the first difference.
    """
    if not known:
        return
    for section, values in record["options"].items():
        for name, value in values.items():
            before = known["options"].get(section, {}).get(name)
            may_differ = section == "cache" or name in ("device", "batch_size")
            if not may_differ and _plain(before) != _plain(value):
                raise RunFormatError(
                    f"the run was started with {section}.{name} = {before!r}, not {value!r}: "
                    "go on with its own settings by giving none, or start another with -o NAME"
                )
    names = ["kind", "data"] + (["split"] if "split" in record else [])
    for name, word in zip(names, ("kind of run", "scans and scores", "patients"), strict=False):
        if known.get(name) != record[name]:
            raise RunFormatError(
                f"the {word} are not those the run was started with: "
                "restore them, or start another run with -o NAME"
            )
    if "split" in record and split_of(known).fingerprint != record["split"]:
        raise RunFormatError("run.json was altered: its patients are not those of its split")


def _plain(value: Any) -> Any:
    """The same as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _trained_on(cohort: TrainingSet, split: PatientSplit, options: PretrainOptions) -> str:
    """One line for the encoder's card."""
    return (
        f"{cohort.manifest.path.name}: {len(split.train)} patients, "
        f"{options.objective.name}, score {cohort.labels.kind.name}"
    )
