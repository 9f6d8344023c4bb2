"""What a pretraining run trains on: scans decoded, targets standardized, a lesson for `learn`.

Everything that is fitted here is fitted on the patients who train.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Preprocessing, PretrainOptions
from learner_index.data.simulate.write import is_simulated
from learner_index.data.split import PatientSplit
from learner_index.errors import RunFormatError, SettingsError
from learner_index.learn.fit import History, Lesson
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.processes import Processes
from learner_index.learn.trainer import Examples, Watched
from learner_index.pipeline.changes import require_changes
from learner_index.pipeline.roles import NOBODY, RunEncoder
from learner_index.pipeline.settings import preprocessing_of
from learner_index.pipeline.source import declare_preprocessing
from learner_index.pipeline.trainingset import GIGABYTE, TrainingSet
from learner_index.pipeline.validation import validation_of

Progress = Callable[[int, int], None]


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


@dataclass(slots=True)
class Job:
    """One call: the cohort, what was asked for, and who takes part.

    Attributes:
        start: the finished run it starts from; None: a network.
        before: roles that patients have by that run.
        notes: what a person should know of them.
    """

    cohort: TrainingSet
    options: PretrainOptions
    workers: int
    talk: Talk
    processes: Processes
    start: RunEncoder | None = None
    before: PatientSplit = NOBODY
    notes: tuple[str, ...] = ()


def make_lesson(
    job: Job,
    folder: Path,
    split: PatientSplit,
    record: dict[str, Any],
    noted: Callable[[History], None],
) -> tuple[Lesson, tuple[str, ...]]:
    """Everything the training needs, and notes; what was fitted is added to the record.

    Only scans of patients who train or validate are decoded.

    Raises:
        NotEnoughDataError: too few scans can be used, or they differ too little.
        RunError: memory ran out.
    """
    cohort, options = job.cohort, job.options
    rows = {role: split.rows(cohort.patients, role) for role in ("train", "val")}
    preprocessing = _preprocessing(job, rows["train"])
    needed = seen_rows(cohort, split)
    decode(job, needed, preprocessing)
    cohort.require_some(needed)
    usable = cohort.is_usable
    target, edges, notes = cohort.targets(split, options)
    train = rows["train"][usable[rows["train"]] & np.isfinite(target[rows["train"]])]
    scale = target_scale(target[train], cohort.patient[train])
    visible = np.full(len(target), np.nan)
    visible[train] = (target[train] - scale[0]) / scale[1]
    visit = np.where(cohort.visit >= 0, cohort.visit, -1 - np.arange(len(target)))
    labels = LabelScale.fit(visit_means(visible[train], visit[train]))
    loss = JointLoss.of(options.objective, labels)
    require_changes(loss, visible[train], cohort.patient[train], visit[train])
    validation, lacks = validation_of(
        cohort,
        rows["val"][usable[rows["val"]]],
        target,
        scale,
        has_head=loss.regression is not None,
    )
    record["target"] = {
        "center": scale[0],
        "spread": scale[1],
        "edges": list(edges),
        **target_words(cohort, options, edges),
    }
    record["preprocessing"] = asdict(preprocessing)
    record["criterion"] = validation.criterion if validation else None
    record["n_scans"] = {role: int(usable[own].sum()) for role, own in rows.items()}
    record["scans"] = cohort.usable_fingerprint(needed)
    record["skipped"] = list(map(str, cohort.skipped))
    lesson = Lesson(
        folder=folder,
        options=options,
        preprocessing=preprocessing,
        examples=Examples(cohort.scan_ids, visible, cohort.patient, visit),
        loss=loss,
        read=lambda row: cohort.frames(row, preprocessing, jitter=options.augment.time_jitter),
        target_scale=scale,
        validation=validation,
        trained_on=_trained_on(job, split),
        workers=job.workers,
        processes=job.processes,
        watch=job.talk.watch,
        noted=noted,
        start=job.start.folder if job.start else None,
    )
    return lesson, (*notes, *(lacks if split.val else ()), *_cache_note(job, needed))


def _preprocessing(job: Job, rows: NDArray[np.int64]) -> Preprocessing:
    """The starting run's, else what suits the scans that train."""
    if job.start is not None:
        return preprocessing_of(job.start.card)
    paths = [job.cohort.manifest.paths[row] for row in rows.tolist()]
    return declare_preprocessing(job.options.encoder, paths)


def decode(job: Job, rows: Sequence[int], preprocessing: Preprocessing) -> None:
    """Read some scans once; among several processes, the first one says which are broken."""
    job.talk.say(f"reading {len(rows)} scans")
    job.cohort.decode(
        rows,
        preprocessing,
        jitter=job.options.augment.time_jitter,
        workers=job.workers,
        progress=job.talk.progress,
    )
    agree(job)


def agree(job: Job) -> None:
    """Let what the first process could read hold for all, so that all train on the same scans."""
    cohort = job.cohort
    cohort.hashes, cohort.broken = job.processes.shared((cohort.hashes, cohort.broken))


def require_world(job: Job, splits: Sequence[PatientSplit]) -> None:
    """Refuse batches that cannot be dealt out evenly, before anything is decoded.

    Raises:
        SettingsError: P is no multiple of the number of processes.
    """
    world, known = job.processes.world, np.isfinite(job.cohort.labels.target)
    for split in splits:
        rows = split.rows(job.cohort.patients, "train")
        n_patients = len(np.unique(job.cohort.patient[rows[known[rows]]]))
        size = min(job.options.batches.patients, n_patients)
        if size % world:
            raise SettingsError(
                f"{size} patients a batch cannot be dealt out to {world} processes: set "
                f"--patients to a multiple of {world}, at most {n_patients - n_patients % world}"
            )


def require_scans(known: Mapping[str, Any], cohort: TrainingSet, split: PatientSplit) -> None:
    """Lets a run go on only with the very scans it trained on so far, as far as they are read.

    Args:
        known: what `run.json` says; nothing of a new run.
        cohort: before decoding, when files that are gone are known, or after.
        split: whose scans of patients who train or validate count.

    Raises:
        RunFormatError: a scan can no longer be read.
    """
    if "scans" not in known:
        return
    before, names = [f" {line}" for line in known.get("skipped", [])], cohort.scan_ids
    gone = [names[row] for row in seen_rows(cohort, split) if row in cohort.broken]
    lost = [name for name in gone if not any(f" {name}: " in line for line in before)]
    if lost:
        shown = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
        raise RunFormatError(
            f"{len(lost)} scans that could be read when the run started cannot be read now: "
            f"{shown}; restore them, or start another run with -o NAME"
        )


def seen_rows(cohort: TrainingSet, split: PatientSplit) -> list[int]:
    """Rows of patients who train or validate, in order."""
    rows = (split.rows(cohort.patients, role).tolist() for role in ("train", "val"))
    return sorted(row for own in rows for row in own)


def target_scale(target: NDArray[np.float64], patient: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation of targets; every patient weighs the same, however many scans.

    Args:
        target: (n,) known targets.
        patient: (n,) patient of each scan.
    """
    _, code, count = np.unique(patient, return_inverse=True, return_counts=True)
    weights = 1.0 / (count[code] * len(count))
    center = float(weights @ target)
    return center, float(np.sqrt(weights @ (target - center) ** 2))


def visit_means(score: NDArray[np.float64], visit: NDArray[np.int64]) -> NDArray[np.float64]:
    """(visits,) mean score of each visit: how many zones were scanned does not matter.

    Args:
        score: (n,) known scores.
        visit: (n,) visit of each scan, unique over the cohort.
    """
    _, code = np.unique(visit, return_inverse=True)
    return np.bincount(code, score) / np.bincount(code)


def target_words(
    cohort: TrainingSet, options: PretrainOptions, edges: Sequence[float]
) -> dict[str, str]:
    """What the encoder's head predicts, in what unit, and which way is good."""
    found = {"kind": "class", "direction": "higher is healthier"}
    if edges:
        return {**found, "unit": f"class 0..{len(edges)}"}
    if options.score.class_column is not None:
        low, high = np.nanmin(cohort.labels.target), np.nanmax(cohort.labels.target)
        return {**found, "unit": f"class {low:g}..{high:g}"}
    is_turned = cohort.manifest.options.score_direction == "lower"
    unit = cohort.labels.kind.unit or "units of the score"
    return {
        **found,
        "kind": cohort.labels.kind.name,
        "unit": f"{unit}, times -1" if is_turned else unit,
    }


def name_of(cohort: TrainingSet) -> str:
    """The manifest's name without its folder, and that the cohort is simulated if it is."""
    label = "SIMULATED " if is_simulated(cohort.manifest.folder) else ""
    return f"{label}{cohort.manifest.path.name}"


def _trained_on(job: Job, split: PatientSplit) -> str:
    """One line for the encoder's card; the starting run's follows, and so all of a chain."""
    options, cohort = job.options, job.cohort
    what = "last block, " if options.training.blocks == "last" else ""
    after = f", after {job.start.card['trained_on']}" if job.start else ""
    return (
        f"{name_of(cohort)}: {len(split.train)} patients, {what}"
        f"{options.objective.name}, score {cohort.labels.kind.name}{after}"
    )


def _cache_note(job: Job, rows: Sequence[int]) -> tuple[str, ...]:
    """That decoded scans do not fit the cache, and how large it would have to be."""
    limit_gb = job.options.cache.max_gb
    wanted_gb = sum(job.cohort.decoded_bytes.get(row, 0) for row in rows) / GIGABYTE
    if limit_gb == 0 or wanted_gb <= limit_gb:
        return ()
    enough = ceil(wanted_gb * 1.05)  # files are a little longer than their pixels
    note = (
        f"decoded scans take {wanted_gb:.2g} GB and the cache holds {limit_gb:g}, so each epoch "
        f"decodes some again: --set cache.max_gb={enough} keeps them all"
    )
    return (note,)
