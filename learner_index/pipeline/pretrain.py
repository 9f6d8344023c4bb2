"""`pretrain`: from a manifest with coarse health scores to an encoder and a record of its making.

A run's folder holds `run.json`, the curves, checkpoints while it goes on, and the encoder once it
is done. Patients have one role each; everything that is fitted is fitted on those who train.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.analysis.curves import write_curves
from learner_index.analysis.plots.curves import draw_curves
from learner_index.analysis.within import Agreement, mean_agreement
from learner_index.config import PretrainOptions
from learner_index.data.manifest import read_manifest, require_valid
from learner_index.data.show import Card, Shown
from learner_index.data.split import PatientSplit
from learner_index.errors import DivergedError, EncoderError, RunFormatError, RunWriteError
from learner_index.learn.batches import check_batches
from learner_index.learn.device import pick_device, training_precision
from learner_index.learn.fit import History, Lesson, Trained, check_training, fit_encoder
from learner_index.learn.processes import Processes, joined
from learner_index.pipeline.changes import assumption_note, check_objective, require_visits
from learner_index.pipeline.configfile import options_from
from learner_index.pipeline.lesson import (
    Job,
    Talk,
    agree,
    decode,
    make_lesson,
    name_of,
    require_scans,
    require_world,
)
from learner_index.pipeline.manifest import only_where
from learner_index.pipeline.record import base_record, machine_notes, start_weights
from learner_index.pipeline.roles import RunEncoder
from learner_index.pipeline.runfolder import (
    held,
    is_finished,
    known_run,
    require_same,
    sweep,
    version_notes,
)
from learner_index.pipeline.runs import RUN_NAME, read_run, write_run
from learner_index.pipeline.settings import manifest_options_of
from learner_index.pipeline.start import (
    check_column,
    check_encoder,
    joined_roles,
    merged,
    seen_before,
    starting_run,
)
from learner_index.pipeline.trainingset import read_training_set
from learner_index.pipeline.validation import measure_run

__all__ = ["PretrainResult", "Talk", "pretrain"]

CACHE = "decoded.cache"
_DIGITS = 4  # of a draw


@dataclass(frozen=True, slots=True, repr=False)
class PretrainResult(Shown):
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

    def _card(self) -> Card:
        """What was trained, on whom, and how far it came."""
        run, folds = self.run, len(self.folds)
        rows = [
            ("cohort", str(run.get("cohort"))),
            ("objective", str(run["options"]["objective"]["name"])),
            ("encoder", str(run["options"]["encoder"]["spec"])),
            *((f"patients, {role}", str(n)) for role, n in run.get("n_patients", {}).items()),
            *([("folds", str(folds))] if folds else ()),
            *([("best epoch", f"{run['best_epoch']} of {run['n_epochs']}")] if not folds else ()),
        ]
        simulated = bool(run.get("is_simulated", False))
        return Card("Pretraining run", (), rows, "", self.notes, simulated, "run")


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
    start = starting_run(chosen, known, is_done=is_finished(folder, known))
    if known.get("state") != "done":
        start_weights(chosen, known, start)
        _check(chosen, start)
    changes = manifest_changes or {}
    manifest = read_manifest(manifest_path, replace(manifest_options_of(known), **changes))
    require_valid(manifest)
    manifest = only_where(manifest, chosen.split.where)
    if start is not None:
        check_column(manifest, chosen)
    cache_folder = Path(chosen.cache.folder or folder.absolute().parent / CACHE)
    cohort = read_training_set(manifest, chosen, cache_folder)
    before = seen_before(start, chosen, known)
    splits, notes = joined_roles(cohort, chosen, before)
    with joined() as processes:
        talk = talk if processes.is_first else Talk()
        work = _Work(cohort, chosen, workers, talk, processes, start, before, notes)
        require_world(work, splits)
        require_visits(cohort, chosen, splits)
        agree(work)
        if not processes.is_first:
            return work.run_all(folder, splits, known)
        with held(folder):
            return work.run_all(folder, splits, known)


def _check(options: PretrainOptions, start: RunEncoder | None) -> None:
    """Refuse what no training could use, before the cohort is read.

    Raises:
        SettingsError, EncoderError: names the setting.
        SpaceMismatchError: a setting is not that of the run it starts from.
    """
    check_training(options)
    check_batches(options.batches)
    check_objective(options)
    wanted = options.encoder
    training_precision(wanted.precision, pick_device(wanted.device))
    check_encoder(options, start)


@dataclass(slots=True)
class _Work(Job):
    """One call, done."""

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
        record = {**base_record(self, known), "kind": "folds", "folds": names, "state": "running"}
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
                batch = list(problem.scan_ids)
                self._write(folder, record | {"state": "diverged", "fold": name, "batch": batch})
                problem.args = (f"{name}: {problem}",)
                raise
        if self.processes.is_first:
            sweep(folder, is_done=False)
            record |= {"state": "done", "figures": _figures_of(results)}
            record["skipped"] = results[0].run["skipped"]
            if known.get("figures") != record["figures"]:
                self._write(folder, record)
        return self._result(
            folder, record, (note for result in results for note in result.notes), tuple(results)
        )

    def run(self, folder: Path, split: PatientSplit, known: Mapping[str, Any]) -> PretrainResult:
        """One encoder."""
        whole = merged(self.before, split)  # with patients of earlier runs who are not here
        record = base_record(self, known) | {
            "kind": "run",
            "state": "running",
            "patients": whole.to_dict(),
            "split": whole.fingerprint,
            "n_patients": {role: len(names) for role, names in split.to_dict().items()},
        }
        require_scans(known, self.cohort, split)
        require_same(known, record)
        is_done = is_finished(folder, known)
        if self.processes.is_first:
            sweep(folder, is_done=is_done)
        if is_done:
            return self._result(folder, known, ["the run was finished before: nothing was done"])
        started_s = time.monotonic() - (known.get("elapsed_s") or 0.0)

        def noted(history: History) -> None:
            write_curves(history, folder / "curves.csv")
            record["elapsed_s"] = round(time.monotonic() - started_s, 1)
            self._write(folder, record)

        lesson, notes = make_lesson(self, folder, split, record, noted)
        require_scans(known, self.cohort, split)
        if known.get("scans") not in (None, record["scans"]):
            raise RunFormatError(
                "scans that could not be read when the run started can be read now: start another "
                "run with -o NAME"
            )
        record["elapsed_s"] = known.get("elapsed_s") or 0.0
        self._write(folder, record)
        try:
            trained = fit_encoder(lesson)
        except DivergedError as problem:
            batch = list(problem.scan_ids)
            self._write(folder, record | {"state": "diverged", "batch": batch})
            raise
        if self.processes.is_first:
            self._finish(folder, split, record, lesson, trained)
            record |= {"state": "done", "elapsed_s": round(time.monotonic() - started_s, 1)}
            self._write(folder, record)
            trained.clear()
            sweep(folder, is_done=True)
        before = (*version_notes(known), *machine_notes(record))
        return self._result(folder, record, [*before, *self.notes, *self._notes(), *notes])

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
        skipped = tuple(run.get("skipped", ()))
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
        note = assumption_note(self.cohort, self.options.objective)
        return [*found, *([note] if note else ()), *self.cohort.cache.notes]

    def _finish(
        self,
        folder: Path,
        split: PatientSplit,
        record: dict[str, Any],
        lesson: Lesson,
        trained: Trained,
    ) -> None:
        """Write the encoder and the curves, and measure it; all else is for the record."""
        try:
            trained.encoder.save(folder)
        except EncoderError as problem:
            raise RunWriteError(f"{problem}: make room, then go on with --resume") from problem
        write_curves(trained.history, folder / "curves.csv")
        draw_curves(
            trained.history,
            folder / "curves.png",
            title=f"{self.options.objective.name} on {name_of(self.cohort)}",
            best_epoch=trained.best_epoch if lesson.validation else None,
        )
        unseen = split.rows(self.cohort.patients, "unseen")
        if split.unseen:
            self.talk.say("measuring patients the encoder has not seen")
            alone = replace(self, processes=Processes())  # the others are done
            decode(alone, unseen.tolist(), lesson.preprocessing)
        figures, drawn = measure_run(self.cohort, split, trained.predict)
        record["n_scans"]["unseen"] = int(self.cohort.is_usable[unseen].sum())
        record |= {
            "skipped": list(map(str, self.cohort.skipped)),
            "space": trained.encoder.space,
            "best_epoch": trained.best_epoch,
            "n_epochs": len(trained.history),
            "history": trained.history,
            "figures": figures,
        }
        if self.options.split.folds is not None:
            record["unseen_draws"] = None if drawn is None else drawn.round(_DIGITS).tolist()

    def _write(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Write `run.json`, from the first process only."""
        if self.processes.is_first:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise RunWriteError(f"cannot make {str(folder)!r}: {problem.strerror}") from problem
            write_run(folder, record)


def _figures_of(results: Sequence[PretrainResult]) -> dict[str, Any]:
    """Agreement on unseen patients in each fold, and its mean over the folds that have one."""
    unseen = {result.folder.name: result.run["figures"]["unseen"] for result in results}
    cases = []
    for result in results:
        found, drawn = result.run["figures"]["unseen"], result.run["unseen_draws"]
        if found and found["rho"] is not None:
            values = {field.name: found[field.name] for field in fields(Agreement)}
            cases.append((Agreement(**values), np.array(drawn, dtype=np.float64)))
    mean = mean_agreement(cases)
    return {
        "unseen_mean": asdict(mean) if mean else None,
        "n_folds": len(cases),
        "unseen": unseen,
    }
