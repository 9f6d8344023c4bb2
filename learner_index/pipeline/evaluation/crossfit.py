"""Objectives trained on a manifest's patients, once a seed and fold, and the baselines beside them.

All trainings share their settings; a fold's patients are seen by none of its encoders. What was
trained is kept, so that an evaluation that stopped goes on where it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learner_index.config import EvaluateOptions, ManifestOptions, Preprocessing, PretrainOptions
from learner_index.data.manifest import Manifest, read_manifest, require_valid
from learner_index.data.simulate.truth import read_truth
from learner_index.data.split import PatientSplit
from learner_index.errors import LearnerIndexError
from learner_index.pipeline.evaluation.material import Material, require_changes
from learner_index.pipeline.evaluation.models import Model, Reader, Trained, frozen_models, oracle
from learner_index.pipeline.lesson import Talk
from learner_index.pipeline.manifest import only_where
from learner_index.pipeline.pretrain import CACHE, pretrain
from learner_index.pipeline.source import declare_preprocessing
from learner_index.pipeline.trainingset import TrainingSet, read_training_set


@dataclass(frozen=True, slots=True)
class Contest:
    """What is to be measured, on whom.

    Attributes:
        material: the cohort.
        splits: patients by role in each fold.
        models: all that give embeddings; may be long in coming, so they are made one by one.
        notes: what a person should know.
        skipped: scans that could not be used.
    """

    material: Material
    splits: tuple[PatientSplit, ...]
    models: tuple[Model, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CrossFit:
    """One call.

    Attributes:
        manifest_path: the table of scans, patients and health scores.
        folder: runs, decoded scans and vectors are kept in it.
        options: what to compare.
        settings: of every training, folds and cache included.
        changes: fields of `ManifestOptions` to read the manifest with.
        workers: threads that decode.
        talk: where to tell how it goes.
    """

    manifest_path: Path
    folder: Path
    options: EvaluateOptions
    settings: PretrainOptions
    changes: Mapping[str, Any]
    workers: int
    talk: Talk

    def run(self) -> Contest:
        """Read, train and embed.

        Raises:
            ManifestError, NotEnoughDataError, SplitError: the cohort does not do.
            EncoderError: a backbone or a frozen encoder cannot be had.
            RunError: a training diverged, or was started with other settings.
        """
        cohort, preprocessing = self._cohort()
        splits = cohort.splits(self.settings)
        self._decode(cohort, preprocessing)
        rows = np.flatnonzero(cohort.is_usable)
        truth = read_truth(cohort.manifest.folder, cohort.scan_ids)
        material = Material.from_training_set(cohort, rows, truth, self.options.transitions)
        if len(material.changes):
            require_changes(material)
        reader = Reader(
            cohort,
            rows,
            self.folder / "vectors",
            preprocessing,
            self.settings.augment.time_jitter,
            self.workers,
            self.talk.progress,
        )
        models: list[Model] = [self._trained(name, splits, reader) for name in self._objectives]
        if self.options.baselines:
            self.talk.say(f"embedding scans: {', '.join(self.options.baselines)}")
        frozen, lacks = frozen_models(reader, self.options.baselines, self.settings)
        models += frozen
        if material.truth is not None:
            models.append(oracle(material.truth))
        notes = (*(note.message for note in cohort.labels.notes), *material.notes, *lacks)
        return Contest(material, splits, tuple(models), notes, tuple(map(str, cohort.skipped)))

    @property
    def _objectives(self) -> tuple[str, ...]:
        return self.options.objectives

    def _cohort(self) -> tuple[TrainingSet, Preprocessing]:
        """The scans that are asked for, and how training will see them."""
        manifest: Manifest = read_manifest(self.manifest_path, ManifestOptions(**self.changes))
        require_valid(manifest)
        manifest = only_where(manifest, self.settings.split.where)
        cohort = read_training_set(manifest, self.settings, Path(str(self.settings.cache.folder)))
        return cohort, declare_preprocessing(self.settings.encoder, list(manifest.paths))

    def _decode(self, cohort: TrainingSet, preprocessing: Preprocessing) -> None:
        """Read every scan once, so that broken ones are known before anything is trained."""
        everything = list(range(cohort.manifest.n_scans))
        self.talk.say(f"reading {len(everything)} scans")
        cohort.decode(
            everything,
            preprocessing,
            jitter=self.settings.augment.time_jitter,
            workers=self.workers,
            progress=self.talk.progress,
        )
        cohort.require_some(everything)

    def _trained(self, name: str, splits: tuple[PatientSplit, ...], reader: Reader) -> Trained:
        """An objective, every seed and fold."""
        folders = {seed: self._train(name, seed) for seed in range(self.options.seeds)}
        backbone = self.settings.encoder.spec or "the default backbone"
        return Trained(name, f"{backbone}, pretrained on these patients", folders, splits,
                       reader.of_run)  # fmt: skip

    def _train(self, name: str, seed: int) -> tuple[Path, ...]:
        """The run folder of each fold, trained unless it was before."""
        chosen = self.settings.objective
        if chosen.name != name:  # settings of an objective hold for that one alone
            chosen = replace(chosen, name=name, settings={})
        own = replace(
            self.settings, objective=chosen, training=replace(self.settings.training, seed=seed)
        )
        self.talk.say(f"pretraining {name}, seed {seed}")
        try:
            result = pretrain(
                self.manifest_path,
                self.folder / "runs" / f"{name}-seed{seed}",
                own,
                manifest_changes=self.changes,
                resume=True,
                workers=self.workers,
                talk=Talk(progress=self.talk.progress, watch=self.talk.watch),
            )
        except LearnerIndexError as problem:
            problem.args = (f"{name}, seed {seed}: {problem}",)
            raise
        return tuple(fold.folder for fold in result.folds)


def shared_settings(
    options: EvaluateOptions, pretraining: PretrainOptions, folder: Path
) -> PretrainOptions:
    """Settings of every training: folds and cache are the evaluation's."""
    split = replace(
        pretraining.split, folds=options.folds, seed=options.seed, test_share=0.0, use_column=False
    )
    cache = pretraining.cache
    if cache.folder is None:
        cache = replace(cache, folder=str(folder.absolute() / CACHE))
    return replace(pretraining, split=split, cache=cache)
