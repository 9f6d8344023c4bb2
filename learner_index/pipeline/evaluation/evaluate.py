"""`evaluate`: objectives, stores and baselines on patients that nothing was fitted on."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from learner_index.config import EvaluateOptions, PretrainOptions
from learner_index.errors import LearnerIndexError, RunWriteError, SettingsError
from learner_index.pipeline.evaluation.crossfit import CrossFit, shared_settings
from learner_index.pipeline.evaluation.judge import measured
from learner_index.pipeline.evaluation.report import write_evaluation
from learner_index.pipeline.evaluation.result import Evaluation
from learner_index.pipeline.evaluation.stored import contest_of_stores
from learner_index.pipeline.lesson import Talk


def evaluate(
    sources: Sequence[Path],
    folder: Path,
    options: EvaluateOptions | None = None,
    pretraining: PretrainOptions | None = None,
    *,
    manifest_changes: Mapping[str, Any] | None = None,
    workers: int = 2,
    talk: Talk | None = None,
) -> Evaluation:
    """Measure encoders by patient, and write a report.

    A manifest: every objective is pretrained once a seed and fold of its patients, and measured
    beside baselines on the fold that none of them saw. Stores: their encoders are measured as
    they are, nothing is trained; where they have seen patients, every line about them says so.

    Args:
        sources: one manifest, or one or more stores (ending in .zarr).
        folder: the report goes here, and what is trained; called again, it goes on. It is made
            first.
        options: what to compare; None: the defaults.
        pretraining: settings all trainings share, and what the health score is; its objective
            gives settings for that objective alone, its folds and seeds are not used.
        manifest_changes: fields of `ManifestOptions` to read the manifest with.
        workers: threads that decode.
        talk: where to tell how it goes.

    Raises:
        ManifestError, NotEnoughDataError, SplitError, SettingsError: what was given does not do.
        EncoderError: a backbone or a frozen encoder cannot be had.
        StoreError, QueryError: a store cannot be read, or stores share no scan.
        RunError: a training diverged, or was started with other settings.
        RunWriteError: the folder cannot be written.

    Example:
        >>> import learner_index as li
        >>> li.evaluate([Path("cohort.csv")], Path("results"))  # doctest: +SKIP
    """
    wanted, talk = options or EvaluateOptions(), talk or Talk()
    settings = shared_settings(wanted, pretraining or PretrainOptions(), folder)
    _check(wanted, settings)
    changes = dict(manifest_changes or {})
    are_stores = _are_stores(sources)
    _check_sources(are_stores=are_stores, options=wanted, changes=changes)
    _make(folder)
    try:
        if are_stores:
            contest = contest_of_stores(sources, wanted, settings)
        else:
            contest = CrossFit(sources[0], folder, wanted, settings, changes, workers, talk).run()
        found = measured(contest, wanted, settings, talk.say)
    except LearnerIndexError:
        with suppress(OSError):
            folder.rmdir()  # only if nothing was written
        raise
    try:
        write_evaluation(found, folder)
    except OSError as problem:
        raise RunWriteError(
            f"cannot write the report into {str(folder)!r} ({problem.strerror or problem}): "
            "make room and call it again, what was trained is kept"
        ) from problem
    return replace(found, folder=folder)


def _are_stores(sources: Sequence[Path]) -> bool:
    """Whether stores are to be measured rather than a manifest.

    Raises:
        SettingsError: nothing was named, or both, or two manifests.
    """
    if not sources:
        raise SettingsError("nothing to evaluate: name a manifest, or one or more stores")
    are_stores = [path.suffix == ".zarr" for path in sources]
    if all(are_stores):
        return True
    if any(are_stores) or len(sources) > 1:
        raise SettingsError(
            f"{', '.join(path.name for path in sources)}: name one manifest, or stores alone "
            "(ending in .zarr)"
        )
    return False


def _check(options: EvaluateOptions, pretraining: PretrainOptions) -> None:
    """Refuse what no evaluation could use, before anything is read.

    Raises:
        SettingsError: names the setting.
    """
    for name, least in (("seeds", 1), ("folds", 2), ("n_bootstraps", 100), ("n_permutations", 99)):
        value = getattr(options, name)
        if value < least:
            raise SettingsError(f"{name} {value}: give {least} or more")
    for word, names in (("objective", options.objectives), ("baseline", options.baselines)):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SettingsError(f"{word} {min(twice)} is named twice: name each once")
    if pretraining.score.class_column is not None:
        raise SettingsError(
            "evaluate compares health scores, and score.class_column "
            f"{pretraining.score.class_column!r} holds classes: leave it out"
        )


def _check_sources(
    *, are_stores: bool, options: EvaluateOptions, changes: Mapping[str, Any]
) -> None:
    """Refuse what does not go with stores, or with a manifest.

    Raises:
        SettingsError: names it.
    """
    if are_stores and changes:
        raise SettingsError(
            f"{min(changes)} is for reading manifests, and a store holds what was read when it "
            "was built: leave it out"
        )
    if not are_stores and not options.objectives and not options.baselines:
        raise SettingsError("nothing to evaluate: name an --objective or a --baseline")


def _make(folder: Path) -> None:
    """The report's folder, before hours are spent on what goes into it.

    Raises:
        RunWriteError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RunWriteError(
            f"cannot make {str(folder)!r} ({problem.strerror}): -o NAME takes another place"
        ) from problem
