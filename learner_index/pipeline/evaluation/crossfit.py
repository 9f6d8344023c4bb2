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
from learner_index.errors import DivergedError, LearnerIndexError, SettingsError, SplitError
from learner_index.learn.fit import DEFAULT_SPEC
from learner_index.learn.weights import parse_spec
from learner_index.pipeline.changes import check_objective
from learner_index.pipeline.evaluation.material import Material, require_changes
from learner_index.pipeline.evaluation.models import (
    CONSTANTS,
    Model,
    Reader,
    Trained,
    frozen_models,
    name_of_baseline,
    oracle,
    pick_against,
)
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
        models: all that give embeddings.
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
        """Read, embed and train; whatever can be refused is refused before anything is trained.

        Raises:
            ManifestError, NotEnoughDataError, SplitError: the cohort does not do.
            SettingsError: there is no such objective, no such model to compare with, or none.
            EncoderError: a backbone or a frozen encoder cannot be had.
            RunError: a training was started with other settings, or the one that is compared
                with diverged.
        """
        self._check_names()
        cohort, preprocessing = self._cohort()
        splits = cohort.splits(self.settings)
        self._decode(cohort, preprocessing)
        rows = np.flatnonzero(cohort.is_usable)
        truth = read_truth(cohort.manifest.folder, cohort.scan_ids)
        material = Material.from_training_set(cohort, rows, truth, self.options.transitions)
        require_changes(material, splits)
        reader = Reader(
            cohort,
            rows,
            self.folder / "vectors",
            preprocessing,
            self.settings.augment.time_jitter,
            self.settings.encoder.device,
            self.workers,
            self.talk.progress,
        )
        if self.options.baselines:
            self.talk.say(f"embedding scans: {', '.join(self.options.baselines)}")
        fixed, lacks = frozen_models(reader, self.options.baselines, self.settings)
        if material.truth is not None:
            fixed.append(oracle(material.truth))
        names = [*self.options.objectives, *(model.name for model in fixed)]
        if not names:
            raise SettingsError(f"nothing to evaluate: {'; '.join(lacks)}")
        names += CONSTANTS if len(material.changes) else ()
        against = pick_against(self.options.against, names)
        trained, diverged = self._all_trained(against, splits, reader)
        models: tuple[Model, ...] = (*trained, *fixed)
        notes = (*(one.message for one in cohort.labels.notes), *material.notes, *lacks, *diverged)
        if cohort.manifest.texts("split"):
            notes = (*notes, "column split is not used: folds are drawn")
        return Contest(material, splits, models, notes, tuple(map(str, cohort.skipped)))

    def _all_trained(
        self, against: str, splits: tuple[PatientSplit, ...], reader: Reader
    ) -> tuple[list[Trained], list[str]]:
        """Every objective; one that diverges loses, which is told, and does not stop the others."""
        found, notes = [], []
        for name in self.options.objectives:
            try:
                found.append(self._trained(name, splits, reader))
            except DivergedError as problem:
                if name == against:
                    raise
                notes.append(f"{name} is left out, it DIVERGED: {problem}")
        return found, notes

    def _check_names(self) -> None:
        """Refuse objectives and baselines that are none, before anything is read."""
        for name in self.options.objectives:
            check_objective(self._options_of(name, seed=0))
        for name in self.options.baselines:
            name_of_baseline(name)

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
        folders = {seed: self._train(name, seed, splits) for seed in range(self.options.seeds)}
        backbone = parse_spec(self.settings.encoder.spec or DEFAULT_SPEC)
        return Trained(name, f"{backbone}, pretrained on these patients", folders, splits,
                       reader.of_run)  # fmt: skip

    def _options_of(self, name: str, seed: int) -> PretrainOptions:
        """Settings of one training; those of an objective hold for that one alone."""
        chosen = self.settings.objective
        if chosen.name != name:
            chosen = replace(chosen, name=name, settings={})
        training = replace(self.settings.training, seed=seed)
        return replace(self.settings, objective=chosen, training=training)

    def _train(self, name: str, seed: int, splits: tuple[PatientSplit, ...]) -> tuple[Path, ...]:
        """The run folder of each fold, trained unless it was before.

        Raises:
            SplitError: it was trained on other patients than those measured take it to be.
        """
        self.talk.say(f"pretraining {name}, seed {seed}")
        try:
            result = pretrain(
                self.manifest_path,
                self.folder / "runs" / f"{name}-seed{seed}",
                self._options_of(name, seed),
                manifest_changes=self.changes,
                resume=True,
                workers=self.workers,
                talk=Talk(progress=self.talk.progress, watch=self.talk.watch),
            )
        except LearnerIndexError as problem:
            problem.args = (f"{name}, seed {seed}: {problem}",)
            raise
        for fold, split in zip(result.folds, splits, strict=True):
            if fold.run["split"] != split.fingerprint:
                raise SplitError(
                    f"{name}, seed {seed}, {fold.folder.name} was not trained on this fold's "
                    "patients: the manifest changed meanwhile; call it again with another -o NAME"
                )
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
